//! The `[Container]` section: the order of its keys, and how each setting becomes a key's words.

use std::net::{IpAddr, Ipv4Addr};

use super::lines::Lines;
use crate::{
    Container, Device, HostAddress, HostEntry, Network, PodmanVersion, Protocol, PublishPort, Pull,
    Refusal, Relabel, RenderError, Tmpfs, User, Volume, VolumeSource,
    error::Excerpt,
    escape,
    keys::{self, Key},
    names,
};

pub(super) fn container(lines: &mut Lines, container: &Container) -> Result<(), RenderError> {
    checked(&keys::IMAGE, names::check_image(&container.image))?;
    lines.value(&keys::IMAGE, &container.image)?;
    if let Some(name) = &container.container_name {
        checked(&keys::CONTAINER_NAME, names::check_resource(name, 255))?;
        lines.value(&keys::CONTAINER_NAME, name)?;
    }
    if let Some(name) = &container.host_name {
        checked(&keys::HOST_NAME, names::check_host(name, 64))?;
        lines.value(&keys::HOST_NAME, name)?;
    }
    if let Some(user) = &container.user {
        self::user(lines, user)?;
    }
    networks(lines, &container.networks)?;
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
        checked(&keys::WORKING_DIR, names::check_path(path))?;
        lines.value(&keys::WORKING_DIR, path)?;
    }
    if !container.entrypoint.is_empty() {
        let text = checked(&keys::ENTRYPOINT, entrypoint(&container.entrypoint))?;
        lines.value(&keys::ENTRYPOINT, &text)?;
    }
    let words: Vec<&str> = container.exec.iter().map(String::as_str).collect();
    lines.words(&keys::EXEC, &words)?;
    if let Some(pull) = container.pull {
        let word = match pull {
            Pull::Always => "always",
            Pull::Missing => "missing",
            Pull::Never => "never",
            Pull::Newer => "newer",
        };
        lines.value(&keys::PULL, word)?;
    }
    for argument in &container.podman_args {
        checked(&keys::PODMAN_ARGS, names::check_option(argument))?;
    }
    let arguments: Vec<&str> = container.podman_args.iter().map(String::as_str).collect();
    lines.words(&keys::PODMAN_ARGS, &arguments)
}

/// Separate `User=` and `Group=`: only newer versions read `User=0:0`.
fn user(lines: &mut Lines, user: &User) -> Result<(), RenderError> {
    checked(&keys::USER, names::check_user(&user.user))?;
    lines.value(&keys::USER, &user.user)?;
    if let Some(group) = &user.group {
        checked(&keys::GROUP, names::check_user(group))?;
        lines.value(&keys::GROUP, group)?;
    }
    Ok(())
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

fn networks(lines: &mut Lines, networks: &[Network]) -> Result<(), RenderError> {
    let alone = |network: &Network| !matches!(network, Network::Named(_));
    if networks.len() > 1 && networks.iter().any(alone) {
        checked(
            &keys::NETWORK,
            Err(Refusal::Conflict { first: "a network mode", second: "further networks" }),
        )?;
    }
    for network in networks {
        let word = match network {
            Network::Host => "host",
            Network::Bridge => "bridge",
            Network::HostLoopback if lines.is_for(PASTA) => HOST_LOOPBACK_PASTA,
            Network::HostLoopback => HOST_LOOPBACK_SLIRP4NETNS,
            Network::None => "none",
            Network::Named(name) => {
                checked(&keys::NETWORK, names::check_network(name))?;
                name
            }
        };
        lines.value(&keys::NETWORK, word)?;
    }
    Ok(())
}

fn publish_port(lines: &mut Lines, port: &PublishPort) -> Result<(), RenderError> {
    if port.container_port == 0 || port.host_port == Some(0) {
        let zero = Refusal::Invalid { value: Excerpt::of("0"), expected: "a port from 1 to 65535" };
        checked(&keys::PUBLISH_PORT, Err(zero))?;
    }
    let host = port.host_port.map_or_else(String::new, |port| port.to_string());
    let protocol = match port.protocol {
        Protocol::Tcp => "",
        Protocol::Udp => "/udp",
        Protocol::Sctp => "/sctp",
    };
    let inner = port.container_port;
    let text = match port.host_ip {
        Some(IpAddr::V4(ip)) => format!("{ip}:{host}:{inner}{protocol}"),
        Some(IpAddr::V6(ip)) => format!("[{ip}]:{host}:{inner}{protocol}"),
        None if port.host_port.is_some() => format!("{host}:{inner}{protocol}"),
        None => format!("{inner}{protocol}"),
    };
    let taken_apart =
        port.protocol == Protocol::Sctp || port.host_ip == Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    lines.value(if taken_apart { &keys::PUBLISH_PORT_AS_IS } else { &keys::PUBLISH_PORT }, &text)
}

fn host_entry(lines: &mut Lines, entry: &HostEntry) -> Result<(), RenderError> {
    checked(&keys::ADD_HOST, names::check_host(&entry.name, 253))?;
    let address = match entry.address {
        HostAddress::Ip(ip) => ip.to_string(),
        HostAddress::HostGateway => "host-gateway".to_owned(),
    };
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
            checked(&keys::VOLUME, names::check_resource(name, 255))?;
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
            let expected = "a path with a colon but no comma, double quote or control character";
            checked(&keys::MOUNT, Err(Refusal::Invalid { value: Excerpt::of(path), expected }))?;
        }
    }
    let mut text = format!("type={kind},source={source},destination={destination}");
    if volume.read_only {
        text.push_str(",ro=true");
    }
    match volume.relabel {
        Some(_) if kind == "volume" => {
            let conflict = Refusal::Conflict {
                first: "a colon in the path of a named volume",
                second: "relabelling",
            };
            checked(&keys::MOUNT, Err(conflict))?;
        }
        Some(Relabel::Shared) => text.push_str(",relabel=shared"),
        Some(Relabel::Private) => text.push_str(",relabel=private"),
        None => {}
    }
    lines.value(&keys::MOUNT, &text)
}

fn tmpfs(lines: &mut Lines, tmpfs: &Tmpfs) -> Result<(), RenderError> {
    checked(&keys::TMPFS, names::check_path(&tmpfs.destination))?;
    if tmpfs.destination.contains(':') {
        let value = Excerpt::of(&tmpfs.destination);
        checked(&keys::TMPFS, Err(Refusal::Invalid { value, expected: "a path without a colon" }))?;
    }
    for option in &tmpfs.options {
        checked(&keys::TMPFS, names::check_mount_option(option))?;
    }
    let suffix = if tmpfs.options.is_empty() {
        String::new()
    } else {
        format!(":{}", tmpfs.options.join(","))
    };
    lines.value(&keys::TMPFS, &format!("{}{suffix}", tmpfs.destination))
}

fn device(lines: &mut Lines, device: &Device) -> Result<(), RenderError> {
    for path in [Some(&device.host), device.container.as_ref()].into_iter().flatten() {
        checked(&keys::ADD_DEVICE, names::check_path(path))?;
        // The generator itself checks the path of an optional device, before systemd unescapes doubled characters.
        if path.contains(':') || (device.optional && path.contains(['%', '$'])) {
            let expected = "a path without a colon, and without `%` and `$` if optional";
            checked(
                &keys::ADD_DEVICE,
                Err(Refusal::Invalid { value: Excerpt::of(path), expected }),
            )?;
        }
    }
    let mut text = format!("{}{}", if device.optional { "-" } else { "" }, device.host);
    for part in [&device.container, &device.permissions].into_iter().flatten() {
        text.push(':');
        text.push_str(part);
    }
    if let Some(letters) = &device.permissions {
        checked(&keys::ADD_DEVICE, names::check_permissions(letters))?;
    }
    lines.value(&keys::ADD_DEVICE, &text)
}

fn variables(lines: &mut Lines, container: &Container) -> Result<(), RenderError> {
    for (name, value) in container.environment.iter() {
        checked(&keys::ENVIRONMENT, names::check_variable(name))?;
        lines.pair(&keys::ENVIRONMENT, name, value, true)?;
    }
    for secret in &container.secrets {
        checked(&keys::SECRET, names::check_resource(&secret.name, 253))?;
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
            return Err(Refusal::Empty);
        }
        text.push_str(if index == 0 { "\"" } else { ",\"" });
        for c in word.chars() {
            match c {
                '\0' => {
                    return Err(Refusal::ControlCharacter { value: Excerpt::of(word), code: 0 });
                }
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
    result.map_err(|refusal| refusal.at(key.section, key.name))
}
