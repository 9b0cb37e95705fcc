//! [`ImageEngine`]: what an adapter brings.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use companion_core::model::image::{BuildSource, ImageId, ImageRef, PullSource};
use companion_core::ports::PortErrorKind;

use crate::context::Context;
use crate::listing::{Listing, Platform};

/// The label with the digest of the build context.
pub const CONTEXT_LABEL: &str = "companion.context";

/// The label with the reference that the image was built for. The image of a stage has [`stage_of`] it instead.
pub const SOURCE_LABEL: &str = "companion.source";

/// Returns the source label of the images of the stages of a build for `reference`. It is no reference, so neither the
/// result nor an image built on top of it can have it.
pub fn stage_of(reference: &ImageRef) -> String {
    format!("{STAGE_PREFIX}{reference}")
}

/// What precedes the reference in the source label of a stage.
pub(crate) const STAGE_PREFIX: &str = "stage of ";

/// The images of a container engine. No call decides anything.
///
/// # Contract
/// - Every call returns in bounded time.
/// - [`list`](Self::list) and [`platforms`](Self::platforms) change nothing and contact no registry.
/// - A call may be dropped. A build or pull then leaves the whole image or none.
/// - An error has the kind that [`ImageProvider`](companion_core::ports::ImageProvider) documents.
#[async_trait]
pub trait ImageEngine: Send + Sync {
    /// Lists all images with a name, and all dangling ones.
    ///
    /// The answer may be an earlier one if the engine knows that nothing has changed since.
    async fn list(&self) -> EngineResult<Arc<Listing>>;

    /// Returns files that change whenever an image does, as far as the engine knows any.
    fn watched_files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Reads the platform of each of `images`; returns an entry for every ID.
    async fn platforms(
        &self,
        images: &BTreeSet<ImageId>,
    ) -> BTreeMap<ImageId, EngineResult<Platform>>;

    /// Builds an image. Its success is not taken for the image, which is looked for in the next listing.
    async fn build(&self, build: &Build<'_>) -> EngineResult<()>;

    /// Pulls an image, with a verified certificate unless the source disables it.
    async fn pull(&self, source: &PullSource) -> EngineResult<()>;

    /// Makes all images survive a power loss, within `limit`.
    async fn sync(&self, limit: Duration) -> EngineResult<()>;

    /// Removes a damaged image by its ID, with all its names; fails if a container uses it.
    async fn discard(&self, image: &ImageId) -> EngineResult<()>;

    /// Removes an image by its ID and never by force. Returns `false` for one that is missing or in use.
    async fn remove(&self, image: &ImageId) -> EngineResult<bool>;

    /// Writes an archive of `image` to the empty file `path`, from which [`restore`](Self::restore) gets an image with the
    /// same ID. Fails before it writes if the archive may have more than `limit` bytes. The default always fails.
    async fn save(&self, _image: &ImageId, _path: &Path, _limit: u64) -> EngineResult<()> {
        Err(no_archives())
    }

    /// Loads the archive at `path`, and gives `name` to `image`. Fails, and leaves no image behind, if the archive has
    /// another image. The default always fails.
    async fn restore(&self, _path: &Path, _image: &ImageId, _name: &ImageRef) -> EngineResult<()> {
        Err(no_archives())
    }

    /// Returns the time limit for reading a build context; a file system that takes longer counts as unresponsive.
    fn file_limit(&self) -> Duration {
        Duration::from_secs(10)
    }

    /// Returns the time limit for a sync: the disk may first have to write what others wrote.
    fn sync_limit(&self) -> Duration {
        Duration::from_secs(180)
    }
}

fn no_archives() -> EngineError {
    EngineError::new(PortErrorKind::Invalid, "the engine has no archives of images")
}

/// A build: from what, under which name, with which labels.
#[derive(Debug, Clone, Copy)]
pub struct Build<'a> {
    /// The name of the result, and the build arguments; their names are unchecked.
    pub source: &'a BuildSource,
    /// The directory with the build file.
    pub context: &'a Context,
    /// The labels of the result, by which the next listing identifies it.
    pub labels: &'a BTreeMap<String, String>,
    /// The labels of the images of stages, by which the next listing identifies those that an interrupted build left.
    /// The result may be based on a stage; it has none of them, or replaces them by its own.
    pub stage_labels: &'a BTreeMap<String, String>,
}

/// The failure of an engine's call: the adapter's error, and what the caller can do about it.
///
/// Clones share the error, because one listing serves many sources.
#[derive(Debug, Clone)]
pub struct EngineError {
    pub(crate) kind: PortErrorKind,
    pub(crate) is_of_the_host: bool,
    pub(crate) is_damage: bool,
    error: Arc<dyn Error + Send + Sync>,
}

/// The result of an engine's call.
pub type EngineResult<T> = Result<T, EngineError>;

impl EngineError {
    /// Returns an error of `kind`; the text of `error` contains no secret.
    pub fn new(kind: PortErrorKind, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, is_of_the_host: false, is_damage: false, error: Arc::from(error.into()) }
    }

    /// Says whether a pull would fail for the same reason, as on a full disk; then none follows a failed build.
    #[must_use]
    pub fn of_the_host(self, is_of_the_host: bool) -> Self {
        Self { is_of_the_host, ..self }
    }

    /// Returns whether the engine refused an image because its stored data is damaged.
    pub fn is_damage(&self) -> bool {
        self.is_damage
    }

    /// Says whether the engine refused an image because its stored data is damaged.
    #[must_use]
    pub fn of_damage(self, is_damage: bool) -> Self {
        Self { is_damage, ..self }
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for EngineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}
