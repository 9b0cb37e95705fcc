//! The layers below the unit: configuration and image, and reads that fail.

use super::*;

#[test]
fn a_stale_configuration_is_rendered_before_anything_is_restarted() {
    let mut setup = Setup::converged();
    setup.hook(outdated(b"new"));
    setup.file(UnitFileState::Drifted { revision: Some(setup.revision) });
    setup.expect(&["run-hook web: configuration changed"], &[]);
}

#[test]
fn a_failing_hook_leaves_the_running_companion_alone() {
    let mut setup = Setup::converged();
    setup.hook(outdated(b"new"));
    setup.fail(Work::Hook, PortErrorKind::Invalid, "exit code 1");
    setup.expect(&[], &["rendering the configuration failed once: exit code 1"]);
}

#[test]
fn a_hook_that_is_not_ready_holds_up_the_first_start_only() {
    let mut setup = Setup::converged();
    setup.down(RunState::Down);
    let rendering = Rendering::NotReady { waiting_for: "the cookie of bitcoind".to_owned() };
    setup.hook(HookState { rendering: rendering.clone(), ..rendered(ConfigFile::Intact) });
    setup.expect(&["start web: not running"], &["hook waits for the cookie of bitcoind"]);
    setup.hook(HookState { rendering, ..unrendered() });
    setup.expect(&[], &["hook waits for the cookie of bitcoind"]);
}

#[test]
fn a_missing_image_leaves_the_running_companion_alone() {
    let mut setup = Setup::converged();
    setup.image().present = None;
    setup.expect(&["ensure-image web: image is missing"], &[]);
    setup.fail(Work::Image, PortErrorKind::Transient, "registry unreachable");
    setup.expect(&[], &["building or pulling the image failed once: registry unreachable"]);
}

#[test]
fn a_changed_context_is_built_while_the_old_image_runs_on() {
    let mut setup = Setup::converged();
    setup.image().context = Some(Fingerprint::of(b"edited Dockerfile"));
    setup.expect(&["ensure-image web: build context changed"], &[]);
    setup.begin(Work::Image);
    setup.expect(&[], &["building or pulling the image is in progress"]);
    assert_eq!(setup.plan().superseded, []);
}

#[test]
fn build_whose_context_was_corrected_meanwhile_is_superseded() {
    let mut setup = Setup::converged();
    setup.image().context = Some(Fingerprint::of(b"a Dockerfile that hangs"));
    setup.begin(Work::Image);
    setup.image().context = Some(Fingerprint::of(b"a corrected Dockerfile"));
    setup.expect(&[], &["building or pulling the image is in progress"]);
    assert_eq!(setup.plan().superseded, [(name(), Work::Image)]);
}

#[test]
fn running_build_is_kept_when_requested_again() {
    let mut setup = Setup::converged();
    setup.image().context = Some(Fingerprint::of(b"edited Dockerfile"));
    setup.begin(Work::Image);
    setup.intend(spec());
    assert_eq!(setup.plan().superseded, []);
}

#[test]
fn rendering_whose_input_changed_meanwhile_is_superseded() {
    let mut setup = Setup::converged();
    setup.hook(outdated(b"a template that hangs"));
    setup.begin(Work::Hook);
    assert_eq!(setup.plan().superseded, []);
    setup.hook(outdated(b"a corrected template"));
    assert_eq!(setup.plan().superseded, [(name(), Work::Hook)]);
}

#[test]
fn build_of_another_context_is_superseded_when_the_image_is_current_again() {
    let mut setup = Setup::converged();
    let current = setup.image().context;
    setup.image().context = Some(Fingerprint::of(b"a Dockerfile that hangs"));
    setup.begin(Work::Image);
    setup.image().context = current;
    setup.expect(&[], &[]);
    assert_eq!(setup.plan().superseded, [(name(), Work::Image)]);
}

#[test]
fn rendering_for_an_earlier_intent_is_superseded_when_the_file_is_current() {
    let mut setup = Setup::converged();
    let current = setup.seen.hook.clone();
    setup.hook(outdated(b"hangs"));
    setup.begin(Work::Hook);
    setup.seen.hook = current;
    assert_eq!(setup.plan().superseded, [], "it may be this very rendering that made it current");
    setup.intend(spec());
    setup.expect(&[], &["rendering the configuration is in progress"]);
    assert_eq!(setup.plan().superseded, [(name(), Work::Hook)]);
}

#[test]
fn rendering_is_superseded_when_the_companion_has_no_hook_any_more() {
    let mut setup = Setup::converged();
    setup.hook(outdated(b"hangs"));
    setup.begin(Work::Hook);
    setup.intend(CompanionSpec { hook: None, ..spec() });
    assert_eq!(setup.plan().superseded, [(name(), Work::Hook)]);
}

#[test]
fn a_companion_that_is_down_is_repaired_with_the_image_there_is() {
    let mut setup = Setup::converged();
    setup.down(RunState::Down);
    setup.image().context = Some(Fingerprint::of(b"edited Dockerfile"));
    setup.begin(Work::Image);
    setup.expect(&["start web: not running"], &["building or pulling the image is in progress"]);
}

#[test]
fn dangling_images_are_removed_once_converged() {
    let mut setup = Setup::converged();
    setup.image().dangling = vec![ImageId::new(&"2".repeat(64)).unwrap()];
    setup.expect(&["prune-images web: replaced by newer images or files"], &[]);
}

#[test]
fn a_layer_that_cannot_be_read_blocks_and_names_itself() {
    let unreadable = || Observation::Unknown("connection refused".to_owned());
    let mut setup = Setup::converged();
    setup.seen.service = unreadable();
    setup.expect(&[], &["service cannot be read: connection refused"]);
    let mut setup = Setup::converged();
    setup.seen.unit = Observation::Unknown("connection refused".to_owned());
    setup.expect(&[], &["unit file cannot be read: connection refused"]);
    let mut setup = Setup::converged();
    setup.down(RunState::Down);
    setup.seen.container = Some(Observation::Unknown("podman hangs".to_owned()));
    setup.expect(&[], &["container cannot be read: podman hangs"]);
}

#[test]
fn a_start_is_conditional_on_what_is_loaded() {
    let setup = Setup::converged();
    let condition = Condition { loaded: setup.revision, need: Need::NotRunning };
    let mut service = ServiceState::absent();
    assert!(!condition.holds(&service), "nothing is loaded");
    service.unit = LoadedUnit::FromStore { revision: Some(setup.revision) };
    assert!(condition.holds(&service));
    let other = Some(setup.revision.with_restart_epoch(1));
    service.unit = LoadedUnit::FromStore { revision: other };
    assert!(!condition.holds(&service), "something else is loaded");
}

#[test]
fn unit_that_drifts_repeatedly_backs_off() {
    let mut setup = Setup::converged();
    setup.file(UnitFileState::Drifted { revision: Some(setup.revision) });
    setup.fail(Work::Unit, PortErrorKind::Transient, "the unit file changed after it was written");
    setup.file(UnitFileState::Drifted { revision: Some(setup.revision.with_restart_epoch(1)) });
    setup
        .expect(&[], &["writing the unit failed once: the unit file changed after it was written"]);
}

#[test]
fn dangling_images_that_stay_are_removed_again_later() {
    let mut setup = Setup::converged();
    setup.image().dangling = vec![ImageId::new(&"2".repeat(64)).unwrap()];
    setup.fail(Work::Prune, PortErrorKind::Transient, "replaced images or files still exist");
    setup.expect(&[], &[]);
}

#[test]
fn without_its_service_manager_nothing_is_rendered_or_built() {
    let mut setup = Setup::converged();
    setup.image().present = None;
    setup.seen.service = Observation::Unknown("no bus".to_owned());
    setup.expect(&[], &["service cannot be read: no bus"]);
}

#[test]
fn failed_reload_reports_its_own_error_first() {
    let mut setup = Setup::converged();
    setup.service().unit = LoadedUnit::Absent;
    setup.fail(Work::Load, PortErrorKind::Unavailable, "the generator is switched off");
    setup.expect(&[], &["unit is not loaded: the generator is switched off"]);
}

#[test]
fn service_is_not_restarted_from_an_image_tagged_outside_companion() {
    let mut setup = Setup::converged();
    let present = setup.image().present.as_mut().unwrap();
    present.id = ImageId::new(&"2".repeat(64)).unwrap();
    present.provenance = Provenance::Unmanaged;
    setup.file(UnitFileState::Drifted { revision: Some(setup.revision) });
    setup.expect(&["ensure-image web: image changed"], &[]);
    setup.down(RunState::Down);
    setup.expect(&["ensure-image web: image changed"], &[]);
    setup.begin(Work::Image);
    setup.expect(&[], &["building or pulling the image is in progress"]);
}

#[test]
fn unrecorded_image_that_the_unit_names_repairs_a_companion_that_is_down() {
    let mut setup = Setup::converged();
    setup.image().present.as_mut().unwrap().provenance = Provenance::Unmanaged;
    setup.expect(&["ensure-image web: image changed"], &[]);
    setup.begin(Work::Image);
    setup.expect(&[], &["building or pulling the image is in progress"]);
    setup.down(RunState::Down);
    setup.expect(&["start web: not running"], &["building or pulling the image is in progress"]);
}
