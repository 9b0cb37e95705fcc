//! Faults of the registry, and of pulls from it.

use super::probe::{PROBE, Probe};
use super::proxy::{Fault, IMAGE, Proxy};
use super::witness::Witness;
use crate::guest::podman;
use crate::http;

fn image() -> String {
    format!("{IMAGE}:latest")
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
