//! Processes: how a service starts, exits, waits for its restart and stops.

use std::time::Duration;

use companion_core::model::companion::CompanionName;
use companion_core::model::container::RestartPolicy;
use companion_core::model::service::{End, Verb};

use super::World;
use super::containers::{Container, Status};
use super::jobs::JobResult;
use super::services::{PendingJob, Phase, Run, StartEnd};
use super::units::{Damage, Load};
use super::violations::ViolationKind;

/// Podman's exit code if it cannot create a container (podman-run(1)).
pub(crate) const CANNOT_MAKE: i32 = 125;
/// The minimum restart delay of a unit without a start limit.
const UNLIMITED_FROM: Duration = Duration::from_secs(2);
/// The restart delay of a unit that names none.
pub(crate) const DEFAULT_DELAY: Duration = Duration::from_millis(100);
/// The exit code of a killed program: 128 plus the signal number.
pub(crate) const KILLED: i32 = 137;

impl World {
    /// Processes the event due for `name` at `at`.
    pub(crate) fn step(&mut self, name: &CompanionName, at: Duration) {
        match self.slot_mut(name).service.phase {
            Phase::Dead | Phase::Failed | Phase::Running { ends: None } => {}
            Phase::Running { ends: Some((_, exit)) } => self.process_ended(name, at, exit, None),
            Phase::Starting { end, .. } => self.finish_start(name, at, end),
            Phase::Stopping { exit, .. } => self.finish_stop(name, at, exit),
            Phase::Waiting { .. } => self.restart_by_itself(name, at),
        }
    }

    /// Starts the loaded unit, for the pending job or else for the service manager.
    pub(crate) fn begin_start(&mut self, name: &CompanionName, at: Duration) {
        let limit = self.conditions.start_limit;
        let asked = self.slot_mut(name).service.job.is_some_and(|job| job.asked);
        if !self.is_startable(name) {
            self.settle(name, Phase::Dead, at);
            self.end_job(name, JobResult::Failed);
            return;
        }
        let limited = self.has_start_limit(name);
        let service = &mut self.slot_mut(name).service;
        if service.forget_restarts {
            service.forget_restarts = false;
            service.restarts = 0;
        }
        if limited && !service.starts.allows(at, limit) {
            // The limit is reported only without an earlier failure (systemd 257).
            if matches!(service.last_end, None | Some(End::Success)) {
                service.last_end = Some(End::StartLimit);
            }
            service.forget_restarts = true;
            self.settle(name, Phase::Failed, at);
            self.end_job(name, JobResult::Failed);
            return;
        }
        self.replace_container(name, asked);
        let (end, run) = self.start_of(name);
        let image_missing = self.misses_image(name);
        let wait = match end {
            StartEnd::TimesOut => self.delays.start_timeout,
            StartEnd::Ready | StartEnd::Exits(_) => self.delays.start,
        };
        let until = at.saturating_add(wait);
        self.last_run = self.last_run.wrapping_add(1);
        let number = self.last_run;
        let service = &mut self.slot_mut(name).service;
        service.run_number = number;
        service.run = run;
        service.image_missing = image_missing;
        service.last_end = None;
        self.settle(name, Phase::Starting { until, end }, at);
    }

    /// Returns whether the host's start limit applies to `name`: a managed unit with a long restart delay
    /// disables it.
    fn has_start_limit(&self, name: &CompanionName) -> bool {
        let is_unlimited = |slot: &super::Slot| matches!(&slot.load, Load::Ours(text) if text.restart_delay >= UNLIMITED_FROM);
        self.conditions.traits.keeps_failures && !self.slot(name).is_some_and(is_unlimited)
    }

    /// Returns the outcome of a start of `name` now, and its process.
    fn start_of(&self, name: &CompanionName) -> (StartEnd, Option<Run>) {
        let Some(slot) = self.slot(name) else {
            return (StartEnd::Exits(CANNOT_MAKE), None);
        };
        if let Some(exit) = slot.behaviour.start_fails {
            return (StartEnd::Exits(exit), None);
        }
        let mut run =
            Run { revision: None, contents: None, tampered: false, image: None, config: None };
        if let Load::Ours(text) = &slot.load {
            // No pull (`Pull=never`), and no directory is created for a missing mount source.
            let image = self.images.find(&text.image);
            let mounts_exist = text.mounts.iter().all(|path| self.files.exists(path));
            if image.is_none() || !mounts_exist {
                return (StartEnd::Exits(CANNOT_MAKE), None);
            }
            let config = text.mounts.iter().find_map(|path| self.files.content(path));
            run = Run {
                revision: Some(text.revision),
                contents: Some(text.contents),
                tampered: matches!(text.damage, Damage::Edited | Damage::Spoilt),
                image,
                config,
            };
        }
        let end = if slot.behaviour.never_ready { StartEnd::TimesOut } else { StartEnd::Ready };
        (end, Some(run))
    }

    fn misses_image(&self, name: &CompanionName) -> bool {
        match self.slot(name).map(|slot| &slot.load) {
            Some(Load::Ours(text)) => self.images.find(&text.image).is_none(),
            Some(Load::NotFound | Load::Unmanaged | Load::Shadow | Load::Broken) | None => false,
        }
    }

    /// Replaces an existing container of the name, as `--replace` does.
    fn replace_container(&mut self, name: &CompanionName, asked: bool) {
        let slot = self.slot_mut(name);
        let ours = !matches!(slot.load, Load::Unmanaged | Load::Shadow);
        let (container, unseen) = (slot.container.take(), slot.unseen.container);
        if ours && container.is_some_and(|container| !container.ours) {
            self.unmanaged_replaced += 1;
            if asked {
                self.violate(ViolationKind::UnmanagedContainerReplaced, Some(name), unseen);
            }
        }
    }

    fn finish_start(&mut self, name: &CompanionName, at: Duration, end: StartEnd) {
        let crash = at.saturating_add(self.delays.crash.max(Duration::from_millis(1)));
        match end {
            StartEnd::Exits(_) if !self.conditions.traits.keeps_failures => {
                self.settle(name, Phase::Dead, at);
                self.end_job(name, JobResult::Failed);
            }
            StartEnd::Exits(exit) => {
                self.end_job(name, JobResult::Failed);
                self.process_ended(name, at, exit, None);
            }
            StartEnd::TimesOut => {
                self.end_job(name, JobResult::Failed);
                self.process_ended(name, at, KILLED, Some(End::TimedOut));
            }
            StartEnd::Ready => {
                let crashes = self.crashes(name);
                let exit = self.slot_mut(name).behaviour.exit();
                let slot = self.slot_mut(name);
                // Of the unit that it was started from; another one may be loaded by now.
                let ours = slot.service.run.is_some_and(|run| run.revision.is_some());
                slot.container = Some(Container { ours, status: Status::Running });
                let ends = crashes.then_some((crash, exit));
                self.settle(name, Phase::Running { ends }, at);
                self.end_job(name, JobResult::Done);
            }
        }
    }

    /// Returns whether the program of `name` exits immediately, by its behaviour or because of an invalid
    /// configuration.
    fn crashes(&self, name: &CompanionName) -> bool {
        let Some(slot) = self.slot(name) else {
            return false;
        };
        let Load::Ours(text) = &slot.load else {
            return slot.behaviour.crashes;
        };
        let refused =
            text.mounts.iter().any(|path| self.files.file(path).is_some_and(|file| !file.sound));
        refused || slot.behaviour.crashes
    }

    /// Handles an exit of `name` that was not caused by a job.
    pub(crate) fn process_ended(
        &mut self,
        name: &CompanionName,
        at: Duration,
        exit: i32,
        end: Option<End>,
    ) {
        let startable = self.is_startable(name);
        let has_delay = self.conditions.traits.restart_delay;
        let slot = self.slot_mut(name);
        slot.bury_container();
        let failed = exit != 0;
        let (policy, delay) = match &slot.load {
            Load::Ours(text) if has_delay => (text.restart, text.restart_delay),
            Load::Ours(text) => (text.restart, DEFAULT_DELAY),
            Load::Unmanaged | Load::Shadow => (RestartPolicy::Always, DEFAULT_DELAY),
            Load::NotFound | Load::Broken => (RestartPolicy::No, Duration::ZERO),
        };
        let again = startable
            && match policy {
                RestartPolicy::Always => true,
                RestartPolicy::OnFailure => failed,
                RestartPolicy::No => false,
            };
        slot.service.last_end = Some(end.unwrap_or_else(|| end_of(exit)));
        slot.service.run = None;
        slot.service.forget_restarts |= !again;
        let phase = if again {
            let until = at.saturating_add(delay);
            Phase::Waiting { until }
        } else if failed {
            Phase::Failed
        } else {
            Phase::Dead
        };
        self.settle(name, phase, at);
    }

    fn restart_by_itself(&mut self, name: &CompanionName, at: Duration) {
        let service = &mut self.slot_mut(name).service;
        service.restarts = service.restarts.saturating_add(1);
        self.begin_start_by_itself(name, at);
    }

    /// Starts the loaded unit automatically, for the pending job if any.
    pub(crate) fn begin_start_by_itself(&mut self, name: &CompanionName, at: Duration) {
        let id = self.next_job();
        let service = &mut self.slot_mut(name).service;
        service.job.get_or_insert(PendingJob { id, verb: Verb::Start, asked: false });
        self.begin_start(name, at);
    }

    /// Sends SIGTERM.
    pub(crate) fn begin_stop(&mut self, name: &CompanionName, at: Duration) {
        let quick = self.delays.stop;
        let slot = self.slot_mut(name);
        let limit = match &slot.load {
            Load::Ours(text) => text.stop_timeout,
            Load::NotFound | Load::Unmanaged | Load::Shadow | Load::Broken => {
                Duration::from_secs(10)
            }
        };
        let (wait, exit) =
            if slot.behaviour.ignores_stop { (limit, KILLED) } else { (quick.min(limit), 0) };
        let until = at.saturating_add(wait);
        self.settle(name, Phase::Stopping { until, exit }, at);
    }

    fn finish_stop(&mut self, name: &CompanionName, at: Duration, exit: i32) {
        let slot = self.slot_mut(name);
        slot.bury_container();
        slot.service.run = None;
        slot.service.last_end = Some(end_of(exit));
        slot.service.forget_restarts = true;
        let phase = if exit == 0 { Phase::Dead } else { Phase::Failed };
        let job = slot.service.job;
        self.settle(name, phase, at);
        match job.map(|job| job.verb) {
            Some(Verb::Start | Verb::Restart) => self.begin_start(name, at),
            Some(Verb::Stop) | None => self.end_job(name, JobResult::Done),
        }
    }

    pub(crate) fn settle(&mut self, name: &CompanionName, phase: Phase, at: Duration) {
        let slot = self.slot_mut(name);
        slot.service.phase = phase;
        slot.service.since = at;
        slot.unseen.service = true;
    }
}

fn end_of(exit: i32) -> End {
    if exit == 0 { End::Success } else { End::Exit(exit) }
}

impl super::Slot {
    /// Handles the container after an exit: the loaded unit's commands remove it; without a loaded unit it
    /// stays.
    fn bury_container(&mut self) {
        let Some(container) = self.container else { return };
        self.container = match self.load {
            Load::NotFound | Load::Broken => {
                Some(Container { status: Status::Exited, ..container })
            }
            Load::Ours(_) | Load::Unmanaged | Load::Shadow => None,
        };
    }
}
