use super::*;

fn path(text: &str) -> AbsolutePath {
    AbsolutePath::new(text).unwrap()
}

#[test]
fn memory_is_read_as_mebibytes_or_with_a_unit() {
    let texts = [("1024", 1024), ("512m", 512), ("2g", 2048), ("4", 4), ("128Mi", 128)];
    for (text, mebibytes) in texts.into_iter().chain([("512M", 512), ("2G", 2048), ("1GiB", 1024)])
    {
        assert_eq!(Memory::parse(text).unwrap().mebibytes(), mebibytes, "{text}");
    }
}

#[test]
fn memory_in_any_other_form_is_refused() {
    let words = "m 2GB 128Ki 128mi 1.5g -1 +8 0 3 8k 99999999999999999999g";
    for text in words.split(' ').chain(["", " 8", "8 m"]) {
        assert!(Memory::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn a_path_has_one_spelling_only() {
    for text in ["/", "/a", "/a/b c", "/a:b"] {
        assert!(AbsolutePath::new(text).is_ok(), "{text:?}");
    }
    for text in ["", "a", "./a", "/a/", "//a", "/a//b", "/a/./b", "/a/../b", "/..", "/a\nb", "/a\0"]
    {
        assert!(AbsolutePath::new(text).is_err(), "{text:?}");
    }
}

fn port(address: Option<&str>) -> PortMapping {
    let (host, container) = (1.try_into().unwrap(), 2.try_into().unwrap());
    let address = address.map(|address| address.parse().unwrap());
    PortMapping { address, host, container, protocol: Protocol::Tcp }
}

#[test]
fn a_port_in_the_hosts_network_is_refused() {
    let mut spec = ContainerSpec { network: Network::Host, ..ContainerSpec::default() };
    spec.ports.push(port(None));
    assert_eq!(spec.validate().unwrap_err().field(), "ports");
    spec.network = Network::Bridge;
    spec.validate().unwrap();
    spec.ports.push(port(None));
    assert_eq!(spec.validate().unwrap_err().field(), "ports");
}

#[test]
fn host_loopback_needs_a_bridge_and_ports_on_ipv4_addresses() {
    let mut spec = ContainerSpec { host_loopback: true, ..ContainerSpec::default() };
    spec.ports.push(port(Some("127.0.0.1")));
    spec.validate().unwrap();
    spec.ports.push(port(Some("::1")));
    assert_eq!(spec.validate().unwrap_err().field(), "host_loopback");
    let backends = Network::Named(NetworkName::new("backends").unwrap());
    for network in [Network::Host, backends] {
        let spec = ContainerSpec { network, host_loopback: true, ..ContainerSpec::default() };
        assert_eq!(spec.validate().unwrap_err().field(), "host_loopback");
    }
}

#[test]
fn a_device_outside_dev_is_refused() {
    let device = Device { source: path("/etc/shadow"), target: None };
    let spec = ContainerSpec { devices: vec![device], ..ContainerSpec::default() };
    assert_eq!(spec.validate().unwrap_err().field(), "devices");
}

#[test]
fn size_of_a_specification_has_a_limit() {
    let mut spec =
        ContainerSpec { command: vec!["x".repeat(1024); 255], ..ContainerSpec::default() };
    spec.validate().unwrap();
    spec.command.push("x".repeat(1024));
    assert_eq!(spec.validate().unwrap_err().field(), "container");
}

#[test]
fn a_refused_environment_value_is_not_shown() {
    let environment = [(EnvName::new("TOKEN").unwrap(), "hunter2\0".to_owned())].into();
    let refusal = ContainerSpec { environment, ..ContainerSpec::default() }.validate().unwrap_err();
    assert!(!refusal.to_string().contains("hunter2"));
}

#[test]
fn a_target_or_a_variable_has_one_source() {
    let volume = |name: &str| NamedVolume {
        name: VolumeName::new(name).unwrap(),
        target: path("/data"),
        read_only: false,
    };
    let mut spec = ContainerSpec { volumes: vec![volume("a")], ..ContainerSpec::default() };
    spec.validate().unwrap();
    let mut tmpfs = spec.clone();
    tmpfs.tmpfs.push(Tmpfs { target: path("/data"), size: None });
    spec.volumes.push(volume("b"));
    for spec in [spec, tmpfs] {
        assert_eq!(spec.validate().unwrap_err().field(), "mounts");
    }
    let name = EnvName::new("PASSWORD").unwrap();
    let secrets = [(name.clone(), SecretName::new("x").unwrap())].into();
    let mut spec = ContainerSpec { secret_environment: secrets, ..ContainerSpec::default() };
    spec.validate().unwrap();
    spec.environment.insert(name, String::new());
    assert_eq!(spec.validate().unwrap_err().field(), "secret_environment");
}
