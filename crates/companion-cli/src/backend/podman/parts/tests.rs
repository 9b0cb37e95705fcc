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

#[test]
fn a_host_with_everything_is_ok() {
    let findings = service_manager(Scope::User, &healthy());
    assert!(findings.len() >= 5 && findings.iter().all(|found| found.state == State::Ok));
    assert!(environment(&healthy()).is_empty());
    let system = ScopeHealth { linger: None, ..healthy() };
    assert!(service_manager(Scope::System, &system).iter().all(|found| found.check != "linger"));
    assert!(!bus_fix(Scope::System).contains("linger"));
}

#[test]
fn each_missing_part_has_its_state_and_fix() {
    let unreachable = Err(PortError::new(PortErrorKind::Unavailable, "no bus"));
    let of = |facts: SystemdFacts| ScopeHealth { systemd: Ok(facts), ..healthy() };
    let facts = || healthy().systemd.unwrap();
    let elsewhere = |variable| {
        let (here, there) = ("/elsewhere".into(), "/h".into());
        let differing = vec![DifferingDirectory { variable, here, there }];
        of(SystemdFacts { differing, ..facts() })
    };
    let unlimited = of(SystemdFacts { memory_limits: Some(false), ..facts() });
    for (health, check, state, fix) in [
        (
            ScopeHealth { systemd: unreachable, ..healthy() },
            "systemd",
            State::Error,
            "XDG_RUNTIME_DIR=",
        ),
        (
            ScopeHealth { linger: Some(false), ..healthy() },
            "linger",
            State::Error,
            "loginctl enable-linger",
        ),
        (ScopeHealth { unified_cgroups: false, ..healthy() }, "cgroups", State::Error, "kernel's"),
        (unlimited, "memory", State::Warning, "cgroup_enable=memory"),
        (
            ScopeHealth { unit_dir: Err(ScopeError::NoHome), ..healthy() },
            "unit directory",
            State::Error,
            "`HOME`",
        ),
        (elsewhere("XDG_STATE_HOME"), "environment", State::Warning, "XDG_STATE_HOME=/elsewhere"),
        (elsewhere("XDG_CONFIG_HOME"), "environment", State::Error, "XDG_CONFIG_HOME=/elsewhere"),
    ] {
        let mut findings = service_manager(Scope::User, &health);
        findings.extend(environment(&health));
        findings.retain(|finding| finding.state != State::Ok);
        let [finding] = &findings[..] else { panic!("{findings:?}") };
        assert_eq!((finding.check, finding.state), (check, state));
        assert!(finding.fix.as_ref().unwrap().contains(fix), "{finding:?}");
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
