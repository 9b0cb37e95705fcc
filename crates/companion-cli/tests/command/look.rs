//! status, plan, logs and demo: the read-only commands.

use crate::bench::Bench;

/// A bench with lnd recorded as installed, and the options for its state directory.
fn recorded() -> (Bench, [String; 2]) {
    let bench = Bench::new();
    let state = ["--state-dir".to_owned(), bench.home().join("state").to_str().unwrap().to_owned()];
    let ran = bench.sim(&[&state[0], &state[1], "install", "lnd"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    (bench, state)
}

#[test]
fn status_of_an_unready_companion_has_its_next_step() {
    let (bench, state) = recorded();
    let ran = bench.sim(&[&state[0], &state[1], "status"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    let mut lines = ran.stdout.lines();
    assert!(lines.next().unwrap().starts_with("archy-lnd-ui  progressing"), "{ran:?}");
    assert_eq!(lines.next(), Some("    next: ensure-image archy-lnd-ui: image is missing"));
}

#[test]
fn status_is_printed_as_json() {
    let (bench, state) = recorded();
    let ran = bench.sim(&[&state[0], &state[1], "status", "--json"]);
    let status = ran.json();
    assert_eq!((ran.status, &status["healthy"], &status["version"]), (1, &false.into(), &1.into()));
    let companion = &status["companions"][0];
    assert_eq!(companion["name"], "archy-lnd-ui");
    assert_eq!(companion["health"], "progressing");
    let shape = [
        "conditions",
        "drop_ins",
        "generation",
        "health",
        "log",
        "log_error",
        "name",
        "next",
        "not_honoured",
        "restarts",
        "revisions",
        "root_cause",
        "running",
        "service",
        "settled",
        "since",
        "why",
    ];
    let mut keys: Vec<_> = companion.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, shape);
}

#[test]
fn requested_companion_that_is_not_installed_is_unhealthy() {
    let bench = Bench::new();
    let ran = bench.sim(&["status", "archy-lnd-ui", "--json"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert_eq!(ran.json()["companions"][0]["health"], "not-installed");
    let ran = bench.sim(&["status", "archy-lnd"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{ran:?}");
}

#[test]
fn a_plan_is_printed_and_not_carried_out() {
    let (bench, state) = recorded();
    let line = "ensure-image archy-lnd-ui: image is missing\n";
    for _ in 0..2 {
        let ran = bench.sim(&[&state[0], &state[1], "plan"]);
        assert_eq!((ran.status, ran.stdout.as_str()), (0, line), "{ran:?}");
    }
    let plan = bench.sim(&[&state[0], &state[1], "plan", "--json"]).json();
    assert_eq!(plan["converged"], false);
    assert_eq!(plan["steps"][0]["reason"], "image-missing");
    assert_eq!(Bench::new().sim(&["plan"]).stdout, "nothing to do\n");
}

#[test]
fn logs_of_an_app_are_refused() {
    let bench = Bench::new();
    let ran = bench.run(&["--host", "user", "logs", "lnd"]);
    assert_eq!(ran.status, 2, "{ran:?}");
    let ran = bench.run(&["--host", "user", "logs", "--", "-x"]);
    assert_eq!(ran.status, 2, "{ran:?}");
    let ran = bench.run(&["--host", "user", "logs", "archy-lnd-ui"]);
    assert_eq!(ran.status, 3, "`journalctl` is missing: {ran:?}");
}

#[test]
fn the_log_of_an_unknown_name_is_refused_with_a_suggestion() {
    let bench = Bench::new();
    bench.script("journalctl", "exit 0");
    let ran = bench.run(&["--host", "user", "logs", "archy-lnd-iu"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{ran:?}");
    assert_eq!(ran.told("hint"), Some("did you mean `archy-lnd-ui`?"));
}

#[test]
fn companion_outside_the_catalog_has_a_log_by_unit_or_journal() {
    for catalog in ["", "broken = [\n"] {
        let bench = Bench::new();
        bench.file(".config/companion/catalog.toml", catalog);
        let logs = |name: &str| bench.run(&["--host", "user", "logs", name]);
        bench.script("journalctl", "exit 0");
        assert_eq!(logs("old-ui").status, 2, "it has neither");
        assert_eq!(logs("archy-lnd-ui").status, 0, "a built-in companion needs neither");
        bench.file(".config/containers/systemd/old-ui.container", "[Container]\n");
        assert_eq!(logs("old-ui").status, 0);
        bench.script("journalctl", "case $* in *older-ui*) echo a line ;; esac");
        assert_eq!((logs("older-ui").status, &*logs("older-ui").stdout), (0, "a line\n"));
        let ran = logs("never-ui");
        assert_eq!(ran.status, 2);
        assert_eq!(ran.stderr.contains("catalog.toml:1:"), !catalog.is_empty(), "{ran:?}");
    }
}

#[test]
fn the_journal_is_asked_for_one_unit_and_nothing_else() {
    let bench = Bench::new();
    bench.script("journalctl", r#"printf '%s\n' "$@"; exit 7"#);
    let ran = bench.run(&["--host", "user", "logs", "-f", "-n", "5", "archy-lnd-ui"]);
    assert_eq!(ran.status, 7, "{ran:?}");
    let argv = ran.stdout;
    let words = "--user-unit=archy-lnd-ui.service --output=short --no-hostname --lines=5 --follow";
    assert_eq!(argv.split_whitespace().collect::<Vec<_>>().join(" "), words);
}

#[test]
fn the_demo_repairs_everything_it_breaks() {
    let ran = Bench::new().run(&["demo", "--json"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let demo = ran.json();
    assert_eq!((&demo["ok"], &demo["violations"]), (&true.into(), &0.into()));
    let acts = demo["acts"].as_array().unwrap();
    assert!(acts.len() >= 12);
    for act in acts {
        assert!(act["kept"] == true && act["true_after"].is_f64(), "{act}");
    }
}
