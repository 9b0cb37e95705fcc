//! Records what was made, keeps an archive of it, and brings a lost image back from there.

use companion_core::model::image::{ImageRef, ImageSource, PresentImage, Provenance};
use companion_core::model::revision::Fingerprint;

use super::{Found, ImageError, Images};
use crate::context::Context;
use crate::engine::ImageEngine;
use crate::lock;
use crate::records::{ArchiveError, Record, source_reference};

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
        let (Some(records), Some(reference)) = (&self.records, source_reference(source)) else {
            return Ok(());
        };
        let (name, id) = (image.reference.clone(), image.id.clone());
        let record = Record { source: reference.clone(), name, id, context, archive: None };
        Ok(records.write(record).await?)
    }

    /// Keeps an archive of the image that was recorded for `reference`, and replaces one that is not `usable`. A failure is
    /// logged: the companion has its image.
    pub(super) async fn archive(&self, reference: &ImageRef, usable: bool) {
        let Some(records) = &self.records else { return };
        let wanted = lock(&self.observed).clone();
        match records.archive(&*self.engine, reference, wanted, usable).await {
            Ok(true) => tracing::debug!(image = %reference, "image has an archive"),
            Ok(false) => {}
            Err(reason) => {
                tracing::warn!(image = %reference, %reason, "no archive of the image is kept");
            }
        }
    }

    /// Brings the recorded image back from its archive if `found` has no usable one, and returns what is found then.
    ///
    /// A failure is logged: the image is made again, and its archive too. One that was built from an older context is
    /// brought back too, because the unit may name it.
    pub(super) async fn restored(
        &self,
        source: &ImageSource,
        found: &Found,
    ) -> Result<Option<Found>, ArchiveError> {
        let Some(record) = found.record.as_ref().filter(|_| found.is_lost()) else {
            return Ok(None);
        };
        let (image, id) = (&record.name, &record.id);
        let restored = self.restore(source, record).await;
        match &restored {
            Ok(None) => {}
            Ok(Some(_)) => tracing::info!(%image, %id, "restored from its archive"),
            Err(reason) => {
                tracing::warn!(%image, %reason, "failed to restore the image from its archive");
            }
        }
        restored
    }

    async fn restore(
        &self,
        source: &ImageSource,
        record: &Record,
    ) -> Result<Option<Found>, ArchiveError> {
        let Some(records) = &self.records else { return Ok(None) };
        let Some(path) = records.verified(record).await? else { return Ok(None) };
        self.engine.restore(&path, &record.id, &record.name).await?;
        let found = self.find(source).await.ok();
        let is_it = |found: &Found| found.present.as_ref().is_some_and(|it| it.id == record.id);
        found.filter(is_it).map(Some).ok_or(ArchiveError::NotReadBack)
    }
}
