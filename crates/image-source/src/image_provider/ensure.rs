//! Makes the image of a source present and current: by a build, or by a pull as fallback.

use std::sync::Arc;

use companion_core::model::image::{
    BuildSource, ImageRef, ImageSource, PresentImage, Provenance, PullSource,
};
use companion_core::ports::{PortError, PortErrorKind};

use super::{Damage, Found, Images, not_read_back};
use crate::context::Context;
use crate::engine::{
    Build, CONTEXT_LABEL, EngineError, EngineResult, ImageEngine, SOURCE_LABEL, stage_of,
};
use crate::listing::Platform;
use crate::lock;
use crate::text::{path_shown, shown};

impl<E: ImageEngine + 'static> Images<E> {
    /// Provides the image of `source` and returns the image as read back.
    pub(super) async fn provide(&self, source: &ImageSource) -> EngineResult<PresentImage> {
        let reference = source.reference().ok_or_else(no_source)?;
        if source.build.as_ref().is_some_and(|build| !is_build_name(&build.reference)) {
            let rule = "the name of a built image must be `localhost/…`, without a digest";
            return Err(PortError::new(PortErrorKind::Invalid, rule).into());
        }
        // Companions may share an image: the second one finds it present.
        let lock = self.lock_of(reference);
        let _held = lock.lock().await;
        let mut found = self.find(source).await?;
        if !found.state().is_current() {
            if let Some(damage) = &found.damage {
                self.discard(damage).await?;
            }
            found = self.restored(source, &found).await.unwrap_or(found);
        }
        match found.present.clone().filter(|_| found.state().is_current()) {
            Some(image) => Ok(image),
            None => self.make(source, &found).await,
        }
    }

    /// Builds or pulls the image of `source`, and returns the image as read back.
    async fn make(&self, source: &ImageSource, found: &Found) -> EngineResult<PresentImage> {
        match (&source.build, &found.context, &source.pull) {
            (Some(build), Some(context), pull) => {
                match (self.build(source, build, context).await, pull) {
                    // An image that is known to be ours stays; the context or the host is broken.
                    (
                        Err(EngineError::Damaged(failure) | EngineError::Other(failure)),
                        Some(pull),
                    ) if found.is_lost() => self.pull_instead(source, pull, failure).await,
                    (built, _) => built,
                }
            }
            (_, _, Some(pull)) => self.pull(source, pull).await,
            (_, _, None) => Err(no_source().into()),
        }
    }

    async fn build(
        &self,
        source: &ImageSource,
        build: &BuildSource,
        context: &Context,
    ) -> EngineResult<PresentImage> {
        let directory = path_shown(&context.directory);
        tracing::info!(image = %build.reference, context = directory, "building");
        let digest = (CONTEXT_LABEL.to_owned(), context.digest.to_string());
        let labels = &[digest, (SOURCE_LABEL.to_owned(), build.reference.to_string())].into();
        let stage_labels = &[(SOURCE_LABEL.to_owned(), stage_of(&build.reference))].into();
        self.engine.build(&Build { source: build, context, labels, stage_labels }).await?;
        self.record_build(source, context).await?;
        let found = self.find(source).await?;
        if found.context.as_ref() != Some(context) {
            // No pull follows, because the changed context is built next.
            let text = "build context changed during the build";
            return Err(EngineError::Host(PortError::new(PortErrorKind::Transient, text)));
        }
        let current = found.state().is_current();
        let image = self.read_back(found, "build")?;
        if !current {
            return Err(not_read_back("build"));
        }
        tracing::info!(image = %image.reference, id = %image.id, "built");
        Ok(image)
    }

    async fn pull(&self, source: &ImageSource, pull: &PullSource) -> EngineResult<PresentImage> {
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
        build: PortError,
    ) -> EngineResult<PresentImage> {
        tracing::warn!(image = %pull.reference, reason = %build, "build failed; pulling");
        let both = |pull: EngineError| {
            // The registry may become available again; if it has no such image, the context needs a fix.
            let kind = match pull.kind() {
                PortErrorKind::NotFound => build.kind(),
                kind => kind,
            };
            let message = format!("build failed: {build}; pull failed");
            EngineError::from(PortError::new(kind, message).with_source(pull))
        };
        self.pull(source, pull).await.map_err(both)
    }

    /// Removes a damaged image, because a build or pull reuses the stored layers of an image that is there. An image
    /// that only took the name of our build stays: the build takes the name back.
    async fn discard(&self, damage: &Damage) -> EngineResult<()> {
        let Damage { image, other_name, error } = damage;
        let (reference, id) = (&image.reference, &image.id);
        tracing::warn!(image = %reference, %id, reason = %error, "image is damaged");
        if image.provenance == Provenance::Unmanaged {
            return Ok(());
        }
        if let Some(name) = other_name {
            let message = format!(
                "the image is damaged and has the name `{}` too; remove it: `podman image rm --force {id}`",
                shown(name)
            );
            return Err(PortError::new(PortErrorKind::Conflict, message).into());
        }
        self.durable.keep_only(|listed| listed != id);
        self.engine.discard(id).await?;
        tracing::info!(image = %reference, %id, "removed a damaged image");
        Ok(())
    }

    fn read_back(&self, found: Found, step: &str) -> EngineResult<PresentImage> {
        if let Some(platform) = found.mismatch {
            let message =
                format!("the image is for {platform}, but this host is {}", Platform::host());
            return Err(PortError::new(PortErrorKind::Invalid, message).into());
        }
        found.present.ok_or_else(|| not_read_back(step))
    }

    pub(super) async fn find(&self, source: &ImageSource) -> EngineResult<Found> {
        self.read(&[source], None).await.pop().unwrap_or_else(|| Err(no_source().into()))
    }

    pub(super) fn lock_of(&self, reference: &ImageRef) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = lock(&self.locks);
        // A lock in use has a second owner.
        locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(locks.entry(reference.clone()).or_default())
    }
}

fn no_source() -> PortError {
    let message = "no build context on this host and no registry reference";
    PortError::new(PortErrorKind::NotFound, message)
}

/// Returns whether a build can have this name without an engine ever looking it up in a registry.
fn is_build_name(reference: &ImageRef) -> bool {
    reference.registry() == "localhost" && !reference.as_str().contains('@')
}
