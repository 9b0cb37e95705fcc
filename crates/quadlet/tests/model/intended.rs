//! The command that a typed unit requests, and the command in an argument vector; equal if podman would do the same.

use std::collections::BTreeMap;

use ::quadlet::{
    ContainerUnit, Network, Protocol, PublishPort, Relabel, Start, Volume, VolumeSource,
};

/// A `podman run`: the options as a multiset, because their order differs between runs of one generator, the image, and
/// its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Command {
    options: BTreeMap<(String, String), usize>,
    image: String,
    words: Vec<String>,
}

/// Options without a value.
const SWITCHES: [&str; 5] = ["--replace", "--rm", "-d", "--read-only", "--init"];

/// Options that the generator adds itself.
const SKELETON: [&str; 5] = ["--replace", "--rm", "-d", "--cidfile", "--cgroups"];

/// The log driver that the generator of some versions adds, before the options of `PodmanArgs=`.
const ADDED_LOG_DRIVER: (&str, &str) = ("--log-driver", "passthrough");

/// When a start is complete, unless the unit asks for something else.
const STARTED: (&str, &str) = ("--sdnotify", "conmon");

impl Command {
    fn new(
        options: impl IntoIterator<Item = (String, String)>,
        image: &str,
        words: &[String],
    ) -> Self {
        let mut counted = BTreeMap::new();
        for option in options {
            *counted.entry(option).or_default() += 1;
        }
        Self { options: counted, image: image.to_owned(), words: words.to_vec() }
    }

    /// Parses the command that systemd would run.
    pub(crate) fn of_argv(argv: &[String]) -> Result<Self, String> {
        let [podman, run, rest @ ..] = argv else {
            return Err(format!("no command: {argv:?}"));
        };
        if !podman.ends_with("/podman") || run != "run" {
            return Err(format!("not `podman run`: {argv:?}"));
        }
        let mut options = Vec::new();
        let mut index = 0;
        while let Some(word) = rest.get(index).filter(|word| word.starts_with('-')) {
            index += 1;
            let (flag, value) = match word.split_once('=') {
                Some((flag, value)) if flag.starts_with("--") => (flag, value.to_owned()),
                _ if SWITCHES.contains(&word.as_str()) => (word.as_str(), String::new()),
                _ => {
                    index += 1;
                    (
                        word.as_str(),
                        rest.get(index - 1).ok_or("an option without its value")?.clone(),
                    )
                }
            };
            let added = [ADDED_LOG_DRIVER, STARTED].contains(&(flag, value.as_str()));
            if !SKELETON.contains(&flag) && !added {
                options.push(option(if flag == "-v" { "--volume" } else { flag }, value));
            }
        }
        let image = rest.get(index).ok_or("no image")?;
        Ok(Self::new(options, image, &rest[index + 1..]))
    }

    /// Returns the command that the unit requests.
    pub(crate) fn of_unit(unit: &ContainerUnit) -> Self {
        let container = &unit.container;
        let mut options: Vec<(&str, String)> = Vec::new();
        let name = container.container_name.clone().unwrap_or_else(|| "systemd-%N".to_owned());
        options.push(("--name", name));
        options.extend(
            container.user.iter().map(|user| ("--user", format!("{}:{}", user.uid, user.gid))),
        );
        options
            .extend(container.network.iter().map(|network| ("--network", self::network(network))));
        options.extend(container.publish_ports.iter().map(|port| ("--publish", self::port(port))));
        options.extend(container.hosts.iter().map(|host| {
            let address = host.address.map_or("host-gateway".to_owned(), |ip| ip.to_string());
            ("--add-host", format!("{}:{address}", host.name))
        }));
        options.extend(container.volumes.iter().map(volume));
        options.extend(container.tmpfs.iter().map(|tmpfs| {
            let size = tmpfs.size.map_or(String::new(), |size| format!(":size={size}m"));
            ("--tmpfs", tmpfs.destination.clone() + &size)
        }));
        options.extend(container.devices.iter().map(|device| match &device.container {
            Some(inside) => ("--device", format!("{}:{inside}", device.host)),
            None => ("--device", device.host.clone()),
        }));
        options.extend(
            container.environment.iter().map(|(name, value)| ("--env", format!("{name}={value}"))),
        );
        options.extend(
            container.labels.iter().map(|(name, value)| ("--label", format!("{name}={value}"))),
        );
        options.extend(
            container.drop_capabilities.iter().map(|name| ("--cap-drop", name.to_lowercase())),
        );
        options.extend(
            container.add_capabilities.iter().map(|name| ("--cap-add", name.to_lowercase())),
        );
        options.extend(
            container.no_new_privileges.then(|| ("--security-opt", "no-new-privileges".to_owned())),
        );
        options.extend(container.read_only.then(|| ("--read-only", String::new())));
        options.extend(container.working_dir.iter().map(|path| ("--workdir", path.clone())));
        options.extend(container.never_pulls.then(|| ("--pull", "never".to_owned())));
        options.extend(unit.stop.map(|stop| ("--stop-timeout", stop.grace.to_string())));
        options.extend(health(&unit.start));
        options.extend(container.secrets.iter().map(|secret| {
            ("--secret", format!("{},type=env,target={}", secret.name, secret.variable))
        }));
        let arguments = container.podman_args.iter().filter_map(|option| option.split_once('='));
        let arguments = arguments.map(|(flag, value)| option(flag, value.to_owned()));
        if !container.entrypoint.is_empty() {
            options.push(("--entrypoint", serde_json::json!(container.entrypoint).to_string()));
        }
        let options = options.into_iter().map(|(flag, value)| option(flag, value));
        Self::new(options.chain(arguments), &container.image, &container.exec)
    }
}

/// The network that reaches the host's loopback, for a Podman with pasta and for an older one.
const HOST_LOOPBACK: [&str; 2] = [
    "pasta:--interface,lo,--ns-ifname,eth0,--ipv4-only,\
     --address,169.254.1.3,--netmask,24,--gateway,169.254.1.2,--map-gw",
    "slirp4netns:allow_host_loopback=true,cidr=169.254.1.0/24",
];

/// Normalises an option for comparison: splits an entry point and a health check like podman, and gives a network for two versions one name.
fn option(flag: &str, value: String) -> (String, String) {
    if flag == "--network" && HOST_LOOPBACK.contains(&value.as_str()) {
        return (flag.to_owned(), HOST_LOOPBACK[0].to_owned());
    }
    if flag != "--entrypoint" && flag != "--health-cmd" {
        return (flag.to_owned(), value);
    }
    let words = serde_json::from_str::<Vec<String>>(&value).unwrap_or_else(|_| vec![value]);
    (flag.to_owned(), words.join("\0"))
}

fn health(start: &Start) -> Vec<(&'static str, String)> {
    let Start::Healthy { check, .. } = start else { return Vec::new() };
    vec![
        ("--sdnotify", "healthy".to_owned()),
        ("--health-cmd", serde_json::json!(["CMD-SHELL", check.command]).to_string()),
        ("--health-interval", format!("{}s", check.interval)),
        ("--health-timeout", format!("{}s", check.timeout)),
        ("--health-retries", check.retries.to_string()),
        ("--health-start-period", format!("{}s", check.start_period)),
    ]
}

fn network(network: &Network) -> String {
    match network {
        Network::Host => "host".to_owned(),
        Network::Bridge => "bridge".to_owned(),
        Network::HostLoopback => HOST_LOOPBACK[0].to_owned(),
        Network::Named(name) => name.clone(),
    }
}

fn port(port: &PublishPort) -> String {
    let mut text = port.host_ip.map_or_else(String::new, |ip| {
        if ip.is_ipv6() { format!("[{ip}]:") } else { format!("{ip}:") }
    });
    text.push_str(&format!("{}:{}", port.host_port, port.container_port));
    text.push_str(match port.protocol {
        Protocol::Tcp => "",
        Protocol::Udp => "/udp",
    });
    text
}

fn volume(volume: &Volume) -> (&'static str, String) {
    let destination = &volume.destination;
    let (kind, source) = match &volume.source {
        VolumeSource::Path(path) => ("bind", path),
        VolumeSource::Named(name) => ("volume", name),
    };
    if source.contains(':') || destination.contains(':') {
        let mut text = format!("type={kind},source={source},destination={destination}");
        text.push_str(if volume.read_only { ",ro=true" } else { "" });
        text.push_str(match volume.relabel {
            Some(Relabel::Shared) => ",relabel=shared",
            Some(Relabel::Private) => ",relabel=private",
            None => "",
        });
        return ("--mount", text);
    }
    let options = match (volume.read_only, volume.relabel) {
        (false, None) => "",
        (true, None) => ":ro",
        (false, Some(Relabel::Shared)) => ":z",
        (false, Some(Relabel::Private)) => ":Z",
        (true, Some(Relabel::Shared)) => ":ro,z",
        (true, Some(Relabel::Private)) => ":ro,Z",
    };
    ("--volume", format!("{source}:{destination}{options}"))
}
