//! remove --all, export, apply, uninstall: what concerns all apps together.

use crate::bench::Bench;

/// The apps that are recorded as installed.
fn apps(node: &Bench) -> Vec<String> {
    let exported = node.sim(&["export", "--json"]).json();
    let apps = exported["apps"].as_array().unwrap().iter();
    apps.map(|app| app.as_str().unwrap().to_owned()).collect()
}

#[test]
fn remove_all_removes_every_installed_app() {
    let node = Bench::new();
    assert_eq!(node.sim(&["install", "lnd", "electrs"]).status, 0);
    let ran = node.sim(&["remove", "--all"]);
    let removed = "archy-electrs-ui  removed\narchy-lnd-ui      removed\n";
    assert_eq!((ran.status, ran.stdout.as_str()), (0, removed), "{ran:?}");
    assert!(apps(&node).is_empty());
    let ran = node.sim(&["remove", "--all", "--images"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "nothing to do: no companions\n"), "{ran:?}");
}

#[test]
fn an_exported_state_is_applied_on_another_node() {
    let node = Bench::new();
    assert_eq!(node.sim(&["install", "lnd", "bitcoin-core"]).status, 0);
    let exported = node.sim(&["export"]);
    assert_eq!(exported.status, 0);
    let other = Bench::new();
    let file = other.file("node.toml", &exported.stdout);
    let file = file.to_str().unwrap();
    assert_eq!(other.sim(&["install", "electrs"]).status, 0);

    let ran = other.sim(&["apply", "--dry-run", "--prune", "-f", file]);
    let plan = "install bitcoin-core\ninstall lnd\nremove electrs\n";
    assert_eq!((ran.status, ran.stdout.as_str()), (0, plan), "{ran:?}");
    assert_eq!(apps(&other), ["electrs"]);

    let ran = other.sim(&["apply", "-f", file]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stderr.contains("kept without --prune: electrs"), "{ran:?}");
    assert_eq!(apps(&other), ["bitcoin-core", "electrs", "lnd"]);

    let ran = other.sim(&["apply", "--prune", "-f", file, "--json"]);
    assert_eq!((ran.status, &ran.json()["removed"][0]), (0, &"archy-electrs-ui".into()), "{ran:?}");
    assert_eq!(apps(&other), ["bitcoin-core", "lnd"]);
    let record = std::fs::read(other.state().join("desired.json")).unwrap();
    assert_eq!(other.sim(&["apply", "--prune", "-f", file]).status, 0);
    let again = std::fs::read(other.state().join("desired.json")).unwrap();
    assert_eq!(record, again, "an applied file is no new intent");
}

#[test]
fn missing_empty_and_invalid_files_change_nothing() {
    let node = Bench::new();
    assert_eq!(node.sim(&["install", "lnd"]).status, 0);
    for (text, why) in [
        (None, "No such file"),
        (Some("version = 1\napps = []\n"), "names no app"),
        (Some("version = 1\napps = [\"lmd\"]\n"), "unknown app `lmd`"),
    ] {
        let file = match text {
            Some(text) => node.file("node.toml", text),
            None => node.home().join("missing.toml"),
        };
        let ran = node.sim(&["apply", "--prune", "--file", file.to_str().unwrap()]);
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{ran:?}");
        assert!(ran.stderr.contains(why), "{why}: {ran:?}");
        assert_eq!(apps(&node), ["lnd"]);
    }
}

#[test]
fn uninstall_leaves_files_of_others() {
    let node = Bench::new();
    assert_eq!(node.sim(&["install", "lnd"]).status, 0);
    node.file("state/notes.txt", "mine");
    let ran = node.sim(&["uninstall", "--yes"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stderr.contains("notes.txt"), "{ran:?}");
    assert!(node.state().join("notes.txt").exists());
    assert!(!node.state().join("desired.json").exists());
}
