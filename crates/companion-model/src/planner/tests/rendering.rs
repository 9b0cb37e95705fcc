//! What another release or Podman costs: one write, one reload and one restart, and no alarm.

use super::*;

const CHANGED: &str = "this version of companion or Podman renders the unit differently";

/// A host whose unit was written, loaded and started in the words of an earlier renderer.
fn upgraded() -> Setup {
    let mut setup = Setup::converged();
    let before = setup.revision.with_rendering(Some(Fingerprint::of(b"earlier words")));
    setup.revision = before;
    setup.file(UnitFileState::Outdated { revision: before });
    setup.loaded(Some(before));
    setup.service().running = Some(before);
    setup.history.runs.insert(name(), known_run(None, Some(before)));
    setup
}

#[track_caller]
fn expect_steps(setup: &Setup, steps: &[(&str, &str)]) {
    let steps: Vec<_> = steps.iter().map(|(step, reason)| format!("{step}: {reason}")).collect();
    setup.expect(&steps.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
}

const REWRITTEN: [(&str, &str); 3] =
    [("write-unit web", CHANGED), ("load-units", CHANGED), ("restart web", CHANGED)];

#[test]
fn another_rendering_is_written_loaded_and_started_once() {
    let mut setup = upgraded();
    expect_steps(&setup, &REWRITTEN);
    assert_eq!(setup.written().revision, setup.revision.with_rendering(rendering()));
    let revision = setup.written().revision;
    setup.file(UnitFileState::Current { revision });
    let stale = "loaded unit differs from the unit file";
    expect_steps(&setup, &[("load-units", stale), ("restart web", CHANGED)]);
    setup.loaded(Some(revision));
    expect_steps(&setup, &[("restart web", CHANGED)]);
    setup.service().running = Some(revision);
    setup.expect(&[], &[]);
}

#[test]
fn another_rendering_keeps_the_restart_epoch() {
    let earlier = upgraded().revision;
    let epochs = [0, 1, u32::MAX].map(|epoch| earlier.with_restart_epoch(epoch));
    for before in epochs.into_iter().chain([earlier.with_rendering(None)]) {
        let mut setup = upgraded();
        setup.file(UnitFileState::Outdated { revision: before });
        setup.loaded(Some(before));
        setup.service().running = Some(before);
        expect_steps(&setup, &REWRITTEN);
        assert_eq!(setup.written().revision, before.with_rendering(rendering()));
    }
}

#[test]
fn another_rendering_of_what_is_down_costs_no_restart() {
    let mut setup = upgraded();
    setup.down(RunState::Down);
    let start = ("start web", "not running");
    expect_steps(&setup, &[REWRITTEN[0], REWRITTEN[1], start]);
}

#[test]
fn edited_unit_is_drifted_with_any_renderer() {
    let mut setup = upgraded();
    setup.file(UnitFileState::Drifted { revision: Some(setup.revision) });
    let edited = "unit file differs from the rendered unit";
    let restored = ("restart web", "unit was modified outside companion");
    expect_steps(&setup, &[("write-unit web", edited), ("load-units", edited), restored]);
    assert_eq!(setup.written().revision.restart_epoch, 1);
}

#[test]
fn an_unedited_unit_of_another_specification_names_the_specification() {
    let mut setup = upgraded();
    let old = Revision { spec: Fingerprint::of(b"old"), ..setup.revision };
    setup.file(UnitFileState::Outdated { revision: old });
    let changed = "specification changed";
    expect_steps(
        &setup,
        &[("write-unit web", changed), ("load-units", changed), ("restart web", CHANGED)],
    );
}

#[test]
fn process_that_reports_the_new_rendering_too_early_is_restarted() {
    let mut setup = upgraded();
    setup.service().running = Some(setup.revision.with_rendering(rendering()));
    assert_eq!(setup.written().revision.restart_epoch, 1);
    let restored = ("restart web", "unit was modified outside companion");
    expect_steps(&setup, &[REWRITTEN[0], REWRITTEN[1], restored]);
}

#[test]
fn process_verified_with_the_matching_file_survives_an_older_file() {
    let mut setup = Setup::converged();
    let older = setup.revision.with_rendering(Some(Fingerprint::of(b"earlier words")));
    setup.file(UnitFileState::Outdated { revision: older });
    expect_steps(&setup, &REWRITTEN[..2]);
    assert_eq!(setup.written().revision, setup.revision);
}

#[test]
fn a_unit_lost_during_an_upgrade_keeps_its_restart_epoch() {
    let mut setup = upgraded();
    setup.file(UnitFileState::Absent);
    assert_eq!(setup.written().revision, setup.revision.with_rendering(rendering()));
    let missing = "unit file is missing";
    expect_steps(
        &setup,
        &[("write-unit web", missing), ("load-units", missing), ("restart web", CHANGED)],
    );
}
