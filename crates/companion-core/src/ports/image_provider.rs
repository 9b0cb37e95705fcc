//! `ImageProvider`: who has the images.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::PortResult;
use crate::model::companion::CompanionName;
use crate::model::image::{ImageId, ImageSource, ImageState, PresentImage};

/// Has images, and gets those that are missing.
///
/// # Contract
/// - Reading never contacts a registry.
/// - [`ensure`](Self::ensure) contacts one only when it must: never while the image is present and
///   current, and for a source with a context only after the first build failed.
/// - What was built here under a name that another image took since is made again.
/// - Who asks for the same image at once gets the same.
/// - An image for another kind of machine is never present; one that is named by its digest is that
///   image or none.
/// - What a container uses is neither left over nor removed.
/// - The certificate of a registry is verified unless the source says otherwise.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait ImageProvider: Send + Sync {
    /// Reads what the host has of each source; the answer has an entry for every name.
    ///
    /// An entry is `Unavailable` without the program that has images.
    async fn observe(
        &self,
        sources: &BTreeMap<CompanionName, ImageSource>,
    ) -> BTreeMap<CompanionName, PortResult<ImageState>>;

    /// Makes the image of `source` present and current: built if there is a context, else pulled;
    /// pulled too when the build failed and no image is present at all.
    ///
    /// # Errors
    /// `Invalid` when the build fails by itself or the image is for another kind of machine, `NotFound` when the source names neither a context
    /// that exists nor a registry, or the registry has no such image, `Transient` when the registry
    /// cannot be reached or a limit of time passed, `Denied` when it asks for credentials, `Unavailable` without the program that does it.
    async fn ensure(&self, source: &ImageSource) -> PortResult<PresentImage>;

    /// Removes leftovers that [`observe`](Self::observe) named; one that is gone or in use again is
    /// a success.
    ///
    /// # Errors
    /// As every call.
    async fn prune(&self, leftovers: &[ImageId]) -> PortResult<()>;
}
