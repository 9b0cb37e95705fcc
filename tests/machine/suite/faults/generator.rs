//! Faults of Podman's generator, and unmanaged unit files that it rejects.
//!
//! The administrator's generator of the same name takes precedence over the packaged one (systemd.generator(7)), for
//! systemd and for companion, so the tests install a faulty one there.

use std::fs;
use std::time::Instant;

use super::witness::Witness;
use super::{all_well, logged_by};
use crate::daemon::Daemon;
use crate::guest::{Undo, by_root, measured, property, systemctl, throughout, undo, until, write};
use crate::node::{ALL, Companion, LND, UNITS, companion};

const OURS: &str = "/etc/systemd/user-generators/podman-user-generator";
const PACKAGED: &str = "/usr/lib/systemd/user-generators/podman-user-generator";

/// Replaces the generator by this script until the guard is dropped.
fn generator(script: &str) -> Undo {
    let restored = undo(format!("rm -f {OURS}; archy systemctl --user daemon-reload"));
    by_root(&format!(
        "mkdir -p \"$(dirname {OURS})\"; cat >{OURS}.new <<'END'\n#!/bin/sh\n{script}\nEND\n\
         chmod 0755 {OURS}.new; mv {OURS}.new {OURS}"
    ));
    restored
}

/// Row 28: a slow reload is waited for, and runs once.
#[test]
fn slow_reload_runs_once() {
    let witness = Witness::beside(&[]);
    let _daemon = Daemon::resyncing(1);
    let before = witness.reloads();
    let packaged = generator(&format!(
        "case \"$*\" in *dryrun*) ;; *) sleep 12 ;; esac\nexec {PACKAGED} \"$@\""
    ));
    let begun = Instant::now();
    fs::remove_file(LND.unit()).unwrap();
    until("its unit is back", 30, || fs::metadata(LND.unit()).ok());
    until("it is ready", 90, || (LND.status().1 == Some(0)).then_some(()));
    measured("unit back with a reload that takes 12 s", begun);
    throughout("nothing more is done", 3, || LND.is_up());
    assert_eq!(witness.reloads(), before + 1);
    drop(packaged);
    all_well();
    witness.nothing_else_happened();
}

/// Row 30: a unit that the generator refuses is not written; its message is reported, and nothing is reloaded.
#[test]
fn unit_refused_by_the_generator_is_reported_without_a_reload() {
    let witness = Witness::beside(&[LND]);
    let daemon = Daemon::resyncing(1);
    let (old, before) = (LND.container(), witness.reloads());
    let packaged = generator(&format!(
        "case \"$*\" in *dryrun*)
             echo 'quadlet-generator[1]: converting \"archy-lnd-ui.container\": unsupported key Q' >&2
             exit 1 ;;
         esac\nexec {PACKAGED} \"$@\""
    ));
    LND.edit_unit().good();
    logged_by(&daemon, "unsupported key Q");
    throughout("it runs on", 4, || LND.container() == old && LND.is_up());
    let ran = companion(&["reconcile"]).exits(1);
    assert!(ran.words().contains("unsupported key Q"), "{ran}");
    assert_eq!(witness.reloads(), before);
    drop(packaged);
    all_well();
    assert!(LND.unit_is_restored().is_some());
    assert_eq!(LND.starts(&witness.since), 1);
    witness.nothing_else_happened();
}

/// Row 31: an unmanaged unit that the generator refuses affects no companion.
#[test]
fn refused_unmanaged_unit_affects_no_companion() {
    let witness = Witness::beside(&[LND]);
    let path = format!("{UNITS}/strange.container");
    let _removed = undo(format!("rm -f {path}"));
    let text = "[Container]\nImagee=localhost/companion-base:latest\n";
    write(&path, text);
    let _daemon = Daemon::resyncing(1);
    LND.edit_unit().good();
    until("it is restored", 30, || LND.unit_is_restored());
    all_well();
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert_eq!(LND.starts(&witness.since), 1);
    witness.nothing_else_happened();
}

/// Row 31: a file that makes the generator drop the whole directory blocks the reload, and is reported by name.
#[test]
fn unparsable_unmanaged_unit_blocks_reloads_and_is_reported() {
    let witness = Witness::beside(&[LND]);
    let path = format!("{UNITS}/strange.container");
    let _removed = undo(format!("rm -f {path}; archy systemctl --user daemon-reload"));
    let daemon = Daemon::resyncing(1);
    let (old, before) = (LND.container(), witness.reloads());
    let text = "[Container\nImage=localhost/companion-base:latest\n";
    write(&path, text);
    LND.edit_unit().good();
    let words = logged_by(&daemon, "strange.container");
    assert!(words.contains("reload skipped"), "{words}");
    throughout("it runs on", 4, || LND.container() == old && LND.is_up());
    assert_eq!(witness.reloads(), before);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);

    fs::remove_file(&path).unwrap();
    until("it is restored", 60, || LND.unit_is_restored());
    all_well();
    assert_eq!(LND.starts(&witness.since), 1);
    witness.nothing_else_happened();
}

/// Row 33: with the generator masked, not executable (the packaged one: systemd skips another one that is), failing
/// or crashing, all companions keep running, even if another process reloads and systemd drops every unit; and all is
/// restored once the generator is back.
#[test]
fn missing_or_broken_generator_causes_no_restart() {
    let witness = Witness::beside(&[]);
    let daemon = Daemon::resyncing(1);
    for (what, put) in [
        ("masked", format!("ln -sf /dev/null {OURS}")),
        ("closed", format!("chmod 0000 {PACKAGED}")),
        (
            "failing",
            format!("printf '#!/bin/sh\necho broken >&2; exit 3\n' >{OURS}; chmod 755 {OURS}"),
        ),
        ("crashing", format!("printf '#!/bin/sh\nkill -SEGV $$\n' >{OURS}; chmod 755 {OURS}")),
    ] {
        let restored = undo(format!(
            "rm -f {OURS}; chmod 0755 {PACKAGED}; archy systemctl --user daemon-reload"
        ));
        until("the daemon tells of nothing any more", 30, || {
            property("companion.service", "StatusText").contains("all ready").then_some(())
        });
        by_root(&format!("mkdir -p \"$(dirname {OURS})\"; rm -f {OURS}; {put}"));
        systemctl(&["daemon-reload"]).good();
        assert_eq!(LND.property("LoadState"), "not-found", "{what}");
        logged_by(&daemon, "enerator");
        assert_eq!(companion(&["status"]).status, Some(1), "{what}");
        throughout("all run on", 2, || ALL.into_iter().all(Companion::is_up));
        assert!(ALL.into_iter().all(|one| !one.unit_text().is_empty()), "{what}");
        drop(restored);
        all_well();
        witness.bystanders_run_on();
    }
    witness.nothing_else_happened();
}

/// Row 33, removal: it waits for the generator, and affects no other companion.
#[test]
fn removal_without_a_generator_affects_no_other_companion() {
    let witness = Witness::beside(&[LND]);
    let restored = undo(format!("rm -f {OURS}; archy systemctl --user daemon-reload"));
    by_root(&format!("mkdir -p \"$(dirname {OURS})\"; ln -sf /dev/null {OURS}"));
    let ran = companion(&["remove", "lnd"]);
    assert_ne!(ran.status, Some(0), "a reload would forget the others: {ran}");
    assert!(ran.words().contains("enerator"), "{ran}");
    witness.bystanders_run_on();
    drop(restored);
    companion(&["reconcile"]).exits(0);
    assert!(LND.unit_text().is_empty() && LND.container().is_none());
    witness.nothing_else_happened();
}
