//! The examples in `testdata`: each companion, and a backend with every setting.

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use super::{DEBIAN, OLDEST, text};
use crate::{
    Container, ContainerUnit, Device, Extension, HostAddress, HostEntry, Network, Protocol,
    PublishPort, Pull, Relabel, RestartPolicy, Start, Stop, Tmpfs, User, Volume, VolumeSource,
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
    container.user = Some(User::ids(0, 0));
    container.drop_capabilities = vec!["ALL".to_owned()];
    let added = ["CHOWN", "DAC_OVERRIDE", "NET_BIND_SERVICE", "SETUID", "SETGID"];
    container.add_capabilities = added.map(str::to_owned).to_vec();
    container.pull = Some(Pull::Never);
    container.labels.insert("companion.revision".to_owned(), "5f1c0a".to_owned());
    let mut unit = ContainerUnit::new(container);
    unit.unit.description = Some(format!("Archipelago companion UI: {name}"));
    unit.service.environment.insert("COMPANION_REVISION", "5f1c0a");
    unit.service.restart = Some(RestartPolicy::Always);
    unit.service.restart_delay = Some(Duration::from_secs(10));
    unit.service.memory_max = Some(128 << 20);
    unit.install.wanted_by.push("default.target".to_owned());
    unit.quadlet.default_dependencies = false;
    unit.extensions
        .push(Extension::new("Companion").with("Companion", name).with("Revision", "5f1c0a"));
    unit
}

fn bitcoin() -> ContainerUnit {
    let mut unit = companion("archy-bitcoin-ui", "bitcoin-ui");
    unit.container.networks.push(Network::Host);
    let config = "/var/lib/archipelago/bitcoin-ui/nginx.conf";
    unit.container.volumes.push(Volume::read_only(config, "/etc/nginx/conf.d/default.conf"));
    unit
}

fn lnd() -> ContainerUnit {
    let mut unit = companion("archy-lnd-ui", "lnd-ui");
    unit.container.networks.push(Network::HostLoopback);
    unit.container.publish_ports.push(PublishPort::tcp(18083, 80));
    unit
}

fn electrs() -> ContainerUnit {
    let mut unit = companion("archy-electrs-ui", "electrs-ui");
    unit.container.networks.push(Network::Host);
    unit
}

/// A backend with every setting.
fn backend() -> ContainerUnit {
    let mut unit = companion("mempool-api", "mempool-api");
    let container = &mut unit.container;
    container.host_name = Some("mempool-api".to_owned());
    container.networks =
        vec![Network::Named("archy-net".to_owned()), Network::Named("archy-front".to_owned())];
    container.publish_ports = vec![
        PublishPort { host_ip: Some(IpAddr::from([127, 0, 0, 1])), ..PublishPort::tcp(8999, 8999) },
        PublishPort {
            host_ip: Some(IpAddr::from([0, 0, 0, 0])),
            host_port: None,
            ..PublishPort::tcp(1, 9000)
        },
        PublishPort {
            host_ip: Some("::1".parse().expect("an address")),
            protocol: Protocol::Udp,
            ..PublishPort::tcp(53, 53)
        },
    ];
    container.hosts = vec![
        HostEntry { name: "host.internal".to_owned(), address: HostAddress::HostGateway },
        HostEntry {
            name: "electrs".to_owned(),
            address: HostAddress::Ip(IpAddr::from([10, 0, 2, 2])),
        },
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
    container.tmpfs = vec![Tmpfs {
        options: vec!["size=50%".to_owned(), "noexec".to_owned()],
        ..Tmpfs::new("/run/x")
    }];
    container.devices = vec![
        Device {
            permissions: Some("rw".to_owned()),
            container: Some("/dev/fuse".to_owned()),
            ..Device::new("/dev/fuse")
        },
        Device { optional: true, ..Device::new("/dev/dri") },
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
    unit.unit.wants = vec!["archy-electrs.service".to_owned()];
    unit.unit.after = vec!["archy-electrs.service".to_owned(), "network.target".to_owned()];
    unit.unit.start_limit_interval = Some(Duration::from_secs(300));
    unit.unit.start_limit_burst = Some(10);
    unit.service.restart = Some(RestartPolicy::OnFailure);
    unit.service.restart_delay = Some(Duration::from_millis(2500));
    unit.start = Start::RunningWithin(Duration::from_secs(120));
    unit.stop = Some(Stop { grace: 30, margin: NonZeroU32::new(15).expect("more than zero") });
    unit.service.cpu_quota = Some(150);
    unit
}
