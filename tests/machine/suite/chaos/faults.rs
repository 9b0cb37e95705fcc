//! The kinds of fault: injection, scope, duration, and whether the run may end.

use super::host_harms as host;
use super::one_harms as one;
use super::site::{BUILT, HOOKED};
use crate::node::{BITCOIN, Companion};
use crate::random::Random;

/// A fault and its target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aim {
    pub(super) one: Companion,
    /// A unique number of each fault, so that each change is new.
    pub(super) number: u64,
}

/// The outcome for the companion's run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    /// It continues: its end would be a restart without a cause.
    Same,
    /// It continues if the daemon observed it before; a new daemon must treat the run of a lost unit as unverified.
    SameIfSeen,
    /// It may end or continue.
    Either,
    /// It ends, and the companion recovers with another one only.
    Another,
}

/// The scope of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// One companion; others have separate faults meanwhile.
    One,
    /// One companion, exclusively.
    OneAlone,
    /// All companions, exclusively.
    All,
    /// The daemon or the manager, concurrently with other faults.
    Nobody,
}

/// A kind of fault.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    pub(super) kind: &'static str,
    pub(super) reach: Reach,
    pub(super) run: Run,
    /// Injects it; `false` when there was no target.
    pub(super) harm: fn(Aim) -> bool,
    /// Ends it after this many seconds. Recovery is counted from then.
    pub(super) heal: Option<(u64, fn(Aim))>,
    /// The possible companions.
    pub(super) fits: fn(Companion) -> bool,
    /// An additional recovery check beyond the stages.
    pub(super) undone: fn(Companion) -> bool,
}

impl Fault {
    /// Whether it is exclusive.
    pub(super) fn is_exclusive(&self) -> bool {
        matches!(self.reach, Reach::All | Reach::OneAlone)
    }
}

/// All kinds in random order: exclusive ones once, the others twice.
pub(super) fn deck(random: &mut Random) -> Vec<usize> {
    let often = (0..FAULTS.len()).filter(|kind| !FAULTS[*kind].is_exclusive());
    let mut deck: Vec<_> = (0..FAULTS.len()).chain(often).collect();
    for place in (1..deck.len()).rev() {
        deck.swap(place, random.below(place as u64 + 1) as usize);
    }
    deck
}

fn everyone(_one: Companion) -> bool {
    true
}

fn is_built_here(one: Companion) -> bool {
    one != HOOKED
}

fn has_configuration(one: Companion) -> bool {
    one == BITCOIN || one == HOOKED
}

const fn of_one(kind: &'static str, run: Run, harm: fn(Aim) -> bool) -> Fault {
    Fault { kind, reach: Reach::One, run, harm, heal: None, fits: everyone, undone: everyone }
}

const fn passing(
    kind: &'static str,
    run: Run,
    harm: fn(Aim) -> bool,
    seconds: u64,
    heal: fn(Aim),
) -> Fault {
    Fault { heal: Some((seconds, heal)), ..of_one(kind, run, harm) }
}

const fn only(fault: Fault, fits: fn(Companion) -> bool) -> Fault {
    Fault { fits, ..fault }
}

const fn shown_by(fault: Fault, undone: fn(Companion) -> bool) -> Fault {
    Fault { undone, ..fault }
}

const fn reaching(fault: Fault, reach: Reach) -> Fault {
    Fault { reach, ..fault }
}

const fn of_host(kind: &'static str, harm: fn(Aim) -> bool) -> Fault {
    reaching(of_one(kind, Run::Same, harm), Reach::Nobody)
}

/// All kinds.
pub(super) const FAULTS: &[Fault] = &[
    of_one("unit deleted", Run::SameIfSeen, one::delete_unit),
    of_one("unit edited", Run::Another, one::edit_unit),
    of_one("unit edited and loaded", Run::Another, one::edit_and_load_unit),
    of_one("unit emptied", Run::Either, one::empty_unit),
    of_one("unit writable by all", Run::Either, one::open_unit),
    of_one("unit's time in 2038", Run::Same, one::age_unit),
    passing(
        "stranger's unit at the name for 4 s",
        Run::Either,
        one::replace_unit,
        4,
        one::take_stranger,
    ),
    passing(
        "another unit shadows it for 5 s",
        Run::Either,
        one::shadow_unit,
        5,
        one::unshadow_unit,
    ),
    of_one("service stopped", Run::Another, one::stop),
    of_one("service killed", Run::Another, one::kill_service),
    of_one("service restarted by hand", Run::Another, one::restart),
    of_one("service failed", Run::Another, one::fail),
    passing("service masked for 4 s", Run::Another, one::mask, 4, one::unmask),
    of_one("container killed", Run::Another, one::kill_container),
    of_one("container removed", Run::Another, one::remove_container),
    of_one("container paused", Run::Another, one::pause_container),
    of_one("container stopped", Run::Another, one::stop_container),
    of_one("conmon killed", Run::Another, one::kill_conmon),
    passing("stopped, its port taken for 6 s", Run::Another, one::take_port, 6, one::free_port),
    of_one("removed and installed by its owner", Run::Another, one::reinstall),
    of_one("installed again by its owner", Run::Same, one::install_again),
    only(of_one("image removed", Run::Another, one::remove_image), is_built_here),
    only(
        shown_by(of_one("image's name taken", Run::Same, one::untag_image), one::has_its_image),
        is_built_here,
    ),
    only(
        shown_by(of_one("another image by its name", Run::Same, one::move_tag), one::has_its_image),
        is_built_here,
    ),
    only(
        shown_by(
            of_one(
                "another image by its name, container killed",
                Run::Another,
                one::move_tag_and_kill_container,
            ),
            one::has_its_image,
        ),
        is_built_here,
    ),
    only(of_one("context changed", Run::Another, one::change_context), |one| one == BUILT),
    only(
        passing(
            "image removed, its build broken for 5 s",
            Run::Another,
            one::break_build,
            5,
            one::fix_build,
        ),
        |one| one == BUILT,
    ),
    only(of_one("password rotated", Run::Another, one::rotate_password), |one| one == BITCOIN),
    only(
        passing("password file away for 4 s", Run::Same, one::hide_password, 4, one::show_password),
        |one| one == BITCOIN,
    ),
    only(of_one("template's value changed", Run::Another, one::change_colour), |one| one == HOOKED),
    only(of_one("configuration lost", Run::Another, one::lose_config), has_configuration),
    only(of_one("configuration edited", Run::Another, one::edit_config), has_configuration),
    only(
        of_one(
            "configuration edited, container killed",
            Run::Another,
            one::edit_config_and_kill_container,
        ),
        has_configuration,
    ),
    only(of_one("configuration readable by all", Run::Same, one::open_config), has_configuration),
    only(
        of_one("configuration writable by all", Run::Another, one::let_others_write_config),
        has_configuration,
    ),
    only(of_one("configuration's link lost", Run::Same, one::lose_link), has_configuration),
    only(
        of_one("configuration's link leads elsewhere", Run::Same, one::redirect_link),
        has_configuration,
    ),
    only(
        of_one("a file in the place of the configuration's link", Run::Same, one::replace_link),
        has_configuration,
    ),
    only(
        passing(
            "a directory in the place of the configuration's link for 4 s",
            Run::Same,
            one::block_link,
            4,
            one::unblock_link,
        ),
        has_configuration,
    ),
    only(
        passing(
            "a directory in the configuration's place for 4 s",
            Run::Another,
            one::block_config,
            4,
            one::unblock_config,
        ),
        has_configuration,
    ),
    of_host("daemon killed", host::kill_daemon),
    of_host("daemon restarted", host::restart_daemon),
    of_host("daemon held up for 3 s", host::hold_up_daemon),
    of_host("manager reloaded", host::reload),
    of_host("ten reloads at once", host::reload_storm),
    of_host("manager executed again", host::reexecute),
    shown_by(of_host("status and events garbled", host::garble_status), host::status_is_whole),
    of_host("record's lock taken for 5 s", host::take_lock),
    of_host("three passes at once", host::passes_at_once),
    of_host("300 files come and go", host::burst_of_files),
    of_host("unused images removed", host::prune_images),
    Fault {
        heal: Some((4, host::mend_record)),
        ..of_host("record garbled for 4 s", host::garble_record)
    },
    Fault {
        heal: Some((6, host::mend_catalog)),
        ..of_host("catalog broken for 6 s", host::break_catalog)
    },
    Fault {
        heal: Some((5, host::remove_broken_unit)),
        ..of_host("another program's broken unit for 5 s", host::write_broken_unit)
    },
    reaching(of_one("all services stopped", Run::Another, host::stop_all), Reach::All),
    reaching(of_one("all units deleted", Run::SameIfSeen, host::delete_all), Reach::All),
    reaching(of_one("bus killed", Run::Same, host::kill_bus), Reach::All),
    reaching(of_one("whole manager restarted", Run::Another, host::restart_manager), Reach::All),
    reaching(
        passing(
            "no generator for 5 s, unit deleted",
            Run::SameIfSeen,
            host::take_generator,
            5,
            host::give_generator,
        ),
        Reach::OneAlone,
    ),
    reaching(
        passing(
            "no podman for 4 s, service stopped",
            Run::Another,
            host::take_podman,
            4,
            host::give_podman,
        ),
        Reach::OneAlone,
    ),
    reaching(
        passing(
            "units read-only for 5 s, unit deleted",
            Run::SameIfSeen,
            host::close_units,
            5,
            host::open_units,
        ),
        Reach::OneAlone,
    ),
];
