//! Archives of images, outside of the local storage.

use std::collections::BTreeSet;

use companion_core::model::image::{ImageRef, ImageSource, PresentImage, Provenance};
use companion_core::ports::PortResult;

use super::Image;
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

impl World {
    /// Archives the managed image of each of `sources` that has no archive of it, and removes other archives. Returns how
    /// many were made and how many were removed.
    ///
    /// # Errors
    /// `Unavailable` without Podman.
    pub fn keep_archives(&mut self, sources: &[ImageSource]) -> PortResult<(u32, usize)> {
        let wanted: BTreeSet<_> =
            sources.iter().filter_map(ImageSource::reference).cloned().collect();
        let before = self.images.archived.len();
        self.images.archived.retain(|source, _| wanted.contains(source));
        let removed = before - self.images.archived.len();
        let mut made = 0;
        for source in sources {
            let Some(present) = self.image_state(source)?.present else { continue };
            let image = self.images.get(&present.reference).copied();
            let (Some(key), Some(image)) = (source.reference(), image) else { continue };
            if present.provenance == Provenance::Unmanaged
                || self.images.archived.get(key).is_some_and(|known| known.image == image)
            {
                continue;
            }
            let archived = Archived { name: present.reference, image, intact: true };
            self.images.archived.insert(key.clone(), archived);
            made += 1;
        }
        Ok((made, removed))
    }

    /// Returns whether the image of `source` is lost, and has an intact archive.
    ///
    /// # Errors
    /// `Unavailable` without Podman.
    pub fn is_restorable(&self, source: &ImageSource) -> PortResult<bool> {
        let state = self.image_state(source)?;
        let unmanaged = |image: &PresentImage| image.provenance == Provenance::Unmanaged;
        let archived = source.reference().and_then(|key| self.images.archived.get(key));
        let intact = archived.is_some_and(|archived| archived.intact);
        Ok(intact && state.present.as_ref().is_none_or(unmanaged))
    }

    /// Restores the image of `source` from its archive.
    ///
    /// # Errors
    /// `Transient` and `Denied` from the disk.
    pub fn restore_image(&mut self, source: &ImageSource) -> PortResult<()> {
        self.disk_takes("the image store")?;
        let archived = source.reference().and_then(|key| self.images.archived.get(key)).cloned();
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
