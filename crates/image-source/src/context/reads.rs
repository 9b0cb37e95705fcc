//! [`Contexts`]: reads each build context separately, so that a slow or hanging file system affects only its own
//! companion.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use companion_core::model::container::AbsolutePath;
use companion_core::model::image::BuildSource;
use companion_core::ports::{PortError, PortErrorKind, PortResult};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Context, Digests, Tree, find};
use crate::lock;
use crate::reader::Reader;
use crate::text::shown;

/// Maximum number of cached contexts: one for each companion of the largest catalog.
const SLOT_LIMIT: usize = 4096;

/// How many contexts are read concurrently. More file work than [`RUNNING_LIMIT`](host_files::blocking::RUNNING_LIMIT)
/// would be refused.
const CONCURRENT_READS: usize = 64;

/// Candidate directories in order, which identify a context apart from build arguments.
type Candidates = Vec<AbsolutePath>;

/// The build contexts of a host, with cached file digests.
#[derive(Debug, Default)]
pub(crate) struct Contexts {
    slots: Mutex<BTreeMap<Candidates, Arc<Slot>>>,
}

#[derive(Debug, Default)]
struct Slot {
    reader: Reader,
    digests: Arc<Mutex<Digests>>,
    /// The directories below the context that was found last.
    below: Mutex<Vec<PathBuf>>,
}

impl Slot {
    async fn read(&self, candidates: Candidates, limit: Duration) -> PortResult<Option<Tree>> {
        let silent = no_answer(&candidates);
        let digests = Arc::clone(&self.digests);
        let work = move || find(&candidates, &mut lock(&digests));
        let found = self.reader.read(limit, work).await.unwrap_or(Err(silent))?;
        if let Some(tree) = &found {
            lock(&self.below).clone_from(&tree.below);
        }
        Ok(found)
    }
}

fn no_answer(candidates: &Candidates) -> PortError {
    let names = candidates.iter().map(|path| format!("`{}`", path.as_path().display()));
    let contexts = shown(&names.collect::<Vec<_>>().join(" or "));
    let why = "not read yet: its file system is slow or does not respond";
    PortError::new(PortErrorKind::Transient, format!("build context {contexts} {why}"))
}

impl Contexts {
    /// Finds the context of each of `builds`, in order; each distinct context is read once.
    ///
    /// If one takes longer than `limit`, or waits for longer until others were read, the result is a `Transient` error. A
    /// read that started continues, and until it ends, further calls fail without waiting and without starting another one.
    pub(crate) async fn find_all(
        &self,
        builds: &[Option<&BuildSource>],
        limit: Duration,
    ) -> Vec<PortResult<Option<Context>>> {
        let named = builds.iter().flatten().map(|build| &build.contexts);
        let wanted: BTreeSet<&Candidates> = named.filter(|named| !named.is_empty()).collect();
        let mut reads = JoinSet::new();
        let permits = Arc::new(Semaphore::new(CONCURRENT_READS));
        let mut trees = BTreeMap::new();
        for candidates in wanted {
            // The result if the read cannot start or panics.
            trees.insert(candidates.clone(), Err(no_answer(candidates)));
            if let Some(slot) = self.slot(candidates) {
                let (candidates, permits) = (candidates.clone(), Arc::clone(&permits));
                reads.spawn(async move {
                    let tree = match timeout(limit, permits.acquire()).await {
                        Ok(_permit) => slot.read(candidates.clone(), limit).await,
                        Err(_) => Err(no_answer(&candidates)),
                    };
                    (candidates, tree)
                });
            }
        }
        while let Some(read) = reads.join_next().await {
            trees.extend(read.ok());
        }
        let context = |build: &BuildSource| match trees.get(&build.contexts) {
            Some(Ok(tree)) => Ok(tree.as_ref().map(|tree| tree.with_arguments(&build.arguments))),
            Some(Err(error)) => Err(error.clone()),
            None => Ok(None),
        };
        builds.iter().map(|build| build.map_or(Ok(None), context)).collect()
    }

    /// Returns the directories in which a change may change a context that was requested.
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        let slots = lock(&self.slots);
        let each = slots.iter().flat_map(|(candidates, slot)| {
            let roots = candidates.iter().map(|path| path.as_path().to_owned());
            roots.chain(lock(&slot.below).clone())
        });
        each.collect()
    }

    fn slot(&self, candidates: &Candidates) -> Option<Arc<Slot>> {
        let mut slots = lock(&self.slots);
        if slots.len() >= SLOT_LIMIT && !slots.contains_key(candidates) {
            slots.retain(|_, slot| slot.reader.is_running());
        }
        let has_room = slots.len() < SLOT_LIMIT || slots.contains_key(candidates);
        has_room.then(|| Arc::clone(slots.entry(candidates.clone()).or_default()))
    }
}

#[cfg(test)]
mod tests;
