//! [`Contexts`]: reads each build context separately, so that a slow or hanging file system affects only its own
//! companion.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use companion_core::model::container::AbsolutePath;
use companion_core::model::image::BuildSource;
use tokio::task::JoinSet;

use super::{Context, ContextError, Digests, Tree, find};
use crate::lock;
use crate::reader::Reader;
use crate::text::shown;

/// Maximum number of cached contexts, including unused ones whose read hangs: one for each companion of the largest catalog.
const SLOT_LIMIT: usize = 4096;

/// How long an unrequested context is kept: a call may be for a few companions only. Longer than any resync interval.
const KEPT: Duration = Duration::from_secs(3600);

/// Candidate directories in order, which identify a context apart from build arguments.
type Candidates = Vec<AbsolutePath>;

/// The context found, if any; an error is shared by all requesters of the same context.
pub(super) type FoundContext = Result<Option<Context>, Arc<ContextError>>;

/// The build contexts of a host, with cached file digests.
#[derive(Debug, Default)]
pub(crate) struct Contexts {
    slots: Mutex<BTreeMap<Candidates, (Arc<Slot>, Instant)>>,
}

#[derive(Debug, Default)]
struct Slot {
    reader: Reader,
    digests: Arc<Mutex<Digests>>,
    /// The directories below the context that was found last.
    below: Mutex<Vec<PathBuf>>,
}

impl Slot {
    async fn read(
        &self,
        candidates: Candidates,
        limit: Duration,
    ) -> Result<Option<Tree>, Arc<ContextError>> {
        let silent = no_answer(&candidates);
        let digests = Arc::clone(&self.digests);
        let work = move || {
            let mut digests = lock(&digests);
            find(&candidates, &mut digests)
        };
        let found = self.reader.read(limit, work).await.unwrap_or(Err(silent)).map_err(Arc::new);
        if let Ok(Some(tree)) = &found {
            lock(&self.below).clone_from(&tree.below);
        }
        found
    }
}

fn no_answer(candidates: &Candidates) -> ContextError {
    let names = candidates.iter().map(|path| format!("`{}`", path.as_path().display()));
    let contexts = shown(&names.collect::<Vec<_>>().join(" or "));
    ContextError::NoAnswer { contexts }
}

impl Contexts {
    /// Finds the context of each of `builds`, in order; each distinct context is read once.
    ///
    /// If one takes longer than `limit`, the result is [`ContextError::NoAnswer`]. Its read continues, and until it
    /// ends, further calls fail without waiting and without starting another read.
    pub(crate) async fn find_all(
        &self,
        builds: &[Option<&BuildSource>],
        limit: Duration,
    ) -> Vec<FoundContext> {
        let named = builds.iter().flatten().map(|build| &build.contexts);
        let wanted: BTreeSet<&Candidates> = named.filter(|named| !named.is_empty()).collect();
        let mut reads = JoinSet::new();
        let mut trees = BTreeMap::new();
        for candidates in wanted {
            // The result if the read cannot start or panics.
            trees.insert(candidates.clone(), Err(Arc::new(no_answer(candidates))));
            if let Some(slot) = self.slot(candidates) {
                let candidates = candidates.clone();
                reads.spawn(async move {
                    let tree = slot.read(candidates.clone(), limit).await;
                    (candidates, tree)
                });
            }
        }
        while let Some(read) = reads.join_next().await {
            trees.extend(read.ok());
        }
        let context = |build: &BuildSource| match trees.get(&build.contexts) {
            Some(Ok(tree)) => Ok(tree.as_ref().map(|tree| tree.with_arguments(&build.arguments))),
            Some(Err(error)) => Err(Arc::clone(error)),
            None => Ok(None),
        };
        builds.iter().map(|build| build.map_or(Ok(None), context)).collect()
    }

    /// Returns the directories in which a change may change a context that was requested.
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        let slots = lock(&self.slots);
        let each = slots.iter().flat_map(|(candidates, (slot, _))| {
            let roots = candidates.iter().map(|path| path.as_path().to_owned());
            roots.chain(lock(&slot.below).clone())
        });
        each.collect()
    }

    fn slot(&self, candidates: &Candidates) -> Option<Arc<Slot>> {
        let (mut slots, now) = (lock(&self.slots), Instant::now());
        if let Some((slot, requested_at)) = slots.get_mut(candidates) {
            *requested_at = now;
            return Some(Arc::clone(slot));
        }
        slots.retain(|_, (slot, at)| now.duration_since(*at) < KEPT || slot.reader.is_running());
        if slots.len() >= SLOT_LIMIT {
            return None;
        }
        let new = (Arc::default(), now);
        Some(Arc::clone(&slots.entry(candidates.clone()).or_insert(new).0))
    }
}

#[cfg(test)]
mod tests;
