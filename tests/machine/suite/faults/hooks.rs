//! Faults of hooks that the container shows; adapter-hooks tests their programs on any host.

use super::probe::{INPUT, PROBE, Probe, program};
use super::witness::Witness;
use super::{TIMEOUT, held};
use crate::daemon::Daemon;
use crate::guest::{podman, write};
use crate::node::{companion, logged_by_the_daemon};

/// Row 72: a configuration that nginx refuses is reported as a companion that does not stay up, at a bounded rate,
/// and the next configuration is used as soon as it exists.
#[test]
fn configuration_refused_by_nginx_is_reported_and_replaced() {
    let witness = Witness::excluding(&[]);
    let good = "printf 'server { listen 80; location / { return 200 page; } }\n'";
    let probe = Probe::with_hook(good, "/etc/nginx/conf.d/default.conf");
    probe.install().exits(0);
    let _daemon = Daemon::resyncing(1);
    program("echo 'server { listen 80; this is no directive }'");
    write(INPUT, "another\n");
    held(PROBE, "crash-loop");
    witness.bystanders_run_on();
    program(good);
    write(INPUT, "a third\n");
    PROBE.becomes_ready(TIMEOUT);
    assert!(PROBE.is_up());
    drop(probe);
    witness.nothing_else_happened();
}

/// Rows 70 and 73: a hook that fails leaves the run alone, and its output is never logged, whether it succeeds or
/// fails.
#[test]
fn secret_in_hook_output_is_never_logged() {
    let witness = Witness::excluding(&[]);
    let secret = "canary-that-a-hook-sings";
    let sing = "cat /home/archy/hook/input >&2; cat /home/archy/hook/input";
    let probe = Probe::with_hook(sing, "/etc/nginx/probe.txt");
    write(INPUT, secret);
    probe.install().exits(0);
    let run = PROBE.run();
    let _daemon = Daemon::resyncing(1);
    program(&format!("{sing}; {sing}; exit 1"));
    write(INPUT, &format!("{secret}, once more"));
    logged_by_the_daemon("exit status: 1");
    assert_eq!(PROBE.run(), run);
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
