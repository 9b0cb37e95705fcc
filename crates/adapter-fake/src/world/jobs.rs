//! Jobs: queueing, merging, replacing and finishing starts, stops and restarts.

use std::time::Duration;

use companion_core::model::companion::CompanionName;
use companion_core::model::service::Verb;
use companion_core::ports::{PortError, PortErrorKind, PortResult};

use super::World;
use super::services::{PendingJob, Phase};
use super::units::{Load, UnitBytes};
use super::violations::ViolationKind;

/// The result of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobResult {
    /// It finished.
    Done,
    /// Another job replaced it.
    Canceled,
    /// It failed.
    Failed,
}

/// The maximum number of finished jobs kept for waiters.
const ENDED_LIMIT: usize = 256;

impl World {
    /// Queues a job for `name` and returns its number for [`job_result`](Self::job_result).
    ///
    /// # Errors
    /// `NotFound` when the unit is not loaded (for a stop: and nothing runs), `Denied` when it is masked
    /// (except for a stop), `Unavailable` without a service manager.
    pub fn queue(&mut self, name: &CompanionName, verb: Verb, now: Duration) -> PortResult<u32> {
        self.advance(now);
        self.needs_bus()?;
        self.may_queue(name, verb)?;
        if verb != Verb::Stop {
            self.watch_start(name, verb);
        }
        Ok(match verb {
            Verb::Start => self.queue_start(name, now),
            Verb::Stop => self.queue_stop(name, now),
            Verb::Restart => self.queue_restart(name, now),
        })
    }

    /// Returns the result of the job `id`, if it is one of the last 256 finished jobs.
    pub fn job_result(&self, id: u32) -> Option<JobResult> {
        let ended = self.ended_jobs.iter().find(|(ended, _)| *ended == id);
        ended.map(|(_, result)| *result)
    }

    fn may_queue(&self, name: &CompanionName, verb: Verb) -> PortResult<()> {
        let slot = self.slot(name);
        let masked = slot.is_some_and(|slot| slot.masked);
        if verb != Verb::Stop && masked {
            let message = format!("the unit `{name}` is masked");
            return Err(PortError::new(PortErrorKind::Denied, message));
        }
        let loaded = slot.is_some_and(|slot| !matches!(slot.load, Load::NotFound | Load::Broken));
        let alive = slot.is_some_and(|slot| slot.service.phase != Phase::Dead);
        // A masked unit counts as loaded: a stop succeeds whether it runs or not.
        if loaded || (verb == Verb::Stop && (alive || masked)) {
            return Ok(());
        }
        let message = format!("no unit `{name}` is loaded");
        Err(PortError::new(PortErrorKind::NotFound, message))
    }

    /// Records a start that violates a rule.
    fn watch_start(&mut self, name: &CompanionName, verb: Verb) {
        self.watch_removal(name);
        let Some(slot) = self.slot(name) else { return };
        let runs = matches!(slot.service.phase, Phase::Running { .. });
        if runs && verb == Verb::Start {
            return;
        }
        let unseen = slot.unseen;
        // A unit that was restored as it is loaded starts as it would after a reload.
        let is_loaded = match (&slot.load, slot.file.now()) {
            (Load::Ours(loaded), Some(UnitBytes::Ours(file))) => *loaded == file.as_loaded(),
            _ => false,
        };
        let unreloaded = slot.written_since_reload && !is_loaded;
        let (mut without_image, mut without_config) = (false, false);
        if let Load::Ours(text) = &slot.load {
            without_image = self.images.find(&text.image).is_none();
            without_config = text.mounts.iter().any(|path| !self.files.exists(path));
        }
        if unreloaded {
            self.violate(ViolationKind::StartBeforeReload, Some(name), unseen.file);
        }
        if without_image {
            self.violate(ViolationKind::StartWithoutImage, Some(name), unseen.image);
        }
        if without_config {
            self.violate(ViolationKind::StartWithoutConfig, Some(name), unseen.config);
        }
    }

    fn queue_start(&mut self, name: &CompanionName, now: Duration) -> u32 {
        match self.slot_mut(name).service.phase {
            Phase::Running { .. } => {
                let id = self.next_job();
                self.end(id, JobResult::Done);
                id
            }
            Phase::Starting { .. } => self.attach(name, Verb::Start),
            // Neither starts immediately: one waits for the stop, the other for its delay, because a start does
            // not skip the restart delay.
            Phase::Stopping { .. } | Phase::Waiting { .. } => self.attach(name, Verb::Start),
            Phase::Dead | Phase::Failed => {
                let id = self.attach(name, Verb::Start);
                self.begin_start(name, now);
                id
            }
        }
    }

    fn queue_stop(&mut self, name: &CompanionName, now: Duration) -> u32 {
        match self.slot_mut(name).service.phase {
            Phase::Dead | Phase::Failed => {
                let id = self.next_job();
                self.end(id, JobResult::Done);
                id
            }
            Phase::Waiting { .. } => {
                let id = self.attach(name, Verb::Stop);
                self.settle(name, Phase::Dead, now);
                self.slot_mut(name).service.forget_restarts = true;
                self.end_job(name, JobResult::Done);
                id
            }
            Phase::Stopping { .. } => self.attach(name, Verb::Stop),
            Phase::Starting { .. } | Phase::Running { .. } => {
                let id = self.attach(name, Verb::Stop);
                self.begin_stop(name, now);
                id
            }
        }
    }

    fn queue_restart(&mut self, name: &CompanionName, now: Duration) -> u32 {
        let id = self.attach(name, Verb::Restart);
        match self.slot_mut(name).service.phase {
            Phase::Stopping { .. } => {}
            Phase::Starting { .. } | Phase::Running { .. } => self.begin_stop(name, now),
            Phase::Dead | Phase::Failed | Phase::Waiting { .. } => self.begin_start(name, now),
        }
        id
    }

    /// Makes a job for `verb` the pending job of `name`, and returns its number.
    ///
    /// It is merged with a job for the same verb, and replaces an opposite one.
    pub(crate) fn attach(&mut self, name: &CompanionName, verb: Verb) -> u32 {
        let pending = self.slot_mut(name).service.job;
        if let Some(pending) = pending {
            if (pending.verb == Verb::Stop) == (verb == Verb::Stop) {
                let merged = PendingJob {
                    verb: if pending.verb == Verb::Start { verb } else { pending.verb },
                    asked: true,
                    ..pending
                };
                self.slot_mut(name).service.job = Some(merged);
                return pending.id;
            }
            self.end_job(name, JobResult::Canceled);
        }
        let id = self.next_job();
        self.slot_mut(name).service.job = Some(PendingJob { id, verb, asked: true });
        id
    }

    pub(crate) fn next_job(&mut self) -> u32 {
        self.last_job = self.last_job.wrapping_add(1);
        self.last_job
    }

    /// Finishes the pending job of `name`, if any.
    pub(crate) fn end_job(&mut self, name: &CompanionName, result: JobResult) {
        let job = self.slots.get_mut(name).and_then(|slot| slot.service.job.take());
        if let Some(job) = job {
            self.end(job.id, result);
        }
    }

    fn end(&mut self, id: u32, result: JobResult) {
        if self.ended_jobs.len() == ENDED_LIMIT {
            self.ended_jobs.pop_front();
        }
        self.ended_jobs.push_back((id, result));
    }
}
