//! Faults of the registry, and of pulls from it.

use std::fs;
use std::time::Instant;

use super::probe::{PROBE, Probe};
use super::proxy::{Fault, IMAGE, Proxy};
use super::witness::{Witness, run_of};
use super::{TIMEOUT, all_well, logged_by};
use crate::daemon::Daemon;
use crate::guest::{archy, by_root, measured, podman, root, throughout, undo, until};
use crate::http;
use crate::node::{LND, STATE, companion};

fn image() -> String {
    format!("{IMAGE}:latest")
}

fn is_pulling() -> bool {
    root(&["pgrep", "-f", "[p]odman pull"]).status == Some(0)
}

fn images() -> String {
    podman(&["images", "--quiet", "--no-trunc"]).good()
}

/// Injects a pull failure, checks that it is reported with these words, and that the pull succeeds after the fault.
fn fails_and_recovers(fault: Fault, words: &str) {
    let witness = Witness::beside(&[]);
    let proxy = Proxy::with(fault);
    let probe = Probe::pulled(&image());
    let before = images();
    let ran = probe.install().exits(1);
    assert!(ran.words().contains(words), "{words}: {ran}");
    assert!(PROBE.unit_text().is_empty() && !PROBE.is_active());
    assert_eq!(images(), before, "nothing of it is kept");
    witness.bystanders_run_on();
    proxy.set(Fault::None);
    probe.install().exits(0);
    assert!(PROBE.is_up());
    drop(probe);
    witness.nothing_else_happened();
}

/// Row 54: a registry that answers with an error of its own.
#[test]
fn failing_registry_is_reported_and_retried() {
    fails_and_recovers(Fault::Answer("500 Internal Server Error\r\n"), "500");
}

/// Row 54: a registry with a rate limit.
#[test]
fn rate_limited_pull_is_reported_and_retried() {
    fails_and_recovers(Fault::Answer("429 Too Many Requests\r\nRetry-After: 1\r\n"), "429");
}

/// Row 54 and section 6: a redirect to a file is not followed.
#[test]
fn redirect_to_a_file_is_not_followed() {
    let answer = "307 Temporary Redirect\r\nLocation: file:///etc/passwd\r\n";
    fails_and_recovers(Fault::Answer(answer), "image `127.0.0.1:5001/fault/page:latest`");
}

/// Row 54: a registry with a redirect loop.
#[test]
fn redirect_loop_is_aborted() {
    let answer = "307 Temporary Redirect\r\nLocation: http://127.0.0.1:5001/v2/\r\n";
    fails_and_recovers(Fault::Answer(answer), "image `127.0.0.1:5001/fault/page:latest`");
}

/// Row 56: a registry that closes the connection within a blob.
#[test]
fn interrupted_pull_leaves_no_image() {
    fails_and_recovers(Fault::Cut, "image `127.0.0.1:5001/fault/page:latest`");
}

/// Row 57: an image with another digest than requested.
#[test]
fn image_with_another_digest_is_refused() {
    let witness = Witness::beside(&[]);
    let proxy = Proxy::with(Fault::Swapped);
    let headers = [("Accept", "application/vnd.oci.image.manifest.v1+json")];
    let answer = http::get(5000, "/v2/fault/page/manifests/latest", &headers).unwrap();
    let digest = answer.text.lines().find_map(|line| line.strip_prefix("Docker-Content-Digest: "));
    let reference = format!("{IMAGE}@{}", digest.unwrap());
    let probe = Probe::pulled(&reference);
    let before = images();
    let ran = probe.install().exits(1);
    assert!(ran.words().contains("igest"), "{ran}");
    assert_eq!(images(), before);
    assert!(!PROBE.is_active());
    proxy.set(Fault::None);
    probe.install().exits(0);
    assert!(PROBE.is_up());
    drop(probe);
    podman(&["image", "rm", "--force", "--ignore", &reference]).good();
    witness.nothing_else_happened();
}

/// Row 54: while the registry is down, a companion keeps running even without its image.
#[test]
fn companion_without_image_and_registry_keeps_running() {
    let witness = Witness::beside(&[]);
    let proxy = Proxy::with(Fault::None);
    let probe = Probe::pulled(&image());
    probe.install().exits(0);
    let run = run_of(PROBE);
    // This removes its image, unless that has another name.
    podman(&["tag", &image(), "localhost/kept:latest"]).good();
    drop(proxy);
    assert_eq!(podman(&["image", "exists", &image()]).status, Some(1));
    // Its archive would bring it back without the registry.
    archy(&["sh", "-c", &format!("rm {STATE}/images/page_latest.*.tar")]).good();
    // A daemon that never observed it with this image: the unit names the image.
    let daemon = Daemon::resyncing(1);
    logged_by(&daemon, "127.0.0.1:5001");
    throughout("it runs on", 3, || run_of(PROBE) == run);

    let _registry = Proxy::with(Fault::None);
    until("it is ready", TIMEOUT, || (PROBE.status().1 == Some(0)).then_some(()));
    assert_eq!(run_of(PROBE), run, "the same image costs no restart");
    drop(probe);
    podman(&["image", "rm", "--force", "localhost/kept:latest"]).good();
    witness.nothing_else_happened();
}

/// Row 55: a slow pull blocks no other companion, and stops when its app is removed.
#[test]
fn slow_pull_blocks_no_other_companion_and_stops_on_removal() {
    let witness = Witness::beside(&[LND]);
    let proxy = Proxy::with(Fault::Slow);
    let probe = Probe::pulled(&image());
    let _daemon = Daemon::resyncing(1);
    let install = std::thread::spawn(|| companion(&["install", "probe"]));
    until("it is being pulled", 30, || (is_pulling() && proxy.asked() > 2).then_some(()));
    let begun = Instant::now();
    fs::remove_file(LND.unit()).unwrap();
    until("another's unit is back", 30, || fs::metadata(LND.unit()).ok());
    podman(&["kill", "--signal=KILL", LND.name]).good();
    until("another is back", 60, || LND.is_up().then_some(()));
    measured("another back while a pull crawls", begun);
    assert!(is_pulling());

    probe.remove().exits(0);
    install.join().unwrap().exits(1);
    until("nobody pulls any more", 60, || (!is_pulling()).then_some(()));
    drop(proxy);
    all_well();
    drop(probe);
    witness.nothing_else_happened();
}

/// Row 56: a podman killed during a pull does not block the next pull.
#[test]
fn killed_pull_is_repeated() {
    let witness = Witness::beside(&[]);
    let proxy = Proxy::with(Fault::Slow);
    let probe = Probe::pulled(&image());
    let _none = undo("pkill -KILL -f '[p]odman pull'");
    let daemon = Daemon::resyncing(1);
    companion(&["--json", "plan"]);
    let install = std::thread::spawn(|| companion(&["install", "probe"]));
    for _ in 0..3 {
        until("it is being pulled", 60, || (is_pulling() && proxy.asked() > 2).then_some(()));
        by_root("pkill -KILL -f '[p]odman pull'");
    }
    install.join().unwrap();
    proxy.set(Fault::None);
    by_root("pkill -KILL -f '[p]odman pull' || true");
    until("it is ready", 90, || (PROBE.status().1 == Some(0)).then_some(()));
    assert!(PROBE.is_up());
    assert_eq!(podman(&["system", "check", "--quick"]).words().trim(), "");
    drop((probe, daemon));
    witness.nothing_else_happened();
}
