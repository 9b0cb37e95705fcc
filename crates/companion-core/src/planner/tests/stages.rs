//! The layers below the unit: configuration and image, and reads that fail.

use super::*;

#[test]
fn a_stale_configuration_is_rendered_before_anything_is_restarted() {
    let mut scene = Scene::converged();
    scene.hook(outdated(b"new"));
    scene.file(UnitFileState::Drifted { revision: Some(scene.revision) });
    scene.expect(&["run-hook web: configuration changed"], &[]);
}

#[test]
fn a_failing_hook_leaves_the_running_companion_alone() {
    let mut scene = Scene::converged();
    scene.hook(outdated(b"new"));
    scene.fail(Work::Hook, PortErrorKind::Invalid, "exit code 1");
    scene.expect(&[], &["rendering the configuration failed once: exit code 1"]);
}

#[test]
fn a_hook_that_is_not_ready_holds_up_the_first_start_only() {
    let mut scene = Scene::converged();
    scene.down(RunState::Down);
    let rendering = Rendering::NotReady { waiting_for: "the cookie of bitcoind".to_owned() };
    scene.hook(HookState { rendering: rendering.clone(), ..rendered(ConfigFile::Intact) });
    scene.expect(&["start web: not running"], &["hook waits for the cookie of bitcoind"]);
    scene.hook(HookState { rendering, ..unrendered() });
    scene.expect(&[], &["hook waits for the cookie of bitcoind"]);
}

#[test]
fn a_missing_image_leaves_the_running_companion_alone() {
    let mut scene = Scene::converged();
    scene.image().present = None;
    scene.expect(&["ensure-image web: image is missing"], &[]);
    scene.fail(Work::Image, PortErrorKind::Transient, "registry unreachable");
    scene.expect(&[], &["building or pulling the image failed once: registry unreachable"]);
}

#[test]
fn a_changed_context_is_built_while_the_old_image_runs_on() {
    let mut scene = Scene::converged();
    scene.image().context = Some(Fingerprint::of(b"edited Dockerfile"));
    scene.expect(&["ensure-image web: build context changed"], &[]);
    scene.begin(Work::Image);
    scene.expect(&[], &["building or pulling the image is in progress"]);
    assert_eq!(scene.plan().superseded, []);
}

#[test]
fn build_whose_context_was_corrected_meanwhile_is_superseded() {
    let mut scene = Scene::converged();
    scene.image().context = Some(Fingerprint::of(b"a Dockerfile that hangs"));
    scene.begin(Work::Image);
    scene.image().context = Some(Fingerprint::of(b"a corrected Dockerfile"));
    scene.expect(&[], &["building or pulling the image is in progress"]);
    assert_eq!(scene.plan().superseded, [(name(), Work::Image)]);
}

#[test]
fn running_build_is_kept_when_requested_again() {
    let mut scene = Scene::converged();
    scene.image().context = Some(Fingerprint::of(b"edited Dockerfile"));
    scene.begin(Work::Image);
    scene.intend(spec());
    assert_eq!(scene.plan().superseded, []);
}

#[test]
fn rendering_whose_input_changed_meanwhile_is_superseded() {
    let mut scene = Scene::converged();
    scene.hook(outdated(b"a template that hangs"));
    scene.begin(Work::Hook);
    assert_eq!(scene.plan().superseded, []);
    scene.hook(outdated(b"a corrected template"));
    assert_eq!(scene.plan().superseded, [(name(), Work::Hook)]);
}

#[test]
fn build_of_another_context_is_superseded_when_the_image_is_current_again() {
    let mut scene = Scene::converged();
    let current = scene.image().context;
    scene.image().context = Some(Fingerprint::of(b"a Dockerfile that hangs"));
    scene.begin(Work::Image);
    scene.image().context = current;
    scene.expect(&[], &[]);
    assert_eq!(scene.plan().superseded, [(name(), Work::Image)]);
}

#[test]
fn rendering_for_an_earlier_intent_is_superseded_when_the_file_is_current() {
    let mut scene = Scene::converged();
    let current = scene.seen.hook.clone();
    scene.hook(outdated(b"hangs"));
    scene.begin(Work::Hook);
    scene.seen.hook = current;
    assert_eq!(scene.plan().superseded, [], "it may be this very rendering that made it current");
    scene.intend(spec());
    scene.expect(&[], &["rendering the configuration is in progress"]);
    assert_eq!(scene.plan().superseded, [(name(), Work::Hook)]);
}

#[test]
fn rendering_is_superseded_when_the_companion_has_no_hook_any_more() {
    let mut scene = Scene::converged();
    scene.hook(outdated(b"hangs"));
    scene.begin(Work::Hook);
    scene.intend(CompanionSpec { hook: None, ..spec() });
    assert_eq!(scene.plan().superseded, [(name(), Work::Hook)]);
}

#[test]
fn a_companion_that_is_down_is_repaired_with_the_image_there_is() {
    let mut scene = Scene::converged();
    scene.down(RunState::Down);
    scene.image().context = Some(Fingerprint::of(b"edited Dockerfile"));
    scene.begin(Work::Image);
    scene.expect(&["start web: not running"], &["building or pulling the image is in progress"]);
}

#[test]
fn dangling_images_are_removed_once_converged() {
    let mut scene = Scene::converged();
    scene.image().leftovers = vec![ImageId::new(&"2".repeat(64)).unwrap()];
    scene.expect(&["prune-images web: replaced by newer images or files"], &[]);
}

#[test]
fn a_layer_that_cannot_be_read_blocks_and_names_itself() {
    let unreadable = || Observation::Unknown("connection refused".to_owned());
    let mut scene = Scene::converged();
    scene.seen.service = unreadable();
    scene.expect(&[], &["service cannot be read: connection refused"]);
    let mut scene = Scene::converged();
    scene.seen.unit = Observation::Unknown("connection refused".to_owned());
    scene.expect(&[], &["unit file cannot be read: connection refused"]);
    let mut scene = Scene::converged();
    scene.down(RunState::Down);
    scene.seen.container = Some(Observation::Unknown("podman hangs".to_owned()));
    scene.expect(&[], &["container cannot be read: podman hangs"]);
}

#[test]
fn a_start_is_conditional_on_what_is_loaded() {
    let scene = Scene::converged();
    let condition = Condition { loaded: scene.revision, need: Need::NotRunning };
    let mut service = ServiceState::absent();
    assert!(!condition.holds(&service), "nothing is loaded");
    service.unit = LoadedUnit::FromStore { revision: Some(scene.revision) };
    assert!(condition.holds(&service));
    let other = Some(scene.revision.with_restart_epoch(1));
    service.unit = LoadedUnit::FromStore { revision: other };
    assert!(!condition.holds(&service), "something else is loaded");
}

#[test]
fn unit_that_drifts_repeatedly_backs_off() {
    let mut scene = Scene::converged();
    scene.file(UnitFileState::Drifted { revision: Some(scene.revision) });
    scene.fail(Work::Unit, PortErrorKind::Transient, "the unit file changed after it was written");
    scene.file(UnitFileState::Drifted { revision: Some(scene.revision.with_restart_epoch(1)) });
    scene
        .expect(&[], &["writing the unit failed once: the unit file changed after it was written"]);
}

#[test]
fn dangling_images_that_stay_are_removed_again_later() {
    let mut scene = Scene::converged();
    scene.image().leftovers = vec![ImageId::new(&"2".repeat(64)).unwrap()];
    scene.fail(Work::Prune, PortErrorKind::Transient, "replaced images or files still exist");
    scene.expect(&[], &[]);
}

#[test]
fn without_its_service_manager_nothing_is_rendered_or_built() {
    let mut scene = Scene::converged();
    scene.image().present = None;
    scene.seen.service = Observation::Unknown("no bus".to_owned());
    scene.expect(&[], &["service cannot be read: no bus"]);
}

#[test]
fn failed_reload_reports_its_own_error_first() {
    let mut scene = Scene::converged();
    scene.service().unit = LoadedUnit::Absent;
    scene.fail(Work::Load, PortErrorKind::Unavailable, "the generator is switched off");
    scene.expect(&[], &["unit is not loaded: the generator is switched off"]);
}

#[test]
fn service_is_not_restarted_from_an_image_tagged_outside_companion() {
    let mut scene = Scene::converged();
    let present = scene.image().present.as_mut().unwrap();
    present.id = ImageId::new(&"2".repeat(64)).unwrap();
    present.provenance = Provenance::External;
    scene.file(UnitFileState::Drifted { revision: Some(scene.revision) });
    scene.expect(&["ensure-image web: image changed"], &[]);
    scene.down(RunState::Down);
    scene.expect(&["ensure-image web: image changed"], &[]);
    scene.begin(Work::Image);
    scene.expect(&[], &["building or pulling the image is in progress"]);
}
