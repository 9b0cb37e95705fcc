use companion_core::error_chain::chain;
use companion_core::model::container::{ContainerSpec, Network, Probe};

use super::*;

const HEAD: &str = "app:\n  id: x\n  container: { image: a.example/x }\n";

fn yaml(more: &str) -> Result<ContainerSpec, String> {
    let manifest = BackendManifest::parse(&format!("{HEAD}{more}"), Format::Yaml, "manifest.yml")
        .map_err(|error| chain(&error))?;
    let mut node = Node::default();
    node.facts.insert("HOST_MDNS".to_owned(), "node.local".to_owned());
    Ok(manifest.spec(&node).map_err(|error| chain(&error))?.container)
}

#[track_caller]
fn refused(more: &str, words: &[&str]) {
    let error = yaml(more).expect_err(more);
    for word in words {
        assert!(error.contains(word), "no `{word}` in: {error}");
    }
}

#[test]
fn unknown_keys_and_values_are_refused_with_file_line_and_column() {
    refused("  privileged: true\n", &["manifest.yml:4:3: ", "privileged"]);
    refused("  security:\n    cap_add: [ALL]\n", &["manifest.yml:5:5: ", "cap_add"]);
    refused("  resources: { memory_limit: 128Qi }\n", &["manifest.yml:4:", "128Qi"]);
    let text = "[app]\nid = \"x\"\nprivileged = true\n";
    let error = BackendManifest::parse(text, Format::Toml, "m.toml").unwrap_err();
    assert!(error.to_string().starts_with("m.toml:3:1: "), "{error}");
}

#[test]
fn health_check_is_parsed_and_never_put_together() {
    let probe = |keys: &str| {
        yaml(&format!("  health_check: {{ {keys} }}\n")).map(|spec| spec.health.unwrap().probe)
    };
    let url = |keys: &str| match probe(keys).unwrap() {
        Probe::Http(url) => url.to_string(),
        other => panic!("{other:?}"),
    };
    let expected = "http://127.0.0.1:8080/ok";
    assert_eq!(url("type: http, endpoint: '127.0.0.1:8080', path: /ok"), expected);
    assert_eq!(url("type: http, endpoint: 'http://127.0.0.1:8080', path: /ok"), expected);
    assert_eq!(url("type: http, endpoint: 'http://127.0.0.1:8080/ok'"), expected);
    for bad in [
        "type: http, endpoint: 'http://http://127.0.0.1:8080'",
        "type: http, endpoint: 'x:80', path: \"/';id;'\"",
        "type: http, endpoint: 'x:80', path: ok",
        "type: tcp, endpoint: 'http://x:80'",
        "type: tcp, endpoint: x",
        "type: tcp, endpoint: 'x:80', path: /ok",
        "type: cmd, endpoint: ''",
        "type: dns, endpoint: x",
        "type: http",
        "endpoint: 'x:80'",
        "type: cmd, endpoint: x, interval: soon",
        "type: cmd, endpoint: x, interval: 0",
        "type: cmd, endpoint: x, interval: 1s",
        "type: cmd, endpoint: x, timeout: 500ms",
        "type: cmd, endpoint: x, retries: 0",
        "type: cmd, endpoint: x, interval: 30d",
        "type: cmd, endpoint: x, period: 30s",
    ] {
        assert!(probe(bad).unwrap_err().starts_with("manifest.yml:4:"), "{bad}: {:?}", probe(bad));
    }
}

#[test]
fn variables_come_from_the_manifest_the_node_and_secrets() {
    let text = HEAD.replace(
        "image: a.example/x",
        "image: a.example/x, derived_env: [{ key: URL, template: 'https://{{HOST_MDNS}}:8180/' }], \
         secret_env: [{ key: PASSWORD, secret_file: x-password }]",
    );
    let parse = |more: &str| {
        let text = format!("{text}{more}");
        BackendManifest::parse(&text, Format::Yaml, "m.yml").unwrap()
    };
    let mut node = Node::default();
    let unknown = parse("").spec(&node).unwrap_err();
    assert!(chain(&unknown).contains("HOST_MDNS"), "{}", chain(&unknown));
    node.facts.insert("HOST_MDNS".to_owned(), "node.local".to_owned());
    let spec = parse("  environment: ['A=b=c', EMPTY=]\n").spec(&node).unwrap().container;
    let shown: Vec<_> = spec.environment.values().map(String::as_str).collect();
    assert_eq!(shown, ["b=c", "", "https://node.local:8180/"]);
    assert_eq!(spec.secret_environment.values().next().unwrap().as_str(), "x-password");
    for twice in ["  environment: [PASSWORD=x]\n", "  environment: [URL=x]\n"] {
        assert!(parse(twice).spec(&node).is_err(), "{twice}");
    }
}

#[test]
fn value_of_a_variable_is_in_no_error() {
    for bad in ["  environment: ['hunter2']\n", "  environment: ['A B=hunter2']\n"] {
        let error = yaml(bad).unwrap_err();
        assert!(!error.contains("hunter2") && error.contains("environment"), "{error}");
    }
}

#[test]
fn invalid_volumes_are_refused_and_ro_makes_one_read_only() {
    let certificates = "type: bind, source: /etc/ssl/certs, target: /certs, options: [ro]";
    assert!(yaml(&format!("  volumes: [{{ {certificates} }}]\n")).unwrap().mounts[0].read_only);
    for bad in [
        "type: bind, target: /data",
        "type: bind, source: data, target: /data",
        "type: bind, source: /data, target: /data, options: [suid]",
        "type: tmpfs, target: /tmp, options: [exec]",
        "type: nfs, source: /x, target: /x",
    ] {
        refused(&format!("  volumes: [{{ {bad} }}]\n"), &["manifest.yml:4:"]);
    }
}

#[test]
fn a_manifest_that_mounts_the_hosts_root_or_sockets_is_refused() {
    for source in ["/", "/run/user/1000/podman/podman.sock", "/var/run/docker.sock", "/dev"] {
        let volume = format!("  volumes: [{{ type: bind, source: {source}, target: /s }}]\n");
        refused(&volume, &["mounts", "must not be"]);
    }
    refused("  devices: [/etc/passwd]\n", &["manifest.yml:4:", "below /dev"]);
}

#[test]
fn ports_of_the_hosts_network_are_its_own() {
    let ports = |host: &str, network: &str| {
        yaml(&format!(
            "  ports: [{{ host: {host}, container: 8332 }}]\n  security: {{ network_policy: {network} }}\n"
        ))
    };
    assert_eq!(yaml("").unwrap().network, Network::Bridge);
    assert_eq!(ports("8332", "isolated").unwrap().ports.len(), 1);
    assert!(matches!(ports("8332", "net").unwrap().network, Network::Named(_)));
    assert_eq!(ports("8332", "host").unwrap().ports.len(), 0);
    assert!(ports("8333", "host").unwrap_err().contains("8333:8332"));
}

#[test]
fn build_context_is_relative_to_the_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("manifest.yml");
    std::fs::write(&path, "app: { id: x, container: { build: { context: . } } }\n").unwrap();
    let spec = BackendManifest::read(&path).unwrap().spec(&Node::default()).unwrap();
    let build = spec.image.build.unwrap();
    assert_eq!(build.contexts[0].as_path(), dir.path());
    assert_eq!(build.reference.as_str(), "localhost/x:latest");
    let text = std::fs::read_to_string(&path).unwrap();
    let parsed = BackendManifest::parse(&text, Format::Yaml, "m.yml").unwrap();
    assert!(parsed.spec(&Node::default()).is_err());
    let none = BackendManifest::parse("app: { id: x, container: {} }\n", Format::Yaml, "m.yml");
    assert!(chain(&none.unwrap().spec(&Node::default()).unwrap_err()).contains("`image`"));
}

#[test]
fn work_outside_of_the_unit_is_listed() {
    let more = "  files: [{ path: /x, content: y, overwrite: false }]\n  metadata: { icon: x }\n";
    let manifest = BackendManifest::parse(&format!("{HEAD}{more}"), Format::Yaml, "m.yml").unwrap();
    assert_eq!(manifest.outside_the_unit(), ["files", "metadata"]);
}

#[test]
fn files_that_are_no_manifest_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let read = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        chain(&BackendManifest::read(&path).unwrap_err())
    };
    assert!(read("manifest.json", b"{}").contains("manifest.json"));
    assert!(read("large.yml", &[b'#'; 300 * 1024]).contains("more than 262144 bytes"));
    assert!(read("binary.yml", &[0xff, 0xfe, 0xfd]).contains("binary.yml"));
    assert!(read("empty.yml", b"").contains("empty.yml:1:"));
    let missing = BackendManifest::read(&dir.path().join("missing.yml")).unwrap_err();
    assert!(chain(&missing).contains("missing.yml"), "{}", chain(&missing));
}

/// A few bytes must not become gigabytes, and no depth a stack overflow.
#[test]
fn hostile_yaml_is_refused_in_bounded_time() {
    let laughs = (0..40).fold("a0: &a0 [x, x]\n".to_owned(), |text, n| {
        format!("{text}a{}: &a{} [*a{n}, *a{n}, *a{n}]\n", n + 1, n + 1)
    });
    for text in [
        laughs,
        "[".repeat(100_000),
        "a: ".repeat(50_000),
        "- ".repeat(50_000),
        "{a: ".repeat(50_000),
        "app: &a { id: *a }\n".to_owned(),
        "app: { id: x, id: y }\n".to_owned(),
        "app: !!binary x\n".to_owned(),
        "---\n---\n".to_owned(),
        "\u{0}".to_owned(),
    ] {
        let error = BackendManifest::parse(&text, Format::Yaml, "m.yml").unwrap_err().to_string();
        assert!(error.len() < 2048 && !error.contains('\n'), "{error}");
    }
}
