use companion_core::model::companion::CompanionName;

use super::*;
use crate::Catalog;
use crate::node::Lnd;

/// The pages that their images configure for a default node.
const STATUS: [Page; 3] = [Page::Lnd, Page::Electrs, Page::Fedimint];

fn machine() -> Option<HostName> {
    HostName::new("node").ok()
}

fn text(page: Page, node: &Node, machine: Option<HostName>, has_ipv6: bool) -> String {
    node.validate().unwrap();
    let rendered = page.render(node, machine, has_ipv6).unwrap();
    String::from_utf8(rendered.bytes().to_vec()).unwrap()
}

#[test]
fn image_has_the_configuration_of_a_default_node() {
    let images = [
        (Page::Lnd, include_str!("../../companions/lnd-ui/default.conf")),
        (Page::Electrs, include_str!("../../companions/electrs-ui/default.conf")),
        (Page::Fedimint, include_str!("../../companions/fedimint-ui/default.conf")),
    ];
    for (page, image) in images {
        let rendered = text(page, &Node::default(), None, false);
        for (number, (rendered, image)) in rendered.lines().zip(image.lines()).enumerate() {
            assert_eq!(image, rendered, "{}/default.conf:{}", page.base(), number + 1);
        }
        assert_eq!(image, rendered, "{}", page.base());
    }
}

#[test]
fn names_of_the_node_replace_those_of_the_machine() {
    let named = node("host_names = [\"node.home.arpa\", \"node.tail1234.ts.net\"]");
    for page in STATUS {
        let own = text(page, &named, machine(), false);
        assert!(
            own.contains("    \"host:node.home.arpa\" 1;\n    \"host:node.tail1234.ts.net\" 1;\n")
        );
        assert!(!own.contains("\"host:node\" 1;"), "{own}");
        let machines = text(page, &Node::default(), machine(), false);
        assert!(machines.contains("    \"host:node.local\" 1;\n    \"host:node\" 1;\n"));
    }
}

#[test]
fn frame_ancestors_replace_both_refusals_to_be_framed() {
    let framed = node("frame_ancestors = [\"http://node.local:5678\", \"https://node.example\"]");
    for page in STATUS {
        let text = text(page, &framed, None, false);
        let policy =
            "; frame-ancestors http://node.local:5678 https://node.example; require-trusted";
        assert!(text.contains(policy) && !text.contains("X-Frame-Options"), "{text}");
    }
}

/// Each page knows the ports of all, because they link to each other.
#[test]
fn ports_of_the_node_reach_every_page() {
    let node =
        node("page_ports = { bitcoin = 8334, electrs = 50002, lnd = 8080, fedimint = 8175 }");
    let ports = "{\"bitcoin\":8334,\"electrs\":50002,\"lnd\":8080,\"fedimint\":8175}";
    for (page, listen) in [(Page::Lnd, 80), (Page::Electrs, 50002), (Page::Fedimint, 8175)] {
        let text = text(page, &node, None, true);
        assert!(text.contains(&format!("listen {listen} default_server;")), "{text}");
        assert!(text.contains(ports) && text.contains("/(8334|50002|8080|8175)$"), "{text}");
        let ipv6 = text.contains(&format!("listen [::]:{listen} default_server"));
        assert_eq!((ipv6, text.contains("include /proc")), (page != Page::Lnd, false));
    }
    let electrs = text(Page::Electrs, &node, None, false);
    assert!(electrs.contains("http://127.0.0.1:8334/api/getblockchaininfo;"), "{electrs}");
    let fedimint = text(Page::Fedimint, &node, None, false);
    assert!(fedimint.contains("http://127.0.0.1:8334/api/getblockchaininfo;"), "{fedimint}");
    let catalog = Catalog::on(node.clone()).unwrap();
    let lnd = catalog.companion(&CompanionName::new("archy-lnd-ui").unwrap()).unwrap();
    assert_eq!(lnd.container.ports[0].host.get(), 8080);
}

fn node(settings: &str) -> Node {
    toml::from_str(settings).unwrap()
}

#[test]
fn moved_backend_concerns_its_own_page_alone() {
    let onion = "a2".repeat(28);
    let moved = node(&format!(
        "electrs = {{ metrics_address = \"127.0.0.1:24224\", electrum_address = \"[::1]:60401\", \
         onion_address = \"{onion}.onion:50001\" }}"
    ));
    let fedimint =
        "fedimint.guardian_address = \"[::1]:28177\"\nbitcoin.address = \"10.0.0.2:18332\"";
    for (page, node, parts) in [
        (
            Page::Electrs,
            moved,
            [
                "proxy_pass \"http://127.0.0.1:24224/metrics\";",
                "fastcgi_pass \"[::1]:60401\";",
                "{\\\"port\\\":60401,\\\"onion\\\":\\\"a2a2",
            ],
        ),
        (
            Page::Fedimint,
            node(fedimint),
            [
                "proxy_pass \"http://[::1]:28177/\";",
                "proxy_pass \"http://10.0.0.2:18332/\";",
                "return 302 http://$host:28177/;",
            ],
        ),
        (
            Page::Lnd,
            node("lnd.address = \"169.254.1.2:8180\""),
            [
                "listen 80 ",
                "proxy_pass \"https://169.254.1.2:8180/v1/state\";",
                "proxy_pass http://169.254.1.2:$1/icon.svg;",
            ],
        ),
        // At another address, lnd is asked from the network of the host.
        (
            Page::Lnd,
            node("lnd.address = \"[fd00::9]:8080\""),
            [
                "listen [::]:18083 ",
                "proxy_pass \"https://[fd00::9]:8080/v1/state\";",
                "proxy_pass http://127.0.0.1:$1/icon.svg;",
            ],
        ),
    ] {
        let text = text(page, &node, None, true);
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        assert_eq!(text.contains("listen [::]"), page.is_on_host_network(&node), "{text}");
    }
}

/// nginx refuses a map with the same key twice, and the templates have `localhost`.
#[test]
fn each_host_name_is_rendered_once() {
    let node = node("host_names = [\"node.home.arpa\", \"localhost\", \"node.home.arpa\"]");
    for page in STATUS {
        let text = text(page, &node, None, false);
        let keys = |name: &str| text.matches(&format!("\"host:{name}\"")).count();
        assert_eq!((keys("node.home.arpa"), keys("localhost")), (1, 1), "{text}");
    }
}

fn with_macaroon(file: &std::path::Path) -> Node {
    let macaroon_file = Some(AbsolutePath::new(file.to_str().unwrap()).unwrap());
    Node { lnd: Lnd { macaroon_file, ..Lnd::default() }, ..Node::default() }
}

#[test]
fn macaroon_becomes_a_header_of_four_fixed_calls() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("readonly.macaroon");
    std::fs::write(&file, [0x02, 0x01, 0x00, 0xff, b'"', b'\n', b'$']).unwrap();
    let node = with_macaroon(&file);
    assert_eq!(Page::Lnd.inputs(&node), [file]);
    assert!(Page::Electrs.inputs(&node).is_empty());
    let text = text(Page::Lnd, &node, None, false);
    let header = "proxy_set_header Grpc-Metadata-macaroon \"020100ff220a24\";";
    assert_eq!(text.matches(header).count(), 4, "{text}");
    for path in ["getinfo", "balance/blockchain", "balance/channels", "channels"] {
        let call = format!("proxy_pass \"https://127.0.0.1:8080/v1/{path}\";");
        assert!(text.contains(&call), "{text}");
    }
    assert!(!text.contains("//169.254.1.2"), "{text}");
}

/// Whoever answers for such a name on the network could have a browser read the balances (DNS rebinding).
#[test]
fn with_a_macaroon_only_names_of_the_node_open_the_page() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("readonly.macaroon");
    let wildcards = ["+local$\"", "{3,63}$\""];
    let node = with_macaroon(&file);
    let without = text(Page::Lnd, &node, machine(), false);
    assert!(wildcards.iter().all(|pattern| without.contains(pattern)), "{without}");
    std::fs::write(&file, [0x02, 0x01]).unwrap();
    let with = text(Page::Lnd, &node, machine(), false);
    assert!(!wildcards.iter().any(|pattern| with.contains(pattern)), "{with}");
    assert!(with.contains("    \"host:node.local\" 1;\n    \"host:node\" 1;\n"), "{with}");
}

#[test]
fn missing_macaroon_is_rendered_as_a_page_without_one() {
    let dir = tempfile::tempdir().unwrap();
    let node = with_macaroon(&dir.path().join("readonly.macaroon"));
    let without = text(Page::Lnd, &self::node("lnd.address = \"127.0.0.1:8080\""), None, false);
    assert_eq!(text(Page::Lnd, &node, None, false), without);
}

#[test]
fn page_without_a_usable_macaroon_says_why_and_quotes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("readonly.macaroon");
    for contents in [String::new(), "hunter2".repeat(200), "hunter2".repeat(20_000)] {
        std::fs::write(&file, contents).unwrap();
        let text = text(Page::Lnd, &with_macaroon(&file), None, false);
        assert!(text.contains(NO_MACAROON), "{text}");
        assert!(!text.contains("hunter2") && !text.contains("68756e746572"), "{text}");
        assert!(!text.contains("Grpc-Metadata"), "{text}");
    }
    let directory = text(Page::Lnd, &with_macaroon(dir.path()), None, false);
    assert!(directory.contains(NO_MACAROON), "{directory}");
}

#[test]
fn only_a_lasting_problem_renders_a_page_without_the_macaroon() {
    let failed = |kind| HookError::failed(kind, "failed to read an input");
    assert_eq!(problem(failed(PortErrorKind::Denied)).unwrap(), NO_PERMISSION);
    let retried = problem(failed(PortErrorKind::Transient)).unwrap_err();
    assert_eq!(retried.kind(), PortErrorKind::Transient);
}
