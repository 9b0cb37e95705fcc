//! Archives of images, outside of the local storage.

use companion_core::model::image::{ImageRef, ImageSource, PresentImage, Provenance};
use companion_core::ports::PortResult;

use super::{Image, Images, key};
use crate::world::World;

/// An archived image.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Archived {
    /// Its reference.
    name: ImageRef,
    image: Image,
    /// Whether the archive has its original contents.
    intact: bool,
}

impl Images {
    /// Archives the image that was made for `source`.
    pub(super) fn archive(&mut self, source: &ImageSource, made: &PresentImage) {
        if let (true, Some(key), Some(image)) =
            (self.archives, key(source), self.get(&made.reference).copied())
        {
            let archived = Archived { name: made.reference.clone(), image, intact: true };
            self.archived.insert(key.clone(), archived);
        }
    }
}

impl World {
    /// Returns whether the image of `source` is lost, and has an intact archive.
    ///
    /// # Errors
    /// `Unavailable` without Podman.
    pub fn is_restorable(&self, source: &ImageSource) -> PortResult<bool> {
        let state = self.image_state(source)?;
        let unmanaged = |image: &PresentImage| image.provenance == Provenance::Unmanaged;
        let archived = key(source).and_then(|key| self.images.archived.get(key));
        let intact = archived.is_some_and(|archived| archived.intact);
        Ok(intact && state.present.as_ref().is_none_or(unmanaged))
    }

    /// Restores the image of `source` from its archive.
    ///
    /// # Errors
    /// `Transient` and `Denied` from the disk.
    pub fn restore_image(&mut self, source: &ImageSource) -> PortResult<()> {
        self.disk_takes("the image store")?;
        let archived = key(source).and_then(|key| self.images.archived.get(key)).cloned();
        if let Some(Archived { name, image, .. }) = archived {
            self.images.make(&name, image);
        }
        Ok(())
    }

    /// Replaces the contents of the archive of the image for the build or pull `source`.
    pub fn replace_archive(&mut self, source: &ImageRef) {
        if let Some(archived) = self.images.archived.get_mut(source) {
            archived.intact = false;
        }
    }
}
