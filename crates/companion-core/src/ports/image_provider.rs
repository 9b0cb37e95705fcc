//! `ImageProvider`: reads, builds, pulls and prunes images.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{Hint, PortResult};
use crate::model::companion::CompanionName;
use crate::model::image::{ImageId, ImageSource, ImageState, PresentImage};

/// Provides images and builds or pulls missing ones.
///
/// # Contract
/// - Reads never contact a registry.
/// - [`ensure`](Self::ensure) contacts one only if necessary: never while the image is present and current, and
///   for a source with a build context only after the first build failed.
/// - Present means durable: an image that either half reports as present survives a power loss. What a power loss
///   may still take is reported as an error of its source alone.
/// - An image that the container runtime refuses as damaged is not present, and [`ensure`](Self::ensure) replaces it,
///   unless a container uses it or it has another name too.
/// - An image with the name of a build is managed only if it was made here; labels alone prove nothing. Otherwise it is
///   unmanaged, never current, and [`ensure`](Self::ensure) gives the name back to a managed one.
/// - A provider that [keeps archives](Self::keep_archives) restores a lost image from there before it builds or pulls, also
///   the last one of an older context. What is restored is the image that was made last or nothing.
/// - Concurrent requests for one image return the same image.
/// - An image for another architecture is never present; a reference with a digest resolves to that image or
///   none.
/// - An image used by a container is neither reported as dangling nor removed.
/// - The registry's certificate is verified unless the source disables it.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait ImageProvider: Send + Sync {
    /// Reads the image of each source; returns an entry for every name.
    ///
    /// An entry is `Unavailable` if the container runtime is missing.
    async fn observe(
        &self,
        sources: &BTreeMap<CompanionName, ImageSource>,
    ) -> BTreeMap<CompanionName, PortResult<ImageState>>;

    /// Makes the image of `source` present and current: builds it if a context exists, else pulls it; also
    /// pulls it when the build failed and no image is present.
    ///
    /// # Errors
    /// `Invalid` when the build fails or the image is for another architecture, `NotFound` when no context
    /// exists and the source has no registry, or the registry has no such image, `Transient` when the registry
    /// is unreachable or on a timeout, `Denied` when the registry requires credentials, `Unavailable` if the
    /// container runtime is missing.
    async fn ensure(&self, source: &ImageSource) -> PortResult<PresentImage>;

    /// Keeps an archive, outside of the runtime's storage, of the image that was made last for each of `sources`, those of
    /// all desired companions, and removes other archives. Returns the number of removed ones. A provider without
    /// archives does nothing, which is the default.
    ///
    /// The leader calls it when images were made, and when the desired state changed. An archive that has no space is left
    /// out.
    ///
    /// # Errors
    /// As for every call.
    async fn keep_archives(&self, _sources: &[ImageSource]) -> PortResult<usize> {
        Ok(0)
    }

    /// Removes dangling images reported by [`observe`](Self::observe). An image that does not exist, has a name or is in
    /// use is not removed; that is a success.
    ///
    /// # Errors
    /// As for every call.
    async fn prune(&self, dangling: &[ImageId]) -> PortResult<()>;

    /// Waits until an image or a build context may have changed, as
    /// [`ServiceManager::changed`](super::ServiceManager::changed) does.
    async fn changed(&self) -> Hint {
        std::future::pending().await
    }
}
