//! Faults of Podman's generator, and of unit files beside ours that it stumbles over.
//!
//! The administrator's own generator of the same name comes before the packaged one
//! (systemd.generator(7)), for systemd and for us: so a faulty one is put there.

use std::fs;
use std::time::Instant;

use super::witness::Witness;
use super::{all_well, told_by};
use crate::daemon::Daemon;
use crate::guest::{Undo, by_root, measured, property, systemctl, throughout, undo, until, write};
use crate::node::{ALL, Companion, LND, UNITS, companion};

const OURS: &str = "/etc/systemd/user-generators/podman-user-generator";
const PACKAGED: &str = "/usr/lib/systemd/user-generators/podman-user-generator";

/// Puts this script into the generator's place until the guard is dropped.
fn generator(script: &str) -> Undo {
    let restored = undo(format!("rm -f {OURS}; archy systemctl --user daemon-reload"));
    by_root(&format!(
        "mkdir -p \"$(dirname {OURS})\"; cat >{OURS}.new <<'END'\n#!/bin/sh\n{script}\nEND\n\
         chmod 0755 {OURS}.new; mv {OURS}.new {OURS}"
    ));
    restored
}

/// Row 28: a reload that takes long is waited for, and made once.
#[test]
fn a_slow_reload_is_waited_for_and_made_once() {
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

/// Row 30: a unit that the generator refuses is not written; its words are told, and nothing is reloaded.
#[test]
fn a_unit_that_the_generator_refuses_is_told_and_never_reloaded_for() {
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
    told_by(&daemon, "unsupported key Q");
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

/// Row 31: another's unit that the generator refuses is his own trouble.
#[test]
fn a_strangers_unit_that_is_refused_is_no_trouble_of_ours() {
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

/// Row 31: a file that makes the generator lose the whole directory holds the reload back, by its name.
#[test]
fn a_strangers_unit_that_cannot_be_parsed_holds_reloads_back_and_is_named() {
    let witness = Witness::beside(&[LND]);
    let path = format!("{UNITS}/strange.container");
    let _removed = undo(format!("rm -f {path}; archy systemctl --user daemon-reload"));
    let daemon = Daemon::resyncing(1);
    let (old, before) = (LND.container(), witness.reloads());
    let text = "[Container\nImage=localhost/companion-base:latest\n";
    write(&path, text);
    LND.edit_unit().good();
    let words = told_by(&daemon, "strange.container");
    assert!(words.contains("held back"), "{words}");
    throughout("it runs on", 4, || LND.container() == old && LND.is_up());
    assert_eq!(witness.reloads(), before);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);

    fs::remove_file(&path).unwrap();
    until("it is restored", 60, || LND.unit_is_restored());
    all_well();
    assert_eq!(LND.starts(&witness.since), 1);
    witness.nothing_else_happened();
}

/// Row 33: with the generator masked, closed (the packaged one: systemd passes over another that is), failing or crashing, everything runs on, also when somebody
/// else reloads and systemd thereby forgets every unit; and all is as before once it is back.
#[test]
fn a_generator_that_is_gone_or_broken_costs_no_restart() {
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
        told_by(&daemon, "enerator");
        assert_eq!(companion(&["status"]).status, Some(1), "{what}");
        throughout("all run on", 2, || ALL.into_iter().all(Companion::is_up));
        assert!(ALL.into_iter().all(|one| !one.unit_text().is_empty()), "{what}");
        drop(restored);
        all_well();
        witness.bystanders_run_on();
    }
    witness.nothing_else_happened();
}

/// Row 33, for a removal: it waits for the generator, and harms nobody meanwhile.
#[test]
fn a_removal_without_a_generator_harms_no_other() {
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
