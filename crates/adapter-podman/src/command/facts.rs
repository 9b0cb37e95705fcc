//! What podman says of itself, asked once for each installation: its version, and where its store is.
//!
//! All of it is kept in memory. A look at it reads a few files' identities and starts podman only when
//! one of them changed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::installation::{Installation, Program};
use super::{Podman, argv};
use crate::error::{PodmanError, Verb};
use crate::reader::Reader;
use crate::store_index::{Info, StoreIndex};

/// What was said, and by whom.
#[derive(Debug, Default)]
pub(super) struct Facts {
    version: Mutex<Option<(Program, String)>>,
    store: Mutex<Option<(Installation, Arc<StoreIndex>)>>,
    /// Reads of the program and its settings.
    program_files: Reader,
    /// Reads of the store's files.
    store_files: Reader,
}

impl Podman {
    /// Podman's version, such as `5.4.2`.
    ///
    /// Cheap enough to be asked for at each reconcile: podman is started only when the program in `PATH`
    /// is not the file that answered last. A version that changes behind an unchanged script of the name
    /// `podman` goes unseen.
    ///
    /// # Errors
    /// [`PodmanError`], of kind `Unavailable` when there is no podman or its answer is unknown.
    pub async fn version(&self) -> Result<String, PodmanError> {
        let program = self.program().await?;
        if let Some((known, version)) = &*lock(&self.facts.version)
            && *known == program
        {
            return Ok(version.clone());
        }
        let version = self.ask_version().await?;
        // Were it replaced meanwhile, the next call would find another program and ask again.
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
            source: serde::de::Error::custom("it names no version"),
        })
    }

    /// Where the store is; podman is started only when its program or its settings changed.
    ///
    /// The same value is returned for the same installation, so what was read of the store before belongs
    /// to another installation when this is another value.
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

    /// Reads files of the store.
    pub(crate) async fn read_store<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PodmanError> {
        let read = self.facts.store_files.read(self.limits.files, work);
        read.await.map_err(|_| PodmanError::NoAnswer { place: "the image store".to_owned() })
    }

    /// The program as it is now.
    pub(super) async fn program(&self) -> Result<Program, PodmanError> {
        let search = self.search.clone();
        let read = self.facts.program_files.read(self.limits.files, move || search.program());
        read.await.map_err(|_| self.silent())?
    }

    fn silent(&self) -> PodmanError {
        PodmanError::NoAnswer { place: format!("podman, sought in `{}`", self.search.shown()) }
    }
}

/// What is guarded is whole after each statement, whatever became of the one who held it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
