use super::*;

#[test]
fn built_in_paths_are_valid() {
    let node = Node::default();
    assert_eq!(node.context_directories.len(), CONTEXT_DIRECTORIES.len());
    assert_eq!(node.data_directory.as_str(), "/var/lib/archipelago");
    let bitcoin = node.bitcoin;
    assert!(bitcoin.password_file.as_str().ends_with("/bitcoin-rpc-password"));
    assert!(bitcoin.cookie_file.as_str().ends_with("/.cookie"));
}

#[test]
fn tls_is_off_for_the_allow_list_only() {
    let default = Node::default();
    assert_eq!((default.image_repository, default.insecure_registries), (None, vec![]));
    let node = Node::archipelago();
    assert!(node.is_insecure_registry("146.59.87.168:3000"));
    for other in ["146.59.87.168", "146.59.87.168:3001", "1146.59.87.168:3000", "docker.io", ""] {
        assert!(!node.is_insecure_registry(other), "{other}");
    }
}

#[test]
fn pages_at_the_same_port_are_refused() {
    let mut node = Node::default();
    node.page_ports.lnd = node.page_ports.bitcoin;
    assert_eq!(node.validate().unwrap_err().field(), "page_ports");
}

#[test]
fn guardian_at_the_port_of_its_waiting_page_is_refused() {
    let mut node = Node::default();
    node.page_ports.fedimint = 8175.try_into().unwrap();
    node.validate().unwrap();
    node.fedimint.guardian_address = "[::1]:8175".parse().unwrap();
    assert_eq!(node.validate().unwrap_err().field(), "fedimint.guardian_address");
}

#[test]
fn invalid_image_repository_is_refused_by_field() {
    let with = |repository: &str| Node {
        image_repository: Some(repository.to_owned()),
        ..Node::default()
    };
    for good in ["registry.example", "localhost/team", "registry.example:5000/a/b"] {
        with(good).validate().unwrap();
    }
    for bad in ["Registry.example/Team", "", "team", "registry.example/", "a.example/x:1", "a.b /c"]
    {
        assert_eq!(with(bad).validate().unwrap_err().field(), "image_repository", "{bad}");
    }
}

#[test]
fn invalid_insecure_registry_is_refused_by_field() {
    let with =
        |registry: &str| Node { insecure_registries: vec![registry.to_owned()], ..Node::default() };
    for good in ["registry.example", "localhost", "10.0.0.2:5000", "host:5000"] {
        with(good).validate().unwrap();
    }
    for bad in
        ["", "http://registry.example", "Registry.example", "a.b:0", "a.b/team", "*", "a.b:x"]
    {
        assert_eq!(with(bad).validate().unwrap_err().field(), "insecure_registries", "{bad}");
    }
}

#[test]
fn frame_ancestor_that_is_no_origin_is_refused_by_field() {
    let with = |origin: &str| Node { frame_ancestors: vec![origin.to_owned()], ..Node::default() };
    for good in ["http://node.local:5678", "https://node.example", "http://192.168.1.20:80"] {
        with(good).validate().unwrap();
    }
    let bad = [
        "",
        "*",
        "'none'",
        "node.local",
        "http://",
        "http://node.local/",
        "http://a b",
        "http://a; script-src *",
        "http://a\"",
        "http://a\nb",
        "http://a:0",
        "http://a:65536",
        "http://a:1:2",
        "http://$host",
        "http://{a}",
        "HTTP://a",
        "ftp://a",
        "http://a:+1",
    ];
    for bad in bad {
        assert_eq!(with(bad).validate().unwrap_err().field(), "frame_ancestors", "{bad}");
    }
    let many = vec!["http://a".to_owned(); FRAME_ANCESTORS_LIMIT + 1];
    let node = Node { frame_ancestors: many, ..Node::default() };
    assert_eq!(node.validate().unwrap_err().field(), "frame_ancestors");
}

#[test]
fn address_that_nobody_can_connect_to_is_refused_by_field() {
    for bad in ["0.0.0.0:8080", "[::]:8080", "127.0.0.1:0", "[fe80::1%2]:8080"] {
        let address = bad.parse().unwrap();
        let node = |lnd, electrs| Node { lnd, electrs, ..Node::default() };
        let lnd = node(Lnd { address, ..Lnd::default() }, Electrs::default());
        assert_eq!(lnd.validate().unwrap_err().field(), "lnd.address", "{bad}");
        let metrics = Electrs { metrics_address: address, ..Electrs::default() };
        let field = node(Lnd::default(), metrics).validate().unwrap_err();
        assert_eq!(field.field(), "electrs.metrics_address", "{bad}");
        let electrum = Electrs { electrum_address: address, ..Electrs::default() };
        let field = node(Lnd::default(), electrum).validate().unwrap_err();
        assert_eq!(field.field(), "electrs.electrum_address", "{bad}");
    }
}

#[test]
fn macaroon_is_sent_to_a_loopback_address_only() {
    let with = |address: &str| {
        let macaroon_file = Some(must("/srv/lnd/readonly.macaroon"));
        let lnd = Lnd { address: address.parse().unwrap(), macaroon_file };
        Node { lnd, ..Node::default() }
    };
    for good in ["169.254.1.2:8080", "127.0.0.1:8080", "127.9.9.9:8080", "[::1]:8080"] {
        let node = with(good);
        node.validate().unwrap();
        assert!(node.lnd.rest_address().ip().is_loopback(), "{good}");
        assert!(node.lnd.is_on_host_network(), "{good}");
    }
    assert_eq!(with("169.254.1.2:8180").lnd.rest_address(), "127.0.0.1:8180".parse().unwrap());
    let bad =
        ["192.168.1.20:8080", "169.254.1.3:8080", "[fd00::9]:8080", "[::ffff:127.0.0.1]:8080"];
    for bad in bad {
        assert_eq!(with(bad).validate().unwrap_err().field(), "lnd.address", "{bad}");
    }
}

#[test]
fn onion_address_of_another_form_is_refused_by_field() {
    let name = "a2".repeat(28);
    let with = |address: String| {
        let electrs = Electrs { onion_address: Some(address), ..Electrs::default() };
        Node { electrs, ..Node::default() }
    };
    with(format!("{name}.onion:50001")).validate().unwrap();
    let bad = [
        "",
        "x.onion:50001",
        "NAME.onion:0",
        "NAME.onion:65536",
        "NAME.onion",
        "NAME.onion:1\";",
        "NAME.onion:1:2",
        "NAME1.onion:1",
        "$NAME.onion:1",
        "NAME.example:1",
    ];
    for bad in bad.map(|form| form.replace("NAME", &name)) {
        let error = with(bad.clone()).validate().unwrap_err();
        assert_eq!(error.field(), "electrs.onion_address", "{bad}");
    }
}

#[test]
fn a_user_name_with_a_colon_is_refused() {
    let mut node = Node::default();
    node.validate().unwrap();
    node.bitcoin.user = "a:b".to_owned();
    assert_eq!(node.validate().unwrap_err().field(), "bitcoin.user");
}
