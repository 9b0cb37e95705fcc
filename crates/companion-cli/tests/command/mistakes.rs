//! Typical mistakes, and the whole answer to each.
//!
//! Elsewhere: a failing host in `commands/causes/tests.rs`, missing prerequisites in `doctor.rs` and `hosts.rs`, a second
//! daemon in `daemon.rs`, a log of an unknown name and an edited unit in `inspect.rs`, an app outside the catalog in `converge.rs`, a wrong key of the catalog in `catalogs.rs`, a
//! missing or empty file in `everything.rs`, an unmanaged unit of the daemon in `setup.rs`.

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
fn a_wrong_name_or_host_is_answered_in_full() {
    let bench = Bench::new();
    for (arguments, status, expected) in [
        (
            ["install", "bitcoin-nots"],
            2,
            "error: unknown app `bitcoin-nots`\nhint: did you mean `bitcoin-knots`?\n",
        ),
        (
            ["status", "archy-lnd-iu"],
            2,
            "error: unknown app or companion `archy-lnd-iu`\nhint: did you mean `archy-lnd-ui`?\n",
        ),
        (
            ["install", "archy-bitcoin-ui"],
            2,
            "error: `archy-bitcoin-ui` is a companion of several apps\n\
             hint: name the app: `bitcoin`, `bitcoin-core`, `bitcoin-knots`\n",
        ),
        (["logs", "lnd"], 3, "error: the simulated host has no log\n"),
    ] {
        answers(&bench, &arguments, status, expected);
    }
    assert!(!bench.state().join("desired.json").exists(), "nothing is recorded");
}

#[test]
fn invalid_arguments_are_bad_input_and_named() {
    let bench = Bench::new();
    for (arguments, message) in [
        ("", "Usage: companion [OPTIONS] <COMMAND>"),
        ("nothing", "unrecognized subcommand 'nothing'"),
        ("instal lnd", "tip: some similar subcommands exist: 'uninstall', 'install'"),
        ("status --jsno", "tip: a similar argument exists: '--json'"),
        ("install", "<NAME>..."),
        ("remove", "<NAME>..."),
        ("logs", "<NAME>..."),
        ("remove --all lnd", "'--all' cannot be used with"),
        ("logs --all lnd", "'--all' cannot be used with"),
        ("logs -- -x", "`-x`"),
        ("--contexts /nowhere/at/all catalog", "No such file or directory"),
        ("--build-arg BASE_IMAGE catalog", "must be of the form NAME=VALUE"),
        ("--build-arg =x status", "must be of the form NAME=VALUE"),
        ("--host docker catalog", "possible values: auto, user, system, sim"),
        ("run --resync 0", "0 is not in 1..=3600"),
        ("render lnd --podman-version x", "`x` is not a Podman version"),
        ("completions csh", "'csh'"),
        ("--host sim status --watch", "nothing changes on the simulated host"),
        ("--host sim status nextcloud", "hint: `companion catalog` lists"),
        ("--host sim install LND", "did you mean `lnd`?"),
        ("--host sim setup", "the simulated host has no daemon"),
        ("--host sim uninstall", "hint: nothing was changed; confirm with --yes"),
        ("--host sim uninstall --yes --json", "`uninstall` has no JSON output"),
    ] {
        let ran = bench.run(&arguments.split_whitespace().collect::<Vec<_>>());
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{arguments}: {ran:?}");
        assert!(ran.stderr.contains(message), "{arguments}: {ran:?}");
    }
}

#[test]
fn an_unusable_record_is_kept_and_named() {
    for (text, why) in [
        (
            "{\"version\": 99}",
            "its version is 99, but this program supports version 2; upgrade companion",
        ),
        ("{\"version\": 2, \"apps\"", "damaged at line 1, column 21"),
    ] {
        let bench = Bench::new();
        let record = bench.file("state/desired.json", text);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(bench.state(), mode).unwrap();
        let expected = format!(
            "error: failed to access the desired state: the desired state HOME/state/desired.json is invalid: \
             {why}\nhint: `companion doctor`, with the same `--state-dir` if given, prints the fix\n"
        );
        answers(&bench, &["install", "lnd"], 1, &expected);
        answers(&bench, &["remove", "lnd"], 1, &expected);
        assert_eq!(std::fs::read_to_string(record).unwrap(), text);
    }
}
