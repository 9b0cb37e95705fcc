//! status, plan, logs and demo: the read-only commands.

use crate::bench::Bench;

/// A bench with lnd recorded as installed; the simulated host of each command starts empty.
fn recorded() -> Bench {
    let bench = Bench::new();
    let ran = bench.sim(&["install", "lnd"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    bench
}

#[test]
fn status_has_the_next_step_and_the_copy_of_an_edited_unit() {
    let bench = recorded();
    let ran = bench.sim(&["status"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    let mut lines = ran.stdout.lines();
    assert!(lines.next().unwrap().starts_with("archy-lnd-ui  progressing"), "{ran:?}");
    assert_eq!(lines.next(), Some("    next: ensure-image archy-lnd-ui: image is missing"));
    let copy = bench.file("state/edited/archy-lnd-ui.container.3", "edited");
    let ran = bench.sim(&["status"]);
    assert!(ran.stdout.contains(&format!("edited unit saved: {}", copy.display())), "{ran:?}");
}

#[test]
fn status_is_printed_as_json() {
    let bench = recorded();
    let ran = bench.sim(&["status", "--json"]);
    let status = ran.json();
    assert_eq!((ran.status, &status["healthy"], &status["version"]), (1, &false.into(), &1.into()));
    let companion = &status["companions"][0];
    assert_eq!(companion["name"], "archy-lnd-ui");
    assert_eq!(companion["health"], "progressing");
    let mut keys: Vec<_> = companion.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort();
    let shape = "conditions drop_ins edited generation health image log log_error name next \
                 not_honoured restarts revisions root_cause running service settled since url usage why";
    assert_eq!(keys.join(" "), shape);
    assert_eq!(status["host"], "sim");
    assert!(companion["url"].as_str().unwrap().ends_with(":18083/"), "{companion}");
    assert_eq!(companion["image"]["reference"], "localhost/lnd-ui:latest");
}

#[test]
fn wide_status_has_the_page_the_image_and_the_versions() {
    let bench = recorded();
    let ran = bench.sim(&["status", "-o", "wide"]);
    let line = ran.stdout.lines().next().unwrap();
    for part in ["archy-lnd-ui", "progressing", "http://", ":18083/", "localhost/lnd-ui:latest"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(ran.stderr.contains("versions: this command "), "{ran:?}");
    assert!(ran.stderr.contains("host: A simulated host in memory"), "{ran:?}");
}

#[test]
fn a_planned_unit_is_shown_as_a_diff_without_any_configuration() {
    let bench = Bench::new();
    let ran = bench.sim(&["plan", "--diff"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "nothing to do\n"));
    assert_eq!(
        bench.sim(&["plan", "--diff", "--json"]).json()["diffs"].as_array().unwrap().len(),
        0
    );
    assert!(bench.sim(&["plan", "--json"]).json().get("diffs").is_none());
    assert_eq!(bench.sim(&["install", "bitcoin-core"]).status, 0);
    let ran = bench.sim(&["plan", "--diff"]);
    assert!(ran.stdout.contains("nginx.conf: contents are not shown"), "{ran:?}");
    assert!(!ran.stdout.contains("as first rendered"), "{ran:?}");
}

#[test]
fn requested_companion_that_is_not_installed_is_unhealthy() {
    let bench = Bench::new();
    let ran = bench.sim(&["status", "archy-lnd-ui", "--json"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert_eq!(ran.json()["companions"][0]["health"], "not-installed");
}

#[test]
fn a_plan_is_printed_and_not_carried_out() {
    let bench = recorded();
    let line = "ensure-image archy-lnd-ui: image is missing\n";
    for _ in 0..2 {
        let ran = bench.sim(&["plan"]);
        assert_eq!((ran.status, ran.stdout.as_str()), (0, line), "{ran:?}");
    }
    let plan = bench.sim(&["plan", "--json"]).json();
    assert_eq!(plan["converged"], false);
    assert_eq!(plan["steps"][0]["reason"], "image-missing");
    assert_eq!(Bench::new().sim(&["plan"]).stdout, "nothing to do\n");
}

#[test]
fn logs_need_the_program_journalctl() {
    let bench = Bench::new();
    for name in ["archy-lnd-ui", "lnd"] {
        let ran = bench.run(&["--host", "user", "logs", name]);
        assert_eq!(ran.status, 3, "`journalctl` is missing: {ran:?}");
    }
}

#[test]
fn each_command_accepts_an_app_and_a_companion() {
    let bench = recorded();
    let with = |arguments: &[&str]| {
        let ran = bench.sim(arguments);
        (ran.status, ran.stdout)
    };
    for command in ["status", "history", "render", "install"] {
        let answers = ["lnd", "archy-lnd-ui"].map(|name| with(&[command, name]));
        if command != "history" {
            assert_eq!(answers[0], answers[1], "{command}");
        }
        assert!(answers.iter().all(|(status, _)| *status != 2), "{command}: {answers:?}");
        let (status, stdout) = with(&[command, "lmd"]);
        assert_eq!((status, stdout.as_str()), (2, ""), "{command}");
    }
    assert_eq!(with(&["wait", "--timeout", "0", "lmd"]).0, 2);
    assert_eq!(with(&["wait", "--timeout", "0", "lnd"]).0, 1);
    let (status, stdout) = with(&["remove", "archy-lnd-ui"]);
    assert_eq!((status, stdout.as_str()), (0, "archy-lnd-ui  removed\n"));
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
        let ran = logs("archy-lnd-iu");
        assert_eq!((ran.status, ran.message("hint")), (2, Some("did you mean `archy-lnd-ui`?")));
        assert_eq!(ran.stderr.contains("catalog.toml:1:"), !catalog.is_empty(), "{ran:?}");
    }
}

#[test]
fn the_journal_is_asked_for_one_unit_and_nothing_else() {
    let bench = Bench::new();
    bench.script("journalctl", r#"printf '%s\n' "$@"; exit 7"#);
    let words = |arguments: &[&str]| {
        let ran = bench.run(&[&["--host", "user", "logs"], arguments].concat());
        assert_eq!(ran.status, 7, "{ran:?}");
        ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let form = "--quiet --output=short --no-hostname";
    let lnd = "--user-unit=archy-lnd-ui.service";
    assert_eq!(words(&["-f", "-n", "5", "lnd"]), format!("{lnd} {form} --lines=5 --follow"));
    assert_eq!(words(&["archy-lnd-ui"]), format!("{lnd} {form} --lines=100"));
    assert_eq!(words(&["lnd", "--since", "-1h"]), format!("{lnd} {form} --since=-1h"));
    let all = words(&["--all"]);
    for unit in ["archy-lnd-ui", "archy-bitcoin-ui", "archy-electrs-ui", "companion"] {
        assert!(all.contains(&format!("--user-unit={unit}.service")), "{all}");
    }
}

#[test]
fn the_demo_repairs_everything_it_breaks() {
    let ran = Bench::new().run(&["demo", "--json"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let demo = ran.json();
    assert_eq!((&demo["ok"], &demo["violations"]), (&true.into(), &0.into()));
    let repairs = demo["repairs"].as_array().unwrap();
    assert!(repairs.len() >= 12);
    for repair in repairs {
        assert!(repair["kept"] == true && repair["true_after"].is_f64(), "{repair}");
    }
}
