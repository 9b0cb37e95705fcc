//! The parts of the host that run companions: systemd, its environment, cgroups, Podman, its generator.

use adapter_podman::Podman;
use adapter_systemd::{Scope, ScopeHealth};
use archipelago::host::{PODMAN_FLOOR, podman_version};

use super::Finding;
use crate::error::chain;

/// The service manager and what it stands on.
pub(super) fn service_manager(scope: Scope, health: &ScopeHealth) -> Vec<Finding> {
    let mut findings = vec![match &health.systemd {
        Ok(facts) => Finding::ok("systemd", format!("version {}", facts.version)),
        Err(error) => Finding::error("systemd", chain(error), bus_fix(scope)),
    }];
    findings.extend(match health.linger {
        Some(true) => Some(Finding::ok("linger", "the user's services outlive the login")),
        Some(false) => Some(Finding::error(
            "linger",
            "the user's services end at logout, and none starts at boot",
            "loginctl enable-linger",
        )),
        None => None,
    });
    findings.push(if health.unified_cgroups {
        Finding::ok("cgroups", "version 2")
    } else {
        let fix =
            "add `systemd.unified_cgroup_hierarchy=1` to the kernel's command line, and reboot";
        Finding::error("cgroups", "version 1, which Quadlet does not support", fix)
    });
    let Ok(facts) = &health.systemd else { return findings };
    match facts.memory_limits {
        Some(true) => findings.push(Finding::ok("memory", "limits take effect")),
        Some(false) => findings.push(Finding::warning(
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
            findings.push(Finding::error("unit directory", chain(error), "set `HOME`"));
        }
        (Ok(ours), Some(theirs)) if ours != theirs => findings.push(Finding::error(
            "unit directory",
            format!(
                "units would go to `{}`, and the generator reads `{}`",
                ours.display(),
                theirs.display()
            ),
            "systemctl --user import-environment XDG_CONFIG_HOME",
        )),
        (Ok(ours), _) => {
            findings.push(Finding::ok("unit directory", ours.display().to_string()));
        }
    }
    findings
}

/// Compares the environment of this shell with that of the service manager, which the daemon has.
pub(super) fn environment(health: &ScopeHealth) -> Vec<Finding> {
    let Ok(facts) = &health.systemd else { return Vec::new() };
    let differing = health.directories.iter().filter_map(|(variable, ours)| {
        let theirs = facts.directories.get(variable).filter(|theirs| *theirs != ours)?;
        Some(Finding::warning(
            "environment",
            format!(
                "{variable} is `{}` here and `{}` for systemd, so the daemon uses other files than \
                 this command",
                ours.display(),
                theirs.display()
            ),
            format!(
                "unset it here, or put `{variable}={}` into a file in ~/.config/environment.d and \
                 log in again",
                ours.display()
            ),
        ))
    });
    differing.collect()
}

fn bus_fix(scope: Scope) -> String {
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

/// How Podman is installed.
const INSTALL: &str = "sudo apt install podman (or your distribution's command)";

/// Asks Podman for its version.
pub(super) async fn podman() -> Finding {
    match podman_version(&Podman::from_environment()).await {
        Ok(version) => Finding::ok("podman", format!("version {version}")),
        Err(error) => {
            let fix = format!("{INSTALL}, {PODMAN_FLOOR} or newer");
            Finding::error("podman", chain(&error), fix)
        }
    }
}

/// The generator of Podman.
pub(super) fn generator(scope: Scope, health: &ScopeHealth) -> Finding {
    match &health.generator {
        Ok(program) => Finding::ok("generator", program.display().to_string()),
        Err(error) => {
            let directory = match scope {
                Scope::User => "/usr/lib/systemd/user-generators",
                Scope::System => "/usr/lib/systemd/system-generators",
            };
            let fix = format!("{INSTALL}, whose package puts it into {directory}");
            Finding::error("generator", chain(error), fix)
        }
    }
}

#[cfg(test)]
mod tests;
