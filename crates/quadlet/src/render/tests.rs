mod examples;

use std::net::IpAddr;
use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};

use super::*;
use crate::{
    Container, Device, Extension, HealthCheck, HostEntry, Protocol, PublishPort, Secret, Start,
    Stop, Tmpfs, Volume,
};

const OLDEST: PodmanVersion = PodmanVersion::FLOOR;
const DEBIAN: PodmanVersion = PodmanVersion::new(5, 4, 2);
const NEWEST: PodmanVersion = PodmanVersion::new(6, 1, 1);

fn plain() -> ContainerUnit {
    ContainerUnit::new(Container::new("localhost/x:latest"))
}

fn tcp(host: u16, container: u16) -> PublishPort {
    let port = |number| NonZeroU16::new(number).expect("more than zero");
    let (host_port, container_port) = (port(host), port(container));
    PublishPort { host_ip: None, host_port, container_port, protocol: Protocol::Tcp }
}

fn text(unit: &ContainerUnit, version: PodmanVersion) -> String {
    unit.render(version).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn empty_unset_or_false_settings_render_nothing() {
    for version in [OLDEST, DEBIAN, NEWEST] {
        assert_eq!(text(&plain(), version), "[Container]\nImage=localhost/x:latest\n");
    }
    let mut unit = plain();
    unit.extension = Some(Extension::new("Companion"));
    assert_eq!(text(&unit, DEBIAN), "[Container]\nImage=localhost/x:latest\n");
}

#[test]
fn a_podman_without_quadlet_gets_no_unit() {
    let error = plain().render(PodmanVersion::new(4, 3, 1)).expect_err("4.3.1");
    assert_eq!(error.to_string(), "`[Container]`: needs Podman 4.4.0, the unit is for 4.3.1");
}

#[test]
fn an_option_of_podman_stands_in_for_a_key_that_came_later() {
    let mut unit = plain();
    unit.container.hosts.push(HostEntry { name: "a".to_owned(), address: None });
    unit.container.volumes.push(Volume::read_only("/a:b", "/c"));
    unit.container.tmpfs.push(Tmpfs { destination: "/t".to_owned(), size: None });
    unit.container.working_dir = Some("/w".to_owned());
    unit.container.entrypoint = vec!["/e".to_owned()];
    unit.container.never_pulls = true;
    unit.container.secrets.push(Secret { name: "s".to_owned(), variable: "V".to_owned() });
    unit.stop = Some(Stop { grace: 5, margin: NonZeroU32::MIN });
    let cases = [
        ("AddHost=a:host-gateway", "--add-host=a:host-gateway", 5, 3),
        (
            "Mount=\"type=bind,source=/a:b,destination=/c,ro=true\"",
            "--mount=type=bind,source=/a:b,destination=/c,ro=true",
            4,
            5,
        ),
        ("Tmpfs=/t", "--tmpfs=/t", 4, 5),
        ("Secret=\"s,type=env,target=V\"", "--secret=s,type=env,target=V", 4, 5),
        ("WorkingDir=/w", "--workdir=/w", 4, 6),
        ("Entrypoint=/e", "--entrypoint=/e", 5, 0),
        ("Pull=never", "--pull=never", 4, 6),
        ("StopTimeout=5", "--stop-timeout=5", 5, 0),
    ];
    let all = [(4, 4), (4, 5), (4, 6), (4, 9), (5, 0), (5, 2), (5, 3), (5, 8), (6, 1), (7, 1)];
    for (major, minor) in all {
        let rendered = text(&unit, PodmanVersion::new(major, minor, 0));
        for (key, option, since_major, since_minor) in cases {
            let known = (major, minor) >= (since_major, since_minor);
            let option = format!("PodmanArgs=\"{option}\"");
            assert_eq!(
                rendered.lines().any(|line| line == key),
                known,
                "{major}.{minor} {key}\n{rendered}"
            );
            assert_eq!(
                rendered.lines().any(|line| line == option),
                !known,
                "{major}.{minor} {option}\n{rendered}"
            );
        }
    }
}

#[test]
fn an_address_that_quadlet_drops_before_5_3_goes_around_it() {
    let mut unit = plain();
    unit.container.publish_ports =
        vec![PublishPort { host_ip: Some(IpAddr::from([0, 0, 0, 0])), ..tcp(3, 4) }];
    let old = text(&unit, PodmanVersion::new(5, 2, 5));
    assert!(old.contains("PodmanArgs=\"--publish=0.0.0.0:3:4\"\n"), "{old}");
    let new = text(&unit, PodmanVersion::new(5, 3, 0));
    assert!(new.contains("PublishPort=0.0.0.0:3:4\n"), "{new}");
}

#[test]
fn default_dependencies_are_switched_off_from_5_3_on_and_left_out_before() {
    let mut unit = plain();
    unit.starts_without_network = true;
    assert!(
        text(&unit, PodmanVersion::new(5, 3, 0))
            .ends_with("\n[Quadlet]\nDefaultDependencies=false\n")
    );
    assert!(!text(&unit, PodmanVersion::new(5, 2, 5)).contains("Quadlet"));
}

#[test]
fn memory_is_limited_on_the_service_in_whatever_unit_fits() {
    for (bytes, expected) in [
        (128 << 20, "128M"),
        (2 << 30, "2G"),
        (1536 << 20, "1536M"),
        (1 << 40, "1T"),
        (1023, "1023"),
        (4096, "4K"),
    ] {
        let mut unit = plain();
        unit.service.memory_max = NonZeroU64::new(bytes);
        assert!(
            text(&unit, OLDEST).contains(&format!("[Service]\nMemoryMax={expected}\n")),
            "{expected}"
        );
    }
}

fn healthy(command: &str) -> ContainerUnit {
    let seconds = |count| NonZeroU32::new(count).expect("more than zero");
    let mut unit = plain();
    unit.start = Start::Healthy {
        check: HealthCheck {
            command: command.to_owned(),
            interval: seconds(30),
            timeout: seconds(5),
            retries: seconds(3),
            start_period: 600,
        },
        margin: seconds(60),
    };
    unit
}

/// Archipelago's commit 44f275ed: three checks 30 s apart end after systemd's default limit of 90 s.
#[test]
fn a_start_may_take_longer_than_its_health_check() {
    let text = text(&healthy("curl -f \"http://[::1]:80/%d\""), DEBIAN);
    let expected = r#"Notify=healthy
HealthCmd=["CMD-SHELL","curl -f \"http://[::1]:80/%%d\""]
HealthInterval=30s
HealthTimeout=5s
HealthRetries=3
HealthStartPeriod=600s

[Service]
TimeoutStartSec=765
"#;
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn a_start_that_waits_for_health_needs_podman_5() {
    let error = healthy("true").render(PodmanVersion::new(4, 9, 5)).expect_err("4.9");
    assert_eq!(error.key(), "Notify");
    assert!(healthy("true").render(PodmanVersion::new(5, 0, 0)).is_ok());
}

#[test]
fn a_health_check_of_more_than_a_year_is_refused() {
    let mut unit = healthy("true");
    if let Start::Healthy { check, .. } = &mut unit.start {
        (check.retries, check.interval) = (NonZeroU32::MAX, NonZeroU32::MAX);
    }
    assert_eq!(unit.render(DEBIAN).expect_err("an age").key(), "TimeoutStartSec");
}

#[test]
fn the_paths_of_required_mounts_are_one_list() {
    let mut unit = plain();
    let paths = ["/var/lib/my data", "/srv/100%"];
    unit.unit.requires_mounts_for = paths.map(str::to_owned).to_vec();
    let line = "RequiresMountsFor=\"/var/lib/my data\" /srv/100%%\n";
    assert!(text(&unit, OLDEST).contains(line), "{}", text(&unit, OLDEST));
    for bad in ["relative", "/a\"b", "/a'b", "/a\\b", "/a\nb"] {
        unit.unit.requires_mounts_for = vec![bad.to_owned()];
        assert_eq!(unit.render(DEBIAN).expect_err(bad).key(), "RequiresMountsFor");
    }
}

#[test]
fn a_variable_that_quadlet_sets_itself_is_refused() {
    let mut unit = plain();
    unit.service.environment.insert("PODMAN_SYSTEMD_UNIT", "x");
    assert!(unit.render(DEBIAN).expect_err("ours").to_string().ends_with("is reserved"));
}

#[test]
fn a_device_and_a_tmpfs_with_a_colon_in_their_path_are_refused() {
    let mut unit = plain();
    unit.container.devices.push(Device { host: "/dev/a:b".to_owned(), container: None });
    let refusal = unit.render(DEBIAN).expect_err("colon");
    assert_eq!(refusal.key(), "AddDevice");
    assert!(refusal.to_string().ends_with("`/dev/a:b` is not a path without a colon"), "{refusal}");
    unit.container.devices[0].host = "/dev/100%".to_owned();
    assert!(text(&unit, DEBIAN).contains("AddDevice=/dev/100%%\n"));
    unit.container.tmpfs.push(Tmpfs { destination: "/a:b".to_owned(), size: None });
    let refusal = unit.render(DEBIAN).expect_err("colon");
    assert_eq!(refusal.key(), "Tmpfs");
    assert!(refusal.to_string().ends_with("`/a:b` is not a path without a colon"), "{refusal}");
}

#[test]
fn an_entry_point_that_is_no_plain_word_is_an_array() {
    for (words, expected) in [
        (vec!["/e"], "/e"),
        (vec!["a b"], "a b"),
        (vec!["/e", "-c"], r#"["/e","-c"]"#),
        (vec!["[x"], r#"["[x"]"#),
        (vec!["a\n\"\\"], r#"["a\u000a\"\\"]"#),
        (vec![";"], r#"[";"]"#),
        (vec![" "], r#"[" "]"#),
    ] {
        let mut unit = plain();
        unit.container.entrypoint = words.into_iter().map(str::to_owned).collect();
        let rendered = text(&unit, DEBIAN);
        assert!(rendered.contains(&format!("\nEntrypoint={expected}\n")), "{rendered}");
    }
}

#[test]
fn refusals_name_section_key_and_entry_and_cut_the_value() {
    let mut unit = plain();
    unit.container.labels.insert("key".to_owned(), format!("\0{}", "x".repeat(200)));
    let error = unit.render(DEBIAN).expect_err("NUL").to_string();
    let expected = format!(
        "`[Container] Label` of `key`: `key=\\0{}…` contains the control character U+0000",
        "x".repeat(54)
    );
    assert_eq!(error, expected);
}

#[test]
fn the_value_of_a_variable_is_in_no_message_and_in_no_debug_output() {
    for service in [false, true] {
        let mut unit = plain();
        let environment =
            if service { &mut unit.service.environment } else { &mut unit.container.environment };
        environment.insert("RPC_PASSWORD", "hunter2\0");
        let error = unit.render(DEBIAN).expect_err("NUL");
        assert!(
            error
                .to_string()
                .contains("`RPC_PASSWORD`: the value contains the control character U+0000"),
            "{error}"
        );
        assert!(!format!("{error:?}{unit:?}").contains("hunter2"));
    }
}

#[test]
fn a_text_of_more_than_a_mebibyte_is_refused_where_it_grows_too_long() {
    let mut unit = plain();
    unit.service.environment = (0..20).map(|n| (format!("V{n}"), "x".repeat(100_000))).collect();
    let error = unit.render(DEBIAN).expect_err("2 MB");
    assert_eq!((error.section(), error.key()), ("Service", "Environment"));
    assert!(error.to_string().contains("the limit is 1048576"), "{error}");
}
