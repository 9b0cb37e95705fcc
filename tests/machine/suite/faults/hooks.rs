//! Faults of hooks and credentials.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::probe::{INPUT, OUTPUT, PROBE, PROGRAM, Probe, program};
use super::witness::{Witness, run_of};
use super::{TIMEOUT, all_well, held, logged_by};
use crate::daemon::Daemon;
use crate::guest::{archy, podman, root, tell, throughout, until, write};
use crate::node::{
    BITCOIN, CONFIG, ELECTRS, LND, PASSWORD, ask_the_node, companion, rendered_file,
    rendered_files, rotate_password,
};

/// Outside of nginx's configuration: only the fault of the hook matters.
const BESIDE: &str = "/etc/nginx/probe.txt";
const GOOD: &str = "echo rendered; cat /home/archy/hook/input";

/// Row 70: a failing hook leaves the container and its configuration unchanged.
#[test]
fn failed_hook_keeps_the_previous_configuration() {
    let witness = Witness::beside(&[]);
    let probe = Probe::with_hook(GOOD, BESIDE);
    probe.install().exits(0);
    let daemon = Daemon::resyncing(1);
    let (run, rendered) = (run_of(PROBE), fs::read(OUTPUT).unwrap());
    let endings = [
        ("exit 1", "exit status: 1"),
        ("exit 126", "exit status: 126"),
        ("exit 127", "exit status: 127"),
        ("kill -SEGV $$", "signal: 11"),
        ("head -c 3000000 /dev/zero", "printed more than"),
    ];
    for (index, (script, words)) in endings.into_iter().enumerate() {
        program(script);
        write(INPUT, &format!("another, {index}\n"));
        logged_by(&daemon, words);
        assert_eq!(PROBE.status().1, Some(1), "{script}");
    }
    archy(&["chmod", "0777", PROGRAM]).good();
    write(INPUT, "one more\n");
    logged_by(&daemon, "may write to it");
    archy(&["rm", PROGRAM]).good();
    write(INPUT, "and one more\n");
    logged_by(&daemon, "does not exist");
    assert!(fs::read(OUTPUT).unwrap() == rendered);
    assert_eq!(run_of(PROBE), run);

    program(GOOD);
    write(INPUT, "the last\n");
    until("it is ready", TIMEOUT, || (PROBE.status().1 == Some(0)).then_some(()));
    assert_eq!(fs::read_to_string(OUTPUT).unwrap(), "rendered\nthe last\n");
    assert_ne!(run_of(PROBE), run);
    drop(probe);
    witness.nothing_else_happened();
}

/// Row 72: a program's output is not restored in place: the program runs again.
#[test]
fn lost_or_edited_file_of_a_program_gets_its_next_epoch() {
    let witness = Witness::beside(&[]);
    let probe = Probe::with_hook(GOOD, BESIDE);
    probe.install().exits(0);
    let _daemon = Daemon::resyncing(1);
    for script in ["rm \"$1\"", "echo edited >>\"$1\"", "chmod 0606 \"$1\""] {
        let (run, old) = (run_of(PROBE), rendered_file(OUTPUT).unwrap());
        archy(&["sh", "-ec", script, "sh", &old]).good();
        let new = until("another file is all there is", TIMEOUT, || {
            let new = rendered_file(OUTPUT).filter(|new| *new != old)?;
            let runs = PROBE.status().1 == Some(0) && run_of(PROBE) != run;
            (runs && rendered_files(OUTPUT) == [new.clone()].into()).then_some(new)
        });
        assert_eq!(fs::read_to_string(&new).unwrap(), "rendered\nfirst\n", "{script}");
        let seen = podman(&["exec", "--user=0", PROBE.name, "cat", BESIDE]);
        assert_eq!(seen.stdout, "rendered\nfirst\n", "{script}");
        // A change within the five seconds of a repair waits for the rest of them.
        let run = run_of(PROBE);
        throughout("one restart is enough", 7, || run_of(PROBE) == run);
    }
    drop(probe);
    witness.nothing_else_happened();
}

/// Row 70: a companion is not started before the first successful run of its hook.
#[test]
fn companion_is_not_started_before_its_first_rendering() {
    let witness = Witness::beside(&[]);
    let probe = Probe::with_hook("exit 3", BESIDE);
    let ran = probe.install().exits(1);
    assert!(ran.words().contains("exit status: 3"), "{ran}");
    assert!(PROBE.unit_text().is_empty() && !PROBE.is_active());
    drop(probe);
    witness.nothing_else_happened();
}

/// Row 71: a hanging hook is killed with all its children, and blocks no other companion.
#[test]
fn hanging_hook_is_killed_and_blocks_no_other_companion() {
    let witness = Witness::beside(&[]);
    let probe = Probe::with_hook(GOOD, BESIDE);
    probe.install().exits(0);
    let daemon = Daemon::resyncing(1);
    let run = run_of(PROBE);
    program("trap '' TERM\nsleep 4711 &\n(trap '' TERM; sleep 4711) &\nsleep 4711\nsleep 4711");
    write(INPUT, "another\n");
    until("it hangs", 30, || root(&["pgrep", "-f", "[s]leep 4711"]).status.filter(|s| *s == 0));
    let begun = Instant::now();
    fs::remove_file(LND.unit()).unwrap();
    until("another's unit is back", 10, || fs::metadata(LND.unit()).ok());
    tell("unit back while a hook hangs", &format!("{:?}", begun.elapsed()));
    logged_by(&daemon, "did not exit within 3 s");
    program(GOOD);
    until("nothing of it is left", 30, || {
        root(&["pgrep", "-f", "[s]leep 4711"]).status.filter(|status| *status == 1)
    });
    assert_eq!(run_of(PROBE), run);
    until("it is ready", TIMEOUT, || (PROBE.status().1 == Some(0)).then_some(()));
    drop(probe);
    all_well();
    witness.nothing_else_happened();
}

/// Row 71: a background process of a hook does not delay its result.
#[test]
fn successful_hook_has_its_remaining_processes_killed() {
    let witness = Witness::beside(&[]);
    let probe = Probe::with_hook("sleep 4712 &\necho rendered", BESIDE);
    probe.install().exits(0);
    assert_eq!(fs::read_to_string(OUTPUT).unwrap(), "rendered\n");
    assert_eq!(root(&["pgrep", "-f", "[s]leep 4712"]).status, Some(1));
    drop(probe);
    witness.nothing_else_happened();
}

/// Row 72: a successful hook without output has not rendered a configuration.
#[test]
fn hook_without_output_fails() {
    let witness = Witness::beside(&[]);
    let probe = Probe::with_hook(GOOD, BESIDE);
    probe.install().exits(0);
    let daemon = Daemon::resyncing(1);
    let (run, rendered) = (run_of(PROBE), fs::read(OUTPUT).unwrap());
    program("exit 0");
    write(INPUT, "another\n");
    logged_by(&daemon, "rendered an empty file");
    assert!(fs::read(OUTPUT).unwrap() == rendered);
    assert_eq!(run_of(PROBE), run);
    drop(probe);
    witness.nothing_else_happened();
}

/// Row 72: a configuration that nginx refuses is reported as a companion that does not stay up, at a bounded rate,
/// and the next configuration is used as soon as it exists.
#[test]
fn configuration_refused_by_nginx_is_reported_and_replaced() {
    let witness = Witness::beside(&[]);
    let good = "printf 'server { listen 80; location / { return 200 page; } }\n'";
    let probe = Probe::with_hook(good, "/etc/nginx/conf.d/default.conf");
    probe.install().exits(0);
    let _daemon = Daemon::resyncing(1);
    program("echo 'server { listen 80; this is no directive }'");
    write(INPUT, "another\n");
    held(PROBE, "crash-loop", "");
    witness.bystanders_run_on();
    program(good);
    write(INPUT, "a third\n");
    until("it is ready", TIMEOUT, || (PROBE.status().1 == Some(0)).then_some(()));
    assert!(PROBE.is_up());
    drop(probe);
    witness.nothing_else_happened();
}

/// Row 73: the output of a hook is never logged, whether it succeeds or fails.
#[test]
fn secret_in_hook_output_is_never_logged() {
    let witness = Witness::beside(&[]);
    let secret = "canary-that-a-hook-sings";
    let sing = "cat /home/archy/hook/input >&2; cat /home/archy/hook/input";
    let probe = Probe::with_hook(sing, BESIDE);
    write(INPUT, secret);
    probe.install().exits(0);
    let daemon = Daemon::resyncing(1);
    program(&format!("{sing}; {sing}; exit 1"));
    write(INPUT, &format!("{secret}, once more"));
    logged_by(&daemon, "exit status: 1");
    for command in [
        &["-vvv", "reconcile"][..],
        &["-vvv", "--json", "status"],
        &["-vvv", "plan"],
        &["render", PROBE.name],
        &["logs", PROBE.name],
    ] {
        let ran = companion(command);
        assert!(!ran.words().contains("canary"), "companion {command:?}");
    }
    let inspected = podman(&["inspect", PROBE.name]).good();
    assert!(!inspected.contains("canary"), "{inspected}");
    drop(probe);
    assert!(!witness.since.said(&[]).contains("canary"), "the journal holds it");
    witness.nothing_else_happened();
}

/// Row 75: while the node has no password, containers are left alone, and restarted when they die.
#[test]
fn missing_password_is_waited_for_without_a_restart() {
    let witness = Witness::beside(&[BITCOIN]);
    let _daemon = Daemon::resyncing(1);
    let (run, rendered) = (run_of(BITCOIN), fs::read(CONFIG).unwrap());
    let password = fs::read_to_string(PASSWORD).unwrap();
    fs::rename(PASSWORD, format!("{PASSWORD}.away")).unwrap();
    held(BITCOIN, "hook-not-ready", "password");
    throughout("it runs on", 3, || run_of(BITCOIN) == run);
    podman(&["kill", "--signal=KILL", BITCOIN.name]).good();
    until("it is back with what it has", 60, || {
        (run_of(BITCOIN) != run && BITCOIN.is_up()).then_some(())
    });
    assert!(fs::read(CONFIG).unwrap() == rendered);
    assert!(ELECTRS.is_up());
    fs::rename(format!("{PASSWORD}.away"), PASSWORD).unwrap();
    assert_eq!(fs::read_to_string(PASSWORD).unwrap(), password);
    all_well();
    assert_eq!(BITCOIN.starts(&witness.since), 1);
    witness.nothing_else_happened();
}

/// Row 74: of ten passwords in ten seconds the last is used in the end, with at most one restart per ten seconds.
#[test]
fn ten_rotations_in_ten_seconds_cause_few_restarts() {
    let witness = Witness::beside(&[BITCOIN]);
    let _daemon = Daemon::resyncing(1);
    let begun = Instant::now();
    for reconcile in 0..10 {
        thread::sleep(Duration::from_secs(1));
        rotate_password(&format!("the-usual-password-{reconcile}"));
    }
    // One every ten seconds meanwhile, and one for the last of them.
    let most = begun.elapsed().as_secs() as usize / 10 + 2;
    until("the last password is used", 60, || ask_the_node().filter(|status| *status == 200));
    all_well();
    let starts = BITCOIN.starts(&witness.since);
    tell("restarts for ten passwords in ten seconds", &starts.to_string());
    assert!((1..=most).contains(&starts), "{starts}");
    witness.nothing_else_happened();
}
