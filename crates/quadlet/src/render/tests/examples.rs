//! The examples in `testdata`: each companion, and a backend with every setting.

use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64};

use super::{DEBIAN, OLDEST, tcp, text};
use crate::{
    Container, ContainerUnit, Device, Extension, HostEntry, Network, Protocol, PublishPort,
    Relabel, RestartPolicy, Start, Stop, Tmpfs, User, Volume, VolumeSource,
};

#[test]
fn companions_and_backends_are_rendered_as_in_the_examples() {
    for (unit, version, expected) in [
        (bitcoin(), DEBIAN, include_str!("../../../testdata/archy-bitcoin-ui.container")),
        (lnd(), DEBIAN, include_str!("../../../testdata/archy-lnd-ui.container")),
        (electrs(), DEBIAN, include_str!("../../../testdata/archy-electrs-ui.container")),
        (backend(), DEBIAN, include_str!("../../../testdata/backend.container")),
        (backend(), OLDEST, include_str!("../../../testdata/backend-podman-4.4.container")),
    ] {
        assert_eq!(text(&unit, version), expected);
    }
}

fn companion(name: &str, image: &str) -> ContainerUnit {
    let mut container = Container::new(format!("localhost/{image}:latest"));
    container.container_name = Some(name.to_owned());
    container.user = Some(User { uid: 0, gid: 0 });
    container.drop_capabilities = vec!["ALL".to_owned()];
    let added = ["CHOWN", "DAC_OVERRIDE", "NET_BIND_SERVICE", "SETUID", "SETGID"];
    container.add_capabilities = added.map(str::to_owned).to_vec();
    container.never_pulls = true;
    container.labels.insert("companion.revision".to_owned(), "5f1c0a".to_owned());
    let mut unit = ContainerUnit::new(container);
    unit.unit.description = Some(format!("Archipelago companion UI: {name}"));
    unit.service.environment.insert("COMPANION_REVISION", "5f1c0a");
    unit.service.restart = Some(RestartPolicy::Always);
    unit.service.restart_delay = Some(10);
    unit.service.memory_max = NonZeroU64::new(128 << 20);
    unit.wanted_by = Some("default.target".to_owned());
    unit.starts_without_network = true;
    unit.extension =
        Some(Extension::new("Companion").with("Companion", name).with("Revision", "5f1c0a"));
    unit
}

fn bitcoin() -> ContainerUnit {
    let mut unit = companion("archy-bitcoin-ui", "bitcoin-ui");
    unit.container.network = Some(Network::Host);
    let config = "/var/lib/archipelago/bitcoin-ui/nginx.conf";
    unit.container.volumes.push(Volume::read_only(config, "/etc/nginx/conf.d/default.conf"));
    unit
}

fn lnd() -> ContainerUnit {
    let mut unit = companion("archy-lnd-ui", "lnd-ui");
    unit.container.network = Some(Network::HostLoopback);
    unit.container.publish_ports.push(tcp(18083, 80));
    unit
}

fn electrs() -> ContainerUnit {
    let mut unit = companion("archy-electrs-ui", "electrs-ui");
    unit.container.network = Some(Network::Host);
    unit
}

/// A backend with every setting.
fn backend() -> ContainerUnit {
    let mut unit = companion("mempool-api", "mempool-api");
    let container = &mut unit.container;
    container.network = Some(Network::Named("archy-net".to_owned()));
    container.publish_ports = vec![
        PublishPort { host_ip: Some(IpAddr::from([127, 0, 0, 1])), ..tcp(8999, 8999) },
        PublishPort { host_ip: Some(IpAddr::from([0, 0, 0, 0])), ..tcp(9000, 9000) },
        PublishPort {
            host_ip: Some("::1".parse().expect("an address")),
            protocol: Protocol::Udp,
            ..tcp(53, 53)
        },
    ];
    container.hosts = vec![
        HostEntry { name: "host.internal".to_owned(), address: None },
        HostEntry { name: "electrs".to_owned(), address: Some(IpAddr::from([10, 0, 2, 2])) },
    ];
    container.volumes = vec![
        Volume {
            read_only: false,
            relabel: Some(Relabel::Private),
            ..Volume::read_only("/var/lib/my data", "/data")
        },
        Volume::read_only("/srv/a:b", "/srv"),
        Volume {
            source: VolumeSource::Named("cache".to_owned()),
            read_only: false,
            ..Volume::read_only("", "/cache")
        },
    ];
    container.tmpfs = vec![Tmpfs { destination: "/run/x".to_owned(), size: Some(64) }];
    container.devices = vec![
        Device { host: "/dev/fuse".to_owned(), container: Some("/dev/other".to_owned()) },
        Device { host: "/dev/dri".to_owned(), container: None },
    ];
    container.environment =
        [("MEMPOOL_BACKEND", "electrum"), ("GREETING", "100% \"$HOME\"\n"), ("EMPTY", "")]
            .into_iter()
            .collect();
    container.no_new_privileges = true;
    container.read_only = true;
    container.working_dir = Some("/backend".to_owned());
    container.entrypoint = vec!["/bin/sh".to_owned(), "-c".to_owned()];
    container.exec = vec!["exec node index.js".to_owned(), "--port=8999".to_owned()];
    unit.unit.requires_mounts_for = vec!["/var/lib/my data".to_owned()];
    unit.unit.without_start_limit = true;
    unit.service.restart = Some(RestartPolicy::OnFailure);
    unit.service.restart_delay = Some(2);
    unit.start = Start::RunningWithin(NonZeroU32::new(120).expect("more than zero"));
    unit.stop = Some(Stop { grace: 30, margin: NonZeroU32::new(15).expect("more than zero") });
    unit.service.cpu_quota = NonZeroU32::new(150);
    unit
}
