//! A companion that is to be gone.

use super::*;

fn stopped() -> Scene {
    let mut scene = Scene::removed();
    scene.down(RunState::Down);
    scene
}

#[test]
fn the_service_is_stopped_while_its_unit_is_still_there() {
    Scene::removed().expect(&["stop web: app was removed"], &[]);
}

#[test]
fn then_unit_container_and_configuration_go() {
    let mut scene = stopped();
    let status = "exited".to_owned();
    scene.seen.container = Some(Observation::Known(ContainerState::Ours { status }));
    scene.expect(
        &[
            "remove-unit web: app was removed",
            "load-units: app was removed",
            "remove-container web: app was removed",
            "remove-config web: app was removed",
        ],
        &[],
    );
}

#[test]
fn a_service_that_failed_on_its_way_down_is_reset() {
    let mut scene = stopped();
    scene.service().run = RunState::Failed;
    assert!(scene.plan().steps.iter().any(|step| step.action() == Some(&Action::ResetFailed)));
}

#[test]
fn a_service_between_two_tries_is_stopped_too() {
    let mut scene = Scene::removed();
    scene.down(RunState::BetweenRestarts);
    scene.expect(&["stop web: app was removed"], &[]);
}

#[test]
fn completed_removal_needs_no_steps() {
    let mut scene = stopped();
    scene.seen.service = Observation::Known(ServiceState::absent());
    scene.file(UnitFileState::Absent);
    scene.hook(unrendered());
    scene.expect(&[], &[]);
}

#[test]
fn interrupted_removal_is_completed() {
    let mut scene = stopped();
    scene.file(UnitFileState::Absent);
    scene.expect(&["load-units: app was removed", "remove-config web: app was removed"], &[]);
    scene.seen.service = Observation::Known(ServiceState::absent());
    scene.expect(&["remove-config web: app was removed"], &[]);
}

#[test]
fn service_starting_from_an_unloaded_unit_is_awaited() {
    let mut scene = Scene::removed();
    scene.down(RunState::Starting);
    scene.service().unit = LoadedUnit::Absent;
    scene.expect(&[], &["starting"]);
}

#[test]
fn service_loaded_from_an_unmanaged_file_is_not_stopped() {
    let mut scene = Scene::removed();
    scene.loaded(None);
    scene.service().running = None;
    scene.expect(
        &[
            "remove-unit web: app was removed",
            "load-units: app was removed",
            "remove-config web: app was removed",
        ],
        &[],
    );
}

#[test]
fn a_container_that_outlived_its_unit_is_stopped() {
    let mut scene = Scene::removed();
    scene.file(UnitFileState::Absent);
    scene.service().unit = LoadedUnit::Absent;
    scene.expect(&["stop web: app was removed"], &[]);
}

#[test]
fn nothing_is_stopped_or_removed_because_of_unknown() {
    let unreadable = || "connection refused".to_owned();
    let mut scene = Scene::removed();
    scene.seen.service = Observation::Unknown(unreadable());
    scene.expect(&[], &["service cannot be read: connection refused"]);
    let mut scene = Scene::removed();
    scene.seen.unit = Observation::Unknown(unreadable());
    scene.expect(&[], &["unit file cannot be read: connection refused"]);
}

#[test]
fn what_is_unmanaged_at_the_name_is_left_alone() {
    let mut scene = Scene::removed();
    scene.down(RunState::Down);
    scene.seen.hook = None;
    scene.file(UnitFileState::Unmanaged { what: "a directory".to_owned() });
    scene.expect(&[], &[]);
}

#[test]
fn managed_remains_next_to_an_unmanaged_unit_are_reported_and_kept() {
    let conflict = "the name is taken by something unmanaged: a unit at /units/web.container";
    let unmanaged = || UnitFileState::Unmanaged { what: "a unit".to_owned() };
    let mut runs = Scene::removed();
    runs.seen.hook = None;
    runs.file(unmanaged());
    runs.expect(&[], &[conflict]);
    let mut rendered = stopped();
    rendered.file(unmanaged());
    rendered.expect(&[], &[conflict]);
    rendered.seen.hook = Some(Observation::Unknown("disk on fire".to_owned()));
    rendered.expect(&[], &[conflict]);
}

#[test]
fn an_unmanaged_service_of_the_same_name_is_not_stopped() {
    let mut scene = Scene::removed();
    scene.loaded_from("/home/me/.config/systemd/user/web.service");
    scene.service().running = None;
    let plan = scene.plan();
    assert!(!plan.steps.iter().any(|step| step.action() == Some(&Action::StopUnit)), "{plan:?}");
}

#[test]
fn failed_stop_backs_off() {
    let mut scene = Scene::removed();
    scene.fail(Work::Removal, PortErrorKind::Transient, "timed out");
    scene.expect(&[], &["removing the companion failed once: timed out"]);
}

#[test]
fn failed_reset_in_a_removal_backs_off_with_it() {
    let mut scene = stopped();
    scene.service().run = RunState::Failed;
    scene.fail(Work::Removal, PortErrorKind::Transient, "bus gone");
    scene.expect(&[], &["removing the companion failed once: bus gone"]);
}

#[test]
fn a_service_from_before_there_were_revisions_is_stopped() {
    let mut scene = Scene::removed();
    scene.file(UnitFileState::Drifted { revision: None });
    scene.loaded(None);
    scene.service().running = None;
    scene.expect(&["stop web: app was removed"], &[]);
}
