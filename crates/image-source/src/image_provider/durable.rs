//! Which images survive a power loss, and the sync that makes more of them do so.
//!
//! One sync of the whole store runs at a time, as a separate task: its success counts although its caller may have
//! stopped waiting, so a disk that takes longer than any caller waits is still synced in the end.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use companion_core::model::image::ImageId;
use companion_core::ports::{PortError, PortErrorKind};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::engine::{EngineError, EngineResult, ImageEngine};
use crate::lock;

/// What is known of the durability of images. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Durable(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    durable: BTreeSet<ImageId>,
    running: Option<Running>,
}

/// The sync in progress, or the last one.
#[derive(Debug, Clone)]
struct Running {
    /// The images that were listed before it started.
    covers: BTreeSet<ImageId>,
    started: Instant,
    ended: watch::Receiver<Option<EngineResult<()>>>,
}

impl Durable {
    /// Forgets all images but the listed ones: one that is made again under the same ID is new.
    pub(super) fn keep_only(&self, is_listed: impl Fn(&ImageId) -> bool) {
        let mut known = lock(&self.0);
        known.durable.retain(&is_listed);
        if let Some(running) = &mut known.running {
            running.covers.retain(is_listed);
        }
    }

    /// Syncs the store of `engine` unless all of `images` are durable, and waits up to `limit`, if there is one, since the
    /// start of the sync. Returns the error of each image that a power loss may still take.
    pub(super) async fn sync<E: ImageEngine + 'static>(
        &self,
        engine: &Arc<E>,
        images: BTreeSet<ImageId>,
        limit: Option<Duration>,
    ) -> Vec<(ImageId, EngineError)> {
        loop {
            let volatile: BTreeSet<_> =
                images.difference(&lock(&self.0).durable).cloned().collect();
            if volatile.is_empty() {
                return Vec::new();
            }
            let Running { started, mut ended, .. } = self.running(engine, &volatile);
            let rest = limit.map_or(Duration::MAX, |limit| limit.saturating_sub(started.elapsed()));
            let unfinished = |why: &str| {
                let message = format!("the sync of the image store {why}");
                Err(PortError::new(PortErrorKind::Transient, message).into())
            };
            let result = match timeout(rest, ended.wait_for(Option::is_some)).await {
                Ok(Ok(result)) => result.clone().unwrap_or(Ok(())),
                Ok(Err(_panicked)) => unfinished("was cut off"),
                Err(_elapsed) => unfinished("is still running"),
            };
            // After a success, an image that was listed during the sync needs another one.
            if let Err(error) = result {
                return volatile.into_iter().map(|id| (id, error.clone())).collect();
            }
        }
    }

    /// Returns the sync in progress; starts one that covers `images` if there is none.
    fn running<E: ImageEngine + 'static>(
        &self,
        engine: &Arc<E>,
        images: &BTreeSet<ImageId>,
    ) -> Running {
        let mut known = lock(&self.0);
        let is_running = |running: &&Running| {
            running.ended.has_changed().is_ok() && running.ended.borrow().is_none()
        };
        if let Some(running) = known.running.as_ref().filter(is_running) {
            return running.clone();
        }
        let (sender, ended) = watch::channel(None);
        let running = Running { covers: images.clone(), started: Instant::now(), ended };
        known.running = Some(running.clone());
        let (engine, own) = (Arc::clone(engine), self.clone());
        tokio::spawn(async move {
            let result = engine.sync().await;
            if result.is_ok() {
                let Known { durable, running } = &mut *lock(&own.0);
                if let Some(running) = running {
                    durable.append(&mut running.covers);
                }
            }
            sender.send_replace(Some(result));
        });
        running
    }
}
