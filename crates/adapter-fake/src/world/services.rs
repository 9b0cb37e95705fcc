//! Services: what each one does, and how the service manager tells of it.

use std::time::Duration;

use companion_core::model::companion::CompanionName;
use companion_core::model::revision::{Fingerprint, Revision};
use companion_core::model::unit::{ActiveState, LoadState, ServiceResult, ServiceState, SubState};
use companion_core::ports::PortResult;

use super::conditions::RateLimit;
use super::containers::Status;
use super::units::{Load, SHADOW_DIRECTORY, location};
use super::{Slot, World};

/// Seconds since 1970 at the origin of the host's monotonic clock.
const WALL_ORIGIN: i64 = 1_700_000_000;

/// How a start ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StartEnd {
    /// The service is ready.
    Ready,
    /// The container program ends with this exit code before the service is ready.
    Exits(i32),
    /// The service is not ready in time.
    TimesOut,
}

/// Where a service stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Phase {
    /// It does not run.
    #[default]
    Dead,
    /// It ended with an error and is not started again by itself.
    Failed,
    /// It is being started.
    Starting {
        /// Until then.
        until: Duration,
        /// How that will end.
        end: StartEnd,
    },
    /// It runs.
    Running {
        /// When it will end by itself, and with which exit code.
        ends: Option<(Duration, i32)>,
    },
    /// It is being stopped.
    Stopping {
        /// Until then.
        until: Duration,
        /// The exit code that it will end with.
        exit: i32,
    },
    /// It ended, and will be started again.
    Waiting {
        /// Then.
        until: Duration,
    },
}

impl Phase {
    /// When it passes by itself.
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

/// What a process was started from. What becomes of its origins later does not change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Run {
    /// The revision that it was started with; a stranger's unit has none.
    pub revision: Option<Revision>,
    /// A digest of what its unit said except the restart epoch.
    pub contents: Option<Fingerprint>,
    /// Whether that had been tampered with.
    pub tampered: bool,
    /// The image.
    pub image: Option<Fingerprint>,
    /// A digest of the rendered configuration that it mounts.
    pub config: Option<Fingerprint>,
}

/// What a job is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobKind {
    /// To have it run.
    Start,
    /// To have it not run.
    Stop,
    /// To have it run anew.
    Restart,
}

/// A job that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PendingJob {
    /// Its number.
    pub id: u32,
    /// What it is for.
    pub kind: JobKind,
    /// Whether a caller of the port asked for it; else the service manager did by itself.
    pub asked: bool,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Service {
    /// Where it stands.
    pub phase: Phase,
    /// Since when.
    pub since: Duration,
    /// How it ended the last time.
    pub result: ServiceResult,
    /// The exit code it ended with the last time.
    pub exit_status: Option<i32>,
    /// How often the service manager restarted it by itself since it was last started.
    pub restarts: u32,
    /// The process, while there is one.
    pub run: Option<Run>,
    /// Whether the image was not there at the last start.
    pub image_missing: bool,
    /// The job that is under way.
    pub job: Option<PendingJob>,
    /// Whether `restarts` begins anew at the next start.
    pub(crate) forget_restarts: bool,
    pub(crate) starts: RateLimit,
    /// The number of its last run; no other run of the host has it.
    pub(crate) run_number: u32,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            phase: Phase::Dead,
            since: Duration::ZERO,
            result: ServiceResult::Success,
            exit_status: None,
            restarts: 0,
            run: None,
            image_missing: false,
            job: None,
            forget_restarts: false,
            starts: RateLimit::default(),
            run_number: 0,
        }
    }
}

/// How the program in a container behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Behaviour {
    /// It ends right after it got ready, with `crash_exit`.
    pub crashes: bool,
    /// The exit code of a program that crashes; 1 unless said otherwise.
    pub crash_exit: Option<i32>,
    /// It does not heed the signal to stop, and is killed when its time to stop is over.
    pub ignores_stop: bool,
    /// It never says that it is ready.
    pub never_ready: bool,
    /// The container cannot be made: the container program ends with this exit code. A port that
    /// is taken gives 126.
    pub start_fails: Option<i32>,
}

impl Behaviour {
    /// The exit code that it ends with when it crashes.
    pub(crate) fn exit(self) -> i32 {
        self.crash_exit.unwrap_or(1)
    }
}

impl World {
    /// The state of `name` as the service manager has it.
    ///
    /// # Errors
    /// `Unavailable` without a service manager.
    pub fn service(&self, name: &CompanionName, now: Duration) -> PortResult<ServiceState> {
        self.needs_bus()?;
        let Some(slot) = self.slot(name) else {
            return Ok(ServiceState::not_found());
        };
        let service = &slot.service;
        let (load, source, loaded) = load_of(name, slot);
        let (active, sub) = words(service.phase);
        let up = matches!(service.phase, Phase::Running { .. } | Phase::Stopping { .. });
        let running = service.run.filter(|_| up).and_then(|run| run.revision);
        let paused = slot.container.is_some_and(|container| container.status == Status::Paused);
        let known = load != LoadState::NotFound || service.phase != Phase::Dead;
        let wall = WALL_ORIGIN
            .saturating_add(self.conditions.wall_offset)
            .saturating_add_unsigned(service.since.as_secs());
        // A unit that nothing is left of is forgotten at once.
        if !known {
            return Ok(ServiceState::not_found());
        }
        let load_error = match load {
            LoadState::Loaded => None,
            LoadState::Masked => Some(format!("Unit {name}.service is masked.")),
            LoadState::BadSetting => Some("the unit has a setting that makes no sense".to_owned()),
            _ => Some(format!("Unit {name}.service not found.")),
        };
        Ok(ServiceState {
            load,
            active,
            sub,
            result: service.result.clone(),
            job_pending: service.job.is_some(),
            restarts: service.restarts,
            source,
            loaded,
            running,
            invocation: up.then(|| format!("run {}", service.run_number)),
            paused: paused && up,
            active_for: match service.phase {
                Phase::Running { .. } => now.saturating_sub(service.since),
                Phase::Dead
                | Phase::Failed
                | Phase::Starting { .. }
                | Phase::Stopping { .. }
                | Phase::Waiting { .. } => Duration::ZERO,
            },
            exit_status: service.exit_status,
            // What was only loaded has entered no state.
            since: u64::try_from(wall).ok().filter(|_| service.since > Duration::ZERO),
            load_error,
            drop_ins: slot.loaded_drop_ins(name),
        })
    }

    /// Forgets that `name` failed, and how often it was started.
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
        service.result = ServiceResult::Success;
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

fn load_of(name: &CompanionName, slot: &Slot) -> (LoadState, Option<String>, Option<Revision>) {
    if slot.masked {
        return (LoadState::Masked, None, None);
    }
    match &slot.load {
        Load::NotFound => (LoadState::NotFound, None, None),
        Load::Ours(text) => {
            let revision = Some(text.revision);
            (LoadState::Loaded, Some(location(name)), revision)
        }
        Load::Unmanaged => (LoadState::Loaded, Some(location(name)), None),
        Load::Shadow => {
            let source = format!("{SHADOW_DIRECTORY}/{name}.container");
            (LoadState::Loaded, Some(source), None)
        }
        Load::Broken => (LoadState::BadSetting, Some(location(name)), None),
    }
}

fn words(phase: Phase) -> (ActiveState, SubState) {
    match phase {
        Phase::Dead => (ActiveState::Inactive, SubState::Dead),
        Phase::Failed => (ActiveState::Failed, SubState::Failed),
        Phase::Starting { .. } => (ActiveState::Activating, SubState::from_word("start")),
        Phase::Running { .. } => (ActiveState::Active, SubState::Running),
        Phase::Stopping { .. } => (ActiveState::Deactivating, SubState::from_word("stop")),
        Phase::Waiting { .. } => (ActiveState::Activating, SubState::AutoRestart),
    }
}
