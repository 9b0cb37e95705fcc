//! Faults of the registry, and of pulls from it.

use std::fs;
use std::time::Instant;

use super::probe::{PROBE, Probe};
use super::proxy::{Fault, IMAGE, Proxy};
use super::witness::{Witness, run_of};
use super::{PATIENCE, all_well, told_by};
use crate::daemon::Daemon;
use crate::guest::{by_root, measured, podman, root, throughout, undo, until};
use crate::http;
use crate::node::{LND, companion};

fn image() -> String {
    format!("{IMAGE}:latest")
}

fn is_pulling() -> bool {
    root(&["pgrep", "-f", "[p]odman pull"]).status == Some(0)
}

fn images() -> String {
    podman(&["images", "--quiet", "--no-trunc"]).good()
}

/// A pull fails so often, is told with these words, and succeeds as soon as the registry is well again.
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

/// Row 54: a registry that answers with its own error.
#[test]
fn a_registry_that_breaks_is_told_and_asked_again() {
    fails_and_recovers(Fault::Answer("500 Internal Server Error\r\n"), "500");
}

/// Row 54: a registry that asks for patience.
#[test]
fn a_registry_that_is_asked_too_often_is_told_and_asked_again() {
    fails_and_recovers(Fault::Answer("429 Too Many Requests\r\nRetry-After: 1\r\n"), "429");
}

/// Row 54 and section 6: a registry that leads elsewhere is followed to no file.
#[test]
fn a_registry_that_leads_to_a_file_is_not_followed() {
    let answer = "307 Temporary Redirect\r\nLocation: file:///etc/passwd\r\n";
    fails_and_recovers(Fault::Answer(answer), "image `127.0.0.1:5001/fault/page:latest`");
}

/// Row 54: a registry that leads to itself for ever.
#[test]
fn a_registry_that_leads_in_a_circle_is_given_up() {
    let answer = "307 Temporary Redirect\r\nLocation: http://127.0.0.1:5001/v2/\r\n";
    fails_and_recovers(Fault::Answer(answer), "image `127.0.0.1:5001/fault/page:latest`");
}

/// Row 56: a registry that hangs up in the midst of a blob.
#[test]
fn a_registry_that_hangs_up_half_way_leaves_nothing_of_the_image() {
    fails_and_recovers(Fault::Cut, "image `127.0.0.1:5001/fault/page:latest`");
}

/// Row 57: another image than the one that its digest names.
#[test]
fn an_image_of_another_digest_is_refused() {
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

/// Row 54: while the registry is down, what runs from its image runs on, although the image is gone too.
#[test]
fn a_companion_whose_image_and_registry_are_gone_runs_on() {
    let witness = Witness::beside(&[]);
    let proxy = Proxy::with(Fault::None);
    let probe = Probe::pulled(&image());
    probe.install().exits(0);
    let run = run_of(PROBE);
    // It takes its image with it, but for one that has another name.
    podman(&["tag", &image(), "localhost/kept:latest"]).good();
    drop(proxy);
    assert_eq!(podman(&["image", "exists", &image()]).status, Some(1));
    // One that never saw it run from this image: the unit names the image.
    let daemon = Daemon::resyncing(1);
    told_by(&daemon, "127.0.0.1:5001");
    throughout("it runs on", 3, || run_of(PROBE) == run);

    let _registry = Proxy::with(Fault::None);
    until("it is ready", PATIENCE, || (PROBE.status().1 == Some(0)).then_some(()));
    assert_eq!(run_of(PROBE), run, "the same image costs no restart");
    drop(probe);
    podman(&["image", "rm", "--force", "localhost/kept:latest"]).good();
    witness.nothing_else_happened();
}

/// Row 55: a pull that crawls holds up no other companion, and ends with the wish that it was for.
#[test]
fn a_pull_that_crawls_holds_up_nobody_and_ends_with_its_wish() {
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

/// Row 56: a podman that is killed in the midst of a pull leaves nothing that keeps the next from working.
#[test]
fn a_pull_that_is_killed_half_way_is_made_anew() {
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
