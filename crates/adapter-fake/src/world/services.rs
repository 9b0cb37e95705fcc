//! Services: their states, and how the service manager reports them.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::time::Duration;

use companion_core::model::companion::CompanionName;
use companion_core::model::revision::{Fingerprint, Revision};
use companion_core::model::service::{End, LoadedUnit, RunState, ServiceState, Verb};
use companion_core::ports::PortResult;

use super::conditions::RateLimit;
use super::containers::Status;
use super::units::{Load, shadow};
use super::{Slot, World};

/// The Unix time at the origin of the host's monotonic clock.
const WALL_ORIGIN: i64 = 1_700_000_000;

/// The outcome of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StartEnd {
    /// The service is ready.
    Ready,
    /// Podman exits with this code before the service is ready.
    Exits(i32),
    /// The service is not ready in time.
    TimesOut,
}

/// The state of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Phase {
    /// It does not run.
    #[default]
    Dead,
    /// It failed and is not restarted.
    Failed,
    /// It is starting.
    Starting {
        /// Until then.
        until: Duration,
        /// Its outcome.
        end: StartEnd,
    },
    /// It runs.
    Running {
        /// When it will exit, and with which exit code.
        ends: Option<(Duration, i32)>,
    },
    /// It is stopping.
    Stopping {
        /// Until then.
        until: Duration,
        /// The exit code of its exit.
        exit: i32,
    },
    /// It exited and waits for its restart.
    Waiting {
        /// Then.
        until: Duration,
    },
}

impl Phase {
    /// Returns when it ends without an action.
    pub(crate) fn due(self) -> Option<Duration> {
        match self {
            Self::Dead | Self::Failed => None,
            Self::Running { ends } => ends.map(|(at, _)| at),
            Self::Starting { until, .. }
            | Self::Stopping { until, .. }
            | Self::Waiting { until } => Some(until),
        }
    }
}

/// The inputs that a process was started from. Later changes do not affect them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Run {
    /// Its revision; an unmanaged unit has none.
    pub revision: Option<Revision>,
    /// A digest of its unit without the restart epoch.
    pub contents: Option<Fingerprint>,
    /// Whether the unit was tampered with.
    pub tampered: bool,
    /// The image.
    pub image: Option<Fingerprint>,
    /// A digest of the mounted rendered configuration.
    pub config: Option<Fingerprint>,
}

/// A pending job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PendingJob {
    /// Its number.
    pub id: u32,
    /// What it does.
    pub verb: Verb,
    /// Whether a port call queued it; otherwise the service manager did.
    pub asked: bool,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Service {
    /// Its state.
    pub phase: Phase,
    /// When it entered the state.
    pub since: Duration,
    /// How its last run or start ended.
    pub last_end: Option<End>,
    /// The number of automatic restarts since the last start.
    pub restarts: u32,
    /// The process, if one runs.
    pub run: Option<Run>,
    /// Whether the image was missing at the last start.
    pub image_missing: bool,
    /// The pending job.
    pub job: Option<PendingJob>,
    /// Whether the next start resets `restarts`.
    pub(crate) forget_restarts: bool,
    pub(crate) starts: RateLimit,
    /// The unique number of its last run.
    pub(crate) run_number: u32,
}

/// The behaviour of the program in a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Behaviour {
    /// It exits with `crash_exit` right after it is ready.
    pub crashes: bool,
    /// The exit code of a crash; 1 by default.
    pub crash_exit: Option<i32>,
    /// It ignores SIGTERM and is killed after the stop timeout.
    pub ignores_stop: bool,
    /// It never becomes ready.
    pub never_ready: bool,
    /// The container cannot be created: Podman exits with this code, 126 for a port in use.
    pub start_fails: Option<i32>,
}

impl Behaviour {
    /// Returns the exit code of a crash.
    pub(crate) fn exit(self) -> i32 {
        self.crash_exit.unwrap_or(1)
    }
}

impl World {
    /// Returns the state of `name` as the service manager reports it.
    ///
    /// # Errors
    /// `Unavailable` without a service manager.
    pub fn service(&self, name: &CompanionName, now: Duration) -> PortResult<ServiceState> {
        self.needs_bus()?;
        let Some(slot) = self.slot(name) else {
            return Ok(ServiceState::absent());
        };
        let service = &slot.service;
        let unit = unit_of(name, slot);
        // A unit without file and process is unloaded immediately.
        if unit == LoadedUnit::Absent && service.phase == Phase::Dead {
            return Ok(ServiceState::absent());
        }
        let (run, message) = run_of(service.phase);
        let up = matches!(service.phase, Phase::Running { .. } | Phase::Stopping { .. });
        let frozen = slot.container.is_some_and(|container| container.status == Status::Paused);
        let wall = WALL_ORIGIN
            .saturating_add(self.conditions.wall_offset)
            .saturating_add_unsigned(service.since.as_secs());
        Ok(ServiceState {
            unit,
            run,
            busy: service.job.is_some(),
            running: service.run.filter(|_| up).and_then(|run| run.revision),
            run_id: up.then(|| format!("run {}", service.run_number)),
            frozen: frozen && up,
            up_for: match run {
                RunState::Up if self.conditions.reports_uptime => now.saturating_sub(service.since),
                _ => Duration::ZERO,
            },
            restarts: service.restarts,
            last_end: service.last_end.clone(),
            // A unit that was only loaded has no state change time.
            since: u64::try_from(wall).ok().filter(|_| service.since > Duration::ZERO),
            message: message.to_owned(),
            drop_ins: slot.loaded_drop_ins(name),
        })
    }

    /// Returns a digest of each service, which differs after each change of it.
    pub(crate) fn service_digests(&self) -> BTreeMap<CompanionName, u64> {
        self.digests(|slot| digest_of(&(&slot.service, &slot.load, slot.masked)))
    }

    /// Returns a digest of each companion's unit, service and container.
    pub(crate) fn slot_digests(&self) -> BTreeMap<CompanionName, u64> {
        self.digests(digest_of)
    }

    fn digests(&self, digest: impl Fn(&Slot) -> u64) -> BTreeMap<CompanionName, u64> {
        self.slots.iter().map(|(name, slot)| (name.clone(), digest(slot))).collect()
    }

    /// Resets the failed state and the start counter of `name`.
    ///
    /// # Errors
    /// `Unavailable` without a service manager.
    pub fn reset_failed(&mut self, name: &CompanionName, now: Duration) -> PortResult<()> {
        self.advance(now);
        self.needs_bus()?;
        let Some(slot) = self.slots.get_mut(name) else {
            return Ok(());
        };
        let service = &mut slot.service;
        service.starts = RateLimit::default();
        service.restarts = 0;
        service.last_end = service.last_end.take().map(|_| End::Success);
        if service.phase == Phase::Failed {
            service.phase = Phase::Dead;
            service.since = now;
            if slot.load == Load::NotFound {
                slot.service = Service::default();
            }
        }
        Ok(())
    }
}

fn unit_of(name: &CompanionName, slot: &Slot) -> LoadedUnit {
    if slot.masked {
        return LoadedUnit::Held { message: "unit is masked".to_owned() };
    }
    match &slot.load {
        Load::NotFound => LoadedUnit::Absent,
        Load::Ours(text) => LoadedUnit::FromStore { revision: Some(text.revision) },
        Load::Unmanaged => LoadedUnit::FromStore { revision: None },
        Load::Shadow => LoadedUnit::Elsewhere { place: shadow(name) },
        Load::Broken => {
            let message = "the unit has a setting that makes no sense".to_owned();
            LoadedUnit::Unusable { message, revision: None }
        }
    }
}

fn run_of(phase: Phase) -> (RunState, &'static str) {
    match phase {
        Phase::Dead => (RunState::Down, "inactive (dead)"),
        Phase::Failed => (RunState::Failed, "failed (failed)"),
        Phase::Starting { .. } => (RunState::Starting, "activating (start)"),
        Phase::Running { .. } => (RunState::Up, "active (running)"),
        Phase::Stopping { .. } => (RunState::Stopping, "deactivating (stop)"),
        Phase::Waiting { .. } => (RunState::BetweenRestarts, "activating (auto-restart)"),
    }
}

fn digest_of(part: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    part.hash(&mut hasher);
    hasher.finish()
}
