use std::fs;
use std::path::Path;
use std::sync::mpsc;

use companion_core::model::image::ImageRef;
use companion_core::ports::PortErrorKind;
use tempfile::TempDir;

use super::*;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(10);

fn directory() -> TempDir {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("Dockerfile"), "FROM scratch\n").unwrap();
    directory
}

fn build(directory: &Path) -> BuildSource {
    BuildSource {
        reference: ImageRef::new("localhost/x:latest").unwrap(),
        contexts: vec![AbsolutePath::new(directory.to_str().unwrap()).unwrap()],
        arguments: BTreeMap::new(),
    }
}

/// Makes a read of the context of `build` hang until the returned value is dropped.
async fn hang(contexts: &Contexts, build: &BuildSource) -> mpsc::Sender<()> {
    let (release, wait) = mpsc::channel::<()>();
    let slot = contexts.slot(&build.contexts).unwrap();
    assert!(slot.reader.read(SHORT, move || wait.recv().is_ok()).await.is_err());
    release
}

#[tokio::test]
async fn a_context_that_hangs_concerns_its_own_companion_alone() {
    let (one, other) = (directory(), directory());
    let (hung, healthy) = (build(one.path()), build(other.path()));
    let contexts = Contexts::default();
    let release = hang(&contexts, &hung).await;
    // With waiting, each call would take a minute.
    for _ in 0..3 {
        let found = contexts.find_all(&[Some(&hung), Some(&healthy), None], LONG).await;
        let error = found[0].as_ref().unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::Transient);
        assert!(error.to_string().contains(one.path().to_str().unwrap()), "{error}");
        assert!(found[1].as_ref().unwrap().is_some());
        assert!(matches!(&found[2], Ok(None)));
    }
    drop(release);
    while contexts.slot(&hung.contexts).unwrap().reader.is_running() {
        tokio::task::yield_now().await;
    }
    let found = contexts.find_all(&[Some(&hung)], LONG).await;
    assert!(found[0].as_ref().unwrap().is_some());
}

#[tokio::test]
async fn a_shared_context_is_read_once_for_all_build_arguments() {
    let directory = directory();
    let plain = build(directory.path());
    let mut other = plain.clone();
    other.arguments.insert("A".into(), "B".into());
    let contexts = Contexts::default();
    let found = contexts.find_all(&[Some(&plain), Some(&other), Some(&plain)], LONG).await;
    let digests: Vec<_> =
        found.iter().map(|found| found.as_ref().unwrap().as_ref().unwrap().digest).collect();
    assert!(digests[0] == digests[2] && digests[0] != digests[1]);
    assert_eq!(contexts.slots.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn each_directory_of_a_context_is_watched() {
    let directory = directory();
    let below = directory.path().join("conf/more");
    fs::create_dir_all(&below).unwrap();
    let source = build(directory.path());
    let contexts = Contexts::default();
    assert!(contexts.find_all(&[Some(&source)], LONG).await[0].is_ok());
    let mut found = contexts.directories();
    found.sort();
    let root = directory.path();
    assert_eq!(found, [root.to_owned(), root.join("conf"), below]);
}
