//! Faults of the registry, and of pulls from it.

use super::TIMEOUT;
use super::probe::{PROBE, Probe};
use super::proxy::{Fault, IMAGE, Proxy};
use super::witness::Witness;
use crate::daemon::Daemon;
use crate::guest::{archy, by_root, measured, podman, root, throughout, undo, until};
use crate::http;
use crate::node::{LND, STATE, all_ready, companion, logged_by_the_daemon};

fn image() -> String {
    format!("{IMAGE}:latest")
}

fn is_pulling() -> bool {
    root(&["pgrep", "-f", "[p]odman pull"]).status == Some(0)
}

fn images() -> String {
    podman(&["images", "--quiet", "--no-trunc"]).good()
}

/// The image by its digest.
fn pinned() -> String {
    let headers = [("Accept", "application/vnd.oci.image.manifest.v1+json")];
    let answer = http::get(5000, "/v2/fault/page/manifests/latest", &headers).unwrap();
    let digest = answer.text.lines().find_map(|line| line.strip_prefix("Docker-Content-Digest: "));
    format!("{IMAGE}@{}", digest.unwrap())
}

/// Rows 54, 56 and 57, and section 6: the registry answers with errors, with redirects to a file and in a circle,
/// closes the connection within a blob, or sends another image than that of the digest. The pull succeeds after each.
#[test]
fn failed_pull_is_reported_leaves_nothing_and_is_retried() {
    let witness = Witness::excluding(&[]);
    let proxy = Proxy::start();
    let file = "307 Temporary Redirect\r\nLocation: file:///etc/passwd\r\n";
    let circle = "307 Temporary Redirect\r\nLocation: http://127.0.0.1:5001/v2/\r\n";
    let (tag, named) = (image(), "image `127.0.0.1:5001/fault/page:latest`");
    let limited = "429 Too Many Requests\r\nRetry-After: 1\r\n";
    for (fault, reference, words) in [
        (Fault::Answer("500 Internal Server Error\r\n"), &tag, "500"),
        (Fault::Answer(limited), &tag, "429"),
        (Fault::Answer(file), &tag, named),
        (Fault::Answer(circle), &tag, named),
        (Fault::Cut, &tag, named),
        (Fault::Swapped, &pinned(), "igest"),
    ] {
        let probe = Probe::pulled(reference);
        proxy.set(fault);
        let before = images();
        let ran = probe.install().exits(1);
        assert!(ran.words().contains(words), "{fault:?}: {ran}");
        assert!(PROBE.unit_text().is_empty() && !PROBE.is_active(), "{fault:?}");
        assert_eq!(images(), before, "{fault:?}: nothing of it is kept");
        witness.bystanders_run_on();
        proxy.set(Fault::None);
        probe.install().exits(0);
        assert!(PROBE.is_up(), "{fault:?}");
        drop(probe);
        podman(&["image", "rm", "--force", "--ignore", reference]).good();
    }
    witness.nothing_else_happened();
}

/// Row 54: while the registry is down, a companion keeps running even without its image.
#[test]
fn companion_without_image_and_registry_keeps_running() {
    let witness = Witness::excluding(&[]);
    let proxy = Proxy::start();
    let probe = Probe::pulled(&image());
    probe.install().exits(0);
    let run = PROBE.run();
    // This removes its image, unless that has another name.
    podman(&["tag", &image(), "localhost/kept:latest"]).good();
    drop(proxy);
    assert_eq!(podman(&["image", "exists", &image()]).status, Some(1));
    // Its archive would bring it back without the registry.
    archy(&["sh", "-c", &format!("rm {STATE}/images/page_latest.*.tar")]).good();
    // A daemon that never observed it with this image: the unit names the image.
    let _daemon = Daemon::resyncing(1);
    logged_by_the_daemon("127.0.0.1:5001");
    throughout("it runs on", 3, || PROBE.run() == run);

    let _registry = Proxy::start();
    PROBE.becomes_ready(TIMEOUT);
    assert_eq!(PROBE.run(), run, "the same image costs no restart");
    drop(probe);
    podman(&["image", "rm", "--force", "localhost/kept:latest"]).good();
    witness.nothing_else_happened();
}

/// Rows 55 and 56: a slow pull blocks no other companion, is repeated when podman is killed, and stops when its app is
/// removed.
#[test]
fn slow_pull_blocks_no_other_companion_and_stops_on_removal() {
    let witness = Witness::excluding(&[LND]);
    let proxy = Proxy::start();
    proxy.set(Fault::Slow);
    let probe = Probe::pulled(&image());
    let _none = undo("pkill -KILL -f '[p]odman pull'");
    let _daemon = Daemon::resyncing(1);
    let install = std::thread::spawn(|| companion(&["install", "probe"]));
    let pulls = || {
        until("it is being pulled", 60, || (is_pulling() && proxy.asked() > 2).then_some(()));
    };
    for _ in 0..2 {
        pulls();
        by_root("pkill -KILL -f '[p]odman pull'");
    }
    pulls();
    let started = LND.loses_its_unit();
    podman(&["kill", "--signal=KILL", LND.name]).good();
    LND.comes_up(60);
    measured("another back while a pull crawls", started);
    pulls();

    probe.remove().exits(0);
    install.join().unwrap().exits(1);
    until("nobody pulls any more", 60, || (!is_pulling()).then_some(()));
    proxy.set(Fault::None);
    probe.install().exits(0);
    assert!(PROBE.is_up());
    assert_eq!(podman(&["system", "check", "--quick"]).words().trim(), "");
    drop(proxy);
    all_ready(TIMEOUT);
    drop(probe);
    witness.nothing_else_happened();
}
