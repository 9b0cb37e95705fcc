//! Typical mistakes, and the whole answer to each.
//!
//! Elsewhere: a failing host in `commands/causes/tests.rs`, missing prerequisites and two installations in `doctor.rs`, a second
//! daemon in `daemon.rs`, a log of an unknown name and an edited unit in `look.rs`, an app outside the catalog in `passes.rs`, a
//! missing or empty file in `everything.rs`, an unmanaged unit of the daemon in `setup.rs`.

use std::path::PathBuf;

use crate::bench::Bench;

/// Asserts exit status and stderr of `arguments` on the simulated host; `HOME` stands for the home.
#[track_caller]
fn answers(bench: &Bench, arguments: &[&str], status: i32, expected: &str) {
    let ran = bench.sim(arguments);
    let home = bench.home().to_str().unwrap();
    let note = "note: this is the simulated host: it starts empty and ends with the command\n";
    let stderr = ran.stderr.replace(home, "HOME").replace(note, "");
    assert_eq!((ran.status, stderr.as_str()), (status, expected), "{ran:?}");
}

#[test]
fn a_typo_in_a_name_is_answered_with_the_nearest_one() {
    let bench = Bench::new();
    answers(
        &bench,
        &["install", "bitcoin-nots"],
        2,
        "error: unknown app `bitcoin-nots`\nhint: did you mean `bitcoin-knots`?\n",
    );
    answers(
        &bench,
        &["status", "archy-lnd-iu"],
        2,
        "error: unknown app or companion `archy-lnd-iu`\nhint: did you mean `archy-lnd-ui`?\n",
    );
    answers(
        &bench,
        &["install", "archy-bitcoin-ui"],
        2,
        "error: `archy-bitcoin-ui` is a companion of several apps\n\
         hint: name the app: `bitcoin`, `bitcoin-core`, `bitcoin-knots`\n",
    );
}

#[test]
fn a_typo_in_a_command_or_option_is_answered_with_a_tip() {
    let bench = Bench::new();
    for (arguments, tip) in [
        (&["instal", "lnd"][..], "tip: some similar subcommands exist: 'uninstall', 'install'"),
        (&["status", "--jsno"], "tip: a similar argument exists: '--json'"),
    ] {
        let ran = bench.sim(arguments);
        assert_eq!(ran.status, 2, "{ran:?}");
        assert!(ran.stderr.contains(tip), "{ran:?}");
    }
}

#[test]
fn a_wrong_key_of_the_catalog_is_shown_with_its_line() {
    let bench = Bench::new();
    let text = "[[companion]]\nname = \"my-ui\"\napps = [\"my-app\"]\nport = 1\n";
    let file = bench.file("catalog.toml", text);
    answers(
        &bench,
        &["--catalog", file.to_str().unwrap(), "install", "my-app"],
        2,
        "error: HOME/catalog.toml:4:1: unknown field `port`, expected one of `name`, `apps`, \
         `description`, `image`, `container`, `hook`\n  |\n4 | port = 1\n  | ^^^^\n",
    );
}

/// Writes the record `text` into a state directory, and returns the paths of both.
fn recorded(bench: &Bench, text: &str) -> (PathBuf, String) {
    let record = bench.file("state/desired.json", text);
    let state = bench.home().join("state");
    std::fs::set_permissions(&state, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    (record, state.to_str().unwrap().to_owned())
}

#[test]
fn a_record_of_a_newer_version_is_answered_with_the_upgrade() {
    let bench = Bench::new();
    let (_, state) = recorded(&bench, "{\"version\": 99}");
    answers(
        &bench,
        &["--state-dir", &state, "install", "lnd"],
        1,
        "error: failed to access the desired state: the desired state HOME/state/desired.json is invalid: \
         its version is 99, but this program supports version 2; upgrade companion\n\
         hint: `companion doctor`, with the same `--state-dir` if given, prints the fix\n",
    );
}

#[test]
fn a_damaged_record_is_kept_and_named() {
    let bench = Bench::new();
    let (record, state) = recorded(&bench, "{\"version\": 2, \"apps\"");
    answers(
        &bench,
        &["--state-dir", &state, "remove", "lnd"],
        1,
        "error: failed to access the desired state: the desired state HOME/state/desired.json is invalid: \
         damaged at line 1, column 21\n\
         hint: `companion doctor`, with the same `--state-dir` if given, prints the fix\n",
    );
    assert_eq!(std::fs::read_to_string(record).unwrap(), "{\"version\": 2, \"apps\"");
}

#[test]
fn a_user_without_a_bus_is_told_how_to_get_one() {
    let bench = Bench::new();
    let ran = bench.run(&["--host", "user", "install", "lnd"]);
    assert_eq!(ran.status, 3, "{ran:?}");
    assert!(ran.told("error").unwrap().starts_with("the user's systemd cannot be reached"));
    let hint = "loginctl enable-linger, or log in; `companion doctor` lists what is missing";
    assert_eq!(ran.told("hint"), Some(hint));
    assert_eq!(ran.stderr.lines().count(), 2, "{ran:?}");
}

#[test]
fn a_log_without_a_host_and_a_value_without_a_name_are_refused() {
    let bench = Bench::new();
    answers(&bench, &["logs", "lnd"], 3, "error: the simulated host has no log\n");
    let ran = bench.sim(&["--build-arg", "=x", "status"]);
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.stderr.contains("must be of the form NAME=VALUE"), "{ran:?}");
}
