//! Removes the images of companions that an operator no longer wants.

use companion_core::model::image::ImageSource;
use companion_core::ports::{PortError, PortResult};

use super::Images;
use crate::engine::{EngineError, ImageEngine};

impl<E: ImageEngine + 'static> Images<E> {
    /// Removes the images that were built here for `sources`, by ID and never by force, and those that they replaced.
    /// Returns their number. An image that a container uses stays, and so does one with another name, and a pulled one:
    /// somebody else may need it.
    ///
    /// The caller knows that no companion needs them.
    ///
    /// # Errors
    /// As for [`prune`](companion_core::ports::ImageProvider::prune); the other images are removed all the same.
    pub async fn remove_built(&self, sources: &[ImageSource]) -> PortResult<usize> {
        let failed = |error: EngineError| {
            PortError::new(error.kind, "failed to remove images").with_source(error)
        };
        let listing = self.engine.list().await.map_err(failed)?;
        let (mut removed, mut first_error) = (0, None);
        for source in sources {
            for id in listing.built(source).into_iter().chain(listing.dangling(source)) {
                match self.engine.remove(&id).await {
                    Ok(done) => removed += usize::from(done),
                    Err(error) => first_error = first_error.or(Some(error)),
                }
            }
        }
        first_error.map_or(Ok(removed), |error| Err(failed(error)))
    }
}
