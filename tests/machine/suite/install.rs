//! Installation of three companions on a clean node.

use std::fs;
use std::time::Instant;

use crate::daemon::Daemon;
use crate::guest::{by_root, measured, podman, root, systemctl, undo, until, write};
use crate::http;
use crate::node::{
    ALL, ASKED, CATALOG, Companion, ELECTRS, LND, NETWORK_WAIT, USER_UNITS, ask_the_node, clean,
    companion, containers, install_all, installed, rendered_files, set_in_catalog,
};

#[test]
fn three_apps_get_three_units_services_and_pages() {
    clean();
    assert_eq!(companion(&["status"]).exits(0).stdout.trim(), NOTHING);
    let started = Instant::now();
    install_all().exits(0);
    measured("install of three apps, images built, to ready", started);
    for one in ALL {
        assert!(one.unit_text().contains("[X-Companion]"), "{}", one.unit_text());
        assert!(one.is_active(), "{}", one.name);
        let page = http::get(one.port, "/", &[]).unwrap();
        assert_eq!(page.status, 200, "{page:?}");
        assert!(page.text.contains("<!doctype html>"), "{page:?}");
    }
    let ran = companion(&["--json", "status"]).exits(0);
    let status: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(status["healthy"], true);
    let companions = status["companions"].as_array().unwrap();
    assert_eq!(companions.len(), 3);
    assert!(companions.iter().all(|one| one["health"] == "ready"), "{status}");

    let before = containers();
    for daemon in [false, true] {
        let _daemon = daemon.then(|| Daemon::resyncing(1));
        let started = Instant::now();
        install_all().exits(0);
        measured("install of what is installed", started);
        assert_eq!(containers(), before);
    }
}

const NOTHING: &str = "no companions: no app is recorded as installed";

#[test]
fn rpc_viewer_uses_the_current_credentials() {
    installed();
    let before = fs::read_to_string(ASKED).unwrap_or_default().lines().count();
    assert_eq!(ask_the_node(), Some(200));
    let asked = fs::read_to_string(ASKED).unwrap();
    let asked: Vec<_> = asked.lines().skip(before).collect();
    let line: serde_json::Value = serde_json::from_str(asked[0]).unwrap();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(line["method"], "getblockchaininfo");
    assert_eq!((&line["user"], &line["password_right"]), (&"archipelago".into(), &true.into()));
}

/// A second stand-in publishes figures where the catalog says that electrs does. With the settings the mounts go, too.
#[test]
fn names_and_addresses_of_the_catalog_reach_the_pages() {
    installed();
    let listening = |own: &[(&str, &str)]| {
        let answer = http::get(ELECTRS.port, "/api/listening", own).unwrap();
        answer.text.contains(r#"{"listening":true}"#)
    };
    assert!(listening(&[("X-Requested-With", "companion")]));
    let moved = "electrs = { metrics_address = \"127.0.0.1:24224\", electrum_address = \"127.0.0.1:60401\" }\n";
    let named =
        "host_names = [\"node.home.arpa\", \"node\"]\nframe_ancestors = [\"http://node:5678\"]\n";
    let (before, units) = (fs::read_to_string(CATALOG).unwrap(), ALL.map(Companion::unit_text));
    assert!([LND, ELECTRS].iter().all(|one| !one.unit_text().contains("Volume=")));
    let _stopped = undo("systemctl stop second-stand-in");
    let backend = "/usr/local/bin/stand-in-node --electrs-metrics 127.0.0.1:24224";
    by_root(&format!("systemd-run --quiet --collect --unit=second-stand-in {backend}"));

    set_in_catalog(&format!("{named}{moved}"));
    companion(&["reconcile"]).exits(0);
    for one in ALL {
        for (host, status) in [("node.home.arpa", 200), ("node", 200), ("attacker.example", 421)] {
            let answer = http::get(one.port, "/", &[("Host", host)]).unwrap();
            assert_eq!(answer.status, status, "{} as {host}: {answer:?}", one.name);
            assert!(answer.text.contains("frame-ancestors http://node:5678;"), "{answer:?}");
        }
    }
    let own = [("X-Requested-With", "companion"), ("Host", "node")];
    let figures =
        || http::get(ELECTRS.port, "/api/metrics", &own).ok().filter(|it| it.status == 200);
    let figures = until("the moved electrs answers", 10, figures);
    assert!(figures.text.contains("index_height"), "{figures:?}");
    assert!(!listening(&own));

    write(CATALOG, &before);
    companion(&["reconcile"]).exits(0);
    assert_eq!(ALL.map(Companion::unit_text), units);
    companion(&["remove", "lnd", "electrumx"]).exits(0);
    let directories =
        [LND, ELECTRS].map(|one| format!("/var/lib/archipelago/{}/nginx.conf", one.base));
    assert!(directories.iter().all(|output| rendered_files(output).is_empty()));
}

/// A stand-in answers where the Guardian would be.
#[test]
fn waiting_page_goes_over_when_the_guardian_answers() {
    installed();
    companion(&["install", "fedimint"]).exits(0);
    let page = http::get(18084, "/", &[]).unwrap();
    assert!(page.status == 200 && page.text.contains("data-page=\"fedimint\""), "{page:?}");
    let listening = root(&["ss", "--no-header", "--listening", "--tcp", "--numeric"]).good();
    assert!(listening.contains("[::]:18084 "), "{listening}");
    let own = [("X-Requested-With", "companion")];
    for (question, answers) in [("guardian", false), ("node", true)] {
        let answer = http::get(18084, &format!("/api/{question}"), &own).unwrap();
        assert!(answer.text.ends_with(&format!("{{\"answers\":{answers}}}")), "{answer:?}");
    }

    let _stopped = undo("systemctl stop guardian");
    let backend = "/usr/local/bin/stand-in-node --electrs-metrics 127.0.0.1:8177";
    by_root(&format!("systemd-run --quiet --collect --unit=guardian {backend}"));
    let moved = || http::get(18084, "/", &[("Host", "node.local:18084")]).ok();
    let moved = until("the page goes over", 10, || moved().filter(|it| it.status == 302));
    assert!(moved.text.contains("\r\nLocation: http://node.local:8177/\r\n"), "{moved:?}");
    by_root("systemctl stop guardian");
    assert_eq!(http::get(18084, "/", &[]).unwrap().status, 200);
    companion(&["remove", "fedimint"]).exits(0);
    assert!(http::get(18084, "/", &[]).is_err());
}

/// A unit of the previous manager: without an ownership label, in an older form. Its memory limit is omitted, because
/// `podman run --memory` is refused without the memory controller in the guest.
const PREVIOUS_MANAGERS: &str = "[Unit]
Description=Archipelago companion UI: archy-lnd-ui
After=network-online.target
Wants=network-online.target

[Container]
Image=localhost/lnd-ui:latest
ContainerName=archy-lnd-ui
PublishPort=18083:80
Network=bridge
User=0:0
DropCapability=ALL
AddCapability=CHOWN DAC_OVERRIDE NET_BIND_SERVICE SETUID SETGID

[Service]
Restart=always
RestartSec=10

[Install]
WantedBy=default.target
";

#[test]
fn container_of_the_previous_manager_is_adopted_under_its_name() {
    installed();
    clean();
    let base = "localhost/companion-base:latest";
    podman(&["tag", base, "localhost/lnd-ui:latest"]).good();
    write(&LND.unit(), PREVIOUS_MANAGERS);
    let immediate = "[Service]\nExecStart=\nExecStart=/bin/true\n";
    write(&format!("{USER_UNITS}/{NETWORK_WAIT}.d/immediate.conf"), immediate);
    systemctl(&["daemon-reload"]).good();
    systemctl(&["start", &LND.service()]).good();
    let old = LND.container().unwrap();

    companion(&["install", "lnd"]).exits(0);
    assert!(LND.unit_text().contains("[X-Companion]"), "{}", LND.unit_text());
    assert!(LND.is_up());
    assert_ne!(LND.container(), Some(old));
    let names = podman(&["ps", "--all", "--format", "{{.Names}}"]).good();
    assert_eq!(names, LND.name);
}
