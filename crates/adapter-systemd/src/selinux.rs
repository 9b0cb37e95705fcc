//! Which mounts a host that enforces SELinux has to relabel, so that the container may read them. Pure.
//!
//! Such a host lets a container read nothing but what carries a label for containers (`container_file_t`). Podman gives a mounted
//! file that label before each start when the mount asks for it, and does nothing where there is no SELinux (podman-run(1), "Labeling
//! Volume Mounts"). The label replaces the one that the file had, so it is not for every file:
//!
//! - The rendered configuration is read by nobody else: `Z`, a label that only this container may use.
//! - A file or directory of the operator's is shared with whoever made it: `z`, the label that all containers may use, and that
//!   programs without confinement may use as before. `Z` would take it from another container that mounts it too.
//! - What belongs to the system, or holds all that others have (`/etc`, `/usr`, a home directory), keeps its label: services that are
//!   confined to it would fail. So do sockets. A companion that needs one of these has to be run without the separation, by a
//!   drop-in of the operator's with `SecurityLabelDisable=true`; a drop-in with `Volume=` changes any other of these choices, too.
//!
//! Judged by the manual and by Podman's source; no host that enforces SELinux was at hand. Not tried: a rootless start whose
//! mount belongs to another user, who alone may relabel it, and a mount source that is a symbolic link.

use std::path::Path;

use companion_core::model::container::AbsolutePath;
use companion_core::model::unit::UnitSpec;
use quadlet::{Relabel, Volume};

/// The system's own directories, with all that is in them.
const SYSTEM: [&str; 14] = [
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/run",
    "/sbin", "/sys", "/usr", "/var/run",
];

/// Directories that hold what belongs to many; what is in them may be relabelled, they may not. Podman refuses to relabel most of them,
/// and would refuse the start.
const SHARED_BY_MANY: [&str; 13] = [
    "/",
    "/home",
    "/media",
    "/mnt",
    "/opt",
    "/root",
    "/srv",
    "/tmp",
    "/var",
    "/var/home",
    "/var/lib",
    "/var/log",
    "/var/tmp",
];

/// Has Podman relabel the mounts of `unit`, which became `volumes` in their order.
pub(crate) fn relabel(volumes: &mut [Volume], unit: &UnitSpec) {
    for (volume, mount) in volumes.iter_mut().zip(&unit.container.mounts) {
        volume.relabel = label(&mount.source, unit.config.as_ref());
    }
}

fn label(source: &AbsolutePath, config: Option<&AbsolutePath>) -> Option<Relabel> {
    let path = source.as_path();
    if SYSTEM.iter().any(|system| path.starts_with(system)) || is_shared_by_many(path) {
        return None;
    }
    if config == Some(source) {
        return Some(Relabel::Private);
    }
    // Its name is all that is known of it here.
    let socket =
        path.extension().is_some_and(|extension| extension == "sock" || extension == "socket");
    (!socket).then_some(Relabel::Shared)
}

fn is_shared_by_many(path: &Path) -> bool {
    let home = |parent: &str| path.parent() == Some(Path::new(parent));
    SHARED_BY_MANY.iter().any(|shared| path == Path::new(shared))
        || home("/home")
        || home("/var/home")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(source: &str) -> Option<Relabel> {
        let config = AbsolutePath::new("/var/lib/archipelago/bitcoin-ui/nginx.conf").unwrap();
        label(&AbsolutePath::new(source).unwrap(), Some(&config))
    }

    #[test]
    fn the_rendered_configuration_is_private_and_other_files_are_shared() {
        let config = "/var/lib/archipelago/bitcoin-ui/nginx.conf";
        assert_eq!(labelled(config), Some(Relabel::Private));
        for source in [
            "/var/lib/archipelago/secrets/rpc-password",
            "/var/lib/archipelago/bitcoin-ui",
            "/home/archipelago/pages",
            "/opt/pages",
            "/etcetera",
            "/runner/x",
        ] {
            assert_eq!(labelled(source), Some(Relabel::Shared), "{source}");
        }
    }

    #[test]
    fn what_belongs_to_the_system_or_to_many_keeps_its_label() {
        for source in [
            "/",
            "/etc",
            "/etc/localtime",
            "/etc/ssl/certs/ca.pem",
            "/usr/share/zoneinfo",
            "/proc",
            "/sys/fs/cgroup",
            "/dev/net/tun",
            "/run/user/1000/bus",
            "/var/run/docker.sock",
            "/home",
            "/home/archipelago",
            "/var/home/core",
            "/root",
            "/opt",
            "/srv",
            "/tmp",
            "/var",
            "/var/lib",
            "/var/log",
            "/lib/modules",
        ] {
            assert_eq!(labelled(source), None, "{source}");
        }
    }

    #[test]
    fn a_socket_keeps_its_label() {
        assert_eq!(labelled("/var/lib/bitcoin/node.sock"), None);
        assert_eq!(labelled("/var/lib/bitcoin/node.socket"), None);
    }
}
