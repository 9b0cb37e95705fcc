//! Work that outlives its reconcile: hooks, builds, pulls, jobs.
//!
//! A task is plain data between port calls and ends within its time limit. A task of a companion that is no
//! longer desired is cancelled; by contract, the effect of a cancelled port call is complete or absent.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::Limits;
use super::observe::bounded;
use crate::memory::{End, Ended, TaskKey};
use crate::model::hook::{ConfigId, HookSpec, Rendered};
use crate::model::image::{ImageId, ImageSource};
use crate::model::observed::Attempt;
use crate::plan::Step;
use crate::ports::{Host, Job, PortError, PortErrorKind};

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
    /// Returns a task of `step`; `None` if it serves nobody.
    pub(super) fn new(step: &Step, stage: Stage) -> Option<Self> {
        let (name, input) = step.serves.first()?.clone();
        let attempt = Attempt { generation: step.generation, input };
        Some(Self { key: (name, step.work), attempt, stage })
    }

    /// Makes one port call; `None` while more remain.
    ///
    /// Cancelling a step ends the task.
    pub async fn step(&mut self, host: &Host) -> Option<End> {
        let next = match mem::replace(&mut self.stage, Stage::Over) {
            Stage::Render(hook, claimed) => {
                let rendered = host.hooks.render(&hook).await;
                rendered.map(|rendered| Stage::Commit(hook, rendered, claimed))
            }
            Stage::Commit(hook, rendered, claimed) => {
                host.hooks.commit(&hook, rendered, &claimed).await.map(|_id| Stage::Over)
            }
            Stage::Ensure(source) => host.images.ensure(&source).await.map(|_image| Stage::Over),
            Stage::Prune(dangling) => host.images.prune(&dangling).await.map(|()| Stage::Over),
            Stage::Wait(job) => host.services.wait(job).await.map(|()| Stage::Over),
            Stage::Over => Ok(Stage::Over),
        };
        match next {
            Ok(Stage::Over) => Some(End::Done),
            Ok(next) => {
                self.stage = next;
                None
            }
            Err(error) => Some(failed(&error)),
        }
    }

    /// Waits for a permit if it needs one, then runs to its end.
    async fn run(mut self, host: Host, limits: Limits, permits: Arc<[Semaphore; 2]>) -> End {
        let [hooks, images] = &*permits;
        let (limit, permits) = match self.stage {
            Stage::Render(..) | Stage::Commit(..) => (limits.hook, Some(hooks)),
            Stage::Ensure(_) => (limits.image, Some(images)),
            Stage::Prune(_) | Stage::Over => (limits.act, None),
            Stage::Wait(_) => (limits.job, None),
        };
        let _permit = match permits {
            // Never closed.
            Some(permits) => permits.acquire().await.ok(),
            None => None,
        };
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

/// The running tasks.
pub(super) struct Tasks {
    host: Host,
    limits: Limits,
    /// Bounds how many hooks run concurrently, and how many images are made.
    permits: Arc<[Semaphore; 2]>,
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
        let permits = limits.max_concurrent.clamp(1, Semaphore::MAX_PERMITS);
        let permits = Arc::new([Semaphore::new(permits), Semaphore::new(permits)]);
        let (set, under_way) = (JoinSet::new(), BTreeMap::new());
        Self { host, limits, permits, set, under_way, sender, ends, ended }
    }

    pub(super) fn spawn(&mut self, task: Task) {
        let key = task.key.clone();
        let (sender, ended) = (self.sender.clone(), Arc::clone(&self.ended));
        let report = ReportAtEnd { key: key.clone(), end: None, sender, ended };
        let run = task.run(self.host.clone(), self.limits.clone(), Arc::clone(&self.permits));
        let abort = self.set.spawn(async move {
            let mut report = report;
            report.end = Some(run.await);
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
