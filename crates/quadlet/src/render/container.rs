//! The `[Container]` section: the order of its keys, and how each setting becomes a key's words.

use std::net::{IpAddr, Ipv4Addr};

use super::lines::Lines;
use crate::{
    Container, Device, HostEntry, Network, PodmanVersion, Protocol, PublishPort, Refusal, Relabel,
    RenderError, Tmpfs, Volume, VolumeSource, escape,
    keys::{self, Key},
    names,
};

pub(super) fn container(lines: &mut Lines, container: &Container) -> Result<(), RenderError> {
    lines.checked(&keys::IMAGE, &container.image, names::check_image)?;
    if let Some(name) = &container.container_name {
        lines.checked(&keys::CONTAINER_NAME, name, names::check_resource)?;
    }
    // Separate `User=` and `Group=`: only newer versions read `User=0:0`.
    if let Some(user) = container.user {
        lines.value(&keys::USER, &user.uid.to_string())?;
        lines.value(&keys::GROUP, &user.gid.to_string())?;
    }
    if let Some(network) = &container.network {
        self::network(lines, network)?;
    }
    for port in &container.publish_ports {
        publish_port(lines, port)?;
    }
    for host in &container.hosts {
        host_entry(lines, host)?;
    }
    for volume in &container.volumes {
        self::volume(lines, volume)?;
    }
    for tmpfs in &container.tmpfs {
        self::tmpfs(lines, tmpfs)?;
    }
    for device in &container.devices {
        self::device(lines, device)?;
    }
    variables(lines, container)?;
    capabilities(lines, &keys::DROP_CAPABILITY, &container.drop_capabilities)?;
    capabilities(lines, &keys::ADD_CAPABILITY, &container.add_capabilities)?;
    if container.no_new_privileges {
        lines.value(&keys::NO_NEW_PRIVILEGES, "true")?;
    }
    if container.read_only {
        lines.value(&keys::READ_ONLY, "true")?;
    }
    command(lines, container)
}

/// The command and the pull policy.
fn command(lines: &mut Lines, container: &Container) -> Result<(), RenderError> {
    if let Some(path) = &container.working_dir {
        lines.checked(&keys::WORKING_DIR, path, names::check_path)?;
    }
    if !container.entrypoint.is_empty() {
        let text = checked(&keys::ENTRYPOINT, entrypoint(&container.entrypoint))?;
        lines.value(&keys::ENTRYPOINT, &text)?;
    }
    let words: Vec<&str> = container.exec.iter().map(String::as_str).collect();
    lines.words(&keys::EXEC, &words)?;
    if container.never_pulls {
        lines.value(&keys::PULL, "never")?;
    }
    for argument in &container.podman_args {
        checked(&keys::PODMAN_ARGS, names::check_option(argument))?;
    }
    let arguments: Vec<&str> = container.podman_args.iter().map(String::as_str).collect();
    lines.words(&keys::PODMAN_ARGS, &arguments)
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

fn network(lines: &mut Lines, network: &Network) -> Result<(), RenderError> {
    let word = match network {
        Network::Host => "host",
        Network::Bridge => "bridge",
        Network::HostLoopback if lines.is_for(PASTA) => HOST_LOOPBACK_PASTA,
        Network::HostLoopback => HOST_LOOPBACK_SLIRP4NETNS,
        Network::Named(name) => {
            return lines.checked(&keys::NETWORK, name, names::check_network);
        }
    };
    lines.value(&keys::NETWORK, word)
}

fn publish_port(lines: &mut Lines, port: &PublishPort) -> Result<(), RenderError> {
    let address = match port.host_ip {
        Some(IpAddr::V4(ip)) => format!("{ip}:"),
        Some(IpAddr::V6(ip)) => format!("[{ip}]:"),
        None => String::new(),
    };
    let protocol = match port.protocol {
        Protocol::Tcp => "",
        Protocol::Udp => "/udp",
    };
    let text = format!("{address}{}:{}{protocol}", port.host_port, port.container_port);
    let is_dropped = port.host_ip == Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    lines.value(if is_dropped { &keys::PUBLISH_PORT_AS_IS } else { &keys::PUBLISH_PORT }, &text)
}

fn host_entry(lines: &mut Lines, entry: &HostEntry) -> Result<(), RenderError> {
    checked(&keys::ADD_HOST, names::check_host(&entry.name))?;
    let address = entry.address.map_or_else(|| "host-gateway".to_owned(), |ip| ip.to_string());
    lines.value(&keys::ADD_HOST, &format!("{}:{address}", entry.name))
}

/// `Volume=`, which Quadlet and Podman split at colons, or `Mount=` if a path contains one.
fn volume(lines: &mut Lines, volume: &Volume) -> Result<(), RenderError> {
    let (kind, source) = match &volume.source {
        VolumeSource::Path(path) => {
            checked(&keys::VOLUME, names::check_path(path))?;
            ("bind", path)
        }
        VolumeSource::Named(name) => {
            checked(&keys::VOLUME, names::check_resource(name))?;
            ("volume", name)
        }
    };
    let destination = &volume.destination;
    checked(&keys::VOLUME, names::check_path(destination))?;
    if source.contains(':') || destination.contains(':') {
        return mount(lines, volume, kind, source);
    }
    let relabel = volume.relabel.map(|relabel| match relabel {
        Relabel::Shared => "z",
        Relabel::Private => "Z",
    });
    let options: Vec<&str> = volume.read_only.then_some("ro").into_iter().chain(relabel).collect();
    let suffix = if options.is_empty() { String::new() } else { format!(":{}", options.join(",")) };
    lines.value(&keys::VOLUME, &format!("{source}:{destination}{suffix}"))
}

/// `Mount=` is a line of comma-separated values; a comma, a quote or a control character in a path is rejected, because
/// not every version reads quoted fields.
fn mount(lines: &mut Lines, volume: &Volume, kind: &str, source: &str) -> Result<(), RenderError> {
    let destination = &volume.destination;
    for path in [source, destination] {
        if path.chars().any(|c| matches!(c, ',' | '"') || c.is_control()) {
            let why = "has a colon, and a comma, double quote or control character";
            return Err(keys::MOUNT.refuse(Refusal::value(path, why)));
        }
    }
    let mut text = format!("type={kind},source={source},destination={destination}");
    if volume.read_only {
        text.push_str(",ro=true");
    }
    match volume.relabel {
        Some(_) if kind == "volume" => {
            let why = "a colon in the path of a named volume excludes relabelling";
            return Err(keys::MOUNT.refuse(Refusal::Setting(why.to_owned())));
        }
        Some(Relabel::Shared) => text.push_str(",relabel=shared"),
        Some(Relabel::Private) => text.push_str(",relabel=private"),
        None => {}
    }
    lines.value(&keys::MOUNT, &text)
}

fn tmpfs(lines: &mut Lines, tmpfs: &Tmpfs) -> Result<(), RenderError> {
    checked(&keys::TMPFS, names::check_path_without_colon(&tmpfs.destination))?;
    let size = tmpfs.size.map_or_else(String::new, |size| format!(":size={size}m"));
    lines.value(&keys::TMPFS, &format!("{}{size}", tmpfs.destination))
}

fn device(lines: &mut Lines, device: &Device) -> Result<(), RenderError> {
    let mut text = String::new();
    for path in [Some(&device.host), device.container.as_ref()].into_iter().flatten() {
        checked(&keys::ADD_DEVICE, names::check_path_without_colon(path))?;
        text.push_str(if text.is_empty() { "" } else { ":" });
        text.push_str(path);
    }
    lines.value(&keys::ADD_DEVICE, &text)
}

fn variables(lines: &mut Lines, container: &Container) -> Result<(), RenderError> {
    for (name, value) in container.environment.iter() {
        checked(&keys::ENVIRONMENT, names::check_variable(name))?;
        lines.pair(&keys::ENVIRONMENT, name, value, true)?;
    }
    for secret in &container.secrets {
        checked(&keys::SECRET, names::check_resource(&secret.name))?;
        checked(&keys::SECRET, names::check_variable(&secret.variable))?;
        let text = format!("{},type=env,target={}", secret.name, secret.variable);
        lines.value(&keys::SECRET, &text)?;
    }
    for (name, value) in &container.labels {
        checked(&keys::LABEL, names::check_label(name))?;
        lines.pair(&keys::LABEL, name, value, false)?;
    }
    Ok(())
}

fn capabilities(lines: &mut Lines, key: &Key, names: &[String]) -> Result<(), RenderError> {
    for name in names {
        checked(key, names::check_capability(name))?;
    }
    let words: Vec<&str> = names.iter().map(String::as_str).collect();
    lines.words(key, &words)
}

/// A single plain word is written unchanged; anything else as the JSON array of `podman run --entrypoint`.
fn entrypoint(words: &[String]) -> Result<String, Refusal> {
    if let [word] = words
        && !word.starts_with('[')
        && escape::spell(keys::ENTRYPOINT.class, &[word]).is_ok()
    {
        return Ok(word.clone());
    }
    json_array(words.iter().map(String::as_str))
}

/// A JSON array, which `podman run` reads for an entrypoint and a health check. It can express every character but NUL.
pub(super) fn json_array<'a>(words: impl Iterator<Item = &'a str>) -> Result<String, Refusal> {
    let mut text = String::from("[");
    for (index, word) in words.enumerate() {
        if word.is_empty() {
            return Err(Refusal::empty());
        }
        text.push_str(if index == 0 { "\"" } else { ",\"" });
        for c in word.chars() {
            match c {
                '\0' => return Err(Refusal::control(word, c)),
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                c if c.is_control() => text.push_str(&format!("\\u{:04x}", u32::from(c))),
                c => text.push(c),
            }
        }
        text.push('"');
    }
    text.push(']');
    Ok(text)
}

fn checked<T>(key: &Key, result: Result<T, Refusal>) -> Result<T, RenderError> {
    result.map_err(|refusal| key.refuse(refusal))
}
