use super::*;
use crate::{Class, key};

const DEBIAN: PodmanVersion = PodmanVersion::new(5, 4, 2);

fn plain() -> ContainerUnit {
    let mut unit = ContainerUnit::new();
    unit.add(key::IMAGE, "localhost/x:latest");
    unit
}

fn text(unit: &ContainerUnit, version: PodmanVersion) -> String {
    unit.render(version).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn sections_have_one_order_and_settings_that_of_the_caller() {
    let mut unit = ContainerUnit::new();
    unit.add(Key::new("X-Mine", "B", Class::Verbatim), "50% of $HOME");
    unit.add(key::DEFAULT_DEPENDENCIES, "false");
    unit.add(key::WANTED_BY, "default.target");
    unit.add_pair(key::SERVICE_ENVIRONMENT, "A", "b");
    unit.add(key::IMAGE, "x");
    unit.add_words(key::EXEC, ["a b", "c"]);
    unit.add_words(key::ADD_CAPABILITY, ["CHOWN", "SETUID"]);
    unit.add_words(key::TMPFS, ["/a", "/b"]);
    unit.add_words(key::ENTRYPOINT, [""; 0]);
    unit.add_words(key::PODMAN_ARGS, [""; 0]);
    unit.add(key::DESCRIPTION, "100% of it");
    let expected = r#"[Unit]
Description=100%% of it

[Container]
Image=x
Exec="a b" "c"
AddCapability=CHOWN SETUID
Tmpfs=/a
Tmpfs=/b

[Service]
Environment="A=b"

[Install]
WantedBy=default.target

[Quadlet]
DefaultDependencies=false

[X-Mine]
B=50% of $HOME
"#;
    assert_eq!(text(&unit, DEBIAN), expected);
    // Before 5.3 there are no default dependencies.
    assert!(!text(&unit, PodmanVersion::new(5, 2, 5)).contains("Quadlet"));
}

#[test]
fn a_podman_without_the_key_or_the_value_gets_no_unit() {
    let error = plain().render(PodmanVersion::new(4, 3, 1)).expect_err("4.3.1");
    assert_eq!(error.to_string(), "`[Container] Image`: needs Podman 4.4.0, the unit is for 4.3.1");
    let mut unit = plain();
    unit.add(key::NOTIFY_HEALTHY, "healthy");
    let error = unit.render(PodmanVersion::new(4, 9, 5)).expect_err("4.9");
    assert_eq!((error.key(), error.is_about_podman()), ("Notify", true));
    assert!(unit.render(PodmanVersion::new(5, 0, 0)).is_ok());
}

#[test]
fn an_option_of_podman_stands_in_for_a_key_that_came_later() {
    let cases = [
        (key::ADD_HOST, "a:host-gateway", "--add-host", 5, 3),
        (key::PUBLISH_PORT_OF_IPV4, "0.0.0.0:3:4", "--publish", 5, 3),
        (key::MOUNT, "type=bind,source=/a:b,destination=/c", "--mount", 4, 5),
        (key::TMPFS, "/t", "--tmpfs", 4, 5),
        (key::SECRET, "s,type=env,target=V", "--secret", 4, 5),
        (key::WORKING_DIR, "/w", "--workdir", 4, 6),
        (key::ENTRYPOINT, "/e", "--entrypoint", 5, 0),
        (key::PULL, "never", "--pull", 4, 6),
        (key::STOP_TIMEOUT, "5", "--stop-timeout", 5, 0),
        (key::HEALTH_CMD, "true", "--health-cmd", 4, 5),
    ];
    let mut unit = plain();
    cases.iter().for_each(|(key, value, ..)| unit.add(*key, *value));
    let all = [(4, 4), (4, 5), (4, 6), (4, 9), (5, 0), (5, 2), (5, 3), (5, 8), (6, 1), (7, 1)];
    for (major, minor) in all {
        let rendered = text(&unit, PodmanVersion::new(major, minor, 0));
        for (key, value, option, since_major, since_minor) in cases {
            let known = (major, minor) >= (since_major, since_minor);
            let quoted =
                if key.class.is_list() { format!("\"{value}\"") } else { value.to_owned() };
            let lines =
                [format!("{}={quoted}", key.name), format!("PodmanArgs=\"{option}={value}\"")];
            let found = lines.map(|line| rendered.lines().any(|found| found == line));
            assert_eq!(found, [known, !known], "{major}.{minor} {}\n{rendered}", key.name);
        }
    }
}

#[test]
fn refusals_name_section_and_key_and_cut_the_value() {
    let mut unit = plain();
    unit.add(key::EXEC, format!("\0{}", "x".repeat(200)));
    let error = unit.render(DEBIAN).expect_err("NUL").to_string();
    let cut = "x".repeat(58);
    let expected = format!("`[Container] Exec`: `\\0{cut}…` contains the control character U+0000");
    assert_eq!(error, expected);
    let error = key::ADD_DEVICE.refuse("/dev/a:b", "has a colon");
    assert_eq!(error.to_string(), "`[Container] AddDevice`: `/dev/a:b` has a colon");
}

#[test]
fn the_value_of_a_pair_is_in_no_message_and_in_no_debug_output() {
    for key in [key::ENVIRONMENT, key::SERVICE_ENVIRONMENT, key::LABEL] {
        let mut unit = plain();
        unit.add_pair(key, "RPC_PASSWORD", "hunter2\0");
        let error = unit.render(DEBIAN).expect_err("NUL");
        let expected = "`RPC_PASSWORD`: the value contains the control character U+0000";
        assert!(error.to_string().ends_with(expected), "{error}");
        assert!(!format!("{error:?}{unit:?}").contains("hunter2"));
    }
}

#[test]
fn a_text_of_more_than_a_mebibyte_is_refused_where_it_grows_too_long() {
    let mut unit = plain();
    let value = "x".repeat(100_000);
    (0..20).for_each(|n| unit.add_pair(key::SERVICE_ENVIRONMENT, &format!("V{n}"), &value));
    let error = unit.render(DEBIAN).expect_err("2 MB").to_string();
    assert!(error.starts_with("`[Service] Environment` of `V10`"), "{error}");
    assert!(error.contains("the limit is 1048576"), "{error}");
}
