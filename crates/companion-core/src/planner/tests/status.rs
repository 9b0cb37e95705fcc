//! How what was seen and decided reads as one word.

use super::*;
use crate::reconciler::{Execution, Round};
use crate::status::{Health, status};

impl Scene {
    fn round(&self) -> Round {
        Round {
            desired: self.desired.clone(),
            observed: self.observed(),
            plan: self.plan(),
            violations: Vec::new(),
            names: None,
            execution: Execution::default(),
            at: self.now,
        }
    }

    /// Asserts the word, and what is said to be done next.
    #[track_caller]
    fn reads(&self, health: Health, next: &[&str]) {
        let statuses = status(&self.round());
        let [status] = statuses.as_slice() else { panic!("{statuses:?}") };
        assert_eq!(
            (status.health, status.next.iter().map(String::as_str).collect()),
            (health, next.to_vec())
        );
        assert_eq!(health.is_healthy(), status.why.is_empty(), "{status:?}");
    }
}

#[test]
fn what_runs_and_is_true_is_ready() {
    Scene::converged().reads(Health::Ready, &[]);
}

#[test]
fn what_only_waits_for_the_reload_that_serves_all_is_on_its_way() {
    let mut scene = Scene::converged();
    scene.service().load = LoadState::NotFound;
    scene.service().loaded = None;
    scene.service().source = None;
    scene.reads(Health::Progressing, &["daemon-reload: the loaded unit is not the one on disk"]);
}

#[test]
fn what_runs_and_cannot_be_mended_now_is_degraded() {
    let mut scene = Scene::converged();
    scene.file(UnitFileState::Foreign { what: "a directory".to_owned() });
    scene.reads(Health::Degraded, &[]);
}

#[test]
fn what_does_not_run_and_cannot_be_made_to_is_blocked() {
    let mut scene = Scene::converged();
    scene.down(ActiveState::Inactive, SubState::Dead);
    scene.service().load = LoadState::Masked;
    scene.reads(Health::Blocked, &[]);
}

#[test]
fn what_was_started_a_moment_ago_is_on_its_way() {
    let mut scene = Scene::converged();
    scene.service().active_for = Duration::ZERO;
    scene.reads(Health::Progressing, &[]);
}

#[test]
fn what_cannot_be_read_is_unknown() {
    let mut scene = Scene::converged();
    scene.seen.service = Observation::Unknown("no bus".to_owned());
    scene.reads(Health::Unknown, &[]);
}

#[test]
fn what_nobody_recorded_is_orphaned() {
    let mut scene = Scene::converged();
    scene.desired.companions.clear();
    scene.reads(Health::Orphaned, &[]);
}

#[test]
fn what_is_being_removed_is_listed_until_the_service_manager_has_forgotten_it() {
    let mut scene = Scene::removed();
    scene.reads(Health::Removing, &["stop web: it is not wanted any more"]);
    scene.down(ActiveState::Inactive, SubState::Dead);
    scene.file(UnitFileState::Absent);
    let (cause, input) = (StaleCause::Missing, Fingerprint::of(b""));
    scene.seen.hook = Some(Observation::Known(HookState::Stale { cause, input }));
    scene.reads(Health::Removing, &["daemon-reload: it is not wanted any more"]);
    scene.seen.service = Observation::Known(ServiceState::not_found());
    assert!(status(&scene.round()).is_empty());
}

#[test]
fn leftovers_of_images_are_no_reason_to_look() {
    let mut scene = Scene::converged();
    scene.image().leftovers = vec![ImageId::new(&"2".repeat(64)).unwrap()];
    let statuses = status(&scene.round());
    assert_eq!(statuses[0].health, Health::Ready);
}
