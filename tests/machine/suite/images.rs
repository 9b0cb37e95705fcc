//! Sources of images; a running companion is independent of them.

use std::fs;
use std::net::TcpListener;
use std::time::Instant;

use crate::daemon::Daemon;
use crate::guest::{measured, podman, root, systemctl, throughout, until, write};
use crate::http;
use crate::node::{
    CATALOG, CONTEXTS, Companion, ELECTRS, LND, Moment, companion, edit_context, image_id,
    installed,
};

const REGISTRY: &str = "127.0.0.1:5000";

fn shows(one: Companion, text: &str) -> bool {
    http::get(one.port, "/", &[]).is_ok_and(|page| page.text.contains(text))
}

/// Changes the page of a companion's build context.
fn change_page(one: Companion, text: &str) {
    edit_context(&format!("{}/index.html", one.base), &format!("<!doctype html><p>{text}</p>"));
}

#[test]
fn changed_build_context_is_built_and_restarts_once() {
    installed();
    let _daemon = Daemon::resyncing(2);
    let (since, other) = (Moment::now(), LND.container());
    let begun = Instant::now();
    change_page(ELECTRS, "a new page");
    until("the new page is there", 60, || shows(ELECTRS, "a new page").then_some(()));
    measured("changed context on the page", begun);
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
    let dockerfile = format!("{}/Dockerfile", ELECTRS.base);
    let text = fs::read_to_string(format!("{CONTEXTS}/{dockerfile}")).unwrap();
    edit_context(&dockerfile, &format!("{text}COPY what-is-not-there /\n"));
    throughout("the old one runs on", 8, || ELECTRS.is_up());
    let (status, exit) = ELECTRS.status();
    assert_eq!(exit, Some(1), "{status}");

    // Nor does it stop a companion that dies meanwhile.
    systemctl(&["stop", &ELECTRS.service()]).good();
    until("it is up with the old image", 60, || ELECTRS.is_up().then_some(()));
    assert_ne!(ELECTRS.container(), id);

    // A build retry at this moment would find its input.
    until("no build is under way", 60, || {
        let found = root(&["pgrep", "-f", "[p]odman build"]).status;
        found.filter(|status| *status == 1)
    });
    edit_context(&dockerfile, &text);
    until("it is ready", 60, || (ELECTRS.status().1 == Some(0)).then_some(()));
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
fn listener_in_place_of_the_registry_sees_every_request() {
    installed();
    let image = format!("{REGISTRY}/lfg2025/none:latest");
    assert!(asked_the_registry(|| {
        // It never answers, which the timeout handles.
        let pull = ["timeout", "3", "podman", "pull", "--retry=0", "--tls-verify=false", &image];
        crate::guest::archy(&pull);
    }));
}

fn lost_and_repaired(one: Companion) {
    systemctl(&["stop", &one.service()]).good();
    fs::remove_file(one.unit()).unwrap();
    let _daemon = Daemon::resyncing(2);
    until("it is up again", 30, || one.is_up().then_some(()));
    until("it is ready", 30, || (one.status().1 == Some(0)).then_some(()));
}

#[test]
fn built_image_is_repaired_without_its_registry() {
    installed();
    assert!(!asked_the_registry(|| lost_and_repaired(ELECTRS)));
}

#[test]
fn pulled_image_is_repaired_without_its_registry() {
    installed();
    companion(&["remove", "lnd"]).exits(0);
    let (built, pushed) = ("localhost/lnd-ui:latest", format!("{REGISTRY}/lfg2025/lnd-ui:latest"));
    podman(&["push", "--tls-verify=false", built, &pushed]).good();
    podman(&["image", "rm", "--force", built]).good();
    let text = fs::read_to_string(CATALOG).unwrap();
    let without_contexts = text.replacen("[node]", "[node]\ncontext_directories = []", 1);
    write(CATALOG, &without_contexts);

    let begun = Instant::now();
    companion(&["install", "lnd"]).exits(0);
    measured("install of one app, image pulled, to ready", begun);
    assert_eq!(Some(LND.unit_image()), image_id(&pushed), "{}", LND.unit_text());
    assert!(LND.is_up());
    assert!(!asked_the_registry(|| lost_and_repaired(LND)));
    podman(&["image", "rm", "--force", &pushed]).good();
}
