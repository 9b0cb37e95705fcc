//! Facts about podman, cached per installation: its version, the location of its store, and the images there.
//!
//! A check of the cache reads a few files' identities and starts podman only if one of them changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use image_source::{ListedImage, Listing, Reader, UnreadableImage};

use super::installation::{Installation, Program};
use super::{Podman, argv};
use crate::error::{PodmanError, Verb};
use crate::image_provider::listing;
use crate::store_index::{IndexedImage, Info, StoreIndex, StoreState};

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
    /// Syncs of the store.
    syncs: Reader,
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
    /// [`PodmanError`], of kind `Unavailable` if podman is missing or its answer is invalid.
    pub async fn version(&self) -> Result<String, PodmanError> {
        let program = self.program().await?;
        if let Some((known, version)) = &*lock(&self.facts.version)
            && *known == program
        {
            return Ok(version.clone());
        }
        let version = self.ask_version().await?;
        // If the program was replaced in the meantime, the next call finds another program and reads the version again.
        *lock(&self.facts.version) = Some((program, version.clone()));
        Ok(version)
    }

    async fn ask_version(&self) -> Result<String, PodmanError> {
        let answer = self.run(Verb::Version, argv::version()).await?;
        let text = String::from_utf8_lossy(&answer);
        let version = text.trim().rsplit(' ').next().unwrap_or_default();
        if version.len() <= 64 && version.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(version.to_owned());
        }
        Err(PodmanError::Unreadable {
            call: Verb::Version,
            source: serde::de::Error::custom("no version found"),
        })
    }

    /// Returns the store; podman is started only if its program or its settings changed.
    ///
    /// The same installation returns the same value; another value invalidates everything read from the previous store.
    pub(crate) async fn store(&self) -> Result<Arc<StoreIndex>, PodmanError> {
        let search = self.search.clone();
        let read = self.facts.program_files.read(self.limits.files, move || search.installation());
        let installation = read.await.map_err(|_| self.silent())??;
        if let (Some((known, store)), Some(now)) = (&*lock(&self.facts.store), &installation)
            && known == now
        {
            return Ok(Arc::clone(store));
        }
        let info: Info = self.query(Verb::Info, argv::info()).await?;
        let store = Arc::new(StoreIndex::of(&info));
        *lock(&self.facts.store) = installation.map(|now| (now, Arc::clone(&store)));
        Ok(store)
    }

    /// Returns the directory for temporary files of the store that was read last, if podman has one.
    pub(super) fn known_temporary(&self) -> Option<PathBuf> {
        let store = lock(&self.facts.store);
        store.as_ref()?.1.temporary().map(Path::to_owned)
    }

    /// Returns the list of images of the store that was read last.
    pub(crate) fn known_index(&self) -> Option<PathBuf> {
        Some(lock(&self.facts.store).as_ref()?.1.list_of_images().to_owned())
    }

    /// Reads files of the store.
    pub(super) async fn read_store<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PodmanError> {
        let read = self.facts.store_files.read(self.limits.files, work);
        read.await.map_err(|_| PodmanError::NoAnswer { place: "the image store".to_owned() })
    }

    /// Writes the store to the disk.
    ///
    /// Podman itself syncs its lists and its database, but not the files of layers. Layers belong to subordinate IDs, so
    /// they cannot be opened and synced one by one: whole file systems are.
    pub(crate) async fn sync_store(&self, limit: Duration) -> Result<(), PodmanError> {
        let store = self.store().await?;
        let synced = self.facts.syncs.read(limit, move || store.sync()).await;
        let place = || "the image store, written to the disk".to_owned();
        synced.map_err(|_| PodmanError::NoAnswer { place: place() })?
    }

    /// Returns all images, from the cached listing if the store is unchanged.
    pub(crate) async fn listing(&self) -> Result<Arc<Listing>, PodmanError> {
        let store = self.store().await?;
        let index = Arc::clone(&store);
        let before = self.read_store(move || index.state()).await?;
        if let Some(known) = &*lock(&self.facts.images)
            && Arc::ptr_eq(&known.store, &store)
            && before.as_ref() == Some(&known.state)
        {
            return Ok(Arc::clone(&known.listing));
        }
        let (listing, is_partial) = match self.run(Verb::Images, argv::images()).await {
            Err(error) if error.is_damage() => {
                let listing = self.list_one_by_one(&store, error).await?;
                // What could not be read, perhaps because of a timeout, is read again the next time.
                let is_partial = !listing.unreadable.is_empty();
                (listing, is_partial)
            }
            answer => (listing::parse(&answer?)?, false),
        };
        let listing = Arc::new(listing);
        if is_partial {
            return Ok(listing);
        }
        *lock(&self.facts.images) = self.unchanged(store, before, &listing).await?;
        Ok(listing)
    }

    /// Lists the images in the index, because podman lists none if it cannot read one of them. Reports no image as
    /// dangling: the index does not record which containers use an image.
    async fn list_one_by_one(
        &self,
        store: &Arc<StoreIndex>,
        error: PodmanError,
    ) -> Result<Listing, PodmanError> {
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
                Some(Err(error)) if !error.is_damage() => {
                    listing.unreadable.push(UnreadableImage { names: Some(names), error });
                    continue;
                }
                // Without labels; its platform, which is read next, says what is wrong.
                Some(Err(_)) | None => BTreeMap::new(),
            };
            let former_names = names_history.unwrap_or_default();
            listing.images.push(ListedImage {
                id,
                names,
                former_names,
                labels,
                is_dangling: false,
            });
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
    ) -> Result<Option<Listed>, PodmanError> {
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
    pub(super) async fn program(&self) -> Result<Program, PodmanError> {
        let search = self.search.clone();
        let read = self.facts.program_files.read(self.limits.files, move || search.program());
        read.await.map_err(|_| self.silent())?
    }

    fn silent(&self) -> PodmanError {
        PodmanError::NoAnswer { place: format!("podman, searched in `{}`", self.search.shown()) }
    }
}

/// The guarded data is consistent after each statement, so a poisoned lock is harmless.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
