//! Unmanaged objects that have the name of a companion.

use super::*;

#[test]
fn an_unmanaged_unit_file_is_reported_and_not_touched() {
    let mut setup = Setup::converged();
    setup.file(UnitFileState::Unmanaged { what: "a file without the ownership label".to_owned() });
    setup.expect(
        &[],
        &["the name is taken by something unmanaged: a file without the ownership label at /units/web.container"],
    );
}

const NAME_TAKEN: &str = "the name is taken by something unmanaged: a container of image a/b, \
                          started by `other.service`";

#[test]
fn an_unmanaged_container_is_not_replaced_by_a_start() {
    let mut setup = Setup::converged();
    for run in [RunState::Down, RunState::Failed] {
        setup.down(run);
        setup.unmanaged_container();
        setup.expect(&[], &[NAME_TAKEN]);
    }
    setup.image().present = None;
    setup.hook(unrendered());
    setup.expect(&[], &[NAME_TAKEN]);
}

#[test]
fn restart_that_would_replace_an_unmanaged_container_is_stopped() {
    let mut setup = Setup::converged();
    setup.down(RunState::BetweenRestarts);
    setup.unmanaged_container();
    let stop = "stop web: an unmanaged container has its name";
    setup.expect(&[stop], &[NAME_TAKEN]);
    setup.file(UnitFileState::Drifted { revision: None });
    setup.image().present = None;
    setup.expect(&[stop], &[NAME_TAKEN]);
    setup.begin(Work::Removal);
    setup.expect(&[], &[NAME_TAKEN, "stopping or removing the companion is in progress"]);
}

#[test]
fn stop_for_an_unmanaged_container_backs_off_once_per_run() {
    let mut setup = Setup::converged();
    setup.down(RunState::BetweenRestarts);
    setup.unmanaged_container();
    setup.fail(Work::Removal, PortErrorKind::Transient, "bus closed");
    setup.expect(&[], &[NAME_TAKEN, "stopping or removing the companion failed once: bus closed"]);
    setup.service().run_id = Some("second run".to_owned());
    assert_eq!(setup.plan().steps.len(), 1);
    setup.down(RunState::Down);
    setup.now = setup.now.after(Duration::from_secs(60));
    setup.unmanaged_container();
    assert_eq!(setup.plan().recovered, [(name(), Work::Removal)]);
}

#[test]
fn unmanaged_service_is_not_stopped_for_its_own_container() {
    let mut setup = Setup::converged();
    setup.down(RunState::BetweenRestarts);
    setup.unmanaged_container();
    for unit in [LoadedUnit::FromStore { revision: None }, LoadedUnit::Absent] {
        setup.service().unit = unit;
        setup.expect(&[], &[NAME_TAKEN]);
    }
    setup.held();
    setup.expect(&[], &["held back by the operator: unit is masked"]);
}
