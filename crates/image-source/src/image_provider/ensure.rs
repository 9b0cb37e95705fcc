//! Makes the image of a source present and current: by a build, or by a pull as fallback.

use std::sync::Arc;

use companion_core::model::image::{
    BuildSource, ImageRef, ImageSource, PresentImage, Provenance, PullSource,
};

use super::{Damage, Found, ImageError, Images};
use crate::context::Context;
use crate::engine::{Build, CONTEXT_LABEL, ImageEngine, SOURCE_LABEL, stage_of};
use crate::lock;
use crate::text::{path_shown, shown};

impl<E: ImageEngine + 'static> Images<E> {
    /// Provides the image of `source` and returns the image as read back.
    pub(super) async fn provide(&self, source: &ImageSource) -> Result<PresentImage, ImageError> {
        let reference = source.reference().ok_or(ImageError::NoSource)?;
        if source.build.as_ref().is_some_and(|build| !is_build_name(&build.reference)) {
            return Err(ImageError::BuildName);
        }
        // Companions may share an image: the second one finds it present.
        let lock = self.lock_of(reference);
        let _held = lock.lock().await;
        let mut found = self.find(source).await?;
        if let Some(image) = found.present.clone().filter(|_| found.state().is_current()) {
            return Ok(image);
        }
        if let Some(damage) = &found.damage {
            self.discard(damage).await?;
        }
        if let Some(restored) = self.restored(source, &found).await {
            found = restored;
            if let Some(image) = found.present.clone().filter(|_| found.state().is_current()) {
                return Ok(image);
            }
        }
        self.make(source, &found).await
    }

    /// Builds or pulls the image of `source`, and returns the image as read back.
    async fn make(&self, source: &ImageSource, found: &Found) -> Result<PresentImage, ImageError> {
        match (&source.build, &found.context, &source.pull) {
            (Some(build), Some(context), pull) => {
                let failure = match self.build(source, build, context).await {
                    Ok(image) => return Ok(image),
                    Err(failure) => failure,
                };
                match pull {
                    // The last good image stays; the context or the host is broken.
                    Some(_) if !found.is_lost() || found.may_be_last_good() => Err(failure),
                    Some(pull) if !failure.rules_out_a_pull() => {
                        self.pull_instead(source, pull, failure).await
                    }
                    Some(_) | None => Err(failure),
                }
            }
            (_, _, Some(pull)) => self.pull(source, pull).await,
            (_, _, None) => Err(ImageError::NoSource),
        }
    }

    async fn build(
        &self,
        source: &ImageSource,
        build: &BuildSource,
        context: &Context,
    ) -> Result<PresentImage, ImageError> {
        let directory = path_shown(&context.directory);
        tracing::info!(image = %build.reference, context = directory, "building");
        let digest = (CONTEXT_LABEL.to_owned(), context.digest.to_string());
        let labels = &[digest, (SOURCE_LABEL.to_owned(), build.reference.to_string())].into();
        let stage_labels = &[(SOURCE_LABEL.to_owned(), stage_of(&build.reference))].into();
        self.engine.build(&Build { source: build, context, labels, stage_labels }).await?;
        self.record_build(source, context).await?;
        let found = self.find(source).await?;
        if found.context.as_ref() != Some(context) {
            return Err(ImageError::ContextChanged);
        }
        let current = found.state().is_current();
        let image = self.read_back(found, "build")?;
        if !current {
            return Err(ImageError::NotReadBack("build"));
        }
        tracing::info!(image = %image.reference, id = %image.id, "built");
        Ok(image)
    }

    async fn pull(
        &self,
        source: &ImageSource,
        pull: &PullSource,
    ) -> Result<PresentImage, ImageError> {
        tracing::info!(image = %pull.reference, verify_tls = pull.verify_tls, "pulling");
        self.engine.pull(pull).await?;
        let image = self.read_back(self.find(source).await?, "pull")?;
        self.record(source, &image, None).await?;
        tracing::info!(image = %image.reference, id = %image.id, "pulled");
        Ok(image)
    }

    async fn pull_instead(
        &self,
        source: &ImageSource,
        pull: &PullSource,
        build: ImageError,
    ) -> Result<PresentImage, ImageError> {
        tracing::warn!(image = %pull.reference, reason = %build, "build failed; pulling");
        self.pull(source, pull).await.map_err(|pull| ImageError::BuildAndPull {
            build: Box::new(build),
            pull: Box::new(pull),
        })
    }

    /// Removes a damaged image, because a build or pull reuses the stored layers of an image that is there. An image
    /// that only took the name of our build stays: the build takes the name back.
    async fn discard(&self, damage: &Damage) -> Result<(), ImageError> {
        let Damage { image, other_name, error } = damage;
        let (reference, id) = (&image.reference, &image.id);
        tracing::warn!(image = %reference, %id, reason = %error, "image is damaged");
        if image.provenance == Provenance::Unmanaged {
            return Ok(());
        }
        if let Some(name) = other_name {
            return Err(ImageError::DamagedAndShared { id: id.clone(), name: shown(name) });
        }
        self.durable.keep_only(|listed| listed != id);
        self.engine.discard(id).await?;
        tracing::info!(image = %reference, %id, "removed a damaged image");
        Ok(())
    }

    fn read_back(&self, found: Found, step: &'static str) -> Result<PresentImage, ImageError> {
        if let Some(platform) = found.mismatch {
            return Err(ImageError::WrongPlatform {
                found: platform.to_string(),
                host: self.host.to_string(),
            });
        }
        found.present.ok_or(ImageError::NotReadBack(step))
    }

    pub(super) async fn find(&self, source: &ImageSource) -> Result<Found, ImageError> {
        let limit = self.engine.sync_limit();
        self.read(&[source], limit).await.pop().unwrap_or(Err(ImageError::NoSource))
    }

    pub(super) fn lock_of(&self, reference: &ImageRef) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = lock(&self.locks);
        // A lock in use has a second owner.
        locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(locks.entry(reference.clone()).or_default())
    }
}

impl ImageError {
    /// Returns whether a pull would fail too or is unnecessary: a changed context is built again.
    fn rules_out_a_pull(&self) -> bool {
        match self {
            Self::Engine(error) => error.is_of_the_host,
            Self::ContextChanged => true,
            Self::Context(_)
            | Self::Records(_)
            | Self::NoSource
            | Self::BuildName
            | Self::WrongPlatform { .. }
            | Self::NotReadBack(_)
            | Self::DamagedAndShared { .. }
            | Self::BuildAndPull { .. } => false,
        }
    }
}

/// Returns whether a build can have this name without an engine ever looking it up in a registry.
fn is_build_name(reference: &ImageRef) -> bool {
    reference.registry() == "localhost" && !reference.as_str().contains('@')
}
