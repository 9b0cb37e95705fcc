//! Checks the prerequisites: systemd, its environment, cgroups, Podman and its generator.

use adapter_systemd::{DifferingDirectory, Scope, ScopeHealth};
use archipelago_companions::host::{PODMAN_FLOOR, SystemdPodman};

use super::Finding;

/// Checks the service manager, lingering, cgroups and the unit directory.
pub(super) fn service_manager(scope: Scope, health: &ScopeHealth) -> Vec<Finding> {
    let systemd = health.systemd.as_ref();
    let version = systemd.map(|facts| format!("version {}", facts.version));
    let mut findings = vec![Finding::of("systemd", version, bus_fix(scope))];
    findings.extend(health.linger.map(|linger| match linger {
        true => Finding::ok("linger", "the user's services run without a login"),
        false => Finding::error(
            "linger",
            "the user's services stop at logout and do not start at boot",
            "loginctl enable-linger",
        ),
    }));
    findings.push(match health.unified_cgroups {
        true => Finding::ok("cgroups", "version 2"),
        false => Finding::error(
            "cgroups",
            "version 1, which Quadlet does not support",
            "add `systemd.unified_cgroup_hierarchy=1` to the kernel's command line, and reboot",
        ),
    });
    let Ok(facts) = systemd else { return findings };
    findings.extend(facts.memory_limits.map(|enforced| match enforced {
        true => Finding::ok("memory", "memory limits are enforced"),
        false => Finding::warning(
            "memory",
            "the memory controller is not delegated, so memory limits have no effect",
            "if the kernel disables it (Raspberry Pi), add `cgroup_enable=memory` to the kernel's \
             command line; otherwise add `Delegate=cpu memory pids` below `[Service]` with `sudo \
             systemctl edit user@.service`; then reboot",
        ),
    }));
    let directory = health.unit_dir.as_ref().map(|directory| directory.display().to_string());
    findings.push(Finding::of("unit directory", directory, "set `HOME`"));
    findings
}

/// Compares the environment of this shell with that of the service manager and the daemon.
pub(super) fn environment(health: &ScopeHealth) -> Vec<Finding> {
    let Ok(facts) = &health.systemd else { return Vec::new() };
    let finding = |differing: &DifferingDirectory| {
        let fix = format!(
            "unset it here, or add `{}={}` to a file in ~/.config/environment.d and log in again",
            differing.variable,
            differing.here.display()
        );
        let (of, consequence): (fn(_, _, _) -> _, _) = match differing.is_fatal() {
            true => (Finding::error, "systemd finds neither units nor images of this command"),
            false => (Finding::warning, "the daemon and this command use different files"),
        };
        of("environment", format!("{differing}, so {consequence}"), fix)
    };
    facts.differing.iter().map(finding).collect()
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
    let version = host.podman_version().await.map(|version| format!("version {version}"));
    Finding::of("podman", version, format!("{INSTALL}, {PODMAN_FLOOR} or newer"))
}

/// Checks the generator of Podman.
pub(super) fn generator(scope: Scope, health: &ScopeHealth) -> Finding {
    let program = health.generator.as_ref().map(|program| program.display().to_string());
    let directory = match scope {
        Scope::User => "/usr/lib/systemd/user-generators",
        Scope::System => "/usr/lib/systemd/system-generators",
    };
    let fix = format!("{INSTALL}; the package installs it in {directory}");
    Finding::of("generator", program, fix)
}

#[cfg(test)]
mod tests;
