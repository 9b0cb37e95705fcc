//! Maps each setting of a unit to Quadlet, and places the ownership label and the revision. `quadlet` renders the text.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use companion_core::model::container::{
    AbsolutePath, ContainerSpec, CpuQuota, Memory, Network, PortMapping, Protocol, RestartPolicy,
};
use companion_core::model::unit::UnitSpec;
use quadlet::{Container, ContainerUnit, Extension, Secret, Stop};

use crate::probe;
use crate::scope::Scope;
use crate::selinux;

/// The section of the ownership label. Quadlet copies `X-` sections and systemd ignores them (systemd.unit(5)).
pub(crate) const MARK_SECTION: &str = "X-Companion";
/// The key for the companion's name, so that a copy under another name is unmanaged.
pub(crate) const MARK_NAME: &str = "Companion";
/// The key for the revision.
pub(crate) const MARK_REVISION: &str = "Revision";
/// The service's environment variable for the revision: systemd shows it for the loaded unit, procfs for the running
/// process.
pub(crate) const REVISION_VARIABLE: &str = "COMPANION_REVISION";

/// With `Pull=never` a start only creates the container, which takes less than a second on an idle machine; two minutes
/// cover a small board that boots with thirty other containers. The host's default may be lower (Fedora's is 45 s).
/// A health check has this much in addition to its own times.
pub(crate) const TIMEOUT_START: NonZeroU32 = count(120);
/// How much longer systemd waits than Podman, so that Podman kills the container and cleans up.
const STOP_MARGIN: NonZeroU32 = count(20);

/// The restart delay in seconds from which restarts alone never reach systemd's default limit: 5 of them take 10 s.
const UNLIMITED_FROM: u32 = 2;

/// Returns the Quadlet unit of `unit` for `scope`; [`ContainerUnit::render`] renders it.
///
/// In addition to the requested settings it sets:
///
/// - `Pull=never`: the image is already present, and a repair needs no network.
/// - `PodmanArgs=` for the defaults of Podman that containers.conf(5) could change and a companion relies on.
/// - `[Quadlet] DefaultDependencies=false`: a user's manager never reaches `network-online.target` by itself, and each
///   first start would wait 90 s for it (podman issue 24588). A container that fails without a network is restarted.
/// - The label of each mount on a host with SELinux (`z`, `Z`), which Podman ignores elsewhere.
/// - `TimeoutStartSec=` always, above the times of a health check, and `TimeoutStopSec=` above `StopTimeout=` if that
///   is given.
/// - `RequiresMountsFor=` for the host's paths: a container that started before its file system was mounted would get,
///   or fill, the empty directory below. A user's manager knows the mounts of the system, but starts none of them.
/// - No start limit if `RestartSec=` is 2 s or more: restarts alone never reach the host's limit, by default 5 starts
///   in 10 s, so a crashing companion restarts indefinitely in any case; but requested starts count too, and five changes
///   in a row would make it fail. With a shorter delay (100 ms by default) the host's limit stays and ends a crash loop.
#[must_use]
pub fn container_unit(unit: &UnitSpec, scope: Scope) -> ContainerUnit {
    let spec = &unit.container;
    let revision = unit.revision.to_string();
    let mut made = ContainerUnit::new(container(unit, scope));
    made.unit.description = Some(unit.description.clone());
    made.unit.requires_mounts_for = required_mounts(unit);
    made.service.environment.insert(REVISION_VARIABLE, &revision);
    made.service.restart = Some(match spec.restart {
        RestartPolicy::Always => quadlet::RestartPolicy::Always,
        RestartPolicy::OnFailure => quadlet::RestartPolicy::OnFailure,
        RestartPolicy::No => quadlet::RestartPolicy::No,
    });
    made.service.restart_delay = spec.restart_delay;
    made.unit.without_start_limit = spec.restart_delay.is_some_and(|delay| delay >= UNLIMITED_FROM);
    made.start = probe::start(spec.health.as_ref());
    made.stop = spec.stop_timeout.map(|grace| Stop { grace, margin: STOP_MARGIN });
    made.service.memory_max = spec.memory.map(Memory::bytes);
    made.service.cpu_quota = spec.cpu_quota.map(CpuQuota::percent);
    made.wanted_by = Some(scope.wanted_by().to_owned());
    made.starts_without_network = true;
    let mark = MARK_SECTION.trim_start_matches("X-");
    made.extension = Some(
        Extension::new(mark).with(MARK_NAME, unit.name.as_str()).with(MARK_REVISION, &revision),
    );
    made
}

fn container(unit: &UnitSpec, scope: Scope) -> Container {
    let spec = &unit.container;
    let mut container = Container::new(unit.image.as_str());
    container.container_name = Some(unit.name.to_string());
    container.user = spec.user.map(|user| quadlet::User { uid: user.uid, gid: user.gid });
    container.network = Some(match &spec.network {
        Network::Host => quadlet::Network::Host,
        // All rootless bridges share one network namespace, whose way to the host is made of the interfaces that were
        // there when its first container started, and is lost with a file of the runtime directory. Root's Podman has
        // neither pasta nor slirp4netns.
        Network::Bridge if spec.host_loopback && scope == Scope::User => {
            quadlet::Network::HostLoopback
        }
        // Without `Network=`, rootless Podman uses pasta, and root a bridge.
        Network::Bridge => quadlet::Network::Bridge,
        Network::Named(name) => quadlet::Network::Named(name.as_str().to_owned()),
    });
    container.publish_ports = spec.ports.iter().map(port).collect();
    container.hosts = hosts(spec);
    mounts(unit, &mut container);
    container.environment =
        spec.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    container.labels = [
        ("companion.name".to_owned(), unit.name.to_string()),
        ("companion.revision".to_owned(), unit.revision.to_string()),
    ]
    .into();
    container.secrets = spec
        .secret_environment
        .iter()
        .map(|(variable, secret)| Secret {
            name: secret.to_string(),
            variable: variable.to_string(),
        })
        .collect();
    if spec.drop_all_capabilities {
        container.drop_capabilities = vec!["all".to_owned()];
    }
    container.add_capabilities =
        spec.capabilities.iter().map(|capability| capability.as_str().to_owned()).collect();
    container.no_new_privileges = spec.no_new_privileges;
    container.read_only = spec.read_only_root;
    container.entrypoint = spec.entrypoint.clone();
    container.exec = spec.command.clone();
    container.working_dir = spec.working_dir.as_ref().map(|path| path.as_str().to_owned());
    container.never_pulls = true;
    container.podman_args = pinned(spec).map(str::to_owned).collect();
    container
}

/// Podman's own defaults that a companion relies on, so that those of the host's containers.conf(5) do not reach it.
///
/// As options, because Quadlet's keys for them came later or cannot say `false` in every version. Left to the host:
/// what only adds to a container (`env`, `devices`, `mounts`, `volumes`, `annotations`), what its operator restricts
/// (`pids_limit`, `default_ulimits`, `seccomp_profile`, `apparmor_profile`, `label`), and name service.
const PINNED: [&str; 9] = [
    // All capabilities would come back.
    "--privileged=false",
    // The owner of the rendered configuration, mode 0600, is the container's root.
    "--userns=host",
    "--pid=private",
    "--ipc=private",
    // The host's environment may contain secrets.
    "--env-host=false",
    // The init program may be missing.
    "--init=false",
    // `AddHost=` needs `/etc/hosts`.
    "--no-hosts=false",
    // nginx creates its files as other users than it reads them.
    "--umask=0022",
    // The last log lines of a failed run are read from the journal.
    "--log-driver=journald",
];

/// Returns the pinned options of `spec`.
fn pinned(spec: &ContainerSpec) -> impl Iterator<Item = &'static str> {
    let writable = (!spec.read_only_root).then_some("--read-only=false");
    PINNED.into_iter().chain(writable)
}

/// Returns the paths of the host that the container needs; of a rendered file its directory, which keeps its name.
///
/// `RequiresMountsFor=` has no escape for quotes and backslashes. Quadlet names the paths of volumes there itself.
fn required_mounts(unit: &UnitSpec) -> Vec<String> {
    let path = |source: &AbsolutePath| match source.parent() {
        Some(directory) if unit.config.as_ref() == Some(source) => directory.display().to_string(),
        _ => source.to_string(),
    };
    let paths: BTreeSet<String> =
        unit.container.mounts.iter().map(|mount| path(&mount.source)).collect();
    paths.into_iter().filter(|path| !path.contains(['"', '\'', '\\'])).collect()
}

fn port(port: &PortMapping) -> quadlet::PublishPort {
    quadlet::PublishPort {
        host_ip: port.address,
        host_port: port.host,
        container_port: port.container,
        protocol: match port.protocol {
            Protocol::Tcp => quadlet::Protocol::Tcp,
            Protocol::Udp => quadlet::Protocol::Udp,
        },
    }
}

fn hosts(spec: &ContainerSpec) -> Vec<quadlet::HostEntry> {
    let entry = |host: &companion_core::model::container::ExtraHost| quadlet::HostEntry {
        name: host.name.as_str().to_owned(),
        address: host.address,
    };
    spec.extra_hosts.iter().map(entry).collect()
}

fn mounts(unit: &UnitSpec, container: &mut Container) {
    let spec = &unit.container;
    container.volumes = spec
        .mounts
        .iter()
        .map(|mount| quadlet::Volume {
            source: quadlet::VolumeSource::Path(mount.source.as_str().to_owned()),
            destination: mount.target.as_str().to_owned(),
            read_only: mount.read_only,
            relabel: selinux::label(&mount.source, unit.config.as_ref()),
        })
        .collect();
    container.volumes.extend(spec.volumes.iter().map(|volume| quadlet::Volume {
        source: quadlet::VolumeSource::Named(volume.name.to_string()),
        destination: volume.target.as_str().to_owned(),
        read_only: volume.read_only,
        relabel: None,
    }));
    container.tmpfs = spec
        .tmpfs
        .iter()
        .map(|tmpfs| quadlet::Tmpfs {
            destination: tmpfs.target.as_str().to_owned(),
            size: tmpfs.size.map(|size| size.mebibytes()),
        })
        .collect();
    container.devices = spec
        .devices
        .iter()
        .map(|device| quadlet::Device {
            host: device.source.to_string(),
            container: device.target.as_ref().map(ToString::to_string),
        })
        .collect();
}

const fn count(seconds: u32) -> NonZeroU32 {
    match NonZeroU32::new(seconds) {
        Some(count) => count,
        None => NonZeroU32::MIN,
    }
}

#[cfg(test)]
mod tests;
