use companion_core::model::container::{AbsolutePath, ContainerSpec, Network};

use companion_core::error_chain::chain;

use super::*;
use crate::manifest::Format;

fn app(id: &str) -> AppId {
    AppId::new(id).unwrap()
}

fn names(catalog: &Catalog, id: &str) -> Vec<String> {
    catalog.companions_for(&app(id)).iter().map(ToString::to_string).collect()
}

fn parse(text: &str) -> Result<Vec<(Vec<AppId>, CompanionSpec)>, CatalogError> {
    let file = CatalogFile::parse(text, "test.toml")?;
    let node = file.node.clone().unwrap_or_default();
    file.companions(&node)
}

/// The catalog of files with these texts.
fn read(texts: &[&str]) -> Result<Catalog, CatalogError> {
    let files: Vec<_> = texts.iter().map(|text| ("test.toml".into(), text.to_string())).collect();
    Catalog::from_texts(&files, &Settings::default())
}

#[test]
fn every_app_has_its_companions() {
    for (app, companion) in [
        ("bitcoin", "archy-bitcoin-ui"),
        ("bitcoin-core", "archy-bitcoin-ui"),
        ("bitcoin-knots", "archy-bitcoin-ui"),
        ("lnd", "archy-lnd-ui"),
        ("electrumx", "archy-electrs-ui"),
        ("electrs", "archy-electrs-ui"),
        ("mempool-electrs", "archy-electrs-ui"),
        ("fedimint", "archy-fedimint-ui"),
    ] {
        assert_eq!(names(&Catalog::builtin(), app), [companion]);
    }
    assert_eq!(names(&Catalog::builtin(), "nextcloud"), Vec::<String>::new());
}

#[test]
fn built_in_companions_are_unchanged() {
    let catalog = Catalog::on(Node::archipelago()).unwrap();
    assert_eq!(catalog.companions().count(), 4);
    let spec = |name: &str| catalog.companion(&CompanionName::new(name).unwrap()).unwrap();
    for companion in catalog.companions() {
        assert_eq!(companion.description, format!("Archipelago companion UI: {}", companion.name));
        let container = &companion.container;
        let user = container.user.unwrap();
        assert_eq!((user.uid, user.gid), (0, 0));
        assert_eq!(container.memory.unwrap().mebibytes(), 128);
        assert!(container.drop_all_capabilities);
        assert_eq!(container.capabilities.len(), 5);
        assert!(container.no_new_privileges);
        assert_eq!(container.restart_delay, Some(10));
        assert!(container.mounts.iter().all(|mount| mount.read_only));
        assert_eq!(container.working_dir, Some(AbsolutePath::root()));
        let pull = companion.image.pull.as_ref().unwrap();
        assert!(!pull.verify_tls);
        assert_eq!(companion.image.build.as_ref().unwrap().contexts.len(), 4);
    }
    let bitcoin = spec("archy-bitcoin-ui");
    let rendered = bitcoin.container.mounts[0].source.as_str();
    assert_eq!(rendered, "/var/lib/archipelago/bitcoin-ui/nginx.conf");
    let pulled = bitcoin.image.pull.as_ref().unwrap().reference.as_str();
    assert_eq!(pulled, "146.59.87.168:3000/lfg2025/bitcoin-ui:latest");
    let lnd = &spec("archy-lnd-ui").container;
    assert_eq!(lnd.network, Network::Bridge);
    assert!(lnd.host_loopback, "it asks a backend of the host");
    assert_eq!((lnd.ports[0].host.get(), lnd.ports[0].container.get()), (18083, 80));
    for name in ["archy-bitcoin-ui", "archy-electrs-ui", "archy-fedimint-ui"] {
        assert_eq!(spec(name).container.network, Network::Host);
    }
}

#[test]
fn invalid_node_is_refused_with_its_field() {
    let image_repository = Some("Registry.example/Team".to_owned());
    let text = chain(&Catalog::on(Node { image_repository, ..Node::default() }).unwrap_err());
    assert!(text.contains("image_repository"), "{text}");
}

/// The entry `my-ui` with `more`.
fn entry(more: &str) -> String {
    format!("[[companion]]\nname = \"my-ui\"\napps = [\"a\"]\nimage = {{ base = \"x\" }}\n{more}\n")
}

#[test]
fn invalid_companion_settings_are_refused_by_field() {
    for (settings, word) in [
        ("description = \"two\\nlines\"", "description"),
        ("hook = { output = \"/o\", program = { registered = \"mine\" } }", "mine"),
        ("container.memory = \"lots\"", "lots"),
    ] {
        let text = chain(&parse(&entry(settings)).unwrap_err());
        assert!(text.contains(word), "{settings}: {text}");
    }
}

#[test]
fn omitted_container_fields_have_the_built_in_defaults() {
    let with = |container: &str| {
        parse(&entry(&format!("container = {{ {container} }}"))).unwrap().remove(0).1.container
    };
    let own = builtin::hardened().unwrap();
    assert_eq!(parse(&entry("")).unwrap().remove(0).1.container, own);
    let host = with("network = \"host\"");
    assert_eq!(host, ContainerSpec { network: Network::Host, ..own.clone() });
    let opened = with("drop_all_capabilities = false, capabilities = [], memory = \"64m\"");
    assert!(!opened.drop_all_capabilities && opened.capabilities.is_empty());
    assert_eq!(opened.memory.unwrap().mebibytes(), 64);
    assert_eq!((opened.user, opened.restart_delay), (own.user, own.restart_delay));
    assert!(opened.no_new_privileges && !with("no_new_privileges = false").no_new_privileges);
    assert_eq!(opened.working_dir, Some(AbsolutePath::root()));
    let own = with("working_dir = \"/srv\"").working_dir;
    assert_eq!(own.as_ref().map(AbsolutePath::as_str), Some("/srv"));
}

#[test]
fn mounts_of_the_hosts_root_and_sockets_are_refused() {
    let with = |source: &str| {
        parse(&entry(&format!(
            "container.mounts = [{{ source = \"{source}\", target = \"/in\" }}]"
        )))
    };
    for source in [
        "/",
        "/dev",
        "/proc",
        "/sys/fs/cgroup",
        "/run",
        "/run/podman/podman.sock",
        "/run/user/1000/podman/podman.sock",
        "/run/user/1000/bus",
        "/var/run/docker.sock",
    ] {
        let text = chain(&with(source).unwrap_err());
        assert!(text.contains("mounts") && text.contains(source), "{text}");
    }
    for source in ["/var/lib/archipelago/x", "/runner", "/etc/localtime"] {
        assert_eq!(with(source).unwrap()[0].1.container.mounts.len(), 1, "{source}");
    }
}

#[test]
fn a_key_cannot_forge_a_line() {
    let hostile = "\"x\\u001B[2K\\u0007\\r\\u202E\\u2028y\" = 1\n";
    let entry = "[[companion]]\nname = \"x\"\n";
    for text in [hostile.to_owned(), format!("{entry}{hostile}"), format!("[node]\n{hostile}")] {
        let text = parse(&text).unwrap_err().to_string();
        assert!(text.contains("unknown field `x\\u{1b}[2K"), "{text:?}");
        assert!(!text.contains(|c: char| c.is_control() || !c.is_ascii()), "{text:?}");
    }
    let long = format!("{} = 1\n", "k".repeat(200_000));
    assert!(parse(&long).unwrap_err().to_string().len() < 1024);
}

#[test]
fn catalog_writable_by_others_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("own.toml");
    let set = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    std::fs::write(&path, "").unwrap();
    set(&path, 0o644);
    Catalog::with_files(&[&path]).unwrap();
    let nearby = dir.path().join("..").join(dir.path().file_name().unwrap()).join("own.toml");
    Catalog::with_files(&[nearby]).unwrap();
    set(&path, 0o666);
    let text = chain(&Catalog::with_files(&[&path]).unwrap_err());
    assert!(text.contains("own.toml") && text.contains("anyone may write"), "{text}");
    set(&path, 0o644);
    set(dir.path(), 0o777);
    assert!(matches!(Catalog::with_files(&[&path]), Err(CatalogError::Unreadable { .. })));
}

#[test]
fn catalog_that_is_not_a_regular_file_does_not_block() {
    for path in ["/dev/zero", "/dev/tty", "/", "/proc/self/fd"] {
        assert!(Catalog::with_files(&[path]).is_err(), "{path}");
    }
}

#[test]
fn a_later_file_replaces_a_companion_of_the_same_name() {
    let text = entry("").replace("my-ui", "archy-lnd-ui").replace("\"a\"", "\"lightning\"");
    let catalog = read(&[&text]).unwrap();
    assert_eq!(names(&catalog, "lightning"), ["archy-lnd-ui"]);
    assert_eq!(names(&catalog, "lnd"), Vec::<String>::new());
}

#[test]
fn node_keys_of_two_catalog_files_are_merged() {
    let first = "[node]\nimage_repository = \"a.example/x\"\ninsecure_registries = [\"a.example\"]\n\
         [node.bitcoin]\nuser = \"alice\"\naddress = \"127.0.0.1:1\"\n[node.build_arguments]\nONE = \"1\"\n";
    let second = "[node]\ninsecure_registries = []\n[node.bitcoin]\nuser = \"bob\"\n\
         [node.build_arguments]\nTWO = \"2\"\n";
    let catalog = read(&[first, second]).unwrap();
    let node = catalog.node();
    assert_eq!(node.image_repository.as_deref(), Some("a.example/x"), "only the first says");
    assert_eq!(node.insecure_registries, Vec::<String>::new(), "a list is one value");
    assert_eq!((node.bitcoin.user.as_str(), node.bitcoin.address.port()), ("bob", 1));
    assert_eq!(node.build_arguments.keys().collect::<Vec<_>>(), ["ONE", "TWO"]);
    assert_eq!(node.data_directory, Node::default().data_directory);
    let other = read(&[second, first]).unwrap();
    assert_eq!(other.node().bitcoin.user, "alice", "the later file wins");
    let text = chain(&read(&[first, "[node.bitcoin]\nuser = \"a:b\"\n"]).unwrap_err());
    assert!(text.starts_with("test.toml:2:8: "), "{text}");
}

/// The merged catalog of a file with the entries `one` and `two`.
fn merged(one: &str, two: &str) -> Result<Catalog, CatalogError> {
    let both = [("one-ui", one), ("two-ui", two)];
    read(&[&both.map(|(name, more)| entry(more).replace("my-ui", name)).concat()])
}

#[test]
fn same_rendered_file_is_refused_with_both_companions() {
    let hook = "hook = { output = \"/d/x/conf\", program = { registered = \"bitcoin-ui\" } }";
    let error = merged(hook, hook).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("one-ui") && text.contains("two-ui") && text.contains("/d/x/conf"));
    let builtin = hook.replace("/d/x/conf", "/var/lib/archipelago/bitcoin-ui/nginx.conf");
    let error = merged(&builtin, "").unwrap_err();
    assert!(error.to_string().contains("archy-bitcoin-ui"), "{error}");
    merged(hook, &hook.replace("/d/x/", "/d/y/")).unwrap();
}

#[test]
fn same_port_on_overlapping_addresses_is_refused() {
    let port = |more: &str| format!("container.ports = [{{ host = 8080, container = 80{more} }}]");
    let on = |address: &str| port(&format!(", address = \"{address}\""));
    let refusal = "the companions `one-ui` and `two-ui` publish the same host port, 8080";
    let clash = |one: &str, two: &str| match merged(one, two) {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.to_string(), refusal);
            true
        }
    };
    assert!(clash(&port(""), &port("")));
    assert!(clash(&port(""), &on("127.0.0.1")));
    assert!(clash(&on("0.0.0.0"), &on("127.0.0.1")));
    assert!(clash(&on("127.0.0.1"), &on("::")));
    assert!(clash(&on("::1"), &on("::1")));
    assert!(!clash(&on("127.0.0.1"), &on("127.0.0.2")));
    assert!(!clash(&on("0.0.0.0"), &on("::1")));
    assert!(!clash(&port(""), &port(", protocol = \"udp\"")));
    assert!(!clash(&port(""), &port("").replace("8080", "8081")));
    let error = merged(&port("").replace("8080", "18083"), "").unwrap_err();
    assert!(error.to_string().contains("archy-lnd-ui"), "{error}");
}

fn manifest(name: &str, more: &str) -> BackendManifest {
    let container = "[app.container]\nimage = \"a.example/x\"\n";
    let text = format!("[app]\nid = \"{name}\"\n{container}{more}");
    BackendManifest::parse(&text, Format::Toml, "manifest.toml").unwrap()
}

#[test]
fn refused_backend_leaves_the_catalog_unchanged() {
    let mut catalog = Catalog::builtin();
    let port = "[[app.ports]]\nhost = 18083\ncontainer = 80\n";
    let host = format!("network = \"host\"\n{port}");
    for (name, more, word) in [
        ("x", port, "same host port"),
        ("archy-lnd-ui", "", "another app's companion"),
        ("x", &host, "the manifest of `x` is invalid"),
    ] {
        let error = catalog.add_backend(app("x"), &manifest(name, more)).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
        assert_eq!(catalog, Catalog::builtin());
    }
    assert_eq!(catalog.add_backend(app("x"), &manifest("x", "")).unwrap().as_str(), "x");
    let changed = manifest("x", "[app.security]\nreadonly_root = false\n");
    catalog.add_backend(app("x"), &changed).unwrap();
    assert_eq!(names(&catalog, "x"), ["x"]);
}
