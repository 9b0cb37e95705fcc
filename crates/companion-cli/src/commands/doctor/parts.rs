//! The parts of the host that run companions: systemd, cgroups, Podman, its generator.

use adapter_podman::Podman;
use adapter_systemd::{Scope, ScopeHealth};
use archipelago::host::{PODMAN_FLOOR, podman_version};

use super::Finding;
use crate::error::chain;

/// The service manager and what it stands on.
pub(super) fn service_manager(scope: Scope, health: &ScopeHealth) -> Vec<Finding> {
    let mut findings = vec![match &health.systemd {
        Ok(facts) => Finding::fine("systemd", format!("version {}", facts.version)),
        Err(error) => Finding::lacking("systemd", chain(error), bus_mend(scope)),
    }];
    findings.extend(match health.linger {
        Some(true) => Some(Finding::fine("linger", "the user's services outlive the login")),
        Some(false) => Some(Finding::lacking(
            "linger",
            "the user's services end at logout, and none starts at boot",
            "loginctl enable-linger",
        )),
        None => None,
    });
    findings.push(if health.unified_cgroups {
        Finding::fine("cgroups", "version 2")
    } else {
        let mend =
            "add `systemd.unified_cgroup_hierarchy=1` to the kernel's command line, and reboot";
        Finding::lacking("cgroups", "version 1, which Quadlet does not support", mend)
    });
    let Ok(facts) = &health.systemd else { return findings };
    match facts.memory_limits {
        Some(true) => findings.push(Finding::fine("memory", "limits take effect")),
        Some(false) => findings.push(Finding::advice(
            "memory",
            "the memory controller does not reach the units, so their limits have no effect",
            "where the kernel has it switched off (Raspberry Pi), add `cgroup_enable=memory` to its \
             command line; else put `Delegate=cpu memory pids` below `[Service]` with `sudo \
             systemctl edit user@.service`; then reboot",
        )),
        None => {}
    }
    match (&health.unit_dir, &facts.unit_dir) {
        (Err(error), _) => {
            findings.push(Finding::lacking("unit directory", chain(error), "set `HOME`"));
        }
        (Ok(ours), Some(theirs)) if ours != theirs => findings.push(Finding::lacking(
            "unit directory",
            format!(
                "units would go to `{}`, and the generator reads `{}`",
                ours.display(),
                theirs.display()
            ),
            "systemctl --user import-environment XDG_CONFIG_HOME",
        )),
        (Ok(ours), _) => {
            findings.push(Finding::fine("unit directory", ours.display().to_string()));
        }
    }
    findings
}

fn bus_mend(scope: Scope) -> String {
    match scope {
        Scope::System => "boot the machine with systemd".to_owned(),
        Scope::User => {
            let uid = rustix::process::getuid().as_raw();
            format!(
                "loginctl enable-linger; and where `su` or `sudo` led here: export \
                 XDG_RUNTIME_DIR=/run/user/{uid}"
            )
        }
    }
}

/// Podman and its generator.
pub(super) async fn podman(scope: Scope, health: &ScopeHealth) -> Vec<Finding> {
    let install = "sudo apt install podman (or your distribution's command)";
    let podman = match podman_version(&Podman::from_environment()).await {
        Ok(version) => Finding::fine("podman", format!("version {version}")),
        Err(error) => {
            let mend = format!("{install}, {PODMAN_FLOOR} or newer");
            Finding::lacking("podman", chain(&error), mend)
        }
    };
    let generator = match &health.generator {
        Ok(program) => Finding::fine("generator", program.display().to_string()),
        Err(error) => {
            let directory = match scope {
                Scope::User => "/usr/lib/systemd/user-generators",
                Scope::System => "/usr/lib/systemd/system-generators",
            };
            let mend = format!("{install}, whose package puts it into {directory}");
            Finding::lacking("generator", chain(error), mend)
        }
    };
    vec![podman, generator]
}
