use super::*;
use crate::node::{Electrs, Lnd};

fn machine() -> Option<HostName> {
    HostName::new("node").ok()
}

fn text(page: StatusPage, node: &Node, machine: Option<HostName>, has_ipv6: bool) -> String {
    node.validate().unwrap();
    match page.render(node, machine, has_ipv6).unwrap() {
        Readiness::Ready(rendered) => String::from_utf8(rendered.bytes().to_vec()).unwrap(),
        Readiness::NotReady { waiting_for } => panic!("waits for {waiting_for}"),
    }
}

#[test]
fn image_has_the_configuration_of_a_default_node() {
    let images = [
        (StatusPage::Lnd, include_str!("../../companions/lnd-ui/default.conf")),
        (StatusPage::Electrs, include_str!("../../companions/electrs-ui/default.conf")),
    ];
    for (page, image) in images {
        let rendered = text(page, &Node::default(), None, false);
        for (number, (rendered, image)) in rendered.lines().zip(image.lines()).enumerate() {
            assert_eq!(image, rendered, "{}/default.conf:{}", page.base(), number + 1);
        }
        assert_eq!(image, rendered, "{}", page.base());
        assert!(!page.is_rendered_on(&Node::default()));
    }
}

#[test]
fn names_of_the_node_replace_those_of_the_machine() {
    let named = Node {
        host_names: ["node.home.arpa", "node.tail1234.ts.net"]
            .map(|n| HostName::new(n).unwrap())
            .into(),
        ..Node::default()
    };
    for page in StatusPage::ALL {
        assert!(page.is_rendered_on(&named));
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
    let ancestors = ["http://node.local:5678", "https://node.example"].map(str::to_owned).to_vec();
    let framed = Node { frame_ancestors: ancestors, ..Node::default() };
    for page in StatusPage::ALL {
        assert!(page.is_rendered_on(&framed));
        let text = text(page, &framed, None, false);
        let policy =
            "; frame-ancestors http://node.local:5678 https://node.example; require-trusted";
        assert!(text.contains(policy) && !text.contains("X-Frame-Options"), "{text}");
    }
}

#[test]
fn moved_backend_concerns_its_own_page_alone() {
    let electrs = Electrs {
        metrics_address: "127.0.0.1:24224".parse().unwrap(),
        electrum_address: "[::1]:60401".parse().unwrap(),
    };
    let node = Node { electrs, ..Node::default() };
    assert!(!StatusPage::Lnd.is_rendered_on(&node));
    assert!(StatusPage::Electrs.is_rendered_on(&node));
    let text = text(StatusPage::Electrs, &node, None, true);
    assert!(text.contains("proxy_pass \"http://127.0.0.1:24224/metrics\";"), "{text}");
    assert!(text.contains("fastcgi_pass \"[::1]:60401\";"), "{text}");
    assert!(text.contains("    listen [::]:18082 default_server ipv6only=on;\n"), "{text}");
}

#[test]
fn lnd_at_an_address_of_its_own_is_asked_from_the_host_network() {
    let at =
        |address: &str| Node { lnd: Lnd { address: address.parse().unwrap() }, ..Node::default() };
    let page = StatusPage::Lnd;
    let (near, far) = (at("169.254.1.2:8180"), at("[fd00::9]:8080"));
    assert!(page.is_rendered_on(&near) && !page.is_on_host_network(&near));
    assert!(page.is_rendered_on(&far) && page.is_on_host_network(&far));
    let near = text(page, &near, None, true);
    assert!(near.contains("listen 80 ") && !near.contains("listen [::]"), "{near}");
    assert!(near.contains("proxy_pass \"https://169.254.1.2:8180/v1/state\";"), "{near}");
    let far = text(page, &far, None, true);
    assert!(far.contains("listen 18083 ") && far.contains("listen [::]:18083 "), "{far}");
    assert!(far.contains("proxy_pass \"https://[fd00::9]:8080/v1/state\";"), "{far}");
}

/// nginx refuses a map with the same key twice, and the templates have `localhost`.
#[test]
fn each_host_name_is_rendered_once() {
    let names =
        ["node.home.arpa", "localhost", "node.home.arpa"].map(|n| HostName::new(n).unwrap());
    let node = Node { host_names: names.into(), ..Node::default() };
    for page in StatusPage::ALL {
        let text = text(page, &node, None, false);
        let keys = |name: &str| text.matches(&format!("\"host:{name}\"")).count();
        assert_eq!((keys("node.home.arpa"), keys("localhost")), (1, 1), "{text}");
    }
}
