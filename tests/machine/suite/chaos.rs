//! The chaos run: five companions, the release daemon, and a fault every few seconds.
//!
//! About sixty kinds of fault, drawn by a seed, overlap: each companion has at most one at a time and a pause after
//! it. An observer checks every stage of every companion four times a second and writes a history of faults and
//! recoveries; `oracle` checks it at the end.
//!
//! Run by name (`../chaos`). `COMPANION_CHAOS_SECONDS` sets the duration of the faults (120), `COMPANION_SEED` the
//! seed (1). History and report are left in `/var/lib/chaos`.

use std::collections::BTreeMap;
use std::fs;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::json;

use crate::guest::{number, root, systemctl};
use crate::node::Companion;
use crate::random::Random;

mod faults;
mod history;
mod last_sample;
mod oracle;
mod real;
mod report;
mod site;

use companion_tests::faults::Fault;
use faults::{Aim, KINDS, Kind, Reach, Run};
use history::History;
use site::{EVERY, Reference, Seen, Unmanaged, complaint, daemon, look};

const PLACE: &str = "/var/lib/chaos";
const HISTORY: &str = "/var/lib/chaos/history.jsonl";

/// Pause of a companion after a recovery, in seconds: by design a fault within the five seconds of a repair waits for
/// the rest of them, which would distort the measurement.
const REST: f64 = 8.0;
/// Seconds after which a daemon has observed every run with its file.
const SEEN: f64 = 5.0;
/// Seconds until all companions must be healthy after the last fault.
const END: f64 = 180.0;

#[test]
fn every_companion_recovers_and_unmanaged_objects_stay_unchanged() {
    let (seconds, seed) = (number("COMPANION_CHAOS_SECONDS", 120), number("COMPANION_SEED", 1));
    site::settle();
    root(&["mkdir", "-p", PLACE]).good();
    systemctl(&["enable", "--now", "companion.service"]).good();
    let mut chaos = Chaos::begin(seed);
    chaos.history.note("begin", json!({"seconds": seconds}));
    chaos.run(seconds as f64);
    last_sample::note(&mut chaos.history);
    chaos.history.note("end", json!({}));
    drop(chaos);
    systemctl(&["stop", "companion.service"]).good();
    let history = history::read(HISTORY);
    let report = report::markdown(&history, seed);
    fs::write(format!("{PLACE}/report.md"), &report).unwrap();
    println!("{report}");
    site::leave();
    let wrong = oracle::violations(&history);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A fault in progress.
struct Pending {
    number: u64,
    kind: Kind,
    aim: Aim,
    injection: Option<JoinHandle<bool>>,
    /// When it must end, and when it ended.
    ends_at: Option<f64>,
    over: Option<f64>,
    /// The runs before it.
    before: BTreeMap<&'static str, Seen>,
}

impl Pending {
    /// Whether it affects this companion.
    fn affects(&self, one: Companion) -> bool {
        match self.kind.reach {
            Reach::One | Reach::OneAlone => self.aim.one == one,
            Reach::All => true,
            Reach::Nobody => false,
        }
    }
}

struct Chaos {
    random: Random,
    history: History,
    reference: Reference,
    unmanaged: Unmanaged,
    seen: BTreeMap<&'static str, Seen>,
    /// When the last observation started.
    looked: f64,
    complaints: BTreeMap<&'static str, String>,
    pending: Vec<Pending>,
    rests_until: BTreeMap<&'static str, f64>,
    /// The remaining kinds of this cycle, the next one last; the seed alone shuffles them.
    remaining: Vec<usize>,
    shuffles: Random,
    daemon: (Option<u32>, f64),
    number: u64,
}

impl Chaos {
    fn begin(seed: u64) -> Self {
        let (reference, unmanaged) = (Reference::taken_now(), Unmanaged::seen_now());
        Self {
            random: Random::seeded(seed),
            shuffles: Random::seeded(seed),
            history: History::begin(HISTORY),
            reference,
            unmanaged,
            seen: look(),
            looked: 0.0,
            complaints: BTreeMap::new(),
            pending: Vec::new(),
            rests_until: BTreeMap::new(),
            remaining: Vec::new(),
            daemon: (daemon(), 0.0),
            number: 0,
        }
    }

    /// Injects faults for `seconds`, and then waits until all companions are healthy.
    fn run(&mut self, seconds: f64) {
        let (mut next_fault, mut next_sample) = (SEEN, 0.0);
        loop {
            self.observe();
            self.end_faults();
            self.notice_recoveries();
            let now = self.history.now();
            if now >= next_sample {
                self.sample();
                next_sample = now + 5.0;
            }
            let quiet = self.pending.is_empty() && self.complaints.is_empty();
            if now >= seconds && (quiet || now >= seconds + END) {
                for (whom, why) in &self.complaints {
                    self.history.note("unwell at the end", json!({"whom": whom, "why": why}));
                }
                return self.sample();
            }
            if now >= next_fault && now < seconds && self.begin_fault() {
                next_fault = now + 1.0 + self.random.below(30) as f64 / 10.0;
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Observes every companion, and records each run that ended.
    fn observe(&mut self) {
        self.looked = self.history.now();
        let seen = look();
        for one in EVERY {
            let name = one.name;
            let run = |seen: Option<&Seen>| seen.map(|seen| seen.invocation.clone());
            let (old, new) = (run(self.seen.get(name)), run(seen.get(name)));
            // A stopped or unreadable service has none; the next different run counts.
            if let (Some(old), Some(new)) = (old.filter(|old| !old.is_empty()), new)
                && old != new
                && !new.is_empty()
            {
                self.history.note("run", json!({"whom": name, "old": old, "new": new}));
            }
            match complaint(one, seen.get(name), &self.reference) {
                Some(why) => {
                    if self.complaints.get(name) != Some(&why) {
                        self.history.note("unwell", json!({"whom": name, "why": why}));
                    }
                    self.complaints.insert(name, why);
                }
                None => drop(self.complaints.remove(name)),
            }
            if let Some(found) = seen.get(name).filter(|seen| !seen.invocation.is_empty()) {
                self.seen.insert(name, found.clone());
            }
        }
        let found = daemon();
        if found != self.daemon.0 {
            self.daemon = (found, self.history.now());
        }
    }

    /// Ends the faults whose duration is over.
    fn end_faults(&mut self) {
        for fault in &mut self.pending {
            if fault.injection.as_ref().is_some_and(JoinHandle::is_finished) {
                let ended = fault.injection.take().map(JoinHandle::join);
                let done = matches!(ended, Some(Ok(true)));
                if !done {
                    let how = if matches!(ended, Some(Err(_))) {
                        "injection panicked"
                    } else {
                        "fizzled"
                    };
                    self.history.note(how, json!({"number": fault.number}));
                }
                fault.ends_at = Some(self.history.now() + fault.kind.lasts().unwrap_or(0) as f64);
                // A failed injection may be partial: it is recovered all the same.
                fault.kind.run = if done { fault.kind.run } else { Run::Either };
            }
            let due = fault.ends_at.is_some_and(|at| self.history.now() >= at);
            if due && fault.over.is_none() {
                fault.kind.undo(fault.aim);
                fault.over = Some(self.history.now());
                self.history.note("over", json!({"number": fault.number}));
            }
        }
    }

    fn notice_recoveries(&mut self) {
        let now = self.history.now();
        let daemon_is_there = self.daemon.0.is_some();
        let (seen, complaints) = (&self.seen, &self.complaints);
        let is_well = |fault: &Pending, one: Companion| {
            let run = |seen: &BTreeMap<&'static str, Seen>| {
                seen.get(one.name).map(|seen| seen.invocation.clone())
            };
            let another = fault.kind.run != Run::Another || run(seen) != run(&fault.before);
            !complaints.contains_key(one.name) && another
        };
        let affected = |one: &Companion| self.pending.iter().any(|fault| fault.affects(*one));
        // A companion with a separate fault does not count for the recovery of a daemon fault.
        let others: Vec<_> = EVERY.into_iter().filter(|one| !affected(one)).collect();
        let looked = self.looked;
        let mut over = Vec::new();
        self.pending.retain(|fault| {
            let whom: Vec<_> = match fault.kind.reach {
                Reach::Nobody => others.clone(),
                _ => EVERY.into_iter().filter(|one| fault.affects(*one)).collect(),
            };
            // An observation that started before its end proves nothing.
            let settled = fault.over.is_some_and(|over| over < looked);
            let well = settled && daemon_is_there && whom.iter().all(|one| is_well(fault, *one));
            let done = well && (fault.kind.undone)(fault.aim.one);
            if done {
                let rest = if fault.kind.reach == Reach::Nobody { Vec::new() } else { whom };
                over.push((fault.number, rest, fault.kind));
            }
            !done
        });
        for (number, whom, kind) in over {
            self.history.note("recovered", json!({"number": number}));
            for one in whom {
                self.rests_until.insert(one.name, now + REST);
            }
            if kind.is(Fault::UserManagerStopped) {
                // The unmanaged service restarted with all others.
                self.unmanaged.run = Unmanaged::seen_now().run;
            }
        }
    }

    /// Starts the next possible fault.
    fn begin_fault(&mut self) -> bool {
        if self.pending.iter().any(|pending| pending.kind.is_exclusive()) {
            return false;
        }
        if self.remaining.is_empty() {
            self.remaining = faults::shuffled(&mut self.shuffles);
        }
        let free: Vec<_> = EVERY.into_iter().filter(|one| self.is_free(*one)).collect();
        // The first possible kind; the others keep their order.
        let fitting = |kind: usize| -> Vec<_> {
            free.iter().copied().filter(|one| (KINDS[kind].fits)(*one)).collect()
        };
        let is_possible = |kind: &usize| match KINDS[*kind].reach {
            Reach::One => !fitting(*kind).is_empty(),
            Reach::OneAlone | Reach::All => {
                self.pending.is_empty() && free.len() == EVERY.len() && !fitting(*kind).is_empty()
            }
            Reach::Nobody => !self.pending.iter().any(|other| other.kind.reach == Reach::Nobody),
        };
        let Some(place) = self.remaining.iter().rposition(is_possible) else { return false };
        let kind = self.remaining.remove(place);
        let fitting = fitting(kind);
        let one = fitting.first().map(|_| *self.random.one_of(&fitting));
        self.begin_on(KINDS[kind], one.unwrap_or(EVERY[0]));
        true
    }

    fn is_free(&self, one: Companion) -> bool {
        let rested = self.rests_until.get(one.name).is_none_or(|at| self.history.now() >= *at);
        let affected = self.pending.iter().any(|fault| fault.affects(one));
        rested && !affected && !self.complaints.contains_key(one.name)
    }

    fn begin_on(&mut self, kind: Kind, one: Companion) {
        self.number += 1;
        let aim = Aim { one, number: self.number };
        let whom = match kind.reach {
            Reach::One | Reach::OneAlone => one.name,
            Reach::All => "*",
            Reach::Nobody => oracle::HOST,
        };
        let unseen = self.daemon.0.is_none() || self.history.now() < self.daemon.1 + SEEN;
        let may_end = match kind.run {
            Run::Same => false,
            Run::SameIfSeen => unseen,
            Run::Either | Run::Another => true,
        };
        let entry = json!({"number": self.number, "kind": kind.what.to_string(), "whom": whom, "may_end": may_end});
        self.history.note("fault", entry);
        let of_daemon = [Fault::ManagerKilled, Fault::ManagerShutDown, Fault::ManagerHeld];
        if of_daemon.into_iter().any(|fault| kind.is(fault)) || kind.reach == Reach::All {
            // A new daemon has no observations yet: an object lost now may cause a restart.
            for other in self.pending.iter().filter(|other| other.kind.run == Run::SameIfSeen) {
                self.history.note("may end", json!({"number": other.number}));
            }
        }
        self.pending.push(Pending {
            number: self.number,
            kind,
            aim,
            injection: Some(thread::spawn(move || kind.inject(aim))),
            ends_at: None,
            over: None,
            before: self.seen.clone(),
        });
    }

    /// Records the daemon's memory, and whether unmanaged objects are unchanged.
    fn sample(&mut self) {
        if let Some((pid, taken)) =
            self.daemon.0.and_then(|pid| Some((pid, last_sample::taken(pid)?)))
        {
            let [rss, threads, files] = taken;
            let entry = json!({"pid": pid, "rss": rss, "threads": threads, "files": files});
            self.history.note("daemon", entry);
        }
        let unmanaged = Unmanaged::seen_now();
        let restarting = self.pending.iter().any(|fault| fault.kind.is(Fault::UserManagerStopped));
        if !unmanaged.are_as(&self.unmanaged) && !restarting {
            let changed = format!("{:?} is not {:?}", unmanaged, self.unmanaged);
            self.history.note("unmanaged", json!({"changed": changed}));
            self.unmanaged = unmanaged;
        }
    }
}
