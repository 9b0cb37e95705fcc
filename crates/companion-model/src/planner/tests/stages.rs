//! The layers below the unit: configuration and image, and reads that fail.

use super::*;

fn unread<T>() -> Observation<T> {
    Observation::Unknown("connection refused".to_owned())
}

/// A context whose image is not built yet.
fn edited(setup: &mut Setup) {
    setup.image().context = Some(Fingerprint::of(b"edited Dockerfile"));
}

#[test]
fn each_stage_has_its_steps_or_its_condition() {
    // Nothing is restarted before its configuration is rendered.
    let mut setup = Setup::converged();
    setup.hook(outdated(b"new"));
    setup.file(UnitFileState::Drifted { revision: Some(setup.revision) });
    setup.expect(&["run-hook web: configuration changed"], &[]);
    let mut setup = Setup::converged();
    setup.hook(outdated(b"new"));
    setup.fail(Work::Hook, PortErrorKind::Invalid, "exit code 1");
    setup.expect(&[], &["rendering the configuration failed once: exit code 1"]);
    // A missing image leaves the running companion alone.
    let mut setup = Setup::converged();
    setup.image().present = None;
    setup.expect(&["ensure-image web: image is missing"], &[]);
    setup.fail(Work::Image, PortErrorKind::Transient, "registry unreachable");
    setup.expect(&[], &["building or pulling the image failed once: registry unreachable"]);
    // A changed context is built while the previous image runs, and repairs what is down.
    let mut setup = Setup::converged();
    edited(&mut setup);
    setup.expect(&["ensure-image web: build context changed"], &[]);
    setup.begin(Work::Image);
    setup.expect(&[], &["building or pulling the image is in progress"]);
    setup.down(RunState::Down);
    setup.expect(&["start web: not running"], &["building or pulling the image is in progress"]);
    // A unit that drifts again and again backs off.
    let mut setup = Setup::converged();
    setup.file(UnitFileState::Drifted { revision: Some(setup.revision) });
    setup.fail(Work::Unit, PortErrorKind::Transient, "it changed");
    let revision = Some(setup.revision.with_restart_epoch(1));
    setup.file(UnitFileState::Drifted { revision });
    setup.expect(&[], &["writing the unit failed once: it changed"]);
    // A cleanup that failed is repeated later, and blocks nothing.
    let mut setup = Setup::converged();
    setup.image().dangling = vec![ImageId::new(&"2".repeat(64)).unwrap()];
    setup.fail(Work::Prune, PortErrorKind::Transient, "they still exist");
    setup.expect(&[], &[]);
    // A stage that cannot be read blocks those above it; without a service manager nothing is built.
    let mut setup = Setup::converged();
    setup.image().present = None;
    setup.seen.service = unread();
    setup.expect(&[], &["service cannot be read: connection refused"]);
    let mut setup = Setup::converged();
    setup.seen.unit = unread();
    setup.expect(&[], &["unit file cannot be read: connection refused"]);
    let mut setup = Setup::converged();
    setup.down(RunState::Down);
    setup.seen.container = Some(unread());
    setup.expect(&[], &["container cannot be read: connection refused"]);
}

#[test]
fn build_is_superseded_by_another_context_and_not_by_the_same_intent() {
    let build = [(name(), Work::Image)];
    let mut setup = Setup::converged();
    let current = setup.image().context;
    edited(&mut setup);
    setup.begin(Work::Image);
    assert_eq!(setup.plan().superseded, []);
    setup.intend(spec());
    assert_eq!(setup.plan().superseded, [], "the same was requested again");
    setup.image().context = Some(Fingerprint::of(b"a corrected Dockerfile"));
    assert_eq!(setup.plan().superseded, build);
    setup.image().context = current;
    setup.expect(&[], &[]);
    assert_eq!(setup.plan().superseded, build, "the image is current again");
    setup.desired = Setup::removed().desired;
    assert_eq!(setup.plan().superseded, build, "it is not desired");
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
fn rendering_whose_input_changed_meanwhile_is_superseded() {
    let mut setup = Setup::converged();
    setup.hook(outdated(b"a template that hangs"));
    setup.begin(Work::Hook);
    assert_eq!(setup.plan().superseded, []);
    setup.hook(outdated(b"a corrected template"));
    assert_eq!(setup.plan().superseded, [(name(), Work::Hook)]);
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
