//! Sources of images; a running companion is independent of them.

use std::fs;
use std::net::TcpListener;
use std::time::Instant;

use crate::daemon::Daemon;
use crate::guest::{archy, measured, podman, root, systemctl, throughout, until};
use crate::http;
use crate::node::{
    ELECTRS, LND, Moment, companion, edit_context, edit_dockerfile, image_id, installed,
    logged_by_the_daemon, restore_context, set_in_catalog,
};

const REGISTRY: &str = "127.0.0.1:5000";

#[test]
fn changed_build_context_is_built_and_restarts_once() {
    installed();
    let _daemon = Daemon::resyncing(2);
    let (since, other) = (Moment::now(), LND.container());
    let started = Instant::now();
    edit_context("electrs-ui/index.html", "<!doctype html><p>a new page</p>");
    until("the new page is there", 60, || {
        http::get(ELECTRS.port, "/", &[]).ok().filter(|page| page.text.contains("a new page"))
    });
    measured("changed context on the page", started);
    let id = ELECTRS.container();
    throughout("it is left alone", 7, || ELECTRS.container() == id);
    assert_eq!(ELECTRS.starts(&since), 1);
    assert_eq!(LND.container(), other);
}

#[test]
fn failed_build_is_reported_and_the_previous_image_keeps_running() {
    installed();
    let _daemon = Daemon::resyncing(2);
    let (since, id) = (Moment::now(), ELECTRS.container());
    // A base image that nobody has, and then a file.
    edit_dockerfile(ELECTRS, |_| "FROM localhost/none-of-this-name:latest\n".to_owned());
    logged_by_the_daemon("none-of-this-name");
    restore_context(ELECTRS);
    edit_dockerfile(ELECTRS, |text| format!("{text}COPY what-is-not-there /\n"));
    throughout("the old one runs on", 8, || ELECTRS.is_up());
    let (status, exit) = ELECTRS.status();
    assert_eq!(exit, Some(1), "{status}");

    // Nor does it stop a companion that dies meanwhile.
    systemctl(&["stop", &ELECTRS.service()]).good();
    ELECTRS.comes_up(60);
    assert_ne!(ELECTRS.container(), id);

    // A build retry at this moment would find its input.
    until("no build is under way", 60, || {
        let found = root(&["pgrep", "-f", "[p]odman build"]).status;
        found.filter(|status| *status == 1)
    });
    restore_context(ELECTRS);
    ELECTRS.becomes_ready(60);
    assert_eq!(ELECTRS.starts(&since), 1, "an image that did not change costs no restart");
}

/// Whether the registry is contacted while `act` runs: a listener replaces it.
pub(crate) fn asked_the_registry(act: impl FnOnce()) -> bool {
    root(&["systemctl", "stop", "docker-registry"]).good();
    let listener = until("the port is free", 20, || TcpListener::bind(REGISTRY).ok());
    listener.set_nonblocking(true).unwrap();
    act();
    listener.accept().is_ok()
}

#[test]
fn built_or_pulled_image_is_repaired_without_its_registry() {
    installed();
    companion(&["remove", "lnd"]).exits(0);
    let (built, pushed) = (LND.tag(), format!("{REGISTRY}/lfg2025/lnd-ui:latest"));
    podman(&["push", "--tls-verify=false", &built, &pushed]).good();
    podman(&["image", "rm", "--force", &built]).good();
    set_in_catalog("context_directories = []");
    let started = Instant::now();
    companion(&["install", "lnd"]).exits(0);
    measured("install of one app, image pulled, to ready", started);
    assert_eq!(Some(LND.unit_image()), image_id(&pushed), "{}", LND.unit_text());
    assert!(LND.is_up());
    assert!(!asked_the_registry(|| {
        for one in [ELECTRS, LND] {
            systemctl(&["stop", &one.service()]).good();
            fs::remove_file(one.unit()).unwrap();
        }
        let _daemon = Daemon::resyncing(2);
        for one in [ELECTRS, LND] {
            one.comes_up(30);
            one.becomes_ready(30);
        }
    }));
    // The listener sees a request. It never answers, which the timeout handles.
    assert!(asked_the_registry(|| {
        let none = format!("{REGISTRY}/lfg2025/none:latest");
        archy(&["timeout", "3", "podman", "pull", "--retry=0", "--tls-verify=false", &none]);
    }));
    podman(&["image", "rm", "--force", &pushed]).good();
}
