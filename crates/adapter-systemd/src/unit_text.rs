//! Says each setting of a unit in Quadlet's keys, and places the ownership label and the revision. Pure; `quadlet` escapes
//! and decides about keys that a Podman does not have.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use companion_core::model::container::{
    AbsolutePath, ContainerSpec, Device, ExtraHost, HealthCheck, Memory, Network, PortMapping,
    Protocol, RestartPolicy,
};
use companion_core::model::unit::UnitSpec;
pub use host_files::units::RenderedUnit;
use quadlet::{Class, ContainerUnit, Key, PodmanVersion, RenderError, key};

use crate::probe;
use crate::scope::Scope;
use crate::selinux::{self, Relabel};

/// The section of the ownership label. Quadlet copies `X-` sections and systemd ignores them (systemd.unit(5)).
const MARK: &str = "X-Companion";
/// The key for the companion's name, so that a copy under another name is unmanaged.
pub(crate) const MARK_NAME: Key = Key::new(MARK, "Companion", Class::Verbatim);
/// The key for the revision.
pub(crate) const MARK_REVISION: Key = Key::new(MARK, "Revision", Class::Verbatim);
/// The service's environment variable for the revision: systemd shows it for the loaded unit, procfs for the running
/// process.
pub(crate) const REVISION_VARIABLE: &str = "COMPANION_REVISION";

/// With `Pull=never` a start only creates the container, which takes less than a second on an idle machine; two minutes
/// cover a small board that boots with thirty other containers. The host's default may be lower (Fedora's is 45 s).
/// A health check has this much in addition to its own times.
const TIMEOUT_START: u64 = 120;
/// How much longer systemd waits than Podman, so that Podman kills the container and cleans up.
const STOP_MARGIN: u64 = 20;

/// The restart delay in seconds from which restarts alone never reach systemd's default limit: 5 of them take 10 s.
const UNLIMITED_FROM: u32 = 2;

/// Renders `unit` for `scope` and Podman `version`; ignores the rendering that the unit's revision names.
///
/// # Errors
/// [`RenderError`] names the setting that this Podman does not support.
pub fn render_unit(
    unit: &UnitSpec,
    scope: Scope,
    version: PodmanVersion,
) -> Result<RenderedUnit, RenderError> {
    let text = container_unit(unit, scope, version)?.render(version)?;
    Ok(RenderedUnit::new(&text, &unit.revision))
}

/// Returns the Quadlet unit of `unit` for `scope` and Podman `version`, which names the revision of `unit` as it is;
/// [`ContainerUnit::render`] renders it.
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
///
/// # Errors
/// [`RenderError`] names a path that a key cannot express.
pub fn container_unit(
    unit: &UnitSpec,
    scope: Scope,
    version: PodmanVersion,
) -> Result<ContainerUnit, RenderError> {
    let spec = &unit.container;
    let mut made = ContainerUnit::new();
    made.add(key::DESCRIPTION, &unit.description);
    made.add_words(key::REQUIRES_MOUNTS_FOR, required_mounts(unit));
    if spec.restart_delay.is_some_and(|delay| delay >= UNLIMITED_FROM) {
        made.add(key::START_LIMIT_INTERVAL, "0");
    }
    made.add(key::IMAGE, unit.image.as_str());
    made.add(key::CONTAINER_NAME, unit.name.as_str());
    if let Some(user) = spec.user {
        made.add(key::USER, user.uid.to_string());
        made.add(key::GROUP, user.gid.to_string());
    }
    network(spec, scope, version, &mut made);
    mounts(unit, &mut made)?;
    process(unit, &mut made);
    service(unit, &mut made);
    made.add(key::WANTED_BY, scope.wanted_by());
    made.add(key::DEFAULT_DEPENDENCIES, "false");
    made.add(MARK_NAME, unit.name.as_str());
    made.add(MARK_REVISION, unit.revision.to_string());
    Ok(made)
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

/// The first Podman whose rootless networks need pasta(1); earlier ones need slirp4netns(1).
const PASTA: PodmanVersion = PodmanVersion::new(5, 0, 0);

/// pasta(1) with all that it would otherwise copy from an interface at the container's start: its template is `lo`, which
/// is always there, so the container's network is the same on every host and at every time. Without a template pasta
/// fails or makes an IPv6 network too, which is not meant here: it would accept connections to `[::]` that an image with
/// an IPv4 server resets. `--map-gw` is Podman's own word and makes the gateway the host's loopback.
const HOST_LOOPBACK_PASTA: &str = "pasta:--interface,lo,--ns-ifname,eth0,--ipv4-only,\
    --address,169.254.1.3,--netmask,24,--gateway,169.254.1.2,--map-gw";

/// slirp4netns(1), where the host is the second address of the network.
const HOST_LOOPBACK_SLIRP4NETNS: &str = "slirp4netns:allow_host_loopback=true,cidr=169.254.1.0/24";

fn network(spec: &ContainerSpec, scope: Scope, version: PodmanVersion, made: &mut ContainerUnit) {
    let network = match &spec.network {
        Network::Host => "host",
        // All rootless bridges share one network namespace, whose way to the host is made of the interfaces that were
        // there when its first container started, and is lost with a file of the runtime directory. Root's Podman has
        // neither pasta nor slirp4netns.
        Network::Bridge if spec.host_loopback && scope == Scope::User => {
            if version >= PASTA {
                HOST_LOOPBACK_PASTA
            } else {
                HOST_LOOPBACK_SLIRP4NETNS
            }
        }
        // Without `Network=`, rootless Podman uses pasta, and root a bridge.
        Network::Bridge => "bridge",
        Network::Named(name) => name.as_str(),
    };
    made.add(key::NETWORK, network);
    for PortMapping { address, host, container, protocol } in &spec.ports {
        let address = match address {
            Some(IpAddr::V4(ip)) => format!("{ip}:"),
            Some(IpAddr::V6(ip)) => format!("[{ip}]:"),
            None => String::new(),
        };
        let protocol = match protocol {
            Protocol::Tcp => "",
            Protocol::Udp => "/udp",
        };
        let is_any = address.starts_with(&Ipv4Addr::UNSPECIFIED.to_string());
        let key = if is_any { key::PUBLISH_PORT_OF_IPV4 } else { key::PUBLISH_PORT };
        made.add(key, format!("{address}{host}:{container}{protocol}"));
    }
    made.add_words(
        key::ADD_HOST,
        spec.extra_hosts.iter().map(|ExtraHost { name, address }| {
            let address = address.map_or_else(|| "host-gateway".to_owned(), |ip| ip.to_string());
            format!("{name}:{address}")
        }),
    );
}

fn mounts(unit: &UnitSpec, made: &mut ContainerUnit) -> Result<(), RenderError> {
    let spec = &unit.container;
    for mount in &spec.mounts {
        let label = selinux::label(&mount.source, unit.config.as_ref());
        let (key, text) =
            volume("bind", mount.source.as_str(), &mount.target, mount.read_only, label)?;
        made.add(key, text);
    }
    for named in &spec.volumes {
        let (key, text) =
            volume("volume", named.name.as_str(), &named.target, named.read_only, None)?;
        made.add(key, text);
    }
    for tmpfs in &spec.tmpfs {
        let target = without_colon(&key::TMPFS, &tmpfs.target)?;
        let size = tmpfs.size.map_or_else(String::new, |size| format!(":size={size}"));
        made.add(key::TMPFS, format!("{target}{size}"));
    }
    for Device { source, target } in &spec.devices {
        let paths = [Some(source), target.as_ref()].into_iter().flatten();
        let paths = paths.map(|path| without_colon(&key::ADD_DEVICE, path));
        made.add(key::ADD_DEVICE, paths.collect::<Result<Vec<_>, _>>()?.join(":"));
    }
    Ok(())
}

/// Returns `Volume=`, which Quadlet and Podman split at colons, or `Mount=` if a path contains one.
fn volume(
    kind: &str,
    source: &str,
    target: &AbsolutePath,
    read_only: bool,
    label: Option<Relabel>,
) -> Result<(Key, String), RenderError> {
    let paths = [source, target.as_str()];
    if !paths.iter().any(|path| path.contains(':')) {
        let label = label.map(|label| match label {
            Relabel::Shared => "z",
            Relabel::Private => "Z",
        });
        let options: Vec<&str> = read_only.then_some("ro").into_iter().chain(label).collect();
        let colon = if options.is_empty() { "" } else { ":" };
        return Ok((key::VOLUME, format!("{source}:{target}{colon}{}", options.join(","))));
    }
    if let Some(path) = paths.iter().find(|path| path.contains([',', '"'])) {
        return Err(key::MOUNT.refuse(path, "has a colon, and a comma or double quote"));
    }
    let read_only = if read_only { ",ro=true" } else { "" };
    let label = label.map_or("", |label| match label {
        Relabel::Shared => ",relabel=shared",
        Relabel::Private => ",relabel=private",
    });
    Ok((key::MOUNT, format!("type={kind},source={source},destination={target}{read_only}{label}")))
}

fn without_colon<'p>(key: &Key, path: &'p AbsolutePath) -> Result<&'p str, RenderError> {
    match path.as_str() {
        path if path.contains(':') => Err(key.refuse(path, "is not a path without a colon")),
        path => Ok(path),
    }
}

fn process(unit: &UnitSpec, made: &mut ContainerUnit) {
    let spec = &unit.container;
    for (name, value) in &spec.environment {
        made.add_pair(key::ENVIRONMENT, name.as_str(), value);
    }
    for (variable, secret) in &spec.secret_environment {
        made.add(key::SECRET, format!("{secret},type=env,target={variable}"));
    }
    made.add_pair(key::LABEL, "companion.name", unit.name.as_str());
    made.add_pair(key::LABEL, "companion.revision", &unit.revision.to_string());
    if spec.drop_all_capabilities {
        made.add(key::DROP_CAPABILITY, "all");
    }
    made.add_words(
        key::ADD_CAPABILITY,
        spec.capabilities.iter().map(|capability| capability.as_str()),
    );
    if spec.no_new_privileges {
        made.add(key::NO_NEW_PRIVILEGES, "true");
    }
    if spec.read_only_root {
        made.add(key::READ_ONLY, "true");
    }
    made.add_words(key::WORKING_DIR, spec.working_dir.iter().map(AbsolutePath::as_str));
    made.add_words(key::ENTRYPOINT, &spec.entrypoint);
    made.add_words(key::EXEC, &spec.command);
    made.add(key::PULL, "never");
    let writable = (!spec.read_only_root).then_some("--read-only=false");
    made.add_words(key::PODMAN_ARGS, PINNED.into_iter().chain(writable));
    if let Some(check) = &spec.health {
        made.add(key::NOTIFY_HEALTHY, "healthy");
        made.add_words(key::HEALTH_CMD, ["CMD-SHELL", &probe::command(check)]);
        made.add(key::HEALTH_INTERVAL, format!("{}s", check.interval));
        made.add(key::HEALTH_TIMEOUT, format!("{}s", check.timeout));
        made.add(key::HEALTH_RETRIES, check.retries.to_string());
        made.add(key::HEALTH_START_PERIOD, format!("{}s", check.start_period));
    }
    made.add_words(key::STOP_TIMEOUT, spec.stop_timeout.map(|seconds| seconds.to_string()));
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

fn service(unit: &UnitSpec, made: &mut ContainerUnit) {
    let spec = &unit.container;
    made.add_pair(key::SERVICE_ENVIRONMENT, REVISION_VARIABLE, &unit.revision.to_string());
    made.add(
        key::RESTART,
        match spec.restart {
            RestartPolicy::Always => "always",
            RestartPolicy::OnFailure => "on-failure",
            RestartPolicy::No => "no",
        },
    );
    made.add_words(key::RESTART_SEC, spec.restart_delay.map(|seconds| seconds.to_string()));
    let check = spec.health.as_ref().map_or(0, longest);
    made.add(key::TIMEOUT_START_SEC, check.saturating_add(TIMEOUT_START).to_string());
    let stop = spec.stop_timeout.map(|grace| (u64::from(grace) + STOP_MARGIN).to_string());
    made.add_words(key::TIMEOUT_STOP_SEC, stop);
    made.add_words(key::MEMORY_MAX, spec.memory.map(size));
    made.add_words(key::CPU_QUOTA, spec.cpu_quota.map(|quota| format!("{}%", quota.percent())));
}

/// Returns the seconds in which a container is healthy or unhealthy: the start period, and for each retry an interval and
/// a check that takes as long as it may.
fn longest(check: &HealthCheck) -> u64 {
    let once = u64::from(check.interval.get()) + u64::from(check.timeout.get());
    let checks = once.saturating_mul(check.retries.get().into());
    checks.saturating_add(check.start_period.into())
}

/// Formats a size for systemd, with the largest suffix (base 1024) that divides it.
fn size(memory: Memory) -> String {
    match memory.mebibytes() {
        tebibytes if tebibytes.is_multiple_of(1 << 20) => format!("{}T", tebibytes >> 20),
        gibibytes if gibibytes.is_multiple_of(1 << 10) => format!("{}G", gibibytes >> 10),
        mebibytes => format!("{mebibytes}M"),
    }
}

#[cfg(test)]
mod tests;
