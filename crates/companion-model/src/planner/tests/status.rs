//! How what was seen and decided reads as one word.

use super::*;
use crate::model::log::LogTail;
use crate::reconcile::Reconcile;
use crate::status::{CompanionStatus, Health, status};

impl Setup {
    fn reconcile_once(&self) -> Reconcile {
        Reconcile {
            desired: self.desired.clone(),
            observed: self.observed(),
            plan: self.plan(),
            violations: Vec::new(),
            names: None,
            outcomes: Vec::new(),
            at: self.now,
        }
    }

    /// Asserts the word, and what is said to be done next.
    #[track_caller]
    fn reads(&self, health: Health, next: &[&str]) {
        let statuses = status(&self.reconcile_once());
        let [status] = statuses.as_slice() else { panic!("{statuses:?}") };
        assert_eq!(
            (status.health, status.next.iter().map(String::as_str).collect()),
            (health, next.to_vec())
        );
        assert_eq!(health.is_healthy(), status.why.is_empty(), "{status:?}");
    }
}

#[test]
fn each_state_is_one_word() {
    let mut setup = Setup::converged();
    setup.reads(Health::Ready, &[]);
    setup.service().up_for = Duration::ZERO;
    setup.reads(Health::Progressing, &[]);
    setup.file(UnitFileState::Unmanaged { what: "a directory".to_owned() });
    setup.reads(Health::Degraded, &[]);
    setup.down(RunState::Down);
    setup.reads(Health::Blocked, &[]);
    setup.seen.service = Observation::Unknown("no bus".to_owned());
    setup.reads(Health::Unknown, &[]);
    setup.desired.targets.clear();
    setup.reads(Health::Orphaned, &[]);
    let mut setup = Setup::converged();
    setup.image().dangling = vec![ImageId::new(&"2".repeat(64)).unwrap()];
    assert_eq!(status(&setup.reconcile_once())[0].health, Health::Ready, "it runs as desired");
}

#[test]
fn companion_that_waits_for_the_shared_reload_is_progressing() {
    let mut setup = Setup::converged();
    setup.service().unit = LoadedUnit::Absent;
    setup.reads(Health::Progressing, &["load-units: loaded unit differs from the unit file"]);
}

#[test]
fn settings_that_the_host_does_not_honour_are_named() {
    let mut setup = Setup::converged();
    let mut spec = spec();
    spec.container.restart_delay = Some(10);
    spec.container.host_loopback = true;
    setup.intend(spec);
    let named = |setup: &Setup| status(&setup.reconcile_once())[0].not_honoured.clone();
    assert_eq!(named(&setup), Vec::<String>::new());
    setup.traits = HostTraits::NONE;
    assert_eq!(named(&setup), ["restart_delay", "host_loopback"]);
}

#[test]
fn removal_is_listed_until_the_unit_is_unloaded() {
    let mut setup = Setup::removed();
    setup.reads(Health::Removing, &["stop web: app was removed"]);
    setup.down(RunState::Down);
    setup.file(UnitFileState::Absent);
    setup.hook(unrendered());
    setup.reads(Health::Removing, &["load-units: app was removed"]);
    setup.seen.service = Observation::Known(ServiceState::absent());
    assert!(status(&setup.reconcile_once()).is_empty());
}

/// The status of a service that ends after every start and logged `lines` the last time.
fn of_crash_loop(lines: &[&str]) -> CompanionStatus {
    let mut setup = Setup::converged();
    setup.down(RunState::BetweenRestarts);
    setup.service().last_end = Some(End::Exit(126));
    setup.seen.log = Some(Observation::Known(LogTail::of(lines.iter().copied())));
    status(&setup.reconcile_once()).remove(0)
}

#[test]
fn a_failed_run_is_explained_by_its_log_cause_first() {
    let line = "Error: rootlessport listen tcp 0.0.0.0:18083: bind: address already in use";
    let status = of_crash_loop(&["starting", line]);
    assert_eq!(status.health, Health::Blocked);
    assert_eq!(status.root_cause.as_deref(), Some("port 18083 is already in use"));
    assert_eq!(status.why[0], "port 18083 is already in use");
    assert!(status.why[1].contains("status 126"), "{:?}", status.why);
    assert_eq!(status.log, ["starting", line]);
    let status = of_crash_loop(&["something else went wrong"]);
    assert_eq!(status.root_cause, None);
    assert!(status.why[0].contains("status 126"), "{:?}", status.why);
    assert_eq!(status.log, ["something else went wrong"]);
}

#[test]
fn a_log_that_cannot_be_read_says_why_and_hides_nothing_else() {
    let mut setup = Setup::converged();
    setup.down(RunState::Failed);
    setup.seen.log = Some(Observation::Unknown("no permission".to_owned()));
    let status = status(&setup.reconcile_once()).remove(0);
    assert_eq!(status.log_error.as_deref(), Some("no permission"));
    assert!(status.log.is_empty() && !status.why.is_empty());
}

#[test]
fn drop_ins_are_listed_once_and_change_no_plan() {
    let mut setup = Setup::converged();
    let path = |text: &str| text.to_owned();
    let mut file = file_of(UnitFileState::Current { revision: setup.revision });
    file.drop_ins = vec![path("/units/web.container.d/x.conf"), path("/both.conf")];
    setup.seen.unit = Observation::Known(file);
    setup.service().drop_ins = vec![path("/both.conf"), path("/a/web.service.d/x.conf")];
    setup.reads(Health::Ready, &[]);
    let status = status(&setup.reconcile_once()).remove(0);
    let expected = ["/a/web.service.d/x.conf", "/both.conf", "/units/web.container.d/x.conf"];
    assert_eq!(status.drop_ins, expected);
}
