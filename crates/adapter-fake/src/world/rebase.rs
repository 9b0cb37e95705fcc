//! Rebasing: maps worlds that differ only in time to one world.

use std::time::Duration;

use super::World;
use super::services::{PendingJob, Phase};

impl World {
    /// Returns the same world on a clock on which `now` is `origin`, without unobservable data.
    ///
    /// Two worlds with the same future behaviour become equal, so a search visits only one of them. Times
    /// before `origin` become `origin`. Jobs and runs are renumbered; results of finished jobs, violations and
    /// empty slots are dropped.
    #[must_use]
    pub fn rebased(&self, now: Duration, origin: Duration) -> Self {
        self.rebased_for(now, origin, &mut [])
    }

    /// As above, but keeps the results of the jobs in `waited`, which get their new numbers.
    #[must_use]
    pub fn rebased_for(&self, now: Duration, origin: Duration, waited: &mut [u32]) -> Self {
        let mut world = self.clone();
        world.advance(now);
        let move_to = |at: Duration| (at + origin).saturating_sub(now);
        let mut jobs = 0;
        let mut renumbered = Vec::new();
        for slot in world.slots.values_mut() {
            let service = &mut slot.service;
            service.since = move_to(service.since);
            service.phase = match service.phase {
                Phase::Dead => Phase::Dead,
                Phase::Failed => Phase::Failed,
                Phase::Starting { until, end } => Phase::Starting { until: move_to(until), end },
                Phase::Running { ends } => {
                    Phase::Running { ends: ends.map(|(at, exit)| (move_to(at), exit)) }
                }
                Phase::Stopping { until, exit } => Phase::Stopping { until: move_to(until), exit },
                Phase::Waiting { until } => Phase::Waiting { until: move_to(until) },
            };
            service.starts = service.starts.rebased(now, origin, world.conditions.start_limit);
            if let Some(job) = service.job {
                jobs += 1;
                renumbered.push((job.id, jobs));
                service.job = Some(PendingJob { id: jobs, ..job });
            }
            let over = matches!(service.phase, Phase::Dead | Phase::Failed | Phase::Waiting { .. });
            service.run_number = u32::from(!over);
            // The count is only informative.
            service.restarts = service.restarts.min(1);
        }
        let limit = world.conditions.reload_limit;
        world.reloads =
            limit.map_or_else(Default::default, |limit| world.reloads.rebased(now, origin, limit));
        world.last_run = 1;
        world.ended_jobs.retain(|(id, _)| waited.contains(id));
        for (id, _) in &mut world.ended_jobs {
            jobs += 1;
            renumbered.push((*id, jobs));
            *id = jobs;
        }
        world.last_job = jobs;
        for id in waited {
            let new = renumbered.iter().find(|(old, _)| old == id);
            *id = new.map_or(0, |(_, new)| *new);
        }
        world.violations.clear();
        world.unmanaged_replaced = 0;
        world.slots.retain(|_, slot| *slot != super::Slot::default());
        world
    }
}
