//! `ServiceManager` on the fake host.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::log::LogTail;
use companion_core::model::service::{ServiceState, Verb};
use companion_core::ports::{Hint, Job, PortError, PortErrorKind, PortResult, ServiceManager};
use tokio::time::timeout_at;

use crate::host::FakeHost;
use crate::journal::{Call, Method, Port};
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

    /// Waits until services differ from what the last call saw.
    async fn changed_by_itself(&self) -> Hint {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let next = {
                let now = self.now();
                let mut state = self.state();
                state.world.advance(now);
                let now = state.world.service_digests();
                let before = std::mem::replace(&mut state.seen_services, now.clone());
                let names = now.keys().chain(before.keys());
                let changed: BTreeSet<CompanionName> =
                    names.filter(|name| now.get(name) != before.get(name)).cloned().collect();
                if !changed.is_empty() {
                    return Hint::Companions(changed);
                }
                state.world.next_event()
            };
            match next {
                // Either way the services are compared again.
                Some(at) => drop(timeout_at(self.shared.clock.instant(at), changed).await),
                None => changed.await,
            }
        }
    }

    /// Waits for the end of `job` or the timeout.
    async fn end_of(&self, job: &Job) -> PortResult<()> {
        let Ok(id) = job.id.parse::<u32>() else {
            let message = format!("{job} is not a job of this host");
            return Err(PortError::new(PortErrorKind::Invalid, message));
        };
        let deadline = self.now() + self.state().world.delays.job_limit;
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let (result, next) = {
                let now = self.now();
                let mut state = self.state();
                state.world.advance(now);
                state.world.needs_bus()?;
                (state.world.job_result(id), state.world.next_event())
            };
            match result {
                Some(JobResult::Done | JobResult::Canceled) => return Ok(()),
                Some(JobResult::Failed) => {
                    return Err(PortError::new(PortErrorKind::Transient, format!("{job} failed")));
                }
                None => {}
            }
            if self.now() >= deadline {
                let message = format!("timed out waiting for {job}");
                return Err(PortError::new(PortErrorKind::Transient, message));
            }
            let until = next.map_or(deadline, |next| next.min(deadline));
            // Either way the caller observes again.
            let _ = timeout_at(self.shared.clock.instant(until), changed).await;
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
        self.act(
            call,
            takes,
            |world, counts, now| {
                world.reload(now)?;
                counts.reloads += 1;
                Ok(())
            },
            |_| (),
        )
        .await
    }

    async fn begin(&self, name: &CompanionName, verb: Verb) -> PortResult<Job> {
        let method = match verb {
            Verb::Start => Method::Start,
            Verb::Stop => Method::Stop,
            Verb::Restart => Method::Restart,
        };
        let call = Call::new(Port::Services, method, Some(name));
        self.act(
            call,
            Duration::ZERO,
            |world, counts, now| {
                world.advance(now);
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
            },
            |_| (),
        )
        .await
    }

    async fn wait(&self, job: Job) -> PortResult<()> {
        let call = Call::new(Port::Services, Method::Wait, Some(&job.companion));
        let (number, mode) = self.begin_call(&call);
        self.strike_before(&call, mode.as_ref(), number).await?;
        let result = self.end_of(&job).await;
        let struck = self.strike_after(&call, mode.as_ref()).await;
        self.end(number, struck.and(result))
    }

    /// Returns only after [`FakeHost::hint`], unless the host [reports changes](crate::world::conditions::Conditions):
    /// simulated time passes in leaps, and every test chooses what is noticed.
    async fn changed(&self) -> Hint {
        if self.state().world.conditions.reports_changes {
            return self.changed_by_itself().await;
        }
        self.shared.hints.notified().await;
        std::mem::replace(&mut self.state().hinted, Hint::NONE)
    }

    async fn reset_failed(&self, name: &CompanionName) -> PortResult<()> {
        let call = Call::new(Port::Services, Method::ResetFailed, Some(name));
        self.act(
            call,
            Duration::ZERO,
            |world, counts, now| {
                world.advance(now);
                world.watch_service(name);
                world.reset_failed(name, now)?;
                counts.resets += 1;
                Ok(())
            },
            |_| (),
        )
        .await
    }
}
