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
    for (settings, rendered, lnd_is_on_host) in [
        ("host_names = []\nbitcoin.user = \"alice\"", [false, false, false], false),
        ("host_names = [\"node.home.arpa\"]", [true, true, true], false),
        ("frame_ancestors = [\"http://node.local:5678\"]", [true, true, true], false),
        ("page_ports.fedimint = 8175", [true, true, true], false),
        ("bitcoin.address = \"127.0.0.1:18332\"", [false, false, true], false),
        ("fedimint.guardian_address = \"127.0.0.1:28177\"", [false, false, true], false),
        ("electrs.metrics_address = \"127.0.0.1:24224\"", [false, true, false], false),
        ("lnd.address = \"169.254.1.2:8081\"", [true, false, false], false),
        ("lnd.address = \"127.0.0.1:8080\"", [true, false, false], true),
        ("lnd.macaroon_file = \"/srv/lnd/readonly.macaroon\"", [true, false, false], true),
    ] {
        let catalog = catalog(&format!("[node]\n{settings}\n"));
        for (page, rendered) in ["lnd-ui", "electrs-ui", "fedimint-ui"].into_iter().zip(rendered) {
            let name = CompanionName::new(format!("archy-{page}")).unwrap();
            let spec = catalog.companion(&name).unwrap();
            let file = format!("/var/lib/archipelago/{page}/nginx.conf");
            let output = spec.hook.as_ref().map(|hook| hook.output.as_str());
            assert_eq!(output, rendered.then_some(&*file), "{settings}");
            assert_eq!(spec.container.mounts.is_empty(), !rendered, "{settings}");
            let is_bridged = page == "lnd-ui" && !lnd_is_on_host;
            let network = if is_bridged { Network::Bridge } else { Network::Host };
            assert_eq!(spec.container.network, network, "{page}: {settings}");
            assert_eq!(spec.container.ports.len(), usize::from(is_bridged), "{page}: {settings}");
        }
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
            format!("lnd.address = \"127.0.0.1:8080{quoted}\""),
            format!("electrs.metrics_address = \"{quoted}:4224\""),
            format!("electrs.electrum_address = \"{quoted}\""),
            format!("fedimint.guardian_address = \"{quoted}\""),
        ] {
            let text = format!("[node]\n{settings}\n");
            let error = CatalogFile::parse(&text, "test.toml").unwrap_err();
            assert_eq!(error.place().unwrap().line, 2, "{settings}: {}", chain(&error));
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
