//! The last state that was read of each running service.
//!
//! A state is used again only while three things are the same that each reconcile reads anyway or for little: the unit's
//! row in the list of units, the start time of its main process, and when systemd last loaded its units. So a lost signal
//! makes no state wrong. Services that do not run, or have a job, are read in full each time.
//!
//! What is not compared is noticed when the state's lifetime ends: a drop-in that systemd has not loaded yet, and one of
//! `systemctl set-property`.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;
use std::time::Duration;

use companion_core::model::companion::CompanionName;
use companion_core::model::service::{RunState, ServiceState};
use tokio::time::Instant;

use crate::dbus::UnitRow;
use crate::processes::Running;

/// How long a state is used at least and at most, so that units are read in full a few at a time.
const LIFETIME: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(600));

/// The states by companion.
#[derive(Debug, Default)]
pub(super) struct Memory {
    states: HashMap<CompanionName, Known>,
    /// `UnitsLoadTimestampMonotonic` when they were read.
    loaded_at: Option<u64>,
    spread: RandomState,
}

/// A state as it was read.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// The load state, the substate and the object's path.
    row: [String; 3],
    location: Option<String>,
    pub(super) processes: Running,
    state: ServiceState,
    /// When the service became active, on the monotonic clock.
    active_since: Duration,
    until: Instant,
}

impl Memory {
    /// Uses no state again if systemd loaded its units since they were read, or does not say when. Their processes are
    /// watched until they are read again.
    pub(super) fn loaded(&mut self, at: Option<u64>) {
        if at.is_none() || self.loaded_at < at {
            let now = Instant::now();
            self.states.values_mut().for_each(|known| known.until = now);
            self.loaded_at = at;
        }
    }

    /// Returns what is known of a service, if its row is the same.
    pub(super) fn get(
        &self,
        name: &CompanionName,
        row: &UnitRow,
        location: Option<&str>,
    ) -> Option<Known> {
        let known = self.states.get(name)?;
        let is_same = known.row == identity(row) && known.location.as_deref() == location;
        let is_current = row.active_state == "active" && row.job_id == 0 && is_same;
        (is_current && Instant::now() < known.until).then(|| known.clone())
    }

    /// Keeps a state that was read in full, if its service runs: after systemd loaded its units at `loaded_at`, at `now` on
    /// the monotonic clock.
    pub(super) fn keep(
        &mut self,
        name: &CompanionName,
        row: &UnitRow,
        location: Option<String>,
        read: &Reading,
        (loaded_at, now): (Option<u64>, Duration),
    ) {
        if loaded_at.is_none() || loaded_at != self.loaded_at {
            // Another call saw a later reload.
            return;
        }
        let state = &read.state;
        let (Some(processes), false, false) =
            (read.running.clone(), state.up_for.is_zero(), state.busy)
        else {
            self.states.remove(name);
            return;
        };
        if state.run != RunState::Up {
            self.states.remove(name);
            return;
        }
        let (least, most) = LIFETIME;
        let share = u32::try_from(self.spread.hash_one(name) % 1000).unwrap_or_default();
        let known = Known {
            row: identity(row),
            location,
            processes,
            active_since: now.saturating_sub(state.up_for),
            state: state.clone(),
            until: Instant::now() + least + (most - least) * share / 1000,
        };
        self.states.insert(name.clone(), known);
    }

    /// Returns the files that the kernel changes when a container of a known service is frozen or ends.
    pub(super) fn event_files(&self) -> HashMap<PathBuf, CompanionName> {
        let files = |(name, known): (&CompanionName, &Known)| {
            let files = known.processes.event_files.clone().into_iter();
            let name = name.clone();
            files.map(move |file| (file, name.clone()))
        };
        self.states.iter().flat_map(files).collect()
    }
}

impl Known {
    /// Returns the state at `now` on the monotonic clock.
    pub(super) fn state(&self, is_frozen: bool, now: Duration) -> ServiceState {
        let mut state = self.state.clone();
        state.frozen = is_frozen;
        state.up_for = now.saturating_sub(self.active_since);
        state
    }
}

/// A state that was read in full, and the service's processes if they are known to be of that state's run.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) state: ServiceState,
    pub(super) running: Option<Running>,
}

fn identity(row: &UnitRow) -> [String; 3] {
    [row.load_state.clone(), row.sub_state.clone(), row.path.to_string()]
}
