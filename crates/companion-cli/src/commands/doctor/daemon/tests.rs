use std::os::unix::fs::PermissionsExt as _;

use super::super::State;
use super::*;
use crate::service::tests::running;

fn checked(state: ServiceState) -> (State, String, String) {
    let finding = service(&state, Systemctl::new(Scope::User));
    (finding.state, finding.found, finding.fix.unwrap_or_default())
}

#[test]
fn each_state_of_the_service_has_its_finding_and_fix() {
    const LOG: &str = "journalctl --user-unit=companion.service --lines=20";
    let failed = |result: &str, exit_status| {
        let (active, result) = ("failed".into(), result.into());
        ServiceState { active, result, exit_status, ..running() }
    };
    let looping = ServiceState {
        active: "activating".into(),
        sub: "auto-restart".into(),
        restarts: 7,
        ..failed("exit-code", 203)
    };
    let restarted = ServiceState { active: "activating".into(), restarts: 2, ..running() };
    let load = |load: &str| ServiceState { load: load.into(), ..running() };
    let inactive = ServiceState { active: "inactive".into(), ..running() };
    let disabled = ServiceState { unit_file: "disabled".into(), ..running() };
    let unread = ServiceState { needs_reload: true, ..running() };
    for (service, state, message, fix) in [
        (running(), State::Ok, "running, enabled, /u/companion.service", ""),
        (looping, State::Error, "crash-looping: systemd cannot execute", "companion setup"),
        (failed("exit-code", 2), State::Error, "refuses its options or its catalog", LOG),
        (failed("exit-code", 3), State::Error, "exited with status 3, 0 restart(s)", LOG),
        (failed("signal", 9), State::Error, "failed: ended (signal)", LOG),
        (failed("watchdog", 6), State::Error, "ended (watchdog)", LOG),
        (load("not-found"), State::Warning, "not installed", "companion setup"),
        (load("masked"), State::Warning, "masked", "systemctl --user unmask companion.service"),
        (load("bad-setting"), State::Error, "cannot load", "companion setup"),
        (inactive, State::Warning, "not running", "systemctl --user start companion.service"),
        (disabled, State::Warning, "not enabled", "systemctl --user enable companion.service"),
        (unread, State::Warning, "changed after", "companion setup"),
        (restarted, State::Warning, "2 restart(s)", LOG),
    ] {
        let (found_state, found, found_fix) = checked(service);
        assert_eq!((found_state, &*found_fix), (state, fix), "{found}");
        assert!(found.contains(message), "{message}: {found}");
    }
}

#[test]
fn enabled_unit_in_a_home_may_have_been_loaded_too_late() {
    let stopped = || ServiceState { active: "inactive".into(), ..running() };
    let found = |state| checked(state).1;
    assert!(found(stopped()).contains("home directory"));
    assert!(!found(ServiceState { unit_file: "disabled".into(), ..stopped() }).contains("home"));
    let outside = Some("/etc/systemd/user/companion.service".into());
    assert!(!found(ServiceState { fragment: outside, ..stopped() }).contains("home"));
}

#[tokio::test]
async fn the_units_program_is_compared_with_this_one_and_the_running_one() {
    let place = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode| {
        let path = place.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let own = file("own", "", 0o755);
    let findings = async |program: &Path, state| program_of_unit(program, Some(&own), &state).await;
    assert!(findings(&own, running()).await.is_empty());

    for path in [place.path().join("missing"), file("plain", "", 0o644), place.path().to_owned()] {
        let [finding] = &findings(&path, running()).await[..] else { panic!("{path:?}") };
        assert!(finding.is_error(), "{finding:?}");
        assert_eq!(finding.fix.as_deref(), Some("companion setup"));
    }

    let other = file("other", "#!/bin/sh\necho companion 9.9.9\n", 0o755);
    let [finding] = &findings(&other, running()).await[..] else { panic!("it is another") };
    assert_eq!(finding.state, State::Warning);
    for part in [&*other.to_string_lossy(), &*own.to_string_lossy(), "9.9.9", "companion 0."] {
        assert!(finding.found.contains(part), "{part}: {finding:?}");
    }

    // This process runs another file than the program, like an old daemon.
    let replaced = ServiceState { main_pid: Some(std::process::id()), ..running() };
    let [finding] = &findings(&own, replaced).await[..] else { panic!("it was replaced") };
    assert_eq!(finding.state, State::Warning);
    assert!(finding.found.contains("was replaced after the daemon started"), "{finding:?}");
}
