//! `ServiceManager` on the fake host.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::log::LogTail;
use companion_core::model::service::{ServiceState, Verb};
use companion_core::ports::{Hint, Job, PortError, PortErrorKind, PortResult, ServiceManager};
use tokio::time::timeout_at;

use crate::host::{FakeHost, State};
use crate::journal::{Call, Counts, Method, Port};
use crate::world::{JobResult, World};

impl FakeHost {
    /// Counts the log reader process, once per ended run.
    fn count_logs<'n>(&self, names: impl Iterator<Item = &'n CompanionName>) {
        let mut state = self.state();
        for name in names {
            let run = state.world.slot(name).map_or(0, |slot| slot.service.run_number);
            if state.seen_logs.insert(name.clone(), run) != Some(run) {
                state.journal.counts.processes += 1;
            }
        }
    }

    /// Waits until `look` finds something, or for `limit`.
    async fn until<T>(
        &self,
        limit: Option<Duration>,
        mut look: impl FnMut(&mut State) -> Option<T> + Send,
    ) -> Option<T> {
        let deadline = limit.map(|limit| self.now() + limit);
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let now = self.now();
            let next = {
                let mut state = self.state();
                state.world.advance(now);
                if let Some(found) = look(&mut state) {
                    return Some(found);
                }
                state.world.next_event()
            };
            if deadline.is_some_and(|deadline| now >= deadline) {
                return None;
            }
            // Either way it looks again.
            match [next, deadline].into_iter().flatten().min() {
                Some(at) => drop(timeout_at(self.shared.clock.instant(at), changed).await),
                None => changed.await,
            }
        }
    }

    /// Waits until services differ from what the last call saw.
    async fn changed_by_itself(&self) -> Hint {
        let changes = |state: &mut State| {
            let now = state.world.service_digests();
            let before = std::mem::replace(&mut state.seen_services, now.clone());
            let names = now.keys().chain(before.keys());
            let changed: BTreeSet<CompanionName> =
                names.filter(|name| now.get(name) != before.get(name)).cloned().collect();
            (!changed.is_empty()).then_some(Hint::Companions(changed))
        };
        self.until(None, changes).await.unwrap_or(Hint::NONE)
    }

    /// Waits for the end of `job` or the timeout.
    async fn end_of(&self, job: &Job) -> PortResult<()> {
        let refuse = |kind, why: String| Err(PortError::new(kind, why));
        let Ok(id) = job.id.parse::<u32>() else {
            return refuse(PortErrorKind::Invalid, format!("{job} is not a job of this host"));
        };
        let limit = self.state().world.delays.job_limit;
        let ended = self.until(Some(limit), |state| match state.world.needs_bus() {
            Ok(()) => state.world.job_result(id).map(Ok),
            Err(error) => Some(Err(error)),
        });
        match ended.await.transpose()? {
            Some(JobResult::Done | JobResult::Canceled) => Ok(()),
            Some(JobResult::Failed) => refuse(PortErrorKind::Transient, format!("{job} failed")),
            None => refuse(PortErrorKind::Transient, format!("timed out waiting for {job}")),
        }
    }
}

#[async_trait]
impl ServiceManager for FakeHost {
    async fn observe(
        &self,
        names: &BTreeSet<CompanionName>,
    ) -> BTreeMap<CompanionName, PortResult<ServiceState>> {
        let call = Call::new(Port::Services, Method::Observe, None);
        let read = |world: &World, now, name: &_, ()| world.service(name, now);
        let names = names.iter().map(|name| (name, ())).collect();
        self.read_each(call, names, read, World::saw_service).await
    }

    async fn log_tails(
        &self,
        ended: &BTreeMap<CompanionName, ServiceState>,
    ) -> BTreeMap<CompanionName, PortResult<LogTail>> {
        let call = Call::new(Port::Services, Method::LogTails, None);
        let names = ended.keys().map(|name| (name, ())).collect();
        let read = |world: &World, _, name: &_, ()| Ok(world.log_tail(name));
        let answer = self.read_each(call, names, read, |_, _| ()).await;
        self.count_logs(ended.keys());
        answer
    }

    async fn reload(&self) -> PortResult<()> {
        let call = Call::new(Port::Services, Method::Reload, None);
        let takes = self.state().world.delays.reload;
        let reload = |world: &mut World, counts: &mut Counts, now| {
            world.reload(now)?;
            counts.reloads += 1;
            Ok(())
        };
        self.act_slowly(call, takes, reload, |_| ()).await
    }

    async fn begin(&self, name: &CompanionName, verb: Verb) -> PortResult<Job> {
        let method = match verb {
            Verb::Start => Method::Start,
            Verb::Stop => Method::Stop,
            Verb::Restart => Method::Restart,
        };
        let call = Call::new(Port::Services, method, Some(name));
        let begin = |world: &mut World, counts: &mut Counts, now| {
            world.watch_service(name);
            if verb == Verb::Restart {
                world.watch_restart(name);
            }
            let id = world.queue(name, verb, now)?;
            *match verb {
                Verb::Start => &mut counts.starts,
                Verb::Stop => &mut counts.stops,
                Verb::Restart => &mut counts.restarts,
            } += 1;
            Ok(Job { id: id.to_string(), companion: name.clone() })
        };
        self.act(call, begin).await
    }

    async fn wait(&self, job: Job) -> PortResult<()> {
        let call = Call::new(Port::Services, Method::Wait, Some(&job.companion));
        self.call(&call, self.end_of(&job)).await
    }

    /// Returns only after [`FakeHost::hint`], unless the host [reports changes](crate::world::conditions::Conditions):
    /// simulated time passes in leaps, and every test chooses what is noticed.
    async fn changed(&self) -> Hint {
        if self.state().world.conditions.reports_changes {
            return self.changed_by_itself().await;
        }
        self.shared.hints.notified().await;
        self.state().hinted.take().unwrap_or(Hint::NONE)
    }

    async fn reset_failed(&self, name: &CompanionName) -> PortResult<()> {
        let call = Call::new(Port::Services, Method::ResetFailed, Some(name));
        let reset = |world: &mut World, counts: &mut Counts, now| {
            world.watch_service(name);
            world.reset_failed(name, now)?;
            counts.resets += 1;
            Ok(())
        };
        self.act(call, reset).await
    }
}
