//! Records what was made, keeps archives, and brings lost images back from there.

use std::collections::BTreeSet;

use companion_core::model::image::{ImageSource, PresentImage, Provenance};
use companion_core::model::revision::Fingerprint;

use super::{Found, ImageError, Images};
use crate::context::Context;
use crate::engine::ImageEngine;
use crate::records::{ArchiveError, ImageRecords, Record, RecordError};

impl<E: ImageEngine + 'static> Images<E> {
    /// Records the image that a build for `source` has just made, so that it is taken for ours when it is read back.
    pub(super) async fn record_build(
        &self,
        source: &ImageSource,
        context: &Context,
    ) -> Result<(), ImageError> {
        if self.records.is_none() {
            return Ok(());
        }
        let built = self.engine.list().await?.present(source, |_| true)?;
        let provenance = Provenance::Built { context: context.digest };
        match built.filter(|image| image.provenance == provenance) {
            Some(image) => self.record(source, &image, Some(context.digest)).await,
            None => Err(ImageError::NotReadBack("build")),
        }
    }

    /// Records `image` as the one that was made last for `source`.
    pub(super) async fn record(
        &self,
        source: &ImageSource,
        image: &PresentImage,
        context: Option<Fingerprint>,
    ) -> Result<(), ImageError> {
        let (Some(records), Some(reference)) = (&self.records, source.reference()) else {
            return Ok(());
        };
        let (name, id) = (image.reference.clone(), image.id.clone());
        let record = Record { source: reference.clone(), name, id, context, archive: None };
        Ok(records.write(record).await?)
    }

    /// Writes the missing archives of the images for `sources` and removes all others; returns the number of removed ones.
    /// An archive that cannot be written is logged: the companion has its image.
    pub(super) async fn keep_archives_of(
        &self,
        sources: &[ImageSource],
    ) -> Result<usize, RecordError> {
        let Some(records) = &self.records else { return Ok(0) };
        let wanted: BTreeSet<_> =
            sources.iter().filter_map(ImageSource::reference).cloned().collect();
        let removed = records.keep_archives_of(wanted.clone()).await?;
        for reference in &wanted {
            match records.archive(&*self.engine, reference).await {
                Ok(true) => tracing::debug!(image = %reference, "image has an archive"),
                Ok(false) => {}
                Err(reason) => {
                    tracing::warn!(image = %reference, %reason, "no archive of the image is kept");
                }
            }
        }
        Ok(removed)
    }

    /// Brings the recorded image back from its archive if `found` has no usable one, and returns what is found then.
    ///
    /// A failure is logged: the image is made again. An archive from which no image comes back is removed. An image that
    /// was built from an older context is brought back too, because the unit may name it.
    pub(super) async fn restored(&self, source: &ImageSource, found: &Found) -> Option<Found> {
        let (Some(records), Some(record)) = (&self.records, &found.record) else { return None };
        if !found.is_lost() {
            return None;
        }
        let (image, id) = (&record.name, &record.id);
        let reason = match self.restore(records, source, record).await {
            Ok(None) => return None,
            Ok(Some(restored)) => {
                tracing::info!(%image, %id, "restored from its archive");
                return Some(restored);
            }
            Err(reason) => reason,
        };
        tracing::warn!(%image, %reason, "failed to restore the image from its archive");
        if matches!(reason, ArchiveError::Changed | ArchiveError::NotReadBack)
            && let Err(reason) = records.remove_archive(record.clone()).await
        {
            tracing::warn!(%image, %reason, "failed to remove the archive");
        }
        None
    }

    async fn restore(
        &self,
        records: &ImageRecords,
        source: &ImageSource,
        record: &Record,
    ) -> Result<Option<Found>, ArchiveError> {
        let Some(path) = records.verified(record).await? else { return Ok(None) };
        self.engine.restore(&path, &record.id, &record.name).await?;
        let found = self.find(source).await.ok();
        let is_it = |found: &Found| found.present.as_ref().is_some_and(|it| it.id == record.id);
        found.filter(is_it).map(Some).ok_or(ArchiveError::NotReadBack)
    }
}
