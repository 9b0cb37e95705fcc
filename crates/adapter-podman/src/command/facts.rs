//! Facts about podman, cached per installation: its version, the location of its store, and the images there.
//!
//! A check of the cache reads a few files' identities and starts podman only if one of them changed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use host_files::blocking::Stuck;
use image_source::{EngineError, EngineResult, ListedImage, Listing, Reader, UnreadableImage};

use super::installation::{Installation, Program};
use super::{Podman, argv};
use crate::error;
use crate::image_provider::listing;
use crate::store_index::{IndexedImage, StoreIndex, StoreState};

/// The cached facts, with the installation that they belong to.
#[derive(Debug, Default)]
pub(super) struct Facts {
    version: Mutex<Option<(Program, String)>>,
    store: Mutex<Option<(Installation, Arc<StoreIndex>)>>,
    images: Mutex<Option<Listed>>,
    /// Reads of the program and its settings.
    program_files: Reader,
    /// Reads of the store's files.
    store_files: Reader,
}

/// A listing, valid while the installation, the store and the store's state are the same.
#[derive(Debug)]
struct Listed {
    store: Arc<StoreIndex>,
    state: StoreState,
    listing: Arc<Listing>,
}

impl Podman {
    /// Returns Podman's version, such as `5.4.2`.
    ///
    /// Cheap enough for each reconcile: podman is started only if the program in `PATH` has changed. A version change
    /// behind an unchanged wrapper script named `podman` is not detected.
    ///
    /// # Errors
    /// `Unavailable` if podman is missing or its answer is invalid.
    pub async fn version(&self) -> EngineResult<String> {
        let program = self.program().await?;
        if let Some((known, version)) = &*lock(&self.facts.version)
            && *known == program
        {
            return Ok(version.clone());
        }
        let answer = self.run(argv::version()).await?;
        let text = String::from_utf8_lossy(&answer);
        let version = text.trim().rsplit(' ').next().unwrap_or_default().to_owned();
        if version.len() > 64 || !version.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(error::unreadable("podman --version", "no version found"));
        }
        // If the program was replaced in the meantime, the next call finds another program and reads the version again.
        *lock(&self.facts.version) = Some((program, version.clone()));
        Ok(version)
    }

    /// Returns the store; podman is started only if its program or its settings changed.
    ///
    /// The same installation returns the same value; another value invalidates everything read from the previous store.
    pub(crate) async fn store(&self) -> EngineResult<Arc<StoreIndex>> {
        let search = self.search.clone();
        let read = self.facts.program_files.read(self.limits.files, move || search.installation());
        let installation = read.await.map_err(|stuck| self.silent(stuck))??;
        if let (Some((known, store)), Some(now)) = (&*lock(&self.facts.store), &installation)
            && known == now
        {
            return Ok(Arc::clone(store));
        }
        let store: Arc<StoreIndex> = Arc::new(self.query(argv::info()).await?);
        *lock(&self.facts.store) = installation.map(|now| (now, Arc::clone(&store)));
        Ok(store)
    }

    /// Returns the list of images of the store that was read last.
    pub(crate) fn known_index(&self) -> Option<PathBuf> {
        Some(lock(&self.facts.store).as_ref()?.1.list_of_images())
    }

    /// Reads files of the store.
    pub(super) async fn read_store<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> EngineResult<T> {
        let read = self.facts.store_files.read(self.limits.files, work).await;
        read.map_err(|stuck| EngineError::Host(stuck.during("read the image store")))
    }

    /// Returns all images, from the cached listing if the store is unchanged.
    pub(crate) async fn listing(&self) -> EngineResult<Arc<Listing>> {
        let store = self.store().await?;
        let index = Arc::clone(&store);
        let before = self.read_store(move || index.state()).await?;
        if let Some(known) = &*lock(&self.facts.images)
            && Arc::ptr_eq(&known.store, &store)
            && before.as_ref() == Some(&known.state)
        {
            return Ok(Arc::clone(&known.listing));
        }
        let listing = match self.run(argv::images()).await {
            Err(error @ EngineError::Damaged(_)) => {
                let listing = Arc::new(self.list_one_by_one(&store, error).await?);
                // What could not be read, perhaps because of a timeout, is read again the next time.
                if !listing.unreadable.is_empty() {
                    return Ok(listing);
                }
                listing
            }
            answer => Arc::new(listing::parse(&answer?)?),
        };
        *lock(&self.facts.images) = self.unchanged(store, before, &listing).await?;
        Ok(listing)
    }

    /// Lists the images in the index, because podman lists none if it cannot read one of them. Reports no image as
    /// dangling: the index does not record which containers use an image.
    async fn list_one_by_one(
        &self,
        store: &Arc<StoreIndex>,
        error: EngineError,
    ) -> EngineResult<Listing> {
        let index = Arc::clone(store);
        let indexed = self.read_store(move || index.images()).await?;
        // The index names the images of one store.
        if indexed.is_empty() || store.has_others() {
            return Err(error);
        }
        tracing::warn!(reason = %error, "podman cannot list images; inspecting them one by one");
        let ids = indexed.iter().map(|image| image.id.clone()).collect();
        let mut inspected = self.inspect_each(&ids).await;
        let mut listing = Listing::default();
        for IndexedImage { id, names, names_history } in indexed {
            let names = names.unwrap_or_default();
            let labels = match inspected.remove(&id) {
                Some(Ok(image)) => image.labels,
                // Without labels; its platform, which is read next, says what is wrong.
                Some(Err(EngineError::Damaged(_))) | None => BTreeMap::new(),
                Some(Err(error)) => {
                    listing.unreadable.push(UnreadableImage { names: Some(names), error });
                    continue;
                }
            };
            let former_names = names_history.unwrap_or_default();
            let image = ListedImage { id, names, former_names, labels, is_dangling: false };
            listing.images.push(image);
        }
        Ok(listing)
    }

    /// Returns `listing` with the state in which it is valid: the store did not change in the meantime, and the index
    /// belongs to this store.
    async fn unchanged(
        &self,
        store: Arc<StoreIndex>,
        before: Option<StoreState>,
        listing: &Arc<Listing>,
    ) -> EngineResult<Option<Listed>> {
        let Some(before) = before else { return Ok(None) };
        let listing = Arc::clone(listing);
        let read = move || {
            let mut ids = listing.images.iter().map(|image| image.id.as_str());
            let is_true = store.state().as_ref() == Some(&before) && store.names_all(&mut ids);
            is_true.then_some(Listed { store, state: before, listing })
        };
        self.read_store(read).await
    }

    /// Returns the current program.
    pub(super) async fn program(&self) -> EngineResult<Program> {
        let search = self.search.clone();
        let read = self.facts.program_files.read(self.limits.files, move || search.program());
        read.await.map_err(|stuck| self.silent(stuck))?
    }

    fn silent(&self, stuck: Stuck) -> EngineError {
        let attempt = format!("find podman, searched in `{}`", self.search.shown());
        EngineError::Host(stuck.during(&attempt))
    }
}

/// The guarded data is consistent after each statement, so a poisoned lock is harmless.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
