//! The work that outlives the reconcile which began it: hooks, builds and pulls, jobs.
//!
//! A task is plain data between its calls of ports. Each ends by itself within its limit. A task
//! whose companion is wanted no more is dropped; the ports promise that a call dropped half-way
//! leaves its effect whole or absent.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::Limits;
use super::execute::job_error;
use super::observe::bounded;
use crate::model::companion::CompanionName;
use crate::model::desired::Generation;
use crate::model::hook::{ConfigId, HookSpec, Rendered};
use crate::model::image::{ImageId, ImageSource};
use crate::model::observed::Work;
use crate::model::revision::Fingerprint;
use crate::plan::Step;
use crate::ports::{Host, Job, PortError, PortErrorKind, PortResult};

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
}

/// What a task does next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Stage {
    /// It renders, to commit beside the files that are claimed.
    Render(HookSpec, Vec<ConfigId>),
    /// It commits what it rendered.
    Commit(HookSpec, Rendered, Vec<ConfigId>),
    /// It builds or pulls.
    Ensure(ImageSource),
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
    /// How long before it is taken over. A program that makes a reconcile now and then learns of it late,
    /// and what failed long ago is due again.
    pub ago: Duration,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum End {
    /// Well.
    Done,
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
        let label = Label { generation: step.generation, input: step.input };
        Self { key: (name.clone(), step.work), label, stage }
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
            Stage::Render(..)
            | Stage::Commit(..)
            | Stage::Ensure(_)
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

    /// Goes on by one call of a port; `None` when there is more to do.
    ///
    /// A task of which a step was dropped half-way is over.
    pub async fn step(&mut self, host: &Host) -> Option<End> {
        let stage = mem::replace(&mut self.stage, Stage::Over);
        match after(stage, host).await {
            Ok(Stage::Over) => Some(End::Done),
            Ok(next) => {
                self.stage = next;
                None
            }
            Err(error) => Some(Err(error).into()),
        }
    }

    /// How long all of it may take.
    fn limit(&self, limits: &Limits) -> Duration {
        match self.stage {
            Stage::Render(..) | Stage::Commit(..) => limits.hook,
            Stage::Ensure(_) => limits.image,
            Stage::Prune(_) | Stage::Over => limits.act,
            Stage::Wait(_) => limits.job,
        }
    }

    /// Goes on until its end.
    async fn run(mut self, host: Host, limits: Limits) -> End {
        let limit = self.limit(&limits);
        let ended = async {
            loop {
                if let Some(end) = self.step(&host).await {
                    return Ok(end);
                }
            }
        };
        bounded(limit, ended).await.unwrap_or_else(|error| Err(error).into())
    }
}

/// Makes the call of `stage`, and returns the next one.
async fn after(stage: Stage, host: &Host) -> PortResult<Stage> {
    match stage {
        Stage::Render(hook, claimed) => {
            let rendered = host.hooks.render(&hook).await?;
            return Ok(Stage::Commit(hook, rendered, claimed));
        }
        Stage::Commit(hook, rendered, claimed) => {
            let _id = host.hooks.commit(&hook, rendered, &claimed).await?;
        }
        Stage::Ensure(source) => {
            let _image = host.images.ensure(&source).await?;
        }
        Stage::Prune(leftovers) => host.images.prune(&leftovers).await?,
        Stage::Wait(job) => {
            let name = job.companion.clone();
            job_error(&name, host.services.wait(job).await?)?;
        }
        Stage::Over => {}
    }
    Ok(Stage::Over)
}

/// The tasks under way on the runtime.
pub(super) struct Tasks {
    host: Host,
    limits: Limits,
    set: JoinSet<()>,
    under_way: BTreeMap<TaskKey, AbortHandle>,
    sender: UnboundedSender<(TaskKey, End, Instant)>,
    ends: UnboundedReceiver<(TaskKey, End, Instant)>,
    ended: Arc<watch::Sender<u64>>,
}

impl Tasks {
    pub(super) fn new(host: Host, limits: Limits, ended: Arc<watch::Sender<u64>>) -> Self {
        // It holds one end for each task under way, and a reconciler has a few of them a companion.
        let (sender, ends) = unbounded_channel();
        let under_way = BTreeMap::new();
        Self { host, limits, set: JoinSet::new(), under_way, sender, ends, ended }
    }

    pub(super) fn spawn(&mut self, task: Task) {
        let key = task.key.clone();
        let (sender, ended) = (self.sender.clone(), Arc::clone(&self.ended));
        let mut report = ReportAtEnd { key: key.clone(), end: None, sender, ended };
        let run = task.run(self.host.clone(), self.limits.clone());
        let abort = self.set.spawn(async move {
            report.ended(run.await);
        });
        self.under_way.insert(key, abort);
    }

    /// Takes the tasks that ended since the last call.
    pub(super) fn take_ended(&mut self) -> Vec<Ended> {
        while self.set.try_join_next().is_some() {}
        let mut ended = Vec::new();
        while let Ok((key, end, at)) = self.ends.try_recv() {
            self.under_way.remove(&key);
            ended.push(Ended { key, end, ago: at.elapsed() });
        }
        ended
    }

    /// Has the tasks named dropped; each is under way until it has ended by that.
    pub(super) fn abort(&self, unneeded: &[TaskKey]) {
        unneeded.iter().filter_map(|key| self.under_way.get(key)).for_each(AbortHandle::abort);
    }

    /// Drops all tasks and waits until their calls are gone.
    pub(super) async fn shut_down(&mut self) {
        self.set.shutdown().await;
        let _ended = self.take_ended();
    }
}

/// Reports a task's end however it ends: done, dropped or panicking. Who is woken by it finds it
/// reported.
struct ReportAtEnd {
    key: TaskKey,
    end: Option<End>,
    sender: UnboundedSender<(TaskKey, End, Instant)>,
    ended: Arc<watch::Sender<u64>>,
}

impl ReportAtEnd {
    fn ended(&mut self, end: End) {
        self.end = Some(end);
    }
}

impl Drop for ReportAtEnd {
    fn drop(&mut self) {
        let end = self.end.take().unwrap_or_else(|| {
            if std::thread::panicking() {
                let message = "the adapter's call panicked";
                Err(PortError::new(PortErrorKind::Unavailable, message)).into()
            } else {
                End::Dropped
            }
        });
        // Without a receiver the reconciler is gone, and nobody waits for the end.
        let _ = self.sender.send((self.key.clone(), end, Instant::now()));
        self.ended.send_modify(|count| *count += 1);
    }
}
