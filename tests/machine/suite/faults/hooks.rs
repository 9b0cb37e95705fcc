//! Faults of hooks and credentials.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::probe::{INPUT, OUTPUT, PROBE, PROGRAM, Probe, program};
use super::witness::{Witness, run_of};
use super::{PATIENCE, all_well, held, told_by};
use crate::daemon::Daemon;
use crate::guest::{archy, podman, root, tell, throughout, until, write};
use crate::node::{
    BITCOIN, CONFIG, ELECTRS, LND, PASSWORD, ask_the_node, companion, rendered_file,
    rendered_files, rotate_password,
};

/// Beside what nginx reads: only the hook's own faults are to be seen.
const BESIDE: &str = "/etc/nginx/probe.txt";
const GOOD: &str = "echo rendered; cat /home/archy/hook/input";

/// Row 70: however a hook fails, what runs is left alone with what was rendered before.
#[test]
fn a_hook_that_fails_leaves_its_companion_with_what_it_has() {
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
        told_by(&daemon, words);
        assert_eq!(PROBE.status().1, Some(1), "{script}");
    }
    archy(&["chmod", "0777", PROGRAM]).good();
    write(INPUT, "one more\n");
    told_by(&daemon, "others may write to it");
    archy(&["rm", PROGRAM]).good();
    write(INPUT, "and one more\n");
    told_by(&daemon, "does not exist");
    assert!(fs::read(OUTPUT).unwrap() == rendered);
    assert_eq!(run_of(PROBE), run);

    program(GOOD);
    write(INPUT, "the last\n");
    until("it is ready", PATIENCE, || (PROBE.status().1 == Some(0)).then_some(()));
    assert_eq!(fs::read_to_string(OUTPUT).unwrap(), "rendered\nthe last\n");
    assert_ne!(run_of(PROBE), run);
    drop(probe);
    witness.nothing_else_happened();
}

/// Row 72: what a program rendered is not restored in place, whatever became of it: the program runs again.
#[test]
fn lost_or_edited_file_of_a_program_gets_its_next_epoch() {
    let witness = Witness::beside(&[]);
    let probe = Probe::with_hook(GOOD, BESIDE);
    probe.install().exits(0);
    let _daemon = Daemon::resyncing(1);
    for script in ["rm \"$1\"", "echo edited >>\"$1\"", "chmod 0606 \"$1\""] {
        let (run, old) = (run_of(PROBE), rendered_file(OUTPUT).unwrap());
        archy(&["sh", "-ec", script, "sh", &old]).good();
        let new = until("another file is all there is", PATIENCE, || {
            let new = rendered_file(OUTPUT).filter(|new| *new != old)?;
            let runs = PROBE.status().1 == Some(0) && run_of(PROBE) != run;
            (runs && rendered_files(OUTPUT) == [new.clone()].into()).then_some(new)
        });
        assert_eq!(fs::read_to_string(&new).unwrap(), "rendered\nfirst\n", "{script}");
        let seen = podman(&["exec", "--user=0", PROBE.name, "cat", BESIDE]);
        assert_eq!(seen.stdout, "rendered\nfirst\n", "{script}");
        // What is done within the five seconds of a repair waits for the rest of them.
        let run = run_of(PROBE);
        throughout("one restart is enough", 7, || run_of(PROBE) == run);
    }
    drop(probe);
    witness.nothing_else_happened();
}

/// Row 70: a hook that fails before there was ever a configuration keeps its companion from a start.
#[test]
fn a_companion_whose_first_rendering_fails_is_not_started() {
    let witness = Witness::beside(&[]);
    let probe = Probe::with_hook("exit 3", BESIDE);
    let ran = probe.install().exits(1);
    assert!(ran.words().contains("exit status: 3"), "{ran}");
    assert!(PROBE.unit_text().is_empty() && !PROBE.is_active());
    drop(probe);
    witness.nothing_else_happened();
}

/// Row 71: a hook that hangs is ended with all that it started, and holds up nobody.
#[test]
fn a_hook_that_hangs_is_ended_and_holds_up_nobody() {
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
    told_by(&daemon, "did not end within 3 s");
    program(GOOD);
    until("nothing of it is left", 30, || {
        root(&["pgrep", "-f", "[s]leep 4711"]).status.filter(|status| *status == 1)
    });
    assert_eq!(run_of(PROBE), run);
    until("it is ready", PATIENCE, || (PROBE.status().1 == Some(0)).then_some(()));
    drop(probe);
    all_well();
    witness.nothing_else_happened();
}

/// Row 71: what a hook leaves behind in the background does not keep its result from being used.
#[test]
fn a_hook_that_leaves_a_process_behind_has_rendered_and_the_process_is_ended() {
    let witness = Witness::beside(&[]);
    let probe = Probe::with_hook("sleep 4712 &\necho rendered", BESIDE);
    probe.install().exits(0);
    assert_eq!(fs::read_to_string(OUTPUT).unwrap(), "rendered\n");
    assert_eq!(root(&["pgrep", "-f", "[s]leep 4712"]).status, Some(1));
    drop(probe);
    witness.nothing_else_happened();
}

/// Row 72: a hook that succeeds and says nothing has not rendered a configuration.
#[test]
fn a_hook_that_prints_nothing_has_failed() {
    let witness = Witness::beside(&[]);
    let probe = Probe::with_hook(GOOD, BESIDE);
    probe.install().exits(0);
    let daemon = Daemon::resyncing(1);
    let (run, rendered) = (run_of(PROBE), fs::read(OUTPUT).unwrap());
    program("exit 0");
    write(INPUT, "another\n");
    told_by(&daemon, "rendered an empty file");
    assert!(fs::read(OUTPUT).unwrap() == rendered);
    assert_eq!(run_of(PROBE), run);
    drop(probe);
    witness.nothing_else_happened();
}

/// Row 72: a configuration that nginx refuses is told as a companion that does not stay up, at a bounded
/// pace, and another configuration is used as soon as there is one.
#[test]
fn a_configuration_that_nginx_refuses_is_told_and_another_is_used() {
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
    until("it is ready", PATIENCE, || (PROBE.status().1 == Some(0)).then_some(()));
    assert!(PROBE.is_up());
    drop(probe);
    witness.nothing_else_happened();
}

/// Row 73: what a hook prints is told to nobody, whether it succeeds or fails.
#[test]
fn a_secret_that_a_hook_prints_is_told_to_nobody() {
    let witness = Witness::beside(&[]);
    let secret = "canary-that-a-hook-sings";
    let sing = "cat /home/archy/hook/input >&2; cat /home/archy/hook/input";
    let probe = Probe::with_hook(sing, BESIDE);
    write(INPUT, secret);
    probe.install().exits(0);
    let daemon = Daemon::resyncing(1);
    program(&format!("{sing}; {sing}; exit 1"));
    write(INPUT, &format!("{secret}, once more"));
    told_by(&daemon, "exit status: 1");
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

/// Row 75: while the node has no password yet, what runs is left alone, and comes back when it dies.
#[test]
fn a_node_without_a_password_is_waited_for_and_costs_no_restart() {
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

/// Row 74: of ten passwords in ten seconds the last is used in the end, and a service is restarted for
/// them once in ten seconds at the most.
#[test]
fn ten_passwords_in_ten_seconds_are_few_restarts() {
    let witness = Witness::beside(&[BITCOIN]);
    let _daemon = Daemon::resyncing(1);
    let begun = Instant::now();
    for reconcile in 0..10 {
        thread::sleep(Duration::from_secs(1));
        rotate_password(&format!("the-usual-password-{reconcile}"));
    }
    // One every ten seconds while they come, and one for the last of them.
    let most = begun.elapsed().as_secs() as usize / 10 + 2;
    until("the last password is used", 60, || ask_the_node().filter(|status| *status == 200));
    all_well();
    let starts = BITCOIN.starts(&witness.since);
    tell("restarts for ten passwords in ten seconds", &starts.to_string());
    assert!((1..=most).contains(&starts), "{starts}");
    witness.nothing_else_happened();
}
