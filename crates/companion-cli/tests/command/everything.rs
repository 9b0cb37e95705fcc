//! remove --all, export, apply, uninstall: what concerns all apps at once.

use crate::bench::{Bench, Ran};

/// A bench with a state directory.
struct Node {
    bench: Bench,
    state: String,
}

impl Node {
    fn new() -> Self {
        let bench = Bench::new();
        let state = bench.home().join("state").to_str().unwrap().to_owned();
        Self { bench, state }
    }

    fn with(&self, arguments: &[&str]) -> Ran {
        self.bench.sim(&[&["--state-dir", self.state.as_str()], arguments].concat())
    }

    /// The apps that are recorded as installed.
    fn apps(&self) -> Vec<String> {
        let exported = self.with(&["export", "--json"]).json();
        let apps = exported["apps"].as_array().unwrap().iter();
        apps.map(|app| app.as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn remove_all_removes_every_installed_app() {
    let node = Node::new();
    assert_eq!(node.with(&["install", "lnd", "electrs"]).status, 0);
    let ran = node.with(&["remove", "--all"]);
    let removed = "archy-electrs-ui  removed\narchy-lnd-ui      removed\n";
    assert_eq!((ran.status, ran.stdout.as_str()), (0, removed), "{ran:?}");
    assert!(node.apps().is_empty());
    let ran = node.with(&["remove", "--all", "--images"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "nothing to do: no companions\n"), "{ran:?}");
    assert_eq!(node.with(&["remove"]).status, 2);
    assert_eq!(node.with(&["remove", "--all", "lnd"]).status, 2);
}

#[test]
fn an_exported_state_is_applied_on_another_node() {
    let node = Node::new();
    assert_eq!(node.with(&["install", "lnd", "bitcoin-core"]).status, 0);
    let exported = node.with(&["export"]);
    assert_eq!(exported.status, 0);
    let other = Node::new();
    let file = other.bench.file("node.toml", &exported.stdout);
    let file = file.to_str().unwrap();
    assert_eq!(other.with(&["install", "electrs"]).status, 0);

    let ran = other.with(&["apply", "--dry-run", "--prune", "-f", file]);
    let plan = "install bitcoin-core\ninstall lnd\nremove electrs\n";
    assert_eq!((ran.status, ran.stdout.as_str()), (0, plan), "{ran:?}");
    assert_eq!(other.apps(), ["electrs"]);

    let ran = other.with(&["apply", "-f", file]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stderr.contains("kept without --prune: electrs"), "{ran:?}");
    assert_eq!(other.apps(), ["bitcoin-core", "electrs", "lnd"]);

    let ran = other.with(&["apply", "--prune", "-f", file, "--json"]);
    assert_eq!((ran.status, &ran.json()["removed"][0]), (0, &"archy-electrs-ui".into()), "{ran:?}");
    assert_eq!(other.apps(), ["bitcoin-core", "lnd"]);
    let record = std::fs::read(other.bench.home().join("state/desired.json")).unwrap();
    assert_eq!(other.with(&["apply", "--prune", "-f", file]).status, 0);
    let again = std::fs::read(other.bench.home().join("state/desired.json")).unwrap();
    assert_eq!(record, again, "an applied file is no new intent");
}

#[test]
fn missing_empty_and_invalid_files_change_nothing() {
    let node = Node::new();
    assert_eq!(node.with(&["install", "lnd"]).status, 0);
    for (text, why) in [
        (None, "No such file"),
        (Some(""), "is empty"),
        (Some("version = 1\napps = []\n"), "names no app"),
        (Some("version = 1\napps = [\"lmd\"]\n"), "unknown app `lmd`"),
        (Some("version = 1\napps = \"lnd\"\n"), "is invalid"),
    ] {
        let file = match text {
            Some(text) => node.bench.file("node.toml", text),
            None => node.bench.home().join("missing.toml"),
        };
        let ran = node.with(&["apply", "--prune", "--file", file.to_str().unwrap()]);
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{ran:?}");
        assert!(ran.stderr.contains(why), "{why}: {ran:?}");
        assert_eq!(node.apps(), ["lnd"]);
    }
}

#[test]
fn uninstall_needs_a_confirmation_and_leaves_files_of_others() {
    let node = Node::new();
    assert_eq!(node.with(&["install", "lnd"]).status, 0);
    let ran = node.with(&["uninstall"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{ran:?}");
    assert_eq!(ran.told("hint"), Some("nothing was changed; confirm with --yes"));
    node.bench.file("state/notes.txt", "mine");
    let ran = node.with(&["uninstall", "--yes"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stderr.contains("notes.txt"), "{ran:?}");
    assert!(node.bench.home().join("state/notes.txt").exists());
    assert!(!node.bench.home().join("state/desired.json").exists());
}
