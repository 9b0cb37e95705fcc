//! doctor: problems of the host, and the commands that fix them.

use serde_json::Value;

use crate::bench::{Bench, Ran};

/// The findings of one check.
fn findings(ran: &Ran, check: &str) -> Vec<Value> {
    let report = ran.json();
    let checks = report["checks"].as_array().unwrap().iter();
    checks.filter(|found| found["check"] == check).cloned().collect()
}

fn finding(ran: &Ran, check: &str) -> Value {
    let found = findings(ran, check);
    assert_eq!(found.len(), 1, "{check}: {ran:?}");
    found[0].clone()
}

fn doctor(bench: &Bench) -> Ran {
    bench.run(&["--host", "user", "doctor", "--json"])
}

#[test]
fn each_missing_part_is_an_error_with_its_fix() {
    let bench = Bench::new();
    let ran = doctor(&bench);
    assert_eq!(ran.status, 3, "{ran:?}");
    assert_eq!((&ran.json()["ok"], &ran.json()["version"]), (&false.into(), &1.into()));
    for missing in ["systemd", "podman"] {
        let found = finding(&ran, missing);
        assert_eq!(found["state"], "error");
        assert!(found["fix"].as_str().is_some_and(|fix| !fix.is_empty()));
    }
    assert_eq!(finding(&ran, "catalog")["state"], "ok");
    assert_eq!(finding(&ran, "state directory")["state"], "ok");
    let daemon = finding(&ran, "daemon");
    assert_eq!(daemon["state"], "warning", "its state is unknown");
    let text = bench.run(&["--host", "user", "doctor"]);
    for line in ["ok      catalog: ", "warning daemon: ", "error   podman: ", "        fix: "] {
        assert!(text.stdout.lines().any(|found| found.starts_with(line)), "{line}: {text:?}");
    }
    assert!(bench.contents().is_empty(), "{:?}", bench.contents());
}

#[test]
fn invalid_catalog_does_not_stop_the_other_checks() {
    let bench = Bench::new();
    let sound = doctor(&bench).json()["checks"].as_array().unwrap().len();
    let file = bench.file(".config/companion/catalog.toml", "[[companion]]\nport = 1\n");
    let unit = bench.file(".config/containers/systemd/archy-lnd-ui.container", "[Container]\n");
    let ran = doctor(&bench);
    assert_eq!(ran.status, 3, "{ran:?}");
    let found = finding(&ran, "catalog");
    assert_eq!(found["state"], "error");
    let text = found["found"].as_str().unwrap();
    assert!(text.contains(&format!("{}:2:1: ", file.display())), "{text}");
    assert!(text.contains("`port`"), "{text}");
    // The unmanaged unit with a built-in name is found nevertheless, and kept.
    let units = finding(&ran, "units");
    assert_eq!(units["state"], "error");
    assert!(units["found"].as_str().unwrap().contains(unit.to_str().unwrap()));
    assert!(unit.exists());
    assert_eq!(ran.json()["checks"].as_array().unwrap().len(), sound + 1);
}

#[test]
fn fix_keeps_a_newer_desired_state_and_moves_away_a_damaged_one() {
    let bench = Bench::new();
    let record = |text: &str| {
        bench.file(".local/state/companion/desired.json", text);
        let found = finding(&doctor(&bench), "record");
        assert_eq!(found["state"], "error", "{found}");
        found["fix"].as_str().unwrap().to_owned()
    };
    let fix = record("{\"version\": 99}");
    assert!(fix.starts_with("upgrade companion"), "{fix}");
    assert!(!fix.contains("mv "), "{fix}");
    for damaged in ["{", "{\"version\": \"x\"}"] {
        let fix = record(damaged);
        assert!(fix.starts_with("mv "), "{damaged}: {fix}");
    }
}

#[test]
fn state_directory_writable_by_others_is_an_error() {
    let bench = Bench::new();
    let directory = bench.home().join("state");
    std::fs::create_dir(&directory).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(&directory, mode).unwrap();
    let state = ["--state-dir", directory.to_str().unwrap()];
    let ran = bench.run(&[&["--host", "user"], &state[..], &["doctor", "--json"]].concat());
    assert_eq!(finding(&ran, "state directory")["state"], "error");
}

/// The output of `systemctl show` for a daemon of `program`.
fn shown(program: &str, state: &str) -> String {
    format!(
        "LoadState=loaded\n{state}\nUnitFileState=enabled\nFragmentPath=/u/companion.service\n\
         NeedDaemonReload=no\nMainPID=0\n\
         ExecStart={{ path={program} ; argv[]={program} run ; ignore_errors=no }}"
    )
}

const RUNNING: &str = "ActiveState=active\nSubState=running\nResult=success";

fn daemon_as(bench: &Bench, shown: &str) -> Vec<(String, String)> {
    bench.script("systemctl", &format!("cat <<'END'\n{shown}\nEND"));
    bench.system_program("cat");
    let ran = doctor(bench);
    let text = |found: &Value, key: &str| found[key].as_str().unwrap_or_default().to_owned();
    findings(&ran, "daemon")
        .iter()
        .map(|found| (text(found, "state"), text(found, "found")))
        .collect()
}

#[test]
fn daemon_state_is_read_from_systemd() {
    let bench = Bench::installed();
    let own = bench.program().to_str().unwrap().to_owned();
    let found = daemon_as(&bench, &shown(&own, RUNNING));
    let ok = ("ok".to_owned(), "running, enabled, /u/companion.service".to_owned());
    assert_eq!(found, [ok]);

    let looping = "ActiveState=activating\nSubState=auto-restart\nResult=exit-code\n\
                   ExecMainStatus=203\nNRestarts=5";
    let found = daemon_as(&bench, &shown("/nowhere/companion", looping));
    let states: Vec<_> = found.iter().map(|(state, _)| state.as_str()).collect();
    assert_eq!(states, ["error", "error"], "{found:?}");
    assert!(found[0].1.contains("203/EXEC), 5 restart(s)"), "{found:?}");
    assert!(found[1].1.contains("`/nowhere/companion`"), "{found:?}");
}

#[test]
fn the_simulated_host_has_no_prerequisites() {
    assert_eq!(Bench::new().sim(&["doctor"]).status, 0);
}
