//! Faults of Podman's generator, and unmanaged unit files that it rejects.
//!
//! The administrator's generator of the same name takes precedence over the packaged one (systemd.generator(7)), for
//! systemd and for companion, so the tests install a faulty one there.

use std::fs;

use super::TIMEOUT;
use super::witness::Witness;
use crate::daemon::Daemon;
use crate::guest::{Undo, by_root, systemctl, throughout, undo, until, write};
use crate::node::{ALL, Companion, LND, UNITS, all_ready, companion, logged_by_the_daemon};

const OURS: &str = "/etc/systemd/user-generators/podman-user-generator";
const PACKAGED: &str = "/usr/lib/systemd/user-generators/podman-user-generator";

/// Breaks the generator by a script; the guard repairs it.
fn generator(fault: &str) -> Undo {
    let restored =
        undo(format!("rm -f {OURS}; chmod 0755 {PACKAGED}; archy systemctl --user daemon-reload"));
    by_root(&format!("mkdir -p \"$(dirname {OURS})\"; rm -f {OURS}\n{fault}"));
    restored
}

/// The fault of a generator that is this script.
fn script(text: &str) -> String {
    format!(
        "cat >{OURS}.new <<'END'\n#!/bin/sh\n{text}\nEND\nchmod 0755 {OURS}.new; mv {OURS}.new {OURS}"
    )
}

/// Row 28: a slow reload runs once and takes no companion down.
#[test]
fn slow_reload_runs_once() {
    let witness = Witness::excluding(&[]);
    let _daemon = Daemon::resyncing(1);
    let before = witness.reloads();
    let slow = format!("case \"$*\" in *dryrun*) ;; *) sleep 12 ;; esac\nexec {PACKAGED} \"$@\"");
    let packaged = generator(&script(&slow));
    LND.loses_its_unit();
    throughout("it runs on to the end of the reload", 20, || LND.is_up());
    assert_eq!(witness.reloads(), before + 1);
    drop(packaged);
    all_ready(TIMEOUT);
    witness.nothing_else_happened();
}

/// Row 31: a file that makes the generator drop the whole directory blocks the reload, and is reported by name; one
/// that it refuses alone is a warning of `doctor`.
#[test]
fn unparsable_unmanaged_unit_blocks_reloads_and_is_reported() {
    let witness = Witness::excluding(&[LND]);
    let path = format!("{UNITS}/strange.container");
    let _removed = undo(format!("rm -f {path}; archy systemctl --user daemon-reload"));
    let found = |exit: i32, level: &str| {
        let ran = companion(&["doctor"]).exits(exit);
        let line = format!("{level} generated units: ");
        assert!(ran.stdout.lines().any(|it| it.starts_with(&line) && it.contains(&path)), "{ran}");
    };
    write(&path, "[Container]\nImagee=localhost/companion-base:latest\n");
    found(0, "warning");
    let _daemon = Daemon::resyncing(1);
    let (old, before) = (LND.container(), witness.reloads());
    let text = "[Container\nImage=localhost/companion-base:latest\n";
    write(&path, text);
    found(3, "error  ");
    LND.edit_unit().good();
    let words = logged_by_the_daemon("strange.container");
    assert!(words.contains("reload skipped"), "{words}");
    throughout("it runs on", 4, || LND.container() == old && LND.is_up());
    assert_eq!(witness.reloads(), before);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);

    fs::remove_file(&path).unwrap();
    until("it is restored", 60, || LND.unit_is_restored());
    all_ready(TIMEOUT);
    assert_eq!(LND.starts(&witness.since), 1);
    witness.nothing_else_happened();
}

/// Row 33: with the generator masked, not executable (the packaged one: systemd skips another one that is), failing
/// or crashing, all companions keep running, even if another process reloads and systemd drops every unit; and all is
/// restored once the generator is back.
#[test]
fn missing_or_broken_generator_causes_no_restart() {
    let witness = Witness::excluding(&[]);
    let _daemon = Daemon::resyncing(1);
    for (what, fault) in [
        ("masked", format!("ln -sf /dev/null {OURS}")),
        ("closed", format!("chmod 0000 {PACKAGED}")),
        ("failing", script("echo broken >&2; exit 3")),
        ("crashing", script("kill -SEGV $$")),
    ] {
        logged_by_the_daemon("all ready");
        let restored = generator(&fault);
        systemctl(&["daemon-reload"]).good();
        assert_eq!(LND.property("LoadState"), "not-found", "{what}");
        logged_by_the_daemon("enerator");
        assert_eq!(companion(&["status"]).status, Some(1), "{what}");
        throughout("all run on", 2, || ALL.into_iter().all(Companion::is_up));
        assert!(ALL.into_iter().all(|one| !one.unit_text().is_empty()), "{what}");
        drop(restored);
        all_ready(TIMEOUT);
        witness.bystanders_run_on();
    }
    witness.nothing_else_happened();
}
