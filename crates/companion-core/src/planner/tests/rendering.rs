//! What another release or Podman costs: one write, one reload and one restart, and no alarm.

use super::*;

const CHANGED: &str = "this version of companion or Podman renders the unit differently";

/// A host whose unit was written, loaded and started in the words of an earlier renderer.
fn upgraded() -> Scene {
    let mut scene = Scene::converged();
    let before = scene.revision.with_rendering(Some(Fingerprint::of(b"earlier words")));
    scene.revision = before;
    scene.file(UnitFileState::Outdated { revision: before });
    scene.loaded(Some(before));
    scene.service().running = Some(before);
    scene.history.verified.get_mut(&name()).unwrap().revision = before;
    scene
}

/// The revision that the plan writes.
fn written(scene: &Scene) -> Revision {
    let plan = scene.plan();
    let Some(Action::WriteUnit(unit)) = plan.steps[0].action() else { panic!("{plan:?}") };
    unit.revision
}

#[track_caller]
fn expect_steps(scene: &Scene, steps: &[(&str, &str)]) {
    let steps: Vec<_> = steps.iter().map(|(step, reason)| format!("{step}: {reason}")).collect();
    scene.expect(&steps.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
}

const REWRITTEN: [(&str, &str); 3] =
    [("write-unit web", CHANGED), ("load-units", CHANGED), ("restart web", CHANGED)];

#[test]
fn another_rendering_is_written_loaded_and_started_once() {
    let mut scene = upgraded();
    expect_steps(&scene, &REWRITTEN);
    assert_eq!(written(&scene), scene.revision.with_rendering(rendering()));
    let revision = written(&scene);
    scene.file(UnitFileState::Current { revision });
    let stale = "loaded unit differs from the unit file";
    expect_steps(&scene, &[("load-units", stale), ("restart web", CHANGED)]);
    scene.loaded(Some(revision));
    expect_steps(&scene, &[("restart web", CHANGED)]);
    scene.service().running = Some(revision);
    scene.expect(&[], &[]);
}

#[test]
fn another_rendering_keeps_the_restart_epoch() {
    for restart_epoch in [0, 1, u32::MAX] {
        let mut scene = upgraded();
        let before = scene.revision.with_restart_epoch(restart_epoch);
        scene.file(UnitFileState::Outdated { revision: before });
        scene.loaded(Some(before));
        scene.service().running = Some(before);
        expect_steps(&scene, &REWRITTEN);
        assert_eq!(written(&scene), before.with_rendering(rendering()));
    }
}

#[test]
fn unit_without_a_rendering_is_not_drifted() {
    let mut scene = upgraded();
    let before = scene.revision.with_rendering(None);
    scene.file(UnitFileState::Outdated { revision: before });
    scene.loaded(Some(before));
    scene.service().running = Some(before);
    expect_steps(&scene, &REWRITTEN);
}

#[test]
fn another_rendering_of_what_is_down_costs_no_restart() {
    let mut scene = upgraded();
    scene.down(RunState::Down);
    let start = ("start web", "not running");
    expect_steps(&scene, &[REWRITTEN[0], REWRITTEN[1], start]);
}

#[test]
fn edited_unit_is_drifted_with_any_renderer() {
    let mut scene = upgraded();
    scene.file(UnitFileState::Drifted { revision: Some(scene.revision) });
    let edited = "unit file differs from the rendered unit";
    let restored = ("restart web", "unit was modified outside companion");
    expect_steps(&scene, &[("write-unit web", edited), ("load-units", edited), restored]);
    assert_eq!(written(&scene).restart_epoch, 1);
}

#[test]
fn an_unedited_unit_of_another_specification_names_the_specification() {
    let mut scene = upgraded();
    let old = Revision { spec: Fingerprint::of(b"old"), ..scene.revision };
    scene.file(UnitFileState::Outdated { revision: old });
    let changed = "specification changed";
    expect_steps(
        &scene,
        &[("write-unit web", changed), ("load-units", changed), ("restart web", CHANGED)],
    );
}

#[test]
fn process_that_reports_the_new_rendering_too_early_is_restarted() {
    let mut scene = upgraded();
    scene.service().running = Some(scene.revision.with_rendering(rendering()));
    assert_eq!(written(&scene).restart_epoch, 1);
    let restored = ("restart web", "unit was modified outside companion");
    expect_steps(&scene, &[REWRITTEN[0], REWRITTEN[1], restored]);
}

#[test]
fn process_verified_with_the_matching_file_survives_an_older_file() {
    let mut scene = Scene::converged();
    let older = scene.revision.with_rendering(Some(Fingerprint::of(b"earlier words")));
    scene.file(UnitFileState::Outdated { revision: older });
    expect_steps(&scene, &REWRITTEN[..2]);
    assert_eq!(written(&scene), scene.revision);
}

#[test]
fn a_unit_lost_during_an_upgrade_keeps_its_restart_epoch() {
    let mut scene = upgraded();
    scene.file(UnitFileState::Absent);
    assert_eq!(written(&scene), scene.revision.with_rendering(rendering()));
    let missing = "unit file is missing";
    expect_steps(
        &scene,
        &[("write-unit web", missing), ("load-units", missing), ("restart web", CHANGED)],
    );
}
