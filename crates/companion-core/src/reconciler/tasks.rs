//! The work that outlives the round which began it: hooks, builds and pulls, jobs.
//!
//! A task is plain data between its calls of ports. Each ends by itself within its limit. A task
//! whose companion is wanted no more is dropped; the ports promise that a call dropped half-way
//! leaves its effect whole or absent.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::Limits;
use super::execute::job_error;
use super::observe::{bounded, service_of};
use crate::model::companion::CompanionName;
use crate::model::desired::Generation;
use crate::model::hook::{HookSpec, Rendered};
use crate::model::image::{ImageId, ImageSource};
use crate::model::observed::Work;
use crate::model::revision::Fingerprint;
use crate::model::unit::{ActiveState, ServiceState};
use crate::plan::Step;
use crate::ports::{Host, HostLock, Job, PortError, PortErrorKind, PortResult};

/// What tells a task from all others of its reconciler: work that is under way is not begun again.
#[cfg_attr(not(feature = "stepwise"), expect(unreachable_pub, reason = "the search's name for it"))]
pub type TaskKey = (CompanionName, Work);

/// A task between two calls of a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Task {
    key: TaskKey,
    label: Label,
    stage: Stage,
}

/// What is remembered of a task while it is under way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Label {
    pub(super) generation: Generation,
    pub(super) input: Fingerprint,
    /// The run that there was when a rendering or a build began.
    pub(super) run: Option<String>,
}

/// What a task does next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Stage {
    /// It renders, without the lock.
    Render(HookSpec),
    /// It takes the lock, to put in place what it rendered.
    Lock(HookSpec, Rendered),
    /// It reads under the lock whether the wish that it renders for is still the last one.
    Check(HookSpec, Rendered),
    /// It reads under the lock whether a run has begun since with what now lies there.
    Compare(HookSpec, Rendered),
    /// It puts in place what it rendered, under the lock.
    Commit(HookSpec, Rendered),
    /// It reads under the lock whether a run has begun with what was replaced meanwhile.
    Confirm,
    /// It builds or pulls.
    Ensure(ImageSource),
    /// The same while somebody else's image goes by the name, from which a run may begin meanwhile.
    Replace(ImageSource),
    /// It removes images.
    Prune(Vec<ImageId>),
    /// It waits for a job's end.
    Wait(Job),
    /// Nothing any more.
    Over,
}

/// A task that ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ended {
    /// Which.
    pub key: TaskKey,
    /// How.
    pub end: End,
    /// How long before it is taken over. A program that makes a round now and then learns of it late,
    /// and what failed long ago is due again.
    pub ago: Duration,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum End {
    /// Well.
    Done,
    /// Well, but a run may have begun meanwhile with what was replaced, other than the one that there
    /// was at the beginning.
    Overtaken,
    /// With an error.
    Failed {
        /// What can be done about it.
        kind: PortErrorKind,
        /// What went wrong.
        error: String,
    },
    /// Its reconciler dropped it.
    Dropped,
}

impl From<PortResult<()>> for End {
    fn from(result: PortResult<()>) -> Self {
        match result {
            Ok(()) => Self::Done,
            Err(error) => Self::Failed { kind: error.kind(), error: error.chain() },
        }
    }
}

impl Task {
    pub(super) fn new(name: &CompanionName, step: &Step, stage: Stage) -> Self {
        let label = Label { generation: step.generation, input: step.input, run: None };
        Self { key: (name.clone(), step.work), label, stage }
    }

    /// The same task, begun while `run` is there.
    pub(super) fn beside(mut self, run: Option<String>) -> Self {
        self.label.run = run;
        self
    }

    /// Which it is.
    pub fn key(&self) -> &TaskKey {
        &self.key
    }

    /// The generation of the wish that it carries out.
    pub fn generation(&self) -> Generation {
        self.label.generation
    }

    /// What it does next.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// The job that it waits for, if it waits for one.
    pub fn job(&self) -> Option<&str> {
        match &self.stage {
            Stage::Wait(job) => Some(&job.id),
            Stage::Render(_)
            | Stage::Lock(..)
            | Stage::Check(..)
            | Stage::Compare(..)
            | Stage::Commit(..)
            | Stage::Confirm
            | Stage::Ensure(_)
            | Stage::Replace(_)
            | Stage::Prune(_)
            | Stage::Over => None,
        }
    }

    /// The same task, if it waits for a job, on a host that calls that job `id`.
    #[cfg(feature = "stepwise")]
    pub(super) fn with_job(mut self, id: String) -> Self {
        if let Stage::Wait(job) = &mut self.stage {
            job.id = id;
        }
        self
    }

    pub(super) fn label(&self) -> &Label {
        &self.label
    }

    #[cfg(feature = "stepwise")]
    pub(super) fn label_mut(&mut self) -> &mut Label {
        &mut self.label
    }

    /// Goes on by one call of a port; `None` when there is more to do.
    ///
    /// It takes the lock into `held` when it needs it, and frees it at its end. Rendering is done
    /// without it, so that nobody waits for a hook; what was rendered is put in place only if the
    /// companion was neither wished away nor wished for anew in between, and if no run began in
    /// between: that one would claim what is restored, and has read what was there. What begins in the
    /// moment between that look and the file is told of by the task's [end](End::Overtaken).
    ///
    /// A task of which a step was dropped half-way is over.
    pub async fn step(&mut self, host: &Host, held: &mut Option<HostLock>) -> Option<End> {
        let stage = mem::replace(&mut self.stage, Stage::Over);
        if stage == Stage::Confirm {
            let end = self.confirm(host).await;
            *held = None;
            return Some(end);
        }
        match self.after(stage, host, held).await {
            Ok(Stage::Over) => {
                *held = None;
                Some(End::Done)
            }
            Ok(next) => {
                self.stage = next;
                None
            }
            Err(error) => {
                *held = None;
                Some(Err(error).into())
            }
        }
    }

    async fn after(
        &self,
        stage: Stage,
        host: &Host,
        held: &mut Option<HostLock>,
    ) -> PortResult<Stage> {
        match stage {
            Stage::Render(hook) => {
                let rendered = host.hooks.render(&hook).await?;
                return Ok(Stage::Lock(hook, rendered));
            }
            Stage::Lock(hook, rendered) => {
                *held = Some(host.desired.lock().await?);
                return Ok(Stage::Check(hook, rendered));
            }
            Stage::Check(hook, rendered) => {
                let (name, _work) = &self.key;
                let generation = host.desired.load().await?.generation(name);
                if generation == Some(self.label.generation) {
                    return Ok(Stage::Compare(hook, rendered));
                }
            }
            Stage::Compare(hook, rendered) => {
                let (name, _work) = &self.key;
                if !self.began_since(&service_of(host, name).await?) {
                    return Ok(Stage::Commit(hook, rendered));
                }
            }
            Stage::Commit(hook, rendered) => {
                let _config = host.hooks.commit(&hook, rendered).await?;
                return Ok(Stage::Confirm);
            }
            Stage::Ensure(source) => {
                let _image = host.images.ensure(&source).await?;
            }
            Stage::Replace(source) => {
                let _image = host.images.ensure(&source).await?;
                return Ok(Stage::Confirm);
            }
            Stage::Prune(leftovers) => host.images.prune(&leftovers).await?,
            Stage::Wait(job) => {
                let name = job.companion.clone();
                job_error(&name, host.services.wait(job).await?)?;
            }
            Stage::Confirm | Stage::Over => {}
        }
        Ok(Stage::Over)
    }

    /// The end of what put something in place. Where it cannot be read what runs by now, the next look
    /// has to see to it.
    async fn confirm(&self, host: &Host) -> End {
        let (name, _work) = &self.key;
        let same = service_of(host, name).await.is_ok_and(|now| !self.began_since(&now));
        if same { End::Done } else { End::Overtaken }
    }

    /// Whether another run is there, or about to be, than when this rendering began.
    fn began_since(&self, service: &ServiceState) -> bool {
        let starting = service.active == ActiveState::Activating && !service.sub.awaits_restart();
        starting || (service.is_running() && service.invocation != self.label.run)
    }

    /// How long all of it may take.
    fn limit(&self, limits: &Limits) -> Duration {
        match self.stage {
            Stage::Render(_)
            | Stage::Lock(..)
            | Stage::Check(..)
            | Stage::Compare(..)
            | Stage::Commit(..) => limits.hook,
            Stage::Ensure(_) | Stage::Replace(_) => limits.image,
            Stage::Confirm | Stage::Prune(_) | Stage::Over => limits.act,
            Stage::Wait(_) => limits.job,
        }
    }

    /// Goes on until its end.
    async fn run(mut self, host: Host, limits: Limits) -> End {
        let limit = self.limit(&limits);
        let mut held = None;
        let ended = async {
            loop {
                if let Some(end) = self.step(&host, &mut held).await {
                    return Ok(end);
                }
            }
        };
        bounded(limit, ended).await.unwrap_or_else(|error| Err(error).into())
    }
}

/// The tasks under way on the runtime.
pub(super) struct Tasks {
    host: Host,
    limits: Limits,
    set: JoinSet<(End, Instant)>,
    keys: BTreeMap<tokio::task::Id, (TaskKey, AbortHandle)>,
    ended: Arc<watch::Sender<u64>>,
}

impl Tasks {
    pub(super) fn new(host: Host, limits: Limits, ended: Arc<watch::Sender<u64>>) -> Self {
        Self { host, limits, set: JoinSet::new(), keys: BTreeMap::new(), ended }
    }

    pub(super) fn spawn(&mut self, task: Task) {
        let told = ToldAtEnd(Arc::clone(&self.ended));
        let key = task.key.clone();
        let run = task.run(self.host.clone(), self.limits.clone());
        let abort = self.set.spawn(async move {
            let _told = told;
            (run.await, Instant::now())
        });
        self.keys.insert(abort.id(), (key, abort));
    }

    /// Takes the tasks that ended since the last call.
    pub(super) fn take_ended(&mut self) -> Vec<Ended> {
        let mut ended = Vec::new();
        while let Some(joined) = self.set.try_join_next_with_id() {
            let (id, end, ago) = match joined {
                Ok((id, (end, at))) => (id, end, at.elapsed()),
                Err(error) if error.is_cancelled() => (error.id(), End::Dropped, Duration::ZERO),
                Err(error) => {
                    let id = error.id();
                    let message = "the adapter's call panicked";
                    let panicked = PortError::new(PortErrorKind::Unavailable, message);
                    (id, Err(panicked.with_source(error)).into(), Duration::ZERO)
                }
            };
            if let Some((key, _abort)) = self.keys.remove(&id) {
                ended.push(Ended { key, end, ago });
            }
        }
        ended
    }

    /// Has the tasks named dropped; each is under way until it has ended by that.
    pub(super) fn abort(&self, outdated: &[TaskKey]) {
        for (key, abort) in self.keys.values() {
            if outdated.contains(key) {
                abort.abort();
            }
        }
    }

    /// Drops all tasks and waits until their calls are gone.
    pub(super) async fn shut_down(&mut self) {
        self.set.shutdown().await;
        self.keys.clear();
    }
}

/// Tells of a task's end however it ends: done, dropped or panicking.
struct ToldAtEnd(Arc<watch::Sender<u64>>);

impl Drop for ToldAtEnd {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count += 1);
    }
}
