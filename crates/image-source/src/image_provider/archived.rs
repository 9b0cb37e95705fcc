//! Records what was made, keeps archives, and brings lost images back from there.

use std::collections::BTreeSet;

use companion_core::model::image::{ImageSource, PresentImage, Provenance};
use companion_core::model::revision::Fingerprint;
use companion_core::ports::PortResult;

use super::{Found, Images, not_read_back};
use crate::context::Context;
use crate::engine::{EngineResult, ImageEngine};
use crate::records::Record;

impl<E: ImageEngine + 'static> Images<E> {
    /// Records the image that a build for `source` has just made, so that it is taken for ours when it is read back.
    pub(super) async fn record_build(
        &self,
        source: &ImageSource,
        context: &Context,
    ) -> EngineResult<()> {
        let built = self.engine.list().await?.present(source, |_| true)?;
        let provenance = Provenance::Built { context: context.digest };
        match built.filter(|image| image.provenance == provenance) {
            Some(image) => Ok(self.record(source, &image, Some(context.digest)).await?),
            None => Err(not_read_back("build")),
        }
    }

    /// Records `image` as the one that was made last for `source`.
    pub(super) async fn record(
        &self,
        source: &ImageSource,
        image: &PresentImage,
        context: Option<Fingerprint>,
    ) -> PortResult<()> {
        let source = source.reference().unwrap_or(&image.reference).clone();
        let (name, id) = (image.reference.clone(), image.id.clone());
        self.records.write(Record { source, name, id, context, archive: None }).await
    }

    /// Writes the missing archives of the images for `sources` and removes all others; returns the number of removed ones.
    /// An archive that cannot be written is logged: the companion has its image.
    pub(super) async fn keep_archives_of(&self, sources: &[ImageSource]) -> PortResult<usize> {
        let wanted: BTreeSet<_> =
            sources.iter().filter_map(ImageSource::reference).cloned().collect();
        let removed = self.records.keep_archives_of(wanted.clone()).await?;
        for reference in &wanted {
            if let Err(reason) = self.records.archive(&*self.engine, reference).await {
                tracing::warn!(image = %reference, %reason, "no archive of the image is kept");
            }
        }
        Ok(removed)
    }

    /// Brings the recorded image back from its archive if `found` has no usable one, and returns what is found then.
    ///
    /// A failure is logged: the image is made again. An image that was built from an older context is brought back too,
    /// because the unit may name it.
    pub(super) async fn restored(&self, source: &ImageSource, found: &Found) -> Option<Found> {
        let record = found.record.as_ref().filter(|_| found.is_lost())?;
        let (image, id) = (&record.name, &record.id);
        match self.restore(source, record).await {
            Ok(restored) => {
                restored.inspect(|_| tracing::info!(%image, %id, "restored from its archive"))
            }
            Err(error) => {
                let reason = &error as &dyn std::error::Error;
                tracing::warn!(%image, reason, "failed to restore the image from its archive");
                None
            }
        }
    }

    /// Restores the image from its archive. Removes an archive that gives another image; the next
    /// [`keep_archives`](companion_core::ports::ImageProvider::keep_archives) writes a new one.
    async fn restore(&self, source: &ImageSource, record: &Record) -> EngineResult<Option<Found>> {
        let Some(path) = self.records.verified(record).await? else { return Ok(None) };
        self.engine.restore(&path, &record.id, &record.name).await?;
        let found = self.find(source).await?;
        if found.present.as_ref().is_some_and(|it| it.id == record.id) {
            return Ok(Some(found));
        }
        self.records.remove_archive(record.clone()).await?;
        Err(not_read_back("restoration"))
    }
}
