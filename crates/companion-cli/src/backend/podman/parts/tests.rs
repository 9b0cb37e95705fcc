use adapter_systemd::{ScopeError, SystemdFacts};
use companion_core::ports::{PortError, PortErrorKind};

use super::*;
use crate::commands::doctor::State;

fn healthy() -> ScopeHealth {
    ScopeHealth {
        systemd: Ok(SystemdFacts {
            version: "257".to_owned(),
            memory_limits: Some(true),
            differing: Vec::new(),
        }),
        unit_dir: Ok("/h/.config/containers/systemd".into()),
        generator: Ok("/usr/lib/systemd/user-generators/podman-user-generator".into()),
        linger: Some(true),
        unified_cgroups: true,
    }
}

fn facts(health: &mut ScopeHealth) -> &mut SystemdFacts {
    health.systemd.as_mut().unwrap()
}

/// The only finding that is not ok, which must be about `check`.
fn trouble(health: &ScopeHealth, check: &str) -> (State, String) {
    let mut findings = service_manager(Scope::User, health);
    findings.extend(environment(health));
    findings.retain(|finding| finding.state != State::Ok);
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!(finding.check, check, "{finding:?}");
    (finding.state, finding.fix.clone().unwrap())
}

#[test]
fn a_host_with_everything_is_ok() {
    let health = healthy();
    let findings = service_manager(Scope::User, &health);
    assert!(findings.len() >= 5 && findings.iter().all(|found| found.state == State::Ok));
    assert!(environment(&health).is_empty());
}

#[test]
fn a_manager_that_cannot_be_reached_is_an_error() {
    let error = PortError::new(PortErrorKind::Unavailable, "no bus");
    let (state, fix) = trouble(&ScopeHealth { systemd: Err(error), ..healthy() }, "systemd");
    assert_eq!(state, State::Error);
    assert!(fix.contains("loginctl enable-linger") && fix.contains("XDG_RUNTIME_DIR="), "{fix}");
    assert!(!bus_fix(Scope::System).contains("linger"));
}

#[test]
fn disabled_linger_is_an_error_in_user_scope_only() {
    let (state, fix) = trouble(&ScopeHealth { linger: Some(false), ..healthy() }, "linger");
    assert_eq!((state, &*fix), (State::Error, "loginctl enable-linger"));
    let system = ScopeHealth { linger: None, ..healthy() };
    assert!(service_manager(Scope::System, &system).iter().all(|found| found.check != "linger"));
}

#[test]
fn cgroups_of_version_1_are_an_error() {
    let health = ScopeHealth { unified_cgroups: false, ..healthy() };
    assert_eq!(trouble(&health, "cgroups").0, State::Error);
}

#[test]
fn limits_without_effect_are_a_warning() {
    let mut health = healthy();
    facts(&mut health).memory_limits = Some(false);
    assert_eq!(trouble(&health, "memory").0, State::Warning);
}

#[test]
fn a_user_without_a_home_is_an_error() {
    let health = ScopeHealth { unit_dir: Err(ScopeError::NoHome), ..healthy() };
    assert_eq!(trouble(&health, "unit directory").0, State::Error);
}

#[test]
fn an_environment_that_differs_from_the_managers_is_reported() {
    for (variable, expected) in
        [("XDG_STATE_HOME", State::Warning), ("XDG_CONFIG_HOME", State::Error)]
    {
        let mut health = healthy();
        let (here, there) = ("/elsewhere".into(), "/h".into());
        facts(&mut health).differing = vec![DifferingDirectory { variable, here, there }];
        let (state, fix) = trouble(&health, "environment");
        assert_eq!(state, expected);
        assert!(fix.contains(&format!("{variable}=/elsewhere")), "{fix}");
    }
}

#[test]
fn a_missing_generator_is_an_error_that_names_its_directory() {
    let missing = PortError::new(PortErrorKind::Unavailable, "no Quadlet generator is installed");
    let health = ScopeHealth { generator: Err(missing), ..healthy() };
    for (scope, directory) in
        [(Scope::User, "/user-generators"), (Scope::System, "/system-generators")]
    {
        let finding = generator(scope, &health);
        assert_eq!(finding.state, State::Error);
        assert!(finding.fix.as_ref().unwrap().ends_with(directory), "{finding:?}");
    }
    assert_eq!(generator(Scope::User, &healthy()).state, State::Ok);
}
