//! Cleanup after a build whose caller was dropped.

use std::fs;
use std::time::Duration;

use companion_core::ports::ImageProvider as _;

use crate::guest::{Guest, podman};

/// Returns whether a process has `words` on its command line.
fn runs(words: &str) -> bool {
    let line = |entry: fs::DirEntry| fs::read(entry.path().join("cmdline")).unwrap_or_default();
    let with_blanks = |line: Vec<u8>| String::from_utf8_lossy(&line).replace('\0', " ");
    let mut entries = fs::read_dir("/proc").unwrap().flatten();
    entries.any(|entry| with_blanks(line(entry)).trim() == words)
}

async fn until_it_runs(words: &str) {
    while !runs(words) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Asserts that no process, container or crun state of a build that ran `words` is left.
fn assert_nothing_is_left(words: &str) {
    assert!(!runs(words), "the RUN is still running");
    let containers = podman("ps --all --external --format {{.Names}}");
    assert!(!containers.contains("interrupted-base"), "{containers}");
    podman("system check --quick");
}

fn sleeping_source(
    guest: &Guest,
    name: &str,
    words: &str,
) -> companion_core::model::image::ImageSource {
    // A separate base gives the working container a distinct name.
    podman("tag localhost/companion-base:latest localhost/interrupted-base:latest");
    let dockerfile = format!("FROM localhost/interrupted-base:latest\nRUN {words}\n");
    guest.source_of(name, &dockerfile)
}

#[tokio::test]
async fn a_build_whose_caller_went_leaves_no_process_and_no_container() {
    let guest = Guest::new();
    let words = "sleep 98761";
    let source = sleeping_source(&guest, "dropped", words);
    tokio::select! {
        image = guest.images.ensure(&source) => panic!("it ended with {image:?}"),
        () = until_it_runs(words) => {}
    }
    guest.podman.settled().await;
    assert_nothing_is_left(words);
    assert!(guest.observe(&source).await.unwrap().present.is_none());
}
