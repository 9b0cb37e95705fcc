use super::super::State;
use super::*;

fn running() -> ServiceState {
    ServiceState {
        load: "loaded".into(),
        active: "active".into(),
        sub: "running".into(),
        result: "success".into(),
        unit_file: "enabled".into(),
        fragment: Some("/u/companion.service".into()),
        ..ServiceState::default()
    }
}

fn checked(state: ServiceState) -> (State, String, String) {
    let finding = service(&state, Systemctl::new(Scope::User));
    (finding.state, finding.found, finding.fix.unwrap_or_default())
}

#[test]
fn a_daemon_that_runs_and_is_enabled_is_ok() {
    let (state, found, _) = checked(running());
    assert_eq!((state, &*found), (State::Ok, "running, enabled, /u/companion.service"));
}

#[test]
fn unexecutable_program_is_a_crash_loop_that_setup_fixes() {
    let (state, found, fix) = checked(ServiceState {
        active: "activating".into(),
        sub: "auto-restart".into(),
        result: "exit-code".into(),
        exit_status: 203,
        restarts: 7,
        ..running()
    });
    assert_eq!((state, &*fix), (State::Error, "companion setup"));
    assert!(found.starts_with("crash-looping") && found.contains("203/EXEC"), "{found}");
    assert!(found.ends_with("7 restart(s)"), "{found}");
}

#[test]
fn other_failures_refer_to_the_log() {
    let failed = |result: &str, exit_status| {
        let active = "failed".into();
        checked(ServiceState { active, result: result.into(), exit_status, ..running() })
    };
    for (result, status, message) in [
        ("exit-code", 2, "refuses its options or its catalog"),
        ("exit-code", 3, "exited with status 3"),
        ("signal", 9, "ended (signal)"),
        ("watchdog", 6, "ended (watchdog)"),
    ] {
        let (state, found, fix) = failed(result, status);
        assert_eq!(state, State::Error, "{found}");
        assert!(found.contains(message), "{found}");
        assert_eq!(fix, "journalctl --user-unit=companion.service --lines=20");
    }
}

#[test]
fn stopped_daemon_is_a_warning_with_the_command_that_starts_it() {
    for (changed, expected) in [
        (ServiceState { load: "not-found".into(), ..running() }, "companion setup"),
        (
            ServiceState { load: "masked".into(), ..running() },
            "systemctl --user unmask companion.service",
        ),
        (
            ServiceState { active: "inactive".into(), ..running() },
            "systemctl --user start companion.service",
        ),
        (
            ServiceState { unit_file: "disabled".into(), ..running() },
            "systemctl --user enable companion.service",
        ),
        (ServiceState { needs_reload: true, ..running() }, "companion setup"),
        (
            ServiceState { active: "activating".into(), restarts: 2, ..running() },
            "journalctl --user-unit=companion.service --lines=20",
        ),
    ] {
        let (state, found, fix) = checked(changed);
        assert_eq!((state, &*fix), (State::Warning, expected), "{found}");
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

#[test]
fn a_unit_that_systemd_refuses_is_an_error() {
    let (state, _, fix) = checked(ServiceState { load: "bad-setting".into(), ..running() });
    assert_eq!((state, &*fix), (State::Error, "companion setup"));
}

#[tokio::test]
async fn the_units_program_is_compared_with_this_one() {
    let place = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode| {
        let path = place.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let own = file("own", "", 0o755);
    assert_eq!(Named::at(&own, Some(&own)).await, Named::Own);
    assert!(program_of_unit(&own, &Named::Own).is_none());

    let missing = place.path().join("missing");
    for path in [missing, file("plain", "", 0o644), place.path().to_owned()] {
        let named = Named::at(&path, Some(&own)).await;
        let finding = program_of_unit(&path, &named).unwrap();
        assert!(!named.is_good() && finding.is_error(), "{finding:?}");
        assert_eq!(finding.fix.as_deref(), Some("companion setup"));
    }

    let other = file("other", "#!/bin/sh\necho companion 9.9.9\n", 0o755);
    let named = Named::at(&other, Some(&own)).await;
    let finding = program_of_unit(&other, &named).unwrap();
    assert_eq!(finding.state, State::Warning);
    for part in [&*other.to_string_lossy(), &*own.to_string_lossy(), "9.9.9", "companion 0."] {
        assert!(finding.found.contains(part), "{part}: {finding:?}");
    }
}

#[test]
fn a_daemon_of_a_replaced_program_is_a_warning() {
    let finding = old_program(Path::new("/h/companion"));
    assert_eq!(finding.state, State::Warning);
    assert!(finding.found.contains("`/h/companion` was replaced"), "{finding:?}");
}
