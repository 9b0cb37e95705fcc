//! Which mounts Podman relabels for SELinux. Pure.
//!
//! A host that enforces SELinux lets a container read only files with a container label (`container_file_t`). If the
//! mount requests it, Podman relabels the mounted file before each start, and does nothing without SELinux
//! (podman-run(1), "Labeling Volume Mounts"). So every unit requests it: a unit that was written before SELinux was
//! switched on starts afterwards as well. The new label replaces the old one, so not every file may be relabelled:
//!
//! - Only this container reads the rendered configuration: `Z`, a private label.
//! - The operator shares files and directories with other programs: `z`, a label for all containers, which unconfined
//!   programs may use as before. `Z` would deny access to another container that mounts the same file.
//! - Files of the system and shared directories (`/etc`, `/usr`, a home directory) keep their label, because confined
//!   services would fail otherwise. So do sockets. A companion that needs one of these has to run without SELinux
//!   separation, by a drop-in with `SecurityLabelDisable=true`; a drop-in with `Volume=` changes any other of these
//!   choices.
//!
//! Based on the manual and Podman's source; not tested on a host that enforces SELinux. Untested: a rootless start with
//! a mount that belongs to another user, who alone may relabel it, and a mount source that is a symbolic link.

use std::path::Path;

use companion_core::model::container::AbsolutePath;

/// An SELinux label for the content of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relabel {
    /// Shared among containers (`z`).
    Shared,
    /// For this container alone (`Z`).
    Private,
}

/// System directories, with all their contents.
const SYSTEM: [&str; 14] = [
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/run",
    "/sbin", "/sys", "/usr", "/var/run",
];

/// Shared directories, whose contents may be relabelled but not they themselves. Podman rejects relabelling most of
/// them, and the start would fail.
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

/// Returns the label that the mount of `source` requests in a unit whose rendered configuration is `config`.
pub(crate) fn label(source: &AbsolutePath, config: Option<&AbsolutePath>) -> Option<Relabel> {
    let path = source.as_path();
    let is_home = [Some(Path::new("/home")), Some(Path::new("/var/home"))].contains(&path.parent());
    let is_shared_by_many = SHARED_BY_MANY.iter().any(|shared| path == Path::new(shared));
    if SYSTEM.iter().any(|system| path.starts_with(system)) || is_shared_by_many || is_home {
        return None;
    }
    if config == Some(source) {
        return Some(Relabel::Private);
    }
    // Only the name is known here.
    let socket =
        path.extension().is_some_and(|extension| extension == "sock" || extension == "socket");
    (!socket).then_some(Relabel::Shared)
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
    fn system_and_shared_directories_keep_their_label() {
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
