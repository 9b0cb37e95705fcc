//! The real counterparts of the faults: injection, scope, duration, and whether the run may end.

use std::fmt;
use std::sync::LazyLock;

use companion_tests::faults::Fault;

use super::companion_faults as one;
use super::host_faults as host;
use super::real::real;
use super::site::HOOKED;
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

/// What a kind of event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A fault, and how it is done unless in the plain way.
    Fault(Fault, &'static str),
    /// A request of a user.
    Request(&'static str),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault, "") => write!(f, "{fault}"),
            Self::Fault(fault, how) => write!(f, "{fault}, {how}"),
            Self::Request(request) => f.write_str(request),
        }
    }
}

/// A kind of event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) what: What,
    pub(super) reach: Reach,
    pub(super) run: Run,
    /// Injects it; `false` when there was no target.
    pub(super) inject: fn(Aim) -> bool,
    /// Undoes it after this many seconds. Recovery is counted from then.
    pub(super) undo: Option<(u64, fn(Aim))>,
    /// The possible companions.
    pub(super) fits: fn(Companion) -> bool,
    /// An additional recovery check beyond the stages.
    pub(super) undone: fn(Companion) -> bool,
}

impl Kind {
    /// Whether it is exclusive.
    pub(super) fn is_exclusive(&self) -> bool {
        matches!(self.reach, Reach::All | Reach::OneAlone)
    }

    /// Whether it is `fault`, in any way.
    pub(super) fn is(&self, fault: Fault) -> bool {
        matches!(self.what, What::Fault(this, _) if this == fault)
    }
}

/// The real counterpart of a fault.
pub(super) enum Real {
    /// These kinds.
    Kinds(Vec<Kind>),
    /// None, for this reason.
    NoCounterpart(&'static str),
}

/// All kinds.
pub(super) static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    let kinds = Fault::ALL.iter().flat_map(|fault| match real(*fault) {
        Real::Kinds(kinds) => kinds,
        Real::NoCounterpart(_) => Vec::new(),
    });
    kinds.chain(requests()).collect()
});

/// The faults without a real counterpart in this run, with the reasons.
pub(super) fn without_counterpart() -> impl Iterator<Item = (Fault, &'static str)> {
    Fault::ALL.iter().filter_map(|fault| match real(*fault) {
        Real::Kinds(_) => None,
        Real::NoCounterpart(reason) => Some((*fault, reason)),
    })
}

/// All kinds in random order: exclusive ones once, the others twice.
pub(super) fn shuffled(random: &mut Random) -> Vec<usize> {
    let often = (0..KINDS.len()).filter(|kind| !KINDS[*kind].is_exclusive());
    let mut order: Vec<_> = (0..KINDS.len()).chain(often).collect();
    for place in (1..order.len()).rev() {
        order.swap(place, random.below(place as u64 + 1) as usize);
    }
    order
}

pub(super) fn everyone(_one: Companion) -> bool {
    true
}

pub(super) fn is_built_here(one: Companion) -> bool {
    one != HOOKED
}

pub(super) fn has_configuration(one: Companion) -> bool {
    one == BITCOIN || one == HOOKED
}

pub(super) fn of_one(run: Run, inject: fn(Aim) -> bool) -> Kind {
    let what = What::Request("");
    Kind { what, reach: Reach::One, run, inject, undo: None, fits: everyone, undone: everyone }
}

pub(super) fn of_host(inject: fn(Aim) -> bool) -> Kind {
    of_one(Run::Same, inject).reaching(Reach::Nobody)
}

impl Kind {
    pub(super) fn undone_after(self, seconds: u64, undo: fn(Aim)) -> Self {
        Self { undo: Some((seconds, undo)), ..self }
    }

    pub(super) fn only(self, fits: fn(Companion) -> bool) -> Self {
        Self { fits, ..self }
    }

    pub(super) fn shown_by(self, undone: fn(Companion) -> bool) -> Self {
        Self { undone, ..self }
    }

    pub(super) fn reaching(self, reach: Reach) -> Self {
        Self { reach, ..self }
    }
}

/// The requests of users.
fn requests() -> [Kind; 3] {
    [
        ("removed and installed by its owner", of_one(Run::Another, one::reinstall)),
        ("installed again by its owner", of_one(Run::Same, one::install_again)),
        ("three reconciles at the same time", of_host(host::passes_at_once)),
    ]
    .map(|(request, kind)| Kind { what: What::Request(request), ..kind })
}
