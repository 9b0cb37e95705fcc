//! A companion that is to exist.

use super::*;

#[test]
fn each_finding_has_its_steps_or_its_condition() {
    let mut setup = Setup::converged();
    setup.hook(unrendered());
    setup.image().present = None;
    setup.seen.service = Observation::Known(ServiceState::absent());
    setup.file(UnitFileState::Absent);
    setup.expect(
        &["run-hook web: configuration is missing", "ensure-image web: image is missing"],
        &[],
    );
    // A crash after the unit was restored loses neither the load nor the restart.
    let mut setup = Setup::converged();
    let revision = setup.revision.with_restart_epoch(1);
    setup.file(UnitFileState::Current { revision });
    setup.expect(
        &[
            "load-units: loaded unit differs from the unit file",
            "restart web: unit was modified outside companion",
        ],
        &[],
    );
    // A tampered service does not wait for the interval of restarts.
    let mut setup = Setup::converged();
    setup.service().up_for = Duration::ZERO;
    setup.service().running = Some(setup.revision.with_restart_epoch(7));
    setup.expect(&["restart web: unit was modified outside companion"], &[]);
    // An unmanaged service of the name is a conflict before the first write.
    let mut setup = Setup::converged();
    setup.file(UnitFileState::Absent);
    setup.loaded_from("/usr/lib/systemd/user/web.service");
    setup.service().running = None;
    setup.fail(Work::Load, PortErrorKind::Transient, "");
    setup.expect(
        &[],
        &["another unit of this name takes precedence: /usr/lib/systemd/user/web.service"],
    );
    let mut setup = Setup::converged();
    setup.file(UnitFileState::Drifted { revision: None });
    setup.fail(Work::Unit, PortErrorKind::Invalid, "unsupported key 'Pulll'");
    setup.expect(&[], &["the generator refuses the unit: unsupported key 'Pulll'"]);
    // A crash loop is left to the host, unless it is that of an old unit.
    let mut setup = Setup::converged();
    setup.down(RunState::BetweenRestarts);
    setup.service().restarts = 7;
    setup.service().last_end = Some(End::Exit(1));
    setup.expect(&[], &["exited with status 1, restarting; 7 restart(s) so far"]);
    let mut setup = Setup::converged();
    setup.down(RunState::BetweenRestarts);
    let image = Fingerprint::of(b"broken image");
    let old = Some(Revision { image, ..setup.revision });
    setup.loaded(old);
    setup.file(UnitFileState::Drifted { revision: old });
    setup.expect_for("image changed", &["write-unit web", "load-units", "restart web"]);
    // Transient states are awaited.
    let mut setup = Setup::converged();
    setup.down(RunState::Starting);
    setup.expect(&[], &["starting"]);
    let mut setup = Setup::converged();
    setup.down(RunState::Stopping);
    setup.expect(&[], &["stopping"]);
    let mut setup = Setup::converged();
    setup.service().busy = true;
    setup.expect(&[], &["another start or stop is in progress"]);
}

#[test]
fn failed_start_backs_off_until_its_time_or_a_new_intent() {
    let mut setup = Setup::converged();
    setup.down(RunState::Failed);
    setup.fail(Work::Service, PortErrorKind::Transient, "exit code 125");
    setup.expect(&[], &["starting the service failed once: exit code 125"]);
    assert_eq!(setup.retries_in(), Some(Duration::from_secs(5)));
    setup.now = NOW.after(Duration::from_secs(5));
    assert_eq!(setup.plan().steps.len(), 2, "it is made again when its time has come");
    setup.now = NOW;
    setup.intend(spec());
    assert_eq!(setup.plan().steps.len(), 2);
}

#[test]
fn then_the_unit_is_written_loaded_and_started() {
    let mut setup = Setup::converged();
    setup.seen.service = Observation::Known(ServiceState::absent());
    setup.seen.container = Some(Observation::Known(ContainerState::Absent));
    setup.file(UnitFileState::Absent);
    setup.expect(
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
    let mut setup = Setup::converged();
    setup.traits = HostTraits::NONE;
    setup.seen.service = Observation::Known(ServiceState::absent());
    setup.seen.container = Some(Observation::Known(ContainerState::Absent));
    setup.file(UnitFileState::Absent);
    setup.expect(&["write-unit web: unit file is missing", "start web: not running"], &[]);
    setup.file(UnitFileState::Current { revision: setup.revision });
    setup.loaded(Some(setup.revision));
    setup.service().run = RunState::Failed;
    setup.service().last_end = Some(End::Exit(1));
    let failed = "start web: failed: exited with status 1";
    setup.expect(&[failed], &[]);
    setup.loaded_from("/elsewhere");
    setup.expect(&[], &["another unit of this name takes precedence: /elsewhere"]);
    let mut removed = Setup::removed();
    removed.traits = HostTraits::NONE;
    removed.down(RunState::Down);
    removed
        .expect(&["remove-unit web: app was removed", "remove-config web: app was removed"], &[]);
}

#[test]
fn lost_unit_file_restarts_an_unverified_run() {
    let mut setup = Setup::converged();
    setup.file(UnitFileState::Absent);
    setup.service().run_id = Some("a run after an edit".to_owned());
    setup.expect(
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
    let mut setup = Setup::converged();
    setup.file(UnitFileState::WrongMode { revision: setup.revision });
    setup.expect(&["write-unit web: unit file is writable by others"], &[]);
    let unit = setup.written();
    assert_eq!(unit.revision, setup.revision, "the very same bytes");
    setup.down(RunState::Down);
    setup.expect(
        &["write-unit web: unit file is writable by others", "start web: not running"],
        &[],
    );
}

#[test]
fn an_edited_unit_is_rewritten_under_the_next_restart_epoch_and_restarted() {
    let mut setup = Setup::converged();
    setup.file(UnitFileState::Drifted { revision: Some(setup.revision) });
    setup.expect(
        &[
            "write-unit web: unit file differs from the rendered unit",
            "load-units: unit file differs from the rendered unit",
            "restart web: unit was modified outside companion",
        ],
        &[],
    );
    let unit = setup.written();
    assert_eq!(unit.revision, setup.revision.with_restart_epoch(1));
}

#[test]
fn a_unit_edited_and_then_deleted_is_not_started_from_the_loaded_one() {
    let mut setup = Setup::converged();
    setup.down(RunState::Down);
    setup.file(UnitFileState::Absent);
    let unit = setup.written();
    assert_eq!(unit.revision.restart_epoch, 1);
}

#[test]
fn changed_specification_image_or_configuration_is_the_reason() {
    let with = |change: fn(&mut Revision)| {
        let mut setup = Setup::converged();
        let mut old = setup.revision;
        change(&mut old);
        setup.service().running = Some(old);
        setup.loaded(Some(old));
        setup.file(UnitFileState::Drifted { revision: Some(old) });
        setup.plan().steps.last().unwrap().to_string()
    };
    assert_eq!(with(|r| r.spec = Fingerprint::of(b"x")), "restart web: specification changed");
    assert_eq!(with(|r| r.image = Fingerprint::of(b"x")), "restart web: image changed");
    assert_eq!(with(|r| r.config = None), "restart web: configuration changed");
}

#[test]
fn unit_that_does_not_load_is_not_reloaded_forever() {
    let mut setup = Setup::converged();
    setup.service().unit = LoadedUnit::Absent;
    setup.expect(&["load-units: loaded unit differs from the unit file"], &[]);
    setup.fail(Work::Load, PortErrorKind::Conflict, "another broken file");
    setup.expect(&[], &["unit is not loaded: another broken file"]);
}

#[test]
fn shadowed_unit_is_reported() {
    let mut setup = Setup::converged();
    setup.loaded_from("/run/user/1000/containers/systemd/web.container");
    setup.service().running = None;
    setup.expect(&["load-units: loaded unit differs from the unit file"], &[]);
    setup.fail(Work::Load, PortErrorKind::Transient, "");
    setup.expect(
        &[],
        &["another unit of this name takes precedence: /run/user/1000/containers/systemd/web.container"],
    );
}

#[test]
fn process_without_a_revision_is_restarted_at_most_three_times() {
    let mut setup = Setup::converged();
    setup.service().running = None;
    for _ in 0..3 {
        setup.expect(&["restart web: running revision unknown"], &[]);
        setup.fail(Work::Service, PortErrorKind::Transient, "it did not stay up");
        assert!(setup.plan().steps.is_empty(), "one after the other");
        setup.now = setup.now.after(Duration::from_secs(100_000));
    }
    setup.expect(&[], &["running revision cannot be read: the process does not report a revision"]);
}

#[test]
fn a_masked_unit_is_respected() {
    let mut setup = Setup::converged();
    setup.down(RunState::Down);
    setup.held();
    setup.expect(&[], &["held back by the operator: unit is masked"]);
}

#[test]
fn a_failed_service_is_reset_and_started() {
    let mut setup = Setup::converged();
    setup.down(RunState::Failed);
    setup.service().last_end = Some(End::StartLimit);
    setup.expect(
        &["reset-failed web: failed: started too often", "start web: failed: started too often"],
        &[],
    );
}

#[test]
fn observed_success_is_recorded_for_attempted_work() {
    let mut setup = Setup::converged();
    setup.down(RunState::Down);
    setup.fail(Work::Service, PortErrorKind::Transient, "it did not stay up");
    let failures = setup.history.failures.clone();
    setup = Setup::converged();
    assert_eq!(setup.plan().recovered, [], "nothing was attempted");
    setup.history.failures = failures;
    assert_eq!(setup.plan().recovered, [(name(), Work::Service)]);
    setup.service().up_for = Duration::ZERO;
    assert_eq!(setup.plan().recovered, [], "it must stay up first");
}

/// The host's clock was set back, so it reports that the run has just started, for hours.
#[test]
fn run_becomes_ready_although_the_host_reports_no_age() {
    let mut setup = Setup::converged();
    setup.service().up_for = Duration::ZERO;
    setup.expect(&[], &["starting; must stay up for 3 s"]);
    setup.history.runs.insert(name(), known_run(Some(NOW), None));
    setup.now = NOW.after(MIN_READY);
    setup.expect(&[], &[]);
    setup.service().run_id = Some("second run".to_owned());
    setup.expect(&[], &["starting; must stay up for 3 s"]);
}

#[test]
fn a_service_that_was_just_started_is_not_yet_running() {
    let mut setup = Setup::converged();
    setup.service().up_for = Duration::from_secs(1);
    setup.expect(&[], &["starting; must stay up for 3 s"]);
    assert_eq!(setup.retries_in(), Some(Duration::from_secs(2)));
}

#[test]
fn rotations_within_the_interval_restart_at_most_twice() {
    let before = Fingerprint::of(b"before");
    let converged = Setup::converged().revision;
    let config = Some(ConfigId { digest: before, epoch: 0 });
    for (old, restart) in [
        (Revision { config, ..converged }, "restart web: configuration changed"),
        (Revision { image: before, ..converged }, "restart web: image changed"),
    ] {
        let mut setup = Setup::converged();
        setup.service().running = Some(old);
        setup.expect(&[restart], &[]);
        setup.service().up_for = Duration::from_secs(4);
        setup.expect(&[], &["starting; must stay up for 3 s"]);
        assert_eq!(setup.retries_in(), Some(Duration::from_secs(6)));
        setup.service().up_for = RESTART_INTERVAL;
        setup.expect(&[restart], &[]);
    }
}

#[test]
fn a_restart_for_another_revision_is_right_as_long_as_another_runs() {
    let mut setup = Setup::converged();
    let condition = Condition { loaded: setup.revision, need: Need::OtherRevision };
    assert!(!condition.holds(setup.service()));
    setup.service().running = Some(setup.revision.with_restart_epoch(7));
    assert!(condition.holds(setup.service()));
    let running = setup.service().running;
    setup.loaded(running);
    assert!(!condition.holds(setup.service()), "nothing else than what was decided for is started");
}
