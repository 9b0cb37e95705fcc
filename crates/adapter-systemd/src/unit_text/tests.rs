use companion_core::model::companion::CompanionName;
use companion_core::model::container::{
    AbsolutePath, BindMount, Capability, ContainerUser, CpuQuota, Device, EnvName, ExtraHost,
    HealthCheck, HostName, Memory, NamedVolume, NetworkName, Probe, SecretName, Tmpfs, VolumeName,
};
use companion_core::model::hook::ConfigId;
use companion_core::model::image::ImageId;
use companion_core::model::revision::{Fingerprint, Revision};
use quadlet::{PodmanVersion, extension_value};

use super::*;

const PODMAN: PodmanVersion = PodmanVersion::new(5, 4, 2);

fn path(text: &str) -> AbsolutePath {
    AbsolutePath::new(text).unwrap()
}

fn unit(container: ContainerSpec) -> UnitSpec {
    UnitSpec {
        name: CompanionName::new("archy-bitcoin-ui").unwrap(),
        description: "Archipelago companion UI: archy-bitcoin-ui".to_owned(),
        image: ImageId::new(&"a".repeat(64)).unwrap(),
        container,
        config: None,
        revision: Revision {
            spec: Fingerprint::from_digest(&[0x11; 32]),
            image: Fingerprint::from_digest(&[0x22; 32]),
            config: Some(ConfigId { digest: Fingerprint::from_digest(&[0x33; 32]), epoch: 0 }),
            rendering: None,
            restart_epoch: 0,
        },
    }
}

fn text(container: ContainerSpec, scope: Scope) -> String {
    container_unit(&unit(container), scope).render(PODMAN).unwrap()
}

#[track_caller]
fn assert_lines(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|found| found == *line), "no `{line}` in:\n{text}");
    }
}

/// The companion with the most settings in the catalog.
fn bitcoin_ui() -> ContainerSpec {
    let source = path("/var/lib/archipelago/bitcoin-ui/nginx.conf");
    let target = path("/etc/nginx/conf.d/default.conf");
    let capabilities = ["CHOWN", "DAC_OVERRIDE", "NET_BIND_SERVICE", "SETGID", "SETUID"];
    ContainerSpec {
        network: Network::Host,
        mounts: vec![BindMount { source, target, read_only: true }],
        user: Some(ContainerUser { uid: 0, gid: 0 }),
        memory: Some(Memory::from_mebibytes(128).unwrap()),
        drop_all_capabilities: true,
        capabilities: capabilities.iter().map(|name| Capability::new(*name).unwrap()).collect(),
        restart_delay: Some(10),
        ..ContainerSpec::default()
    }
}

#[test]
fn the_unit_of_a_companion_reads_like_this() {
    let expected = include_str!("bitcoin-ui.container");
    let mut unit = unit(bitcoin_ui());
    unit.config = Some(unit.container.mounts[0].source.clone());
    assert_eq!(container_unit(&unit, Scope::User).render(PODMAN).unwrap(), expected);
}

#[test]
fn the_ownership_label_and_every_revision_field_agree() {
    let unit = unit(bitcoin_ui());
    let text = container_unit(&unit, Scope::User).render(PODMAN).unwrap();
    let revision = unit.revision.to_string();
    let read = |key| extension_value(&text, MARK_SECTION, key);
    assert_eq!(read(MARK_NAME).as_deref(), Some(unit.name.as_str()));
    assert_eq!(read(MARK_REVISION).as_deref(), Some(revision.as_str()));
    assert_eq!(text.matches(&revision).count(), 3, "section, service and label:\n{text}");
}

#[test]
fn the_system_manager_has_a_target_of_its_own() {
    let text = text(ContainerSpec::default(), Scope::System);
    assert_lines(&text, &["WantedBy=multi-user.target", "Network=bridge", "Pull=never"]);
}

/// Neither text names an interface that may come, go or get another address: pasta's template is `lo`.
#[test]
fn host_loopback_has_a_rootless_network_that_is_the_same_at_any_time() {
    let spec = ContainerSpec { host_loopback: true, ..ContainerSpec::default() };
    let unit = unit(spec);
    let rendered = |scope, podman| container_unit(&unit, scope).render(podman).unwrap();
    let pasta = "Network=pasta:--interface,lo,--ns-ifname,eth0,--ipv4-only,\
                 --address,169.254.1.3,--netmask,24,--gateway,169.254.1.2,--map-gw";
    let slirp = "Network=slirp4netns:allow_host_loopback=true,cidr=169.254.1.0/24";
    for podman in [PODMAN, PodmanVersion::new(5, 0, 0), PodmanVersion::new(6, 0, 0)] {
        assert_lines(&rendered(Scope::User, podman), &[pasta]);
    }
    for podman in [PodmanVersion::FLOOR, PodmanVersion::new(4, 9, 4)] {
        assert_lines(&rendered(Scope::User, podman), &[slirp]);
    }
    assert_lines(&rendered(Scope::System, PODMAN), &["Network=bridge"]);
    assert_eq!(quadlet::HOST_LOOPBACK, companion_core::model::container::HOST_LOOPBACK);
}

#[test]
fn everything_that_a_backend_may_ask_for_is_said() {
    let host = |name: &str, address: Option<&str>| ExtraHost {
        name: HostName::new(name).unwrap(),
        address: address.map(|text| text.parse().unwrap()),
    };
    let port = PortMapping {
        address: Some("127.0.0.1".parse().unwrap()),
        host: 18083.try_into().unwrap(),
        container: 80.try_into().unwrap(),
        protocol: Protocol::Udp,
    };
    let spec = ContainerSpec {
        network: Network::Named(NetworkName::new("backends").unwrap()),
        ports: vec![port],
        tmpfs: vec![Tmpfs {
            target: path("/scratch"),
            size: Some(Memory::from_mebibytes(64).unwrap()),
        }],
        environment: [(EnvName::new("NETWORK").unwrap(), "a b".to_owned())].into(),
        cpu_quota: Some(CpuQuota::from_percent(150).unwrap()),
        no_new_privileges: true,
        read_only_root: true,
        devices: vec![Device { source: path("/dev/ttyUSB0"), target: Some(path("/dev/modem")) }],
        extra_hosts: vec![host("node", Some("192.0.2.1")), host("gateway", None)],
        entrypoint: vec!["/bin/tini".to_owned()],
        command: vec!["run".to_owned(), "it's".to_owned()],
        restart: RestartPolicy::OnFailure,
        stop_timeout: Some(30),
        working_dir: Some(path("/")),
        volumes: vec![NamedVolume {
            name: VolumeName::new("data_1").unwrap(),
            target: path("/data"),
            read_only: true,
        }],
        secret_environment: [(EnvName::new("PASSWORD").unwrap(), SecretName::new("rpc").unwrap())]
            .into(),
        health: Some(HealthCheck {
            start_period: 600,
            ..HealthCheck::new(Probe::Command("bitcoin-cli ping".to_owned()))
        }),
        ..ContainerSpec::default()
    };
    let lines = [
        "Volume=data_1:/data:ro",
        "Secret=\"rpc,type=env,target=PASSWORD\"",
        "Notify=healthy",
        "HealthTimeout=5s",
        // The start period, three checks of 5 s and 30 s between them, and 120 s.
        "TimeoutStartSec=825",
        "WorkingDir=/",
        "Network=backends",
        "PublishPort=127.0.0.1:18083:80/udp",
        "Tmpfs=/scratch:size=64m",
        "CPUQuota=150%",
        "NoNewPrivileges=true",
        "ReadOnly=true",
        "AddHost=node:192.0.2.1",
        "AddHost=gateway:host-gateway",
        "Entrypoint=/bin/tini",
        "Restart=on-failure",
        "StopTimeout=30",
        "TimeoutStopSec=50",
    ];
    let text = text(spec, Scope::User);
    assert_lines(&text, &lines);
    assert!(text.contains("/dev/ttyUSB0:/dev/modem"), "{text}");
    assert!(text.contains("exec $$t /bin/sh -c 'bitcoin-cli ping'\"]\n"), "{text}");
}

/// containers.conf(5) applies to a setting that the unit leaves out.
#[test]
fn the_hosts_container_defaults_do_not_reach_a_companion() {
    let read_only = ContainerSpec { read_only_root: true, ..ContainerSpec::default() };
    for (spec, line) in [(ContainerSpec::default(), None), (read_only, Some("ReadOnly=true"))] {
        let text = text(spec, Scope::User);
        for pinned in PINNED {
            assert!(text.contains(&format!("\"{pinned}\"")), "no {pinned} in:\n{text}");
        }
        assert_eq!(text.contains("--read-only=false"), line.is_none(), "{text}");
        assert_lines(&text, line.as_slice());
    }
}

#[test]
fn a_path_with_a_colon_is_mounted_all_the_same() {
    let mount = BindMount { source: path("/a:b"), target: path("/c"), read_only: true };
    let spec = ContainerSpec { mounts: vec![mount], ..ContainerSpec::default() };
    let text = text(spec, Scope::User);
    assert!(
        text.contains("Mount=") && text.contains("source=/a:b") && text.contains("ro"),
        "{text}"
    );
}

#[test]
fn the_hosts_start_limit_ends_fast_crash_loops_only() {
    let limited = |delay| {
        let spec = ContainerSpec { restart_delay: delay, ..ContainerSpec::default() };
        !text(spec, Scope::User).contains("StartLimitIntervalSec=0")
    };
    assert!(limited(None) && limited(Some(0)) && limited(Some(1)));
    assert!(!limited(Some(2)) && !limited(Some(10)));
}

#[test]
fn a_unit_requires_the_mounts_of_its_paths() {
    let mount = |source: &str, target: &str| BindMount {
        source: path(source),
        target: path(target),
        read_only: true,
    };
    let mounts = vec![
        mount("/srv/my data", "/a"),
        mount("/var/lib/archipelago/bitcoin-ui/nginx.conf", "/b"),
        mount("/srv/it's", "/c"),
    ];
    let mut unit = unit(ContainerSpec { mounts, ..ContainerSpec::default() });
    unit.config = Some(unit.container.mounts[1].source.clone());
    let text = container_unit(&unit, Scope::System).render(PODMAN).unwrap();
    let line = "RequiresMountsFor=\"/srv/my data\" /var/lib/archipelago/bitcoin-ui";
    assert_lines(&text, &[line]);
}
