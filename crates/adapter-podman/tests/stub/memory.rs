//! What is remembered from one process to the next: each "process" is a fresh `Podman` with the same
//! directory.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use adapter_podman::{Limits, Podman, PodmanImages};
use companion_core::ports::ImageProvider as _;

use crate::image_provider::{COMMIT, Host};

/// All that a process asks of which nothing is remembered.
const ALL: &str = "--version info images image-inspect";

/// A host whose image is built, and a state directory.
struct Node {
    host: Host,
    environment: Vec<(OsString, OsString)>,
    settle: Duration,
}

impl Node {
    async fn new() -> Self {
        let host = Host::new();
        host.stub.answer("--version", "echo podman version 5.4.2");
        host.images.ensure(&host.source()).await.unwrap();
        let node = Self { environment: host.stub.environment(), host, settle: Duration::ZERO };
        fs::create_dir(node.state()).unwrap();
        node
    }

    fn state(&self) -> PathBuf {
        self.host.stub.file("state")
    }

    fn file(&self) -> PathBuf {
        self.state().join("podman.json")
    }

    fn podman(&self) -> Podman {
        let limits = Limits { settle: self.settle, ..Limits::default() };
        let podman = Podman::with_environment(self.environment.clone());
        podman.with_limits(limits).remembering(self.state())
    }

    /// Looks as a fresh process does, and returns what podman was asked for.
    async fn look(&mut self) -> String {
        self.host.stub.forget_calls();
        let podman = self.podman();
        assert_eq!(podman.version().await.unwrap(), "5.4.2");
        self.host.images = PodmanImages::new(podman);
        self.look_again().await
    }

    /// Looks once more as the same process.
    async fn look_again(&mut self) -> String {
        assert!(self.host.observe().await.unwrap().is_current());
        self.host.stub.verbs()
    }
}

#[tokio::test]
async fn the_next_process_starts_no_podman() {
    let mut node = Node::new().await;
    assert_eq!(node.look().await, ALL);
    let written = fs::read(node.file()).unwrap();
    for _ in 0..2 {
        assert_eq!(node.look().await, "");
    }
    assert_eq!(fs::read(node.file()).unwrap(), written);
    assert_eq!(fs::metadata(node.file()).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(fs::read_dir(node.state()).unwrap().count(), 1, "no temporary file stays");
}

#[tokio::test]
async fn another_program_is_asked_for_everything() {
    let mut node = Node::new().await;
    node.look().await;
    node.host.stub.install();
    assert_eq!(node.look().await, ALL);
    assert_eq!(node.look().await, "");
}

#[tokio::test]
async fn a_store_that_changed_between_two_processes_is_listed_again_and_no_more() {
    let mut node = Node::new().await;
    node.look().await;
    let same = fs::read_to_string(node.host.stub.file("images.json")).unwrap();
    node.host.set_images(&same);
    assert_eq!(node.look().await, "images");
    assert_eq!(node.look().await, "");
    fs::create_dir(node.host.stub.file("store/overlay-containers")).unwrap();
    fs::write(node.host.stub.file("store/overlay-containers/containers.json"), "[]").unwrap();
    assert_eq!(node.look().await, "images");
    assert_eq!(node.look().await, "");
}

#[tokio::test]
async fn other_settings_or_another_environment_are_another_store() {
    let mut node = Node::new().await;
    let config = node.host.stub.file("config");
    node.environment.push(("XDG_CONFIG_HOME".into(), config.clone().into()));
    node.look().await;
    fs::create_dir_all(config.join("containers")).unwrap();
    fs::write(config.join("containers/storage.conf"), "[storage]").unwrap();
    assert_eq!(node.look().await, ALL);
    assert_eq!(node.look().await, "");
    node.environment.push(("XDG_DATA_HOME".into(), "/data".into()));
    assert_eq!(node.look().await, ALL);
}

#[tokio::test]
async fn a_process_that_outlives_its_settings_leaves_nothing_under_the_new_ones() {
    let mut node = Node::new().await;
    let config = node.host.stub.file("config");
    node.environment.push(("XDG_CONFIG_HOME".into(), config.clone().into()));
    node.look().await;
    fs::create_dir_all(config.join("containers")).unwrap();
    fs::write(config.join("containers/storage.conf"), "[storage]").unwrap();
    let same = fs::read_to_string(node.host.stub.file("images.json")).unwrap();
    node.host.set_images(&same);
    node.look_again().await;
    assert_eq!(node.look().await, ALL);
}

#[tokio::test]
async fn what_is_damaged_is_asked_for_and_replaced() {
    let mut node = Node::new().await;
    node.look().await;
    let good = fs::read_to_string(node.file()).unwrap();
    let half = good.get(..good.len() / 2).unwrap();
    let newer = good.replace(r#""form":1"#, r#""form":2"#);
    let huge = good.clone() + &" ".repeat(1024 * 1024);
    for damaged in ["", "null", half, newer.as_str(), huge.as_str()] {
        fs::write(node.file(), damaged).unwrap();
        assert_eq!(node.look().await, ALL);
        assert_eq!(node.look().await, "");
    }
}

#[tokio::test]
async fn without_a_place_to_write_to_everything_is_asked_each_time_and_works() {
    let mut node = Node::new().await;
    fs::create_dir(node.file()).unwrap();
    for _ in 0..2 {
        assert_eq!(node.look().await, ALL, "a directory lies at the name");
    }
    fs::remove_dir(node.file()).unwrap();
    fs::set_permissions(node.state(), fs::Permissions::from_mode(0o777)).unwrap();
    for _ in 0..2 {
        assert_eq!(node.look().await, ALL, "anyone may write to the directory");
    }
    fs::remove_dir(node.state()).unwrap();
    for _ in 0..2 {
        assert_eq!(node.look().await, ALL, "there is no directory");
    }
    assert!(!node.state().exists());
}

#[tokio::test]
async fn what_changed_too_shortly_before_is_not_remembered() {
    let mut node = Node::new().await;
    node.settle = Duration::from_secs(24 * 60 * 60);
    assert_eq!(node.look().await, ALL);
    assert_eq!(node.look_again().await, ALL, "this process need not ask again");
    assert_eq!(node.look().await, ALL);
}

#[tokio::test]
async fn a_store_that_changes_while_it_is_listed_is_listed_by_the_next_process_again() {
    let mut node = Node::new().await;
    node.host.stub.answer("images", &format!("cat $dir/images.json\n{COMMIT}"));
    assert_eq!(node.look().await, ALL);
    node.host.stub.answer("images", "cat $dir/images.json");
    assert_eq!(node.look().await, "images");
    assert_eq!(node.look().await, "");
}

#[tokio::test]
async fn a_podman_without_a_memory_writes_nothing_and_asks_each_time() {
    let node = Node::new().await;
    node.host.stub.forget_calls();
    for _ in 0..2 {
        assert_eq!(node.host.stub.podman().version().await.unwrap(), "5.4.2");
    }
    assert_eq!(node.host.stub.verbs(), "--version --version");
    assert!(!node.file().exists());
}
