use companion_core::model::companion::CompanionName;
use companion_core::model::container::{
    BindMount, Capability, ContainerUser, CpuQuota, EnvName, HOST_LOOPBACK, HostName, Memory,
    NamedVolume, NetworkName, Probe, SecretName, Tmpfs, VolumeName,
};
use companion_core::model::hook::ConfigId;
use companion_core::model::image::ImageId;
use companion_core::model::revision::{Fingerprint, Revision};

use super::*;

const PODMAN: PodmanVersion = PodmanVersion::new(5, 4, 2);

fn path(text: &str) -> AbsolutePath {
    AbsolutePath::new(text).unwrap()
}

fn mount(source: &str, target: &str) -> BindMount {
    BindMount { source: path(source), target: path(target), read_only: true }
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

fn made(unit: &UnitSpec, scope: Scope, podman: PodmanVersion) -> String {
    container_unit(unit, scope, podman).and_then(|made| made.render(podman)).unwrap()
}

fn text(container: ContainerSpec, scope: Scope) -> String {
    made(&unit(container), scope, PODMAN)
}

#[track_caller]
fn assert_lines(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|found| found == *line), "no `{line}` in:\n{text}");
    }
}

/// The companion with the most settings in the catalog.
fn bitcoin_ui() -> ContainerSpec {
    let capabilities = ["CHOWN", "DAC_OVERRIDE", "NET_BIND_SERVICE", "SETGID", "SETUID"];
    ContainerSpec {
        network: Network::Host,
        mounts: vec![mount(
            "/var/lib/archipelago/bitcoin-ui/nginx.conf",
            "/etc/nginx/conf.d/default.conf",
        )],
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
    assert_eq!(made(&unit, Scope::User, PODMAN), expected);
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
    let rendered = |scope, podman| made(&unit, scope, podman);
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
    assert!(pasta.contains(&format!("--gateway,{HOST_LOOPBACK},")));
}

/// A backend with every setting.
fn backend() -> ContainerSpec {
    let host = |name: &str, address: Option<&str>| ExtraHost {
        name: HostName::new(name).unwrap(),
        address: address.map(|text| text.parse().unwrap()),
    };
    let port = |address: Option<&str>, protocol| PortMapping {
        address: address.map(|text| text.parse().unwrap()),
        host: 18083.try_into().unwrap(),
        container: 80.try_into().unwrap(),
        protocol,
    };
    ContainerSpec {
        network: Network::Named(NetworkName::new("backends").unwrap()),
        ports: vec![
            port(None, Protocol::Tcp),
            port(Some("127.0.0.1"), Protocol::Udp),
            port(Some("0.0.0.0"), Protocol::Tcp),
            port(Some("::1"), Protocol::Udp),
        ],
        mounts: vec![
            BindMount { read_only: false, ..mount("/var/lib/my data", "/data") },
            BindMount { read_only: false, ..mount("/etc/ssl", "/ssl") },
            mount("/srv/a:b", "/srv"),
        ],
        tmpfs: vec![Tmpfs {
            target: path("/scratch"),
            size: Some(Memory::from_mebibytes(64).unwrap()),
        }],
        environment: [("EMPTY", ""), ("GREETING", "100% \"$HOME\"\n")]
            .map(|(name, value)| (EnvName::new(name).unwrap(), value.to_owned()))
            .into(),
        memory: Some(Memory::from_mebibytes(2048).unwrap()),
        cpu_quota: Some(CpuQuota::from_percent(150).unwrap()),
        no_new_privileges: true,
        read_only_root: true,
        devices: vec![
            Device { source: path("/dev/ttyUSB0"), target: Some(path("/dev/modem")) },
            Device { source: path("/dev/100%"), target: None },
        ],
        extra_hosts: vec![host("node", Some("192.0.2.1")), host("gateway", None)],
        entrypoint: vec!["/bin/tini".to_owned(), "-c".to_owned()],
        command: vec!["run".to_owned(), "it's".to_owned()],
        restart: RestartPolicy::OnFailure,
        restart_delay: Some(2),
        stop_timeout: Some(30),
        working_dir: Some(path("/")),
        volumes: vec![NamedVolume {
            name: VolumeName::new("data_1").unwrap(),
            target: path("/cache"),
            read_only: true,
        }],
        secret_environment: [(EnvName::new("PASSWORD").unwrap(), SecretName::new("rpc").unwrap())]
            .into(),
        ..ContainerSpec::default()
    }
}

#[test]
fn everything_that_a_backend_may_ask_for_is_said() {
    let mut unit = unit(backend());
    for (podman, expected) in [
        (PODMAN, include_str!("backend.container")),
        (PodmanVersion::FLOOR, include_str!("backend-podman-4.4.container")),
    ] {
        assert_eq!(made(&unit, Scope::User, podman), expected);
    }
    unit.container.health = Some(HealthCheck {
        start_period: 600,
        ..HealthCheck::new(Probe::Command("bitcoin-cli \"%d\"".to_owned()))
    });
    let text = made(&unit, Scope::User, PODMAN);
    // The start period, three checks of 5 s and 30 s between them, and 120 s: more than systemd's default of 90 s
    // (Archipelago's commit 44f275ed).
    assert_lines(&text, &["Notify=healthy", "HealthTimeout=5s", "TimeoutStartSec=825"]);
    assert!(text.contains("exec $$t /bin/sh -c 'bitcoin-cli \\\"%%d\\\"'\"]\n"), "{text}");
}

#[test]
fn memory_is_limited_in_the_largest_suffix_that_divides_it() {
    for (mebibytes, line) in
        [(1536, "MemoryMax=1536M"), (2048, "MemoryMax=2G"), (1 << 20, "MemoryMax=1T")]
    {
        let memory = Some(Memory::from_mebibytes(mebibytes).unwrap());
        let spec = ContainerSpec { memory, ..ContainerSpec::default() };
        assert_lines(&text(spec, Scope::User), &[line]);
    }
}

#[test]
fn a_path_that_no_key_expresses_is_refused() {
    let refused = |container: ContainerSpec| {
        container_unit(&unit(container), Scope::User, PODMAN).unwrap_err().to_string()
    };
    let device = Device { source: path("/dev/a:b"), target: None };
    let error = refused(ContainerSpec { devices: vec![device], ..ContainerSpec::default() });
    assert_eq!(error, "`[Container] AddDevice`: `/dev/a:b` is not a path without a colon");
    let tmpfs = Tmpfs { target: path("/a:b"), size: None };
    let error = refused(ContainerSpec { tmpfs: vec![tmpfs], ..ContainerSpec::default() });
    assert!(error.contains("Tmpfs"), "{error}");
    for source in ["/a:b,c", "/a:\"b"] {
        let mounts = vec![mount(source, "/c")];
        let error = refused(ContainerSpec { mounts, ..ContainerSpec::default() });
        assert!(error.contains("Mount"), "{error}");
    }
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
    let mounts = vec![
        mount("/srv/my data", "/a"),
        mount("/var/lib/archipelago/bitcoin-ui/nginx.conf", "/b"),
        mount("/srv/it's", "/c"),
    ];
    let mut unit = unit(ContainerSpec { mounts, ..ContainerSpec::default() });
    unit.config = Some(unit.container.mounts[1].source.clone());
    let text = made(&unit, Scope::System, PODMAN);
    let line = "RequiresMountsFor=\"/srv/my data\" /var/lib/archipelago/bitcoin-ui";
    assert_lines(&text, &[line]);
}

fn web() -> UnitSpec {
    UnitSpec {
        revision: "00000000000000aa-00000000000000bb-none-2".parse().unwrap(),
        ..unit(ContainerSpec::default())
    }
}

fn rendered(unit: &UnitSpec, podman: PodmanVersion) -> RenderedUnit {
    render_unit(unit, Scope::User, podman).unwrap()
}

#[test]
fn a_rendering_covers_the_text_without_the_revision() {
    let wanted = rendered(&web(), PODMAN);
    let mut other = web();
    other.revision = wanted.revision.with_restart_epoch(12);
    assert_eq!(rendered(&other, PODMAN).revision, wanted.revision.with_restart_epoch(12));
    let patch = rendered(&web(), PodmanVersion::new(5, 4, 3));
    assert_eq!(patch, wanted, "a Podman patch release leaves the rendering unchanged");
    let older = rendered(&web(), PodmanVersion::new(4, 5, 0));
    assert_ne!(older.revision, wanted.revision);
}

#[test]
fn each_mount_has_its_label_for_selinux() {
    let mut unit = web();
    unit.config = Some(path("/data/web/nginx.conf"));
    let sources = ["/data/web/nginx.conf", "/data/password", "/etc/localtime", "/data/a:b"];
    unit.container.mounts = sources.map(|source| mount(source, "/in")).to_vec();
    let text = rendered(&unit, PODMAN).text;
    let mounts =
        text.lines().filter(|line| line.starts_with("Volume=") || line.starts_with("Mount="));
    assert_eq!(
        mounts.collect::<Vec<_>>(),
        [
            "Volume=/data/web/nginx.conf:/in:ro,Z",
            "Volume=/data/password:/in:ro,z",
            "Volume=/etc/localtime:/in:ro",
            "Mount=\"type=bind,source=/data/a:b,destination=/in,ro=true,relabel=shared\"",
        ]
    );
}
