//! The real counterparts of the faults: injection, scope, duration, and whether the run may end.

use std::fmt;
use std::fs;
use std::sync::LazyLock;

use companion_tests::faults::Fault;

use super::real::real;
use super::site::{COLOUR, CONTEXT, EVERY, HOOKED, app, output};
use crate::guest::{Ran, archy, podman, try_by_root};
use crate::node::{BITCOIN, CATALOG, COMPANION, Companion, PASSWORD, STATE, UNITS, image_id};
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
    /// The script that injects it. It fails when there was no target; [`WRONG`] is the status of a violation.
    pub(super) inject: &'static str,
    /// The script that undoes it after this many seconds. Recovery is counted from then.
    pub(super) undo: Option<(u64, &'static str)>,
    /// Whether root runs the scripts.
    pub(super) as_root: bool,
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

    /// Injects it; `false` when there was no target.
    pub(super) fn inject(&self, aim: Aim) -> bool {
        let ran = self.run(self.inject, aim);
        assert_ne!(ran.status, Some(WRONG), "{ran}");
        ran.status == Some(0)
    }

    /// How long it lasts, if it is undone by a script.
    pub(super) fn lasts(&self) -> Option<u64> {
        self.undo.map(|(seconds, _)| seconds)
    }

    pub(super) fn undo(&self, aim: Aim) {
        if let Some((_, script)) = self.undo {
            self.run(script, aim).good();
        }
    }

    fn run(&self, script: &str, Aim { one, number }: Aim) -> Ran {
        let each = |of: fn(Companion) -> String| EVERY.map(of).join(" ");
        let variables = format!(
            "NAME={} SERVICE={} UNIT={} PORT={} TAG={} APP={} OUTPUT={} NUMBER={number} UNITS={UNITS} STATE={STATE}
             CATALOG={CATALOG} PASSWORD={PASSWORD} COLOUR={COLOUR} CONTEXT={CONTEXT} COMPANION={COMPANION}
             EVERY_SERVICE='{}' EVERY_UNIT='{}'",
            one.name,
            one.service(),
            one.unit(),
            one.port,
            one.tag(),
            app(one),
            output(one),
            each(Companion::service),
            each(Companion::unit),
        );
        let script = format!("{variables}\n{FUNCTIONS}{script}");
        if self.as_root { try_by_root(&script) } else { archy(&["sh", "-c", &script]) }
    }

    /// Whether it is `fault`, in any way.
    pub(super) fn is(&self, fault: Fault) -> bool {
        matches!(self.what, What::Fault(this, _) if this == fault)
    }
}

/// The exit status of a script that saw something wrong.
const WRONG: i32 = 99;

/// What several scripts do, on one companion or on the daemon.
const FUNCTIONS: &str = r#"
user() { systemctl --user --quiet "$@"; }
active() { user is-active $SERVICE; }
edit() { sed -i "s/^RestartSec=.*/RestartSec=$((70 + NUMBER % 1000))/" $UNIT; }
kill_container() { podman kill --signal=KILL $NAME; }
rendered() { test -L $OUTPUT && ls -d "$(dirname $OUTPUT)/$(readlink $OUTPUT)"; }
signal() { user kill --kill-whom=main --signal=$1 companion.service; }
"#;

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

/// Whether the tag points to the image of the unit, and the container was started from that.
pub(super) fn has_its_image(one: Companion) -> bool {
    let image = one.unit_image();
    let running = podman(&["container", "inspect", "--format", "{{.Image}}", one.name]).stdout;
    image_id(&one.tag()).as_ref() == Some(&image) && running.trim() == image
}

pub(super) fn status_is_whole(_one: Companion) -> bool {
    let text = fs::read_to_string(format!("{STATE}/status.json")).unwrap_or_default();
    serde_json::from_str::<serde_json::Value>(&text).is_ok()
}

pub(super) fn of_one(run: Run, inject: &'static str) -> Kind {
    Kind {
        what: What::Request(""),
        reach: Reach::One,
        run,
        inject,
        undo: None,
        as_root: false,
        fits: everyone,
        undone: everyone,
    }
}

pub(super) fn of_host(inject: &'static str) -> Kind {
    of_one(Run::Same, inject).reaching(Reach::Nobody)
}

impl Kind {
    pub(super) fn undone_after(self, seconds: u64, undo: &'static str) -> Self {
        Self { undo: Some((seconds, undo)), ..self }
    }

    pub(super) fn as_root(self) -> Self {
        Self { as_root: true, ..self }
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
    // The recorded removal would persist: the install is retried until it is accepted.
    let reinstall = "$COMPANION remove $APP; removed=$?
        until $COMPANION install $APP; do sleep 0.2; done; test $removed = 0";
    // Their result depends on other faults; they must end, and not by a signal.
    let three = "for i in 1 2 3; do timeout --kill-after=5 150 $COMPANION reconcile & pids=\"$pids $!\"; done
        for pid in $pids; do wait $pid; test $? -lt 124 || exit 99; done";
    [
        ("removed and installed by its owner", of_one(Run::Another, reinstall)),
        ("installed again by its owner", of_one(Run::Same, "$COMPANION install $APP")),
        ("three reconciles at the same time", of_host(three)),
    ]
    .map(|(request, kind)| Kind { what: What::Request(request), ..kind })
}
