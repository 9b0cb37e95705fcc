use companion_core::error_chain::chain;
use companion_core::model::companion::CompanionName;
use companion_core::model::container::Network;

use crate::catalog::{Catalog, CatalogFile};
use crate::leader::Settings;

fn catalog(text: &str) -> Catalog {
    Catalog::from_texts(&[("test.toml".into(), text.to_owned())], &Settings::default()).unwrap()
}

/// The names and addresses of a node reach each page through a mounted file; without any, the image has them.
#[test]
fn pages_without_credentials_are_rendered_for_a_node_with_settings_only() {
    let rendered = |settings: &str| {
        let catalog = catalog(&format!("[node]\n{settings}\n"));
        ["archy-lnd-ui", "archy-electrs-ui"].map(|name| {
            let spec = catalog.companion(&CompanionName::new(name).unwrap()).unwrap();
            assert_eq!(spec.hook.is_some(), !spec.container.mounts.is_empty());
            let hook = spec.hook.as_ref().map(|hook| hook.output.to_string());
            (hook, spec.container.network.clone(), spec.container.ports.len())
        })
    };
    let lnd = Some("/var/lib/archipelago/lnd-ui/nginx.conf".to_owned());
    let electrs = Some("/var/lib/archipelago/electrs-ui/nginx.conf".to_owned());
    let (bridge, host) = (Network::Bridge, Network::Host);
    let untouched = [(None, bridge.clone(), 1), (None, host.clone(), 0)];
    assert_eq!(rendered("host_names = []\nbitcoin.address = \"127.0.0.1:18332\""), untouched);
    let both = [(lnd.clone(), bridge.clone(), 1), (electrs.clone(), host.clone(), 0)];
    assert_eq!(rendered("host_names = [\"node.home.arpa\"]"), both);
    assert_eq!(rendered("frame_ancestors = [\"http://node.local:5678\"]"), both);
    let moved = "electrs = { metrics_address = \"127.0.0.1:24224\" }";
    assert_eq!(rendered(moved), [(None, bridge.clone(), 1), (electrs, host.clone(), 0)]);
    let far = "lnd = { address = \"169.254.1.2:8081\" }";
    assert_eq!(rendered(far), [(lnd.clone(), bridge, 1), (None, host.clone(), 0)]);
    let near = "lnd = { address = \"127.0.0.1:8080\" }";
    assert_eq!(rendered(near), [(lnd.clone(), host.clone(), 0), (None, host.clone(), 0)]);
    let macaroon = "lnd = { macaroon_file = \"/srv/lnd/readonly.macaroon\" }";
    assert_eq!(rendered(macaroon), [(lnd, host.clone(), 0), (None, host, 0)]);
}

#[test]
fn waiting_page_is_rendered_for_settings_of_what_it_waits_for() {
    for (settings, is_rendered) in [
        ("electrs.metrics_address = \"127.0.0.1:24224\"", false),
        ("bitcoin.user = \"alice\"", false),
        ("bitcoin.address = \"127.0.0.1:18332\"", true),
        ("fedimint.guardian_address = \"127.0.0.1:28177\"", true),
        ("host_names = [\"node.home.arpa\"]", true),
    ] {
        let catalog = catalog(&format!("[node]\n{settings}\n"));
        let spec = catalog.companion(&CompanionName::new("archy-fedimint-ui").unwrap()).unwrap();
        assert_eq!(spec.hook.is_some(), is_rendered, "{settings}");
    }
}

#[test]
fn hostile_page_settings_are_refused_with_their_line() {
    let hostile =
        ["a\"", "a;", "a{", "a}", "a b", "$host", "a\\nb", "~^.*$", "*", "default;include"];
    for value in hostile {
        let quoted = value.replace('"', "\\\"");
        for settings in [
            format!("host_names = [\"{quoted}\"]"),
            format!("frame_ancestors = [\"http://{quoted}\"]"),
            format!("lnd = {{ address = \"127.0.0.1:8080{quoted}\" }}"),
            format!("electrs = {{ metrics_address = \"{quoted}:4224\" }}"),
            format!("electrs = {{ electrum_address = \"{quoted}\" }}"),
            format!("fedimint = {{ guardian_address = \"{quoted}\" }}"),
        ] {
            let error =
                CatalogFile::parse(&format!("[node]\n{settings}\n"), "test.toml").unwrap_err();
            assert_eq!(
                error.place().map(|place| place.line),
                Some(2),
                "{settings}: {}",
                chain(&error)
            );
        }
    }
}

#[test]
fn the_port_of_a_page_is_published_or_that_of_a_built_in_one() {
    let text = "[[companion]]\nname = \"my-ui\"\napps = [\"my-app\"]\nimage = { base = \"my-ui\" }\n\
                [[companion.container.ports]]\nhost = 18090\ncontainer = 80\n";
    let catalog = catalog(text);
    let port = |name: &str| catalog.page_port(&CompanionName::new(name).unwrap());
    let builtin = ["archy-bitcoin-ui", "archy-electrs-ui", "archy-lnd-ui", "archy-fedimint-ui"];
    assert_eq!(builtin.map(port), [Some(18081), Some(18082), Some(18083), Some(18084)]);
    assert_eq!(["my-ui", "other-ui"].map(port), [Some(18090), None]);
}
