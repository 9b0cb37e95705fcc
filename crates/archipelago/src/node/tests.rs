use super::*;

#[test]
fn value_that_breaks_a_rule_is_refused_by_its_field() {
    let unreachable = ["0.0.0.0:8080", "[::]:8080", "127.0.0.1:0", "[fe80::1%2]:8080"];
    let of_page = ["[::1]:18084", "127.0.0.1:18081"].into_iter().chain(unreachable);
    let onion = |form: &str| form.replace("NAME", &"a2".repeat(28));
    let no_onion = [
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
    let no_origin = [
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
    let origins = ["http://node.local:5678", "https://node.example", "http://192.168.1.20:80"];
    let repositories = ["registry.example", "localhost/team", "registry.example:5000/a/b"];
    let no_repository =
        ["Registry.example/Team", "", "team", "registry.example/", "a.example/x:1", "a.b /c"];
    let registries = ["registry.example", "localhost", "10.0.0.2:5000", "host:5000"];
    let no_registry =
        ["", "http://registry.example", "Registry.example", "a.b:0", "a.b/team", "*", "a.b:x"];
    let list = |values: &[&str]| values.iter().map(|&value| onion(value)).collect::<Vec<_>>();
    for (field, form, good, bad) in [
        ("image_repository", "VALUE", list(&repositories), list(&no_repository)),
        ("insecure_registries", "[VALUE]", list(&registries), list(&no_registry)),
        ("frame_ancestors", "[VALUE]", list(&origins), list(&no_origin)),
        ("bitcoin.user", "VALUE", list(&["archipelago"]), list(&["a:b", ""])),
        ("lnd.address", "VALUE", list(&["192.168.1.20:8080"]), list(&unreachable)),
        ("electrs.metrics_address", "VALUE", list(&["[::1]:4224"]), list(&unreachable)),
        ("electrs.electrum_address", "VALUE", list(&["[::1]:50001"]), list(&unreachable)),
        (GUARDIAN, "VALUE", list(&["[::1]:8177"]), of_page.map(str::to_owned).collect()),
        ("electrs.onion_address", "VALUE", list(&["NAME.onion:50001"]), list(&no_onion)),
    ] {
        let refused = |value: &String| {
            let settings = format!("{field} = {}", form.replace("VALUE", &format!("{value:?}")));
            let node: Node = toml::from_str(&settings).unwrap();
            node.validate().err().map(|error| error.field())
        };
        good.iter().for_each(|value| assert_eq!(refused(value), None, "{field}: {value}"));
        bad.iter().for_each(|value| assert_eq!(refused(value), Some(field), "{field}: {value}"));
    }
}

#[test]
fn too_many_frame_ancestors_and_pages_at_the_same_port_are_refused() {
    let frame_ancestors = vec!["http://a".to_owned(); FRAME_ANCESTORS_LIMIT + 1];
    let node = Node { frame_ancestors, ..Node::default() };
    assert_eq!(node.validate().unwrap_err().field(), "frame_ancestors");
    let mut node = Node::default();
    node.page_ports.lnd = node.page_ports.bitcoin;
    assert_eq!(node.validate().unwrap_err().field(), "page_ports");
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
