//! What a rendering would hide is secured first.

use super::*;

const STALE: &str = "run-hook web: its configuration changed";
const MARKED: [&str; 2] =
    ["write-unit web: its configuration changed", "daemon-reload: its configuration changed"];

/// A companion whose configuration is not what its hook would render, and whose run nobody saw
/// beneath a true one.
fn doubtful() -> Scene {
    let mut scene = Scene::converged();
    let (cause, input) = (StaleCause::Changed, Fingerprint::of(b"input"));
    scene.seen.hook = Some(Observation::Known(HookState::Stale { cause, input }));
    scene.file(UnitFileState::Drifted { revision: Some(scene.revision) });
    scene.service().invocation = Some("a run that nobody saw".to_owned());
    scene
}

#[test]
fn a_run_that_was_seen_beneath_the_true_file_is_not_doubted() {
    let mut scene = doubtful();
    scene.service().invocation = Scene::converged().service().invocation.clone();
    scene.expect(&[STALE], &[]);
}

#[test]
fn a_unit_gets_its_next_incarnation_before_its_configuration_is_restored() {
    let scene = doubtful();
    scene.expect(&MARKED, &[]);
    let plan = scene.plan();
    let Action::WriteUnit(unit) = &plan.steps[0].action else { panic!("{plan:?}") };
    assert_eq!(unit.revision, scene.revision.with_incarnation(1));
}

#[test]
fn a_configuration_that_others_could_only_read_casts_no_doubt() {
    let input = Fingerprint::of(b"input");
    let with = |cause| {
        let mut scene = doubtful();
        scene.file(UnitFileState::Outdated { revision: scene.revision });
        scene.seen.hook = Some(Observation::Known(HookState::Stale { cause, input }));
        scene
    };
    let step = "run-hook web: its configuration could be read by others";
    with(StaleCause::Exposed).expect(&[step], &[]);
    let reason = "its configuration could be written by others";
    let [write, reload] =
        ["write-unit web", "daemon-reload"].map(|step| format!("{step}: {reason}"));
    with(StaleCause::Writable).expect(&[&write, &reload], &[]);
    let mut both = with(StaleCause::Exposed);
    both.image().present = None;
    let missing =
        ["write-unit web", "daemon-reload"].map(|step| format!("{step}: its image is missing"));
    both.expect(&[&missing[0], &missing[1]], &[]);
    let mut starting = with(StaleCause::Exposed);
    starting.down(ActiveState::Activating, SubState::from_word("start"));
    starting.expect(&[], &["it is starting"]);
    let mut unread = with(StaleCause::Exposed);
    unread.seen.unit = Observation::Unknown("no permission".to_owned());
    unread.expect(&[step], &[]);
    let mut unread = with(StaleCause::Writable);
    unread.seen.unit = Observation::Unknown("no permission".to_owned());
    unread.expect(&[], &["its unit file cannot be read: no permission"]);
}

#[test]
fn so_does_one_that_others_may_write() {
    let mut scene = doubtful();
    scene.file(UnitFileState::Exposed { revision: scene.revision });
    scene.expect(&MARKED, &[]);
}

#[test]
fn once_it_has_the_configuration_is_rendered() {
    let mut scene = doubtful();
    let next = scene.revision.with_incarnation(1);
    scene.file(UnitFileState::Drifted { revision: Some(next) });
    scene.service().loaded = Some(next);
    scene.expect(&[STALE], &[]);
}

#[test]
fn a_run_that_is_restarted_anyway_is_not_doubted() {
    let mut scene = doubtful();
    let other = Revision { spec: Fingerprint::of(b"an older specification"), ..scene.revision };
    scene.file(UnitFileState::Drifted { revision: Some(other) });
    scene.service().running = Some(other);
    scene.expect(&[STALE], &[]);
}

#[test]
fn a_start_that_is_under_way_is_waited_for() {
    let mut scene = doubtful();
    scene.down(ActiveState::Activating, SubState::from_word("start"));
    scene.expect(&[], &["it is starting"]);
}

#[test]
fn what_waits_to_be_started_again_is_given_its_configuration() {
    let mut scene = doubtful();
    scene.down(ActiveState::Activating, SubState::AutoRestart);
    scene.expect(&[STALE], &[]);
}

#[test]
fn nothing_is_rendered_over_a_run_whose_unit_cannot_be_read_or_written() {
    let mut scene = doubtful();
    scene.seen.unit = Observation::Unknown("permission denied".to_owned());
    scene.expect(&[], &["its unit file cannot be read: permission denied"]);
    let mut scene = doubtful();
    scene.fail(Work::Unit, PortErrorKind::Transient, "disk full");
    let plan = scene.plan();
    assert!(plan.steps.is_empty() && plan.blocked.len() == 1, "{plan:?}");
}

/// A companion that began by itself while a stranger's image went by its image's name.
fn began_with_a_strangers_image() -> Scene {
    let mut scene = Scene::converged();
    scene.service().invocation = Some("a run that nobody saw".to_owned());
    scene.file(UnitFileState::Drifted { revision: Some(scene.revision) });
    let present = scene.image().present.as_mut().unwrap();
    present.id = ImageId::new(&"2".repeat(64)).unwrap();
    present.provenance = Provenance::Foreign;
    scene
}

#[test]
fn a_unit_gets_its_next_incarnation_before_its_image_is_built_again() {
    let mut scene = began_with_a_strangers_image();
    scene.expect(&["write-unit web: its image changed", "daemon-reload: its image changed"], &[]);
    let next = scene.revision.with_incarnation(1);
    scene.file(UnitFileState::Drifted { revision: Some(next) });
    scene.service().loaded = Some(next);
    scene.expect(&["ensure-image web: its image changed"], &[]);
}

#[test]
fn so_it_does_when_the_image_is_gone_by_then() {
    let mut scene = began_with_a_strangers_image();
    scene.image().present = None;
    scene.expect(
        &["write-unit web: its image is missing", "daemon-reload: its image is missing"],
        &[],
    );
}

#[test]
fn a_run_from_the_image_that_is_there_is_not_doubted_when_the_context_changes() {
    let mut scene = began_with_a_strangers_image();
    scene.image().present = Some(image());
    scene.image().context = Some(Fingerprint::of(b"a newer context"));
    scene.file(UnitFileState::Current { revision: scene.revision });
    scene.expect(&["ensure-image web: its build context changed"], &[]);
}

#[test]
fn nothing_is_rendered_or_built_over_what_a_unit_that_cannot_be_read_may_tell() {
    let mut scene = began_with_a_strangers_image();
    scene.seen.unit = Observation::Unknown("disk on fire".to_owned());
    scene.expect(&[], &["its unit file cannot be read: disk on fire"]);
}

#[test]
fn what_began_while_a_rendering_was_put_in_place_is_doubted_when_it_has_ended() {
    let mut scene = Scene::converged();
    scene.history.verified.clear();
    scene.history.overtaken.insert(name(), Some("the run before".to_owned()));
    scene.expect(&MARKED, &[]);
    let run = scene.service().invocation.clone();
    scene.history.overtaken.insert(name(), run);
    scene.expect(&[], &[]);
}
