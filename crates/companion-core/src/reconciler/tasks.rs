//! The work that outlives the round which began it: hooks, builds and pulls, jobs.
//!
//! Each task ends by itself within its limit. A task whose companion is wanted no more is dropped;
//! the ports promise that a call dropped half-way leaves its effect whole or absent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::Limits;
use super::execute::job_error;
use super::observe::bounded;
use crate::model::companion::CompanionName;
use crate::model::desired::{DesiredState, Generation};
use crate::model::hook::HookSpec;
use crate::model::image::{ImageId, ImageSource};
use crate::model::observed::Work;
use crate::model::revision::Fingerprint;
use crate::plan::Step;
use crate::ports::{Host, Job, PortError, PortErrorKind, PortResult};

/// A task that ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) companion: CompanionName,
    pub(super) work: Work,
    pub(super) input: Fingerprint,
    pub(super) result: PortResult<()>,
}

#[derive(Debug)]
struct Label {
    companion: CompanionName,
    generation: Generation,
    work: Work,
    input: Fingerprint,
    abort: AbortHandle,
}

/// The tasks under way.
pub(super) struct Tasks {
    host: Host,
    limits: Limits,
    set: JoinSet<PortResult<()>>,
    labels: BTreeMap<tokio::task::Id, Label>,
    ended: Arc<watch::Sender<u64>>,
}

impl Tasks {
    pub(super) fn new(host: Host, limits: Limits, ended: Arc<watch::Sender<u64>>) -> Self {
        Self { host, limits, set: JoinSet::new(), labels: BTreeMap::new(), ended }
    }

    /// Renders without the lock and commits with it, unless the companion was wished away or
    /// wished for anew in between.
    pub(super) fn run_hook(&mut self, step: &Step, hook: HookSpec) {
        let Some(name) = step.companion.clone() else {
            return;
        };
        let (host, generation) = (self.host.clone(), step.generation);
        self.spawn(step, self.limits.hook, async move {
            let rendered = host.hooks.render(&hook).await?;
            let _lock = host.desired.lock().await?;
            if host.desired.load().await?.generation(&name) != Some(generation) {
                return Ok(());
            }
            host.hooks.commit(&hook, rendered).await.map(|_config| ())
        });
    }

    pub(super) fn ensure_image(&mut self, step: &Step, source: ImageSource) {
        let host = self.host.clone();
        self.spawn(step, self.limits.image, async move {
            host.images.ensure(&source).await.map(|_image| ())
        });
    }

    pub(super) fn prune_images(&mut self, step: &Step, leftovers: Vec<ImageId>) {
        let host = self.host.clone();
        self.spawn(step, self.limits.act, async move { host.images.prune(&leftovers).await });
    }

    pub(super) fn wait_for_job(&mut self, step: &Step, job: Job) {
        let host = self.host.clone();
        self.spawn(step, self.limits.job, async move {
            let name = job.companion.clone();
            let result = host.services.wait(job).await?;
            job_error(&name, result)
        });
    }

    fn spawn(
        &mut self,
        step: &Step,
        limit: Duration,
        work: impl Future<Output = PortResult<()>> + Send + 'static,
    ) {
        let Some(companion) = step.companion.clone() else {
            return;
        };
        let told = ToldAtEnd(Arc::clone(&self.ended));
        let abort = self.set.spawn(async move {
            let _told = told;
            bounded(limit, work).await
        });
        let label = Label {
            companion,
            generation: step.generation,
            work: step.work,
            input: step.input,
            abort: abort.clone(),
        };
        self.labels.insert(abort.id(), label);
    }

    /// The work under way, by companion.
    pub(super) fn running(&self) -> BTreeMap<CompanionName, BTreeSet<Work>> {
        let mut running: BTreeMap<CompanionName, BTreeSet<Work>> = BTreeMap::new();
        for label in self.labels.values() {
            running.entry(label.companion.clone()).or_default().insert(label.work);
        }
        running
    }

    /// Takes the tasks that ended since the last call.
    pub(super) fn take_ended(&mut self) -> Vec<Ended> {
        let mut ended = Vec::new();
        while let Some(joined) = self.set.try_join_next_with_id() {
            let (id, result) = match joined {
                Ok((id, result)) => (id, result),
                Err(error) if error.is_cancelled() => {
                    self.labels.remove(&error.id());
                    continue;
                }
                Err(error) => {
                    let message = "the adapter's call panicked";
                    let error_kind = PortErrorKind::Unavailable;
                    let id = error.id();
                    (id, Err(PortError::new(error_kind, message).with_source(error)))
                }
            };
            if let Some(Label { companion, work, input, .. }) = self.labels.remove(&id) {
                ended.push(Ended { companion, work, input, result });
            }
        }
        ended
    }

    /// Drops the renderings for wishes that are not the last any more, and the builds for companions
    /// that are not wanted any more.
    ///
    /// Jobs of the service manager are left to it: dropping their wait would cancel nothing.
    pub(super) fn drop_outdated(&mut self, desired: &DesiredState) {
        for label in self.labels.values() {
            let outdated = match label.work {
                Work::Hook => desired.generation(&label.companion) != Some(label.generation),
                Work::Image => !desired.companions.contains_key(&label.companion),
                Work::Unit | Work::Load | Work::Service | Work::Removal | Work::Prune => false,
            };
            if outdated {
                label.abort.abort();
            }
        }
    }

    /// Drops all tasks and waits until their calls are gone.
    pub(super) async fn shut_down(&mut self) {
        self.set.shutdown().await;
        self.labels.clear();
    }
}

/// Tells of a task's end however it ends: done, dropped or panicking.
struct ToldAtEnd(Arc<watch::Sender<u64>>);

impl Drop for ToldAtEnd {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count += 1);
    }
}
