//! [`ImageEngine`]: what an adapter brings.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use companion_core::model::image::{BuildSource, ImageId, ImageRef, PullSource};
use companion_core::ports::{PortError, PortErrorKind};

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

    /// Makes all images survive a power loss; the disk may first have to write what others wrote.
    async fn sync(&self) -> EngineResult<()>;

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
}

fn no_archives() -> EngineError {
    PortError::new(PortErrorKind::Invalid, "the engine has no archives of images").into()
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

/// The failure of an engine's call, by what another call can do about it. Its text contains no secret.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// The stored data of the image is damaged.
    #[error(transparent)]
    Damaged(PortError),
    /// A pull would fail for the same reason, as on a full disk; so none follows a failed build.
    #[error(transparent)]
    Host(PortError),
    /// Any other failure.
    #[error(transparent)]
    Other(#[from] PortError),
}

/// The result of an engine's call.
pub type EngineResult<T> = Result<T, EngineError>;

impl EngineError {
    /// Returns the port error kind.
    pub fn kind(&self) -> PortErrorKind {
        let (Self::Damaged(error) | Self::Host(error) | Self::Other(error)) = self;
        error.kind()
    }

    /// Returns the error of a port that failed to do `attempt` because of this.
    pub(crate) fn during(self, attempt: &str) -> PortError {
        PortError::new(self.kind(), format!("failed to {attempt}")).with_source(self)
    }
}
