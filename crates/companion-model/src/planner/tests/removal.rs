//! A companion that is to be gone.

use super::*;

fn stopped() -> Setup {
    let mut setup = Setup::removed();
    setup.down(RunState::Down);
    setup
}

#[test]
fn the_service_is_stopped_while_its_unit_is_still_there() {
    Setup::removed().expect(&["stop web: app was removed"], &[]);
}

#[test]
fn then_unit_container_and_configuration_go() {
    let mut setup = stopped();
    let status = "exited".to_owned();
    setup.seen.container = Some(Observation::Known(ContainerState::Ours { status }));
    setup.expect(
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
    let mut setup = stopped();
    setup.service().run = RunState::Failed;
    assert!(setup.plan().steps.iter().any(|step| step.action() == Some(&Action::ResetFailed)));
}

#[test]
fn a_service_between_two_tries_is_stopped_too() {
    let mut setup = Setup::removed();
    setup.down(RunState::BetweenRestarts);
    setup.expect(&["stop web: app was removed"], &[]);
}

#[test]
fn completed_removal_needs_no_steps() {
    let mut setup = stopped();
    setup.seen.service = Observation::Known(ServiceState::absent());
    setup.file(UnitFileState::Absent);
    setup.hook(unrendered());
    setup.expect(&[], &[]);
}

#[test]
fn interrupted_removal_is_completed() {
    let mut setup = stopped();
    setup.file(UnitFileState::Absent);
    setup.expect(&["load-units: app was removed", "remove-config web: app was removed"], &[]);
    setup.seen.service = Observation::Known(ServiceState::absent());
    setup.expect(&["remove-config web: app was removed"], &[]);
}

#[test]
fn service_starting_from_an_unloaded_unit_is_awaited() {
    let mut setup = Setup::removed();
    setup.down(RunState::Starting);
    setup.service().unit = LoadedUnit::Absent;
    setup.expect(&[], &["starting"]);
}

#[test]
fn service_loaded_from_an_unmanaged_file_is_not_stopped() {
    let mut setup = Setup::removed();
    setup.loaded(None);
    setup.service().running = None;
    setup.expect(
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
    let mut setup = Setup::removed();
    setup.file(UnitFileState::Absent);
    setup.service().unit = LoadedUnit::Absent;
    setup.expect(&["stop web: app was removed"], &[]);
}

#[test]
fn nothing_is_stopped_or_removed_because_of_unknown() {
    let unreadable = || "connection refused".to_owned();
    let mut setup = Setup::removed();
    setup.seen.service = Observation::Unknown(unreadable());
    setup.expect(&[], &["service cannot be read: connection refused"]);
    let mut setup = Setup::removed();
    setup.seen.unit = Observation::Unknown(unreadable());
    setup.expect(&[], &["unit file cannot be read: connection refused"]);
}

#[test]
fn what_is_unmanaged_at_the_name_is_left_alone() {
    let mut setup = Setup::removed();
    setup.down(RunState::Down);
    setup.seen.hook = None;
    setup.file(UnitFileState::Unmanaged { what: "a directory".to_owned() });
    setup.expect(&[], &[]);
}

#[test]
fn managed_remains_next_to_an_unmanaged_unit_are_reported_and_kept() {
    let conflict = "the name is taken by something unmanaged: a unit at /units/web.container";
    let unmanaged = || UnitFileState::Unmanaged { what: "a unit".to_owned() };
    let mut runs = Setup::removed();
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
    let mut setup = Setup::removed();
    setup.loaded_from("/home/me/.config/systemd/user/web.service");
    setup.service().running = None;
    let plan = setup.plan();
    assert!(!plan.steps.iter().any(|step| step.action() == Some(&Action::StopUnit)), "{plan:?}");
}

#[test]
fn failed_stop_backs_off() {
    let mut setup = Setup::removed();
    setup.fail(Work::Removal, PortErrorKind::Transient, "timed out");
    setup.expect(&[], &["stopping or removing the companion failed once: timed out"]);
}

#[test]
fn failed_reset_in_a_removal_backs_off_with_it() {
    let mut setup = stopped();
    setup.service().run = RunState::Failed;
    setup.fail(Work::Removal, PortErrorKind::Transient, "bus gone");
    setup.expect(&[], &["stopping or removing the companion failed once: bus gone"]);
}

#[test]
fn a_service_from_before_there_were_revisions_is_stopped() {
    let mut setup = Setup::removed();
    setup.file(UnitFileState::Drifted { revision: None });
    setup.loaded(None);
    setup.service().running = None;
    setup.expect(&["stop web: app was removed"], &[]);
}

/// A drop-in or a damaged generator output makes the loaded unit of a running companion unusable.
#[test]
fn service_of_an_unusable_unit_is_stopped_before_its_unit_is_removed() {
    let mut setup = Setup::removed();
    let (message, revision) = ("bad setting".to_owned(), Some(setup.revision));
    setup.service().unit = LoadedUnit::Unusable { message, revision };
    for run in [RunState::Up, RunState::BetweenRestarts] {
        setup.service().run = run;
        setup.service().running = None;
        setup.expect(&["stop web: app was removed"], &[]);
    }
    setup.down(RunState::Failed);
    let plan = setup.plan();
    assert!(plan.steps.iter().any(|step| step.action() == Some(&Action::ResetFailed)), "{plan:?}");
}

/// No image is needed for a removal, so nothing of the container runtime's store can delay it.
#[test]
fn removal_does_not_depend_on_the_image() {
    let mut setup = Setup::removed();
    setup.seen.service = Observation::Known(ServiceState::absent());
    setup.file(UnitFileState::Absent);
    setup.seen.image = Some(Observation::Unknown("the store is locked".to_owned()));
    setup.expect(&["remove-config web: app was removed"], &[]);
}
