//! Generated units: plausible ones with hostile texts in their fields.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    num::{NonZeroU16, NonZeroU32, NonZeroU64},
};

use super::vectors::vectors;
use ::quadlet::{
    Container, ContainerUnit, Device, Environment, Extension, HealthCheck, HostEntry, Network,
    PodmanVersion, Protocol, PublishPort, Relabel, RestartPolicy, Secret, Start, Stop, Tmpfs, User,
    Volume, VolumeSource,
};
use proptest::{collection::vec, option, prelude::*, sample::select};

/// The versions that parse differently: the oldest, the last before each change, and the newest generator.
pub(crate) const VERSIONS: [PodmanVersion; 6] = [
    PodmanVersion::new(4, 4, 0),
    PodmanVersion::new(4, 9, 5),
    PodmanVersion::new(5, 0, 0),
    PodmanVersion::new(5, 4, 2),
    PodmanVersion::new(5, 8, 6),
    PodmanVersion::new(6, 1, 1),
];

/// A text field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Field {
    Image,
    ContainerName,
    NetworkName,
    HostEntry,
    BindSource,
    BindDestination,
    VolumeName,
    TmpfsDestination,
    Device,
    VariableName,
    VariableValue,
    LabelName,
    LabelValue,
    DropCapability,
    WorkingDir,
    Entrypoint,
    EntrypointWord,
    ExecWord,
    PodmanArgument,
    PodmanArgumentValue,
    SecretName,
    SecretVariable,
    HealthCommand,
    Description,
    MountPath,
    WantedBy,
    ServiceVariable,
    ExtensionKey,
    ExtensionValue,
}

impl Field {
    pub(crate) const ALL: [Self; 29] = [
        Self::Image,
        Self::ContainerName,
        Self::NetworkName,
        Self::HostEntry,
        Self::BindSource,
        Self::BindDestination,
        Self::VolumeName,
        Self::TmpfsDestination,
        Self::Device,
        Self::VariableName,
        Self::VariableValue,
        Self::LabelName,
        Self::LabelValue,
        Self::DropCapability,
        Self::WorkingDir,
        Self::Entrypoint,
        Self::EntrypointWord,
        Self::ExecWord,
        Self::PodmanArgument,
        Self::PodmanArgumentValue,
        Self::SecretName,
        Self::SecretVariable,
        Self::HealthCommand,
        Self::Description,
        Self::MountPath,
        Self::WantedBy,
        Self::ServiceVariable,
        Self::ExtensionKey,
        Self::ExtensionValue,
    ];

    /// Sets the field to a text.
    pub(crate) fn set(self, unit: &mut ContainerUnit, text: &str) {
        let owned = text.to_owned();
        let container = &mut unit.container;
        match self {
            Self::Image => container.image = owned,
            Self::ContainerName => container.container_name = Some(owned),
            Self::NetworkName => container.network = Some(Network::Named(owned)),
            Self::HostEntry => container.hosts.push(HostEntry { name: owned, address: None }),
            Self::BindSource => container.volumes.push(Volume::read_only(owned, "/in")),
            Self::BindDestination => container.volumes.push(Volume::read_only("/out", owned)),
            Self::VolumeName => container.volumes.push(Volume {
                source: VolumeSource::Named(owned),
                ..Volume::read_only("", "/data")
            }),
            Self::TmpfsDestination => {
                container.tmpfs.push(Tmpfs { destination: owned, size: Some(64) })
            }
            Self::Device => container.devices.push(Device { host: owned, container: None }),
            Self::VariableName => container.environment.insert(owned, "value"),
            Self::VariableValue => container.environment.insert("HOSTILE", owned),
            Self::LabelName => drop(container.labels.insert(owned, "value".to_owned())),
            Self::LabelValue => drop(container.labels.insert("hostile".to_owned(), owned)),
            Self::DropCapability => container.drop_capabilities.push(owned),
            Self::WorkingDir => container.working_dir = Some(owned),
            Self::Entrypoint => container.entrypoint = vec![owned],
            Self::EntrypointWord => {
                container.entrypoint = vec!["/bin/sh".to_owned(), "-c".to_owned(), owned]
            }
            Self::ExecWord => container.exec.push(owned),
            Self::PodmanArgument => container.podman_args.push(owned),
            Self::PodmanArgumentValue => container.podman_args.push(format!("--umask={owned}")),
            Self::SecretName => {
                container.secrets.push(Secret { name: owned, variable: "A".to_owned() })
            }
            Self::SecretVariable => {
                container.secrets.push(Secret { name: "a".to_owned(), variable: owned });
            }
            Self::HealthCommand => unit.start = healthy(owned),
            Self::Description => unit.unit.description = Some(owned),
            Self::MountPath => unit.unit.requires_mounts_for.push(owned),
            Self::WantedBy => unit.wanted_by = Some(owned),
            Self::ServiceVariable => unit.service.environment.insert("HOSTILE", owned),
            Self::ExtensionKey => {
                unit.extension = Some(Extension::new("Hostile").with(owned, "value"))
            }
            Self::ExtensionValue => {
                unit.extension = Some(Extension::new("Hostile").with("Value", owned))
            }
        }
    }
}

/// A unit, and its hostile texts.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) unit: ContainerUnit,
    pub(crate) hostile: Vec<(Field, String)>,
}

/// A plausible unit with up to two hostile texts.
pub(crate) fn case() -> impl Strategy<Value = Case> {
    (plausible(), vec((select(Field::ALL.as_slice()), text()), 0..=2)).prop_map(
        |(mut unit, hostile)| {
            for (field, text) in &hostile {
                field.set(&mut unit, text);
            }
            Case { unit, hostile }
        },
    )
}

/// A text: a known vector, a mixture of special characters, a path-like or word-like text, or anything else.
fn text() -> impl Strategy<Value = String> {
    let special = select(vec![
        " ", "\t", "\n", "\r", "\"", "'", "\\", "%", "$", ";", ":", "#", "=", "[", "]", "{", "}",
        ",", "-", ".", "/", "a", "b", "n", "x41", "\u{1}", "\u{7f}", "\u{a0}", "\u{3000}", "é",
        "\u{80}",
    ]);
    prop_oneof![
        3 => select(vectors()),
        4 => vec(special.clone(), 0..8).prop_map(|parts| parts.concat()),
        3 => vec(special, 0..5).prop_map(|parts| format!("/{}", parts.concat())),
        3 => "[a-z][a-z0-9_.-]{0,12}",
        2 => "[A-Z_]{1,12}",
        1 => any::<String>(),
    ]
}

fn plausible() -> impl Strategy<Value = ContainerUnit> {
    let word = "[a-zA-Z0-9_./%$ \"'-]{0,12}[a-z]";
    let maps = (
        proptest::collection::btree_map("[A-Z][A-Z0-9_]{0,8}", ".{0,12}", 0..4),
        proptest::collection::btree_map(
            "[a-z][a-z.]{0,8}",
            "[^\u{0}-\u{1f}\u{7f}-\u{9f}]{0,12}",
            0..4,
        ),
        vec(word, 0..4),
        vec(word, 0..3),
    );
    let places = (
        vec(volume(), 0..3),
        vec(port(), 0..3),
        option::of(network()),
        option::of(Just(User { uid: 0, gid: 101 })),
        option::of(1u32..200),
    );
    (maps, places, any::<[bool; 7]>()).prop_map(|(maps, places, flags)| {
        let (environment, labels, exec, entrypoint) = maps;
        let (volumes, publish_ports, network, user, seconds) = places;
        let container = Container {
            user,
            network,
            publish_ports,
            volumes,
            environment: environment
                .into_iter()
                .filter(|(_, value)| !value.contains(forbidden))
                .collect::<Environment>(),
            labels: labels.into_iter().collect::<BTreeMap<_, _>>(),
            no_new_privileges: flags[0],
            read_only: flags[1],
            drop_capabilities: if flags[2] { vec!["ALL".to_owned()] } else { Vec::new() },
            add_capabilities: if flags[2] {
                vec!["CHOWN".to_owned(), "SETUID".to_owned()]
            } else {
                Vec::new()
            },
            devices: if flags[3] { devices() } else { Vec::new() },
            entrypoint,
            exec,
            never_pulls: flags[6],
            ..Container::new("localhost/bitcoin-ui:latest")
        };
        let mut unit = ContainerUnit::new(container);
        unit.stop = seconds.map(|grace| Stop { grace, margin: NonZeroU32::MIN });
        unit.starts_without_network = flags[4];
        if flags[5] {
            sections(&mut unit);
        }
        unit
    })
}

fn healthy(command: String) -> Start {
    let one = NonZeroU32::MIN;
    let check = HealthCheck { command, interval: one, timeout: one, retries: one, start_period: 0 };
    Start::Healthy { check, margin: one }
}

fn forbidden(c: char) -> bool {
    c == '\0' || ('\u{80}'..='\u{9f}').contains(&c)
}

fn devices() -> Vec<Device> {
    vec![
        Device { host: "/dev/null".to_owned(), container: None },
        Device { host: "/dev/null".to_owned(), container: Some("/dev/other".to_owned()) },
    ]
}

fn sections(unit: &mut ContainerUnit) {
    unit.unit.description = Some("Archipelago companion UI: 100% \"quoted\" $HOME".to_owned());
    unit.unit.requires_mounts_for.push("/var/lib/my data".to_owned());
    unit.unit.without_start_limit = true;
    unit.service.environment.insert("REVISION", "a b%$\"\\\n");
    unit.service.restart = Some(RestartPolicy::Always);
    unit.service.restart_delay = Some(10);
    unit.service.memory_max = NonZeroU64::new(128 << 20);
    unit.service.cpu_quota = NonZeroU32::new(50);
    unit.wanted_by = Some("default.target".to_owned());
    unit.extension = Some(Extension::new("Companion").with("Revision", "50% of $HOME \"x"));
}

fn volume() -> impl Strategy<Value = Volume> {
    let part = "/[a-zA-Z0-9 _%$'\"\\\\-]{0,8}(:[a-z]{1,3})?/[a-z]{1,4}";
    let relabel = option::of(select(vec![Relabel::Shared, Relabel::Private]));
    let plain = "/[a-z]{1,8}".prop_map(|path| path);
    prop_oneof![
        (part, plain, any::<bool>(), relabel)
            .prop_filter("a quote beside a colon", |(path, ..)| !path.contains('"'))
            .prop_map(|(path, destination, read_only, relabel)| Volume {
                read_only,
                relabel,
                ..Volume::read_only(path, destination)
            }),
        "[a-z]{1,8}".prop_map(|name| Volume {
            source: VolumeSource::Named(name),
            ..Volume::read_only("", "/volume")
        }),
    ]
}

fn port() -> impl Strategy<Value = PublishPort> {
    let address = select(vec![
        IpAddr::from([0, 0, 0, 0]),
        IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ]);
    let protocol = select(vec![Protocol::Tcp, Protocol::Udp]);
    (option::of(address), any::<NonZeroU16>(), any::<NonZeroU16>(), protocol).prop_map(
        |(host_ip, host_port, container_port, protocol)| PublishPort {
            host_ip,
            host_port,
            container_port,
            protocol,
        },
    )
}

fn network() -> impl Strategy<Value = Network> {
    prop_oneof![
        Just(Network::Host),
        Just(Network::Bridge),
        Just(Network::HostLoopback),
        "[a-z]{5,8}x".prop_map(Network::Named)
    ]
}
