//! A companion that is to be removed.

use super::*;

fn stopped() -> Setup {
    let mut setup = Setup::removed();
    setup.down(RunState::Down);
    setup
}

const STOP: &str = "stop web: app was removed";
const RESET: &str = "reset-failed web: app was removed";

/// A drop-in or a damaged generator output makes the loaded unit of a running companion unusable; a unit without a
/// revision was edited, or loaded from one that was.
#[test]
fn the_service_is_stopped_while_its_unit_is_still_there() {
    let mut setup = Setup::removed();
    setup.expect(&[STOP], &[]);
    let (message, revision) = ("bad setting".to_owned(), Some(setup.revision));
    setup.service().unit = LoadedUnit::Unusable { message, revision };
    setup.service().running = None;
    setup.expect(&[STOP], &[]);
    setup.service().run = RunState::Failed;
    assert!(setup.plan().steps.iter().any(|step| step.action == Action::ResetFailed));
    setup.service().run = RunState::BetweenRestarts;
    setup.expect(&[STOP], &[]);
    setup.loaded(revision);
    setup.expect(&[STOP], &[]);
    setup.file(UnitFileState::Drifted { revision: None });
    setup.loaded(None);
    setup.expect(&[STOP], &[]);
    let mut outlived = Setup::removed();
    outlived.file(UnitFileState::Absent);
    outlived.service().unit = LoadedUnit::Absent;
    outlived.expect(&[STOP], &[]);
    outlived.fail(Work::Removal, PortErrorKind::Transient, "timed out");
    outlived.expect(&[], &["stopping or removing the companion failed once: timed out"]);
}

#[test]
fn then_unit_container_and_configuration_go() {
    let mut setup = stopped();
    let status = "exited".to_owned();
    setup.seen.container = Some(Observation::Known(ContainerState::Ours { status }));
    let [unit, load, container, config] =
        ["remove-unit web", "load-units", "remove-container web", "remove-config web"]
            .map(|step| format!("{step}: app was removed"));
    setup.expect(&[&unit, &load, &container, &config], &[]);
    setup.service().run = RunState::Failed;
    setup.expect(&[&unit, &load, RESET, &container, &config], &[]);
    setup.down(RunState::Down);
    setup.file(UnitFileState::Absent);
    setup.expect(&[&load, &config], &[]);
    setup.seen.service = Observation::Known(ServiceState::absent());
    setup.expect(&[&config], &[]);
    // No image is needed, so nothing of the container runtime's store can delay it.
    setup.seen.image = Some(Observation::Unknown("the store is locked".to_owned()));
    setup.expect(&[&config], &[]);
    setup.hook(unrendered());
    setup.expect(&[], &[]);
}

#[test]
fn failed_reset_in_a_removal_backs_off_with_it() {
    let mut setup = stopped();
    setup.service().run = RunState::Failed;
    setup.fail(Work::Removal, PortErrorKind::Transient, "bus closed");
    setup.expect(&[], &["stopping or removing the companion failed once: bus closed"]);
}

#[test]
fn an_unmanaged_service_of_the_same_name_is_not_stopped() {
    let mut setup = Setup::removed();
    setup.loaded_from("/home/me/.config/systemd/user/web.service");
    setup.service().running = None;
    let plan = setup.plan();
    assert!(!plan.steps.iter().any(|step| step.action == Action::StopUnit(None)), "{plan:?}");
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
fn managed_remains_next_to_an_unmanaged_unit_are_reported_and_kept() {
    let conflict = "the name is taken by something unmanaged: a unit at /units/web.container";
    let unmanaged = || UnitFileState::Unmanaged { what: "a unit".to_owned() };
    let mut nothing = stopped();
    nothing.seen.hook = None;
    nothing.file(unmanaged());
    nothing.expect(&[], &[]);
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
