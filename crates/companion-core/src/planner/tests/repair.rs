//! A companion that is to exist.

use super::*;

#[test]
fn a_fresh_install_renders_and_builds_first() {
    let mut scene = Scene::converged();
    scene.hook(unrendered());
    scene.image().present = None;
    scene.seen.service = Observation::Known(ServiceState::absent());
    scene.seen.container = Some(Observation::Known(ContainerState::Absent));
    scene.file(UnitFileState::Absent);
    scene.expect(
        &["run-hook web: configuration is missing", "ensure-image web: image is missing"],
        &[],
    );
}

#[test]
fn then_the_unit_is_written_loaded_and_started() {
    let mut scene = Scene::converged();
    scene.seen.service = Observation::Known(ServiceState::absent());
    scene.seen.container = Some(Observation::Known(ContainerState::Absent));
    scene.file(UnitFileState::Absent);
    scene.expect(
        &[
            "write-unit web: unit file is missing",
            "load-units: unit file is missing",
            "start web: not running",
        ],
        &[],
    );
}

/// On a host without a second, loaded copy of the units.
#[test]
fn written_units_are_started_without_a_load_where_none_is_needed() {
    let mut scene = Scene::converged();
    scene.traits = HostTraits::NONE;
    scene.seen.service = Observation::Known(ServiceState::absent());
    scene.seen.container = Some(Observation::Known(ContainerState::Absent));
    scene.file(UnitFileState::Absent);
    scene.expect(&["write-unit web: unit file is missing", "start web: not running"], &[]);
    scene.file(UnitFileState::Current { revision: scene.revision });
    scene.loaded(Some(scene.revision));
    scene.service().run = RunState::Failed;
    scene.service().last_end = Some(End::Exit(1));
    let failed = "start web: failed: exited with status 1";
    scene.expect(&[failed], &[]);
    scene.loaded_from("/elsewhere");
    scene.expect(&[], &["another unit of this name takes precedence: /elsewhere"]);
    let mut removed = Scene::removed();
    removed.traits = HostTraits::NONE;
    removed.down(RunState::Down);
    removed
        .expect(&["remove-unit web: app was removed", "remove-config web: app was removed"], &[]);
}

#[test]
fn a_lost_unit_file_is_rewritten_without_a_restart() {
    let mut scene = Scene::converged();
    scene.file(UnitFileState::Absent);
    scene
        .expect(&["write-unit web: unit file is missing", "load-units: unit file is missing"], &[]);
}

#[test]
fn lost_unit_file_restarts_an_unverified_run() {
    let mut scene = Scene::converged();
    scene.file(UnitFileState::Absent);
    scene.service().run_id = Some("a run after an edit".to_owned());
    scene.expect(
        &[
            "write-unit web: unit file is missing",
            "load-units: unit file is missing",
            "restart web: unit was modified outside companion",
        ],
        &[],
    );
}

#[test]
fn unit_mode_is_fixed_without_reload_or_restart() {
    let mut scene = Scene::converged();
    scene.file(UnitFileState::WrongMode { revision: scene.revision });
    scene.expect(&["write-unit web: unit file is writable by others"], &[]);
    let plan = scene.plan();
    let Some(Action::WriteUnit(unit)) = plan.steps[0].action() else { panic!("{plan:?}") };
    assert_eq!(unit.revision, scene.revision, "the very same bytes");
    scene.down(RunState::Down);
    scene.expect(
        &["write-unit web: unit file is writable by others", "start web: not running"],
        &[],
    );
}

#[test]
fn an_edited_unit_is_rewritten_under_the_next_restart_epoch_and_restarted() {
    let mut scene = Scene::converged();
    scene.file(UnitFileState::Drifted { revision: Some(scene.revision) });
    scene.expect(
        &[
            "write-unit web: unit file differs from the rendered unit",
            "load-units: unit file differs from the rendered unit",
            "restart web: unit was modified outside companion",
        ],
        &[],
    );
    let plan = scene.plan();
    let Some(Action::WriteUnit(unit)) = plan.steps[0].action() else { panic!("{plan:?}") };
    assert_eq!(unit.revision, scene.revision.with_restart_epoch(1));
}

#[test]
fn a_crash_after_the_rewrite_loses_neither_the_reload_nor_the_restart() {
    let mut scene = Scene::converged();
    scene.file(UnitFileState::Current { revision: scene.revision.with_restart_epoch(1) });
    scene.expect(
        &[
            "load-units: loaded unit differs from the unit file",
            "restart web: unit was modified outside companion",
        ],
        &[],
    );
}

#[test]
fn a_unit_edited_and_then_deleted_is_not_started_from_the_loaded_one() {
    let mut scene = Scene::converged();
    scene.down(RunState::Down);
    scene.file(UnitFileState::Absent);
    let plan = scene.plan();
    let Some(Action::WriteUnit(unit)) = plan.steps[0].action() else { panic!("{plan:?}") };
    assert_eq!(unit.revision.restart_epoch, 1);
}

#[test]
fn changed_specification_image_or_configuration_is_the_reason() {
    let with = |change: fn(&mut Revision)| {
        let mut scene = Scene::converged();
        let mut old = scene.revision;
        change(&mut old);
        scene.service().running = Some(old);
        scene.loaded(Some(old));
        scene.file(UnitFileState::Drifted { revision: Some(old) });
        scene.plan().steps.last().unwrap().to_string()
    };
    assert_eq!(with(|r| r.spec = Fingerprint::of(b"x")), "restart web: specification changed");
    assert_eq!(with(|r| r.image = Fingerprint::of(b"x")), "restart web: image changed");
    assert_eq!(with(|r| r.config = None), "restart web: configuration changed");
}

#[test]
fn an_old_container_under_a_new_unit_is_restarted() {
    let mut scene = Scene::converged();
    let mut old = scene.revision;
    old.config = Some(ConfigId { digest: Fingerprint::of(b"old password"), epoch: 0 });
    scene.service().running = Some(old);
    scene.expect(&["restart web: configuration changed"], &[]);
}

#[test]
fn an_unmanaged_unit_file_is_reported_and_not_touched() {
    let mut scene = Scene::converged();
    scene.file(UnitFileState::Unmanaged { what: "a file without the ownership label".to_owned() });
    scene.expect(
        &[],
        &["the name is taken by something unmanaged: a file without the ownership label at /units/web.container"],
    );
}

#[test]
fn an_unmanaged_container_is_not_replaced_by_a_start() {
    let mut scene = Scene::converged();
    scene.down(RunState::Down);
    let image = "example/other".to_owned();
    scene.seen.container = Some(Observation::Known(ContainerState::Unmanaged { image }));
    scene.expect(
        &[],
        &["the name is taken by something unmanaged: a container of image example/other"],
    );
}

#[test]
fn rejected_unit_is_blocked_with_the_generators_message() {
    let mut scene = Scene::converged();
    scene.file(UnitFileState::Drifted { revision: None });
    scene.fail(Work::Unit, PortErrorKind::Invalid, "unsupported key 'Pulll'");
    scene.expect(&[], &["the generator refuses the unit: unsupported key 'Pulll'"]);
    let plan = scene.plan();
    assert_eq!(plan.requeue_after, Some(Duration::from_secs(5)));
}

#[test]
fn unit_that_does_not_load_is_not_reloaded_forever() {
    let mut scene = Scene::converged();
    scene.service().unit = LoadedUnit::Absent;
    scene.expect(&["load-units: loaded unit differs from the unit file"], &[]);
    scene.fail(Work::Load, PortErrorKind::Conflict, "a broken file beside it");
    scene.expect(&[], &["unit is not loaded: a broken file beside it"]);
}

#[test]
fn shadowed_unit_is_reported() {
    let mut scene = Scene::converged();
    scene.loaded_from("/run/user/1000/containers/systemd/web.container");
    scene.service().running = None;
    scene.expect(&["load-units: loaded unit differs from the unit file"], &[]);
    scene.fail(Work::Load, PortErrorKind::Transient, "");
    scene.expect(
        &[],
        &["another unit of this name takes precedence: /run/user/1000/containers/systemd/web.container"],
    );
}

#[test]
fn unmanaged_service_is_a_conflict_before_the_first_write() {
    let mut scene = Scene::converged();
    scene.file(UnitFileState::Absent);
    scene.loaded_from("/usr/lib/systemd/user/web.service");
    scene.service().running = None;
    scene.fail(Work::Load, PortErrorKind::Transient, "");
    let place = "/usr/lib/systemd/user/web.service";
    scene.expect(&[], &[&format!("another unit of this name takes precedence: {place}")]);
}

#[test]
fn process_without_a_revision_is_restarted_at_most_three_times() {
    let mut scene = Scene::converged();
    scene.service().running = None;
    for _ in 0..3 {
        scene.expect(&["restart web: running revision unknown"], &[]);
        scene.fail(Work::Service, PortErrorKind::Transient, "it did not stay up");
        assert!(scene.plan().steps.is_empty(), "one after the other");
        scene.now = scene.now.after(Duration::from_secs(100_000));
    }
    scene.expect(&[], &["running revision cannot be read: the process does not report a revision"]);
}

#[test]
fn a_masked_unit_is_respected() {
    let mut scene = Scene::converged();
    scene.down(RunState::Down);
    scene.held();
    scene.expect(&[], &["unit is masked by the operator"]);
}

#[test]
fn a_service_stopped_by_hand_is_started() {
    let mut scene = Scene::converged();
    scene.down(RunState::Down);
    scene.expect(&["start web: not running"], &[]);
}

#[test]
fn a_failed_service_is_reset_and_started() {
    let mut scene = Scene::converged();
    scene.down(RunState::Failed);
    scene.service().last_end = Some(End::StartLimit);
    scene.expect(
        &["reset-failed web: failed: started too often", "start web: failed: started too often"],
        &[],
    );
}

#[test]
fn failed_start_backs_off() {
    let mut scene = Scene::converged();
    scene.down(RunState::Failed);
    scene.fail(Work::Service, PortErrorKind::Transient, "exit code 125");
    scene.expect(&[], &["starting the service failed once: exit code 125"]);
    scene.now = NOW.after(Duration::from_secs(5));
    assert_eq!(scene.plan().steps.len(), 2, "and made again when its time has come");
}

#[test]
fn new_intent_resets_the_back_off() {
    let mut scene = Scene::converged();
    scene.down(RunState::Failed);
    scene.fail(Work::Service, PortErrorKind::Transient, "exit code 125");
    scene.intend(spec());
    assert_eq!(scene.plan().steps.len(), 2);
}

#[test]
fn observed_success_resets_the_failure() {
    let mut scene = Scene::converged();
    scene.down(RunState::Down);
    scene.fail(Work::Service, PortErrorKind::Transient, "it did not stay up");
    let history = scene.history.clone();
    scene = Scene::converged();
    scene.history.failures = history.failures;
    assert_eq!(scene.plan().recovered, [], "it must stay so for the time of its back-off");
    scene.now = NOW.after(Duration::from_secs(5));
    assert_eq!(scene.plan().recovered, [(name(), Work::Service)]);
}

#[test]
fn transient_states_are_awaited_and_never_installed_again() {
    for (run, words) in [(RunState::Starting, "starting"), (RunState::Stopping, "stopping")] {
        let mut scene = Scene::converged();
        scene.down(run);
        scene.expect(&[], &[words]);
    }
    let mut scene = Scene::converged();
    scene.service().busy = true;
    scene.expect(&[], &["another start or stop is in progress"]);
}

#[test]
fn crash_loop_is_left_to_the_host_and_reports_the_last_exit() {
    let mut scene = Scene::converged();
    scene.down(RunState::BetweenRestarts);
    scene.service().restarts = 7;
    scene.service().last_end = Some(End::Exit(1));
    scene.expect(&[], &["exited with status 1, restarting; 7 restart(s) so far"]);
}

#[test]
fn a_crash_loop_of_an_old_unit_is_ended_by_the_new_one() {
    let mut scene = Scene::converged();
    scene.down(RunState::BetweenRestarts);
    let mut old = scene.revision;
    old.image = Fingerprint::of(b"broken image");
    scene.loaded(Some(old));
    scene.file(UnitFileState::Drifted { revision: Some(old) });
    scene.expect(
        &[
            "write-unit web: image changed",
            "load-units: image changed",
            "restart web: image changed",
        ],
        &[],
    );
}

/// The host's clock was set back, so it reports that the run has just begun, for hours.
#[test]
fn run_becomes_ready_although_the_host_reports_no_age() {
    let mut scene = Scene::converged();
    scene.service().up_for = Duration::ZERO;
    scene.expect(&[], &["starting; must stay up for 3 s"]);
    let run_id = "first run".to_owned();
    scene.history.up_since.insert(name(), FirstSeen { run_id, at: NOW });
    scene.now = NOW.after(MIN_READY);
    scene.expect(&[], &[]);
    scene.service().run_id = Some("second run".to_owned());
    scene.expect(&[], &["starting; must stay up for 3 s"]);
}

#[test]
fn frozen_container_is_recreated() {
    let mut scene = Scene::converged();
    scene.service().frozen = true;
    scene.expect(&["restart web: frozen"], &[]);
}

#[test]
fn a_service_that_was_just_started_is_not_yet_running() {
    let mut scene = Scene::converged();
    scene.service().up_for = Duration::from_secs(1);
    scene.expect(&[], &["starting; must stay up for 3 s"]);
    let plan = scene.plan();
    assert_eq!(plan.requeue_after, Some(Duration::from_secs(2)));
}

#[test]
fn rotations_within_the_interval_restart_at_most_twice() {
    let mut scene = Scene::converged();
    let before = ConfigId { digest: Fingerprint::of(b"before"), epoch: 0 };
    let old = Revision { config: Some(before), ..scene.revision };
    scene.service().running = Some(old);
    let restart = "restart web: configuration changed";
    scene.expect(&[restart], &[]);
    scene.service().up_for = Duration::from_secs(4);
    scene.expect(&[], &["starting; must stay up for 3 s"]);
    assert_eq!(scene.plan().requeue_after, Some(Duration::from_secs(6)));
    scene.service().up_for = CONFIG_INTERVAL;
    scene.expect(&[restart], &[]);
}

#[test]
fn tampered_service_is_restarted_without_min_interval() {
    let mut scene = Scene::converged();
    scene.service().up_for = Duration::ZERO;
    scene.service().running = Some(scene.revision.with_restart_epoch(7));
    scene.expect(&["restart web: unit was modified outside companion"], &[]);
}

#[test]
fn a_restart_for_another_revision_is_right_as_long_as_another_runs() {
    let mut scene = Scene::converged();
    let condition = Condition { loaded: scene.revision, need: Need::OtherRevision };
    assert!(!condition.holds(scene.service()));
    scene.service().running = Some(scene.revision.with_restart_epoch(7));
    assert!(condition.holds(scene.service()));
    let running = scene.service().running;
    scene.loaded(running);
    assert!(!condition.holds(scene.service()), "nothing else than what was decided for is started");
}
