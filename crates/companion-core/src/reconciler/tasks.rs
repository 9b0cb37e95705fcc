//! Work that outlives its reconcile: hooks, builds, pulls, jobs.
//!
//! A task is plain data between port calls and ends within its time limit. A task of a companion that is no
//! longer desired is cancelled; by contract, the effect of a cancelled port call is complete or absent.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::Limits;
use super::observe::bounded;
use crate::memory::{End, Ended, TaskKey};
use crate::model::hook::{ConfigId, HookSpec, Rendered};
use crate::model::image::{ImageId, ImageSource};
use crate::model::observed::Attempt;
use crate::plan::CompanionStep;
use crate::ports::{Host, Job, PortError, PortErrorKind, PortResult};

/// A task between two port calls.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Task {
    /// Its key.
    pub key: TaskKey,
    /// The generation of its intent, and its input.
    pub attempt: Attempt,
    /// Its next stage.
    pub stage: Stage,
}

/// The next stage of a task.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Render, then commit next to the claimed files.
    Render(HookSpec, Vec<ConfigId>),
    /// Commit the rendered bytes.
    Commit(HookSpec, Rendered, Vec<ConfigId>),
    /// Build or pull.
    Ensure(ImageSource),
    /// Remove images.
    Prune(Vec<ImageId>),
    /// Wait for a job.
    Wait(Job),
    /// Finished.
    Over,
}

impl Task {
    pub(super) fn new(step: &CompanionStep, stage: Stage) -> Self {
        let attempt = Attempt { generation: step.generation, input: step.input };
        Self { key: (step.companion.clone(), step.work), attempt, stage }
    }

    /// Makes one port call; `None` while more remain.
    ///
    /// Cancelling a step ends the task.
    pub async fn step(&mut self, host: &Host) -> Option<End> {
        let stage = mem::replace(&mut self.stage, Stage::Over);
        match after(stage, host).await {
            Ok(Stage::Over) => Some(End::Done),
            Ok(next) => {
                self.stage = next;
                None
            }
            Err(error) => Some(failed(&error)),
        }
    }

    /// Returns the time limit of the whole task.
    fn limit(&self, limits: &Limits) -> Duration {
        match self.stage {
            Stage::Render(..) | Stage::Commit(..) => limits.hook,
            Stage::Ensure(_) => limits.image,
            Stage::Prune(_) | Stage::Over => limits.act,
            Stage::Wait(_) => limits.job,
        }
    }

    /// Waits for a permit, then runs to its end.
    async fn run(mut self, host: Host, limits: Limits, permits: Permits) -> End {
        let _permit = permits.acquire_for(&self.stage).await;
        let limit = self.limit(&limits);
        let ended = async {
            loop {
                if let Some(end) = self.step(&host).await {
                    return Ok(end);
                }
            }
        };
        bounded(limit, ended).await.unwrap_or_else(|error| failed(&error))
    }
}

fn failed(error: &PortError) -> End {
    End::Failed(error.into())
}

/// Makes the port call of `stage` and returns the next stage.
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
        Stage::Prune(dangling) => host.images.prune(&dangling).await?,
        Stage::Wait(job) => host.services.wait(job).await?,
        Stage::Over => {}
    }
    Ok(Stage::Over)
}

/// Bounds how many long tasks of a kind run concurrently.
#[derive(Clone)]
struct Permits {
    hooks: Arc<Semaphore>,
    images: Arc<Semaphore>,
}

impl Permits {
    fn new(max_concurrent: usize) -> Self {
        let permits = max_concurrent.clamp(1, Semaphore::MAX_PERMITS);
        let semaphore = || Arc::new(Semaphore::new(permits));
        Self { hooks: semaphore(), images: semaphore() }
    }

    /// Waits for a permit, which is given back when it is dropped; `None` for work that needs none.
    async fn acquire_for(&self, stage: &Stage) -> Option<SemaphorePermit<'_>> {
        let semaphore = match stage {
            Stage::Render(..) | Stage::Commit(..) => &self.hooks,
            Stage::Ensure(_) => &self.images,
            Stage::Prune(_) | Stage::Wait(_) | Stage::Over => return None,
        };
        // Never closed.
        semaphore.acquire().await.ok()
    }
}

/// The running tasks.
pub(super) struct Tasks {
    host: Host,
    limits: Limits,
    permits: Permits,
    set: JoinSet<()>,
    under_way: BTreeMap<TaskKey, AbortHandle>,
    sender: UnboundedSender<(TaskKey, End, Instant)>,
    ends: UnboundedReceiver<(TaskKey, End, Instant)>,
    ended: Arc<watch::Sender<u64>>,
}

impl Tasks {
    pub(super) fn new(host: Host, limits: Limits, ended: Arc<watch::Sender<u64>>) -> Self {
        // It holds one result per running task, so its size is bounded by a few per companion.
        let (sender, ends) = unbounded_channel();
        let (under_way, permits) = (BTreeMap::new(), Permits::new(limits.max_concurrent));
        Self { host, limits, permits, set: JoinSet::new(), under_way, sender, ends, ended }
    }

    pub(super) fn spawn(&mut self, task: Task) {
        let key = task.key.clone();
        let (sender, ended) = (self.sender.clone(), Arc::clone(&self.ended));
        let mut report = ReportAtEnd { key: key.clone(), end: None, sender, ended };
        let run = task.run(self.host.clone(), self.limits.clone(), self.permits.clone());
        let abort = self.set.spawn(async move {
            report.ended(run.await);
        });
        self.under_way.insert(key, abort);
    }

    /// Takes the tasks finished since the last call.
    pub(super) fn take_ended(&mut self) -> Vec<Ended> {
        while self.set.try_join_next().is_some() {}
        let mut ended = Vec::new();
        while let Ok((key, end, at)) = self.ends.try_recv() {
            self.under_way.remove(&key);
            ended.push(Ended { key, end, ago: at.elapsed() });
        }
        ended
    }

    /// Cancels the named tasks; each counts as running until it has ended.
    pub(super) fn abort(&self, unneeded: &[TaskKey]) {
        unneeded.iter().filter_map(|key| self.under_way.get(key)).for_each(AbortHandle::abort);
    }

    /// Cancels all tasks and waits for their calls to end.
    pub(super) async fn shut_down(&mut self) {
        self.set.shutdown().await;
        let _ended = self.take_ended();
    }
}

/// Reports the end of a task in every case: done, cancelled or panicked. The report precedes the wake-up.
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
                failed(&PortError::new(PortErrorKind::Unavailable, message))
            } else {
                End::Dropped
            }
        });
        // Without a receiver the reconciler was dropped, and the report is not needed.
        let _ = self.sender.send((self.key.clone(), end, Instant::now()));
        self.ended.send_modify(|count| *count += 1);
    }
}
