//! Checks the prerequisites: systemd, its environment, cgroups, Podman and its generator.

use adapter_systemd::{DifferingDirectory, Scope, ScopeHealth};
use archipelago_companions::host::{PODMAN_FLOOR, SystemdPodman};
use companion_core::error_chain::chain;

use super::Finding;

/// Checks the service manager, lingering, cgroups and the unit directory.
pub(super) fn service_manager(scope: Scope, health: &ScopeHealth) -> Vec<Finding> {
    let mut findings = vec![match &health.systemd {
        Ok(facts) => Finding::ok("systemd", format!("version {}", facts.version)),
        Err(error) => Finding::error("systemd", chain(error), bus_fix(scope)),
    }];
    findings.extend(match health.linger {
        Some(true) => Some(Finding::ok("linger", "the user's services run without a login")),
        Some(false) => Some(Finding::error(
            "linger",
            "the user's services stop at logout and do not start at boot",
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
        Some(true) => findings.push(Finding::ok("memory", "memory limits are enforced")),
        Some(false) => findings.push(Finding::warning(
            "memory",
            "the memory controller is not delegated, so memory limits have no effect",
            "if the kernel disables it (Raspberry Pi), add `cgroup_enable=memory` to the kernel's \
             command line; otherwise add `Delegate=cpu memory pids` below `[Service]` with `sudo \
             systemctl edit user@.service`; then reboot",
        )),
        None => {}
    }
    findings.push(match &health.unit_dir {
        Ok(directory) => Finding::ok("unit directory", directory.display().to_string()),
        Err(error) => Finding::error("unit directory", chain(error), "set `HOME`"),
    });
    findings
}

/// Compares the environment of this shell with that of the service manager and the daemon.
pub(super) fn environment(health: &ScopeHealth) -> Vec<Finding> {
    let Ok(facts) = &health.systemd else { return Vec::new() };
    let finding = |differing: &DifferingDirectory| {
        let fix = same_directory(differing);
        if differing.is_fatal() {
            let message =
                format!("{differing}, so systemd finds neither units nor images of this command");
            Finding::error("environment", message, fix)
        } else {
            let message =
                format!("{differing}, so the daemon and this command use different files");
            Finding::warning("environment", message, fix)
        }
    };
    facts.differing.iter().map(finding).collect()
}

/// The fix of a directory that this shell and systemd have in different places.
fn same_directory(DifferingDirectory { variable, here, .. }: &DifferingDirectory) -> String {
    format!(
        "unset it here, or add `{variable}={}` to a file in ~/.config/environment.d and log in again",
        here.display()
    )
}

fn bus_fix(scope: Scope) -> String {
    match scope {
        Scope::System => "boot the machine with systemd".to_owned(),
        Scope::User => {
            let uid = rustix::process::getuid().as_raw();
            format!(
                "loginctl enable-linger; after `su` or `sudo` also: export \
                 XDG_RUNTIME_DIR=/run/user/{uid}"
            )
        }
    }
}

/// The command that installs Podman.
const INSTALL: &str = "sudo apt install podman (or your distribution's command)";

/// Checks the version of Podman.
pub(super) async fn podman(host: &SystemdPodman) -> Finding {
    match host.podman_version().await {
        Ok(version) => Finding::ok("podman", format!("version {version}")),
        Err(error) => {
            let fix = format!("{INSTALL}, {PODMAN_FLOOR} or newer");
            Finding::error("podman", chain(&error), fix)
        }
    }
}

/// Checks the generator of Podman.
pub(super) fn generator(scope: Scope, health: &ScopeHealth) -> Finding {
    match &health.generator {
        Ok(program) => Finding::ok("generator", program.display().to_string()),
        Err(error) => {
            let directory = match scope {
                Scope::User => "/usr/lib/systemd/user-generators",
                Scope::System => "/usr/lib/systemd/system-generators",
            };
            let fix = format!("{INSTALL}; the package installs it in {directory}");
            Finding::error("generator", chain(error), fix)
        }
    }
}

#[cfg(test)]
mod tests;
