//! Making the image of a source present and current: built first, pulled as the way out.

use std::collections::BTreeMap;
use std::sync::Arc;

use companion_core::model::companion::CompanionName;
use companion_core::model::image::{BuildSource, ImageRef, ImageSource, PresentImage, PullSource};

use super::{Found, ImageError, PodmanImages, lock, reference};
use crate::command::argv;
use crate::context::Context;
use crate::error::Verb;

impl PodmanImages {
    /// Provides the image of `source` and returns it as it was read back.
    pub(super) async fn provide(&self, source: &ImageSource) -> Result<PresentImage, ImageError> {
        let reference = reference(source).ok_or(ImageError::NoSource)?;
        if source.build.as_ref().is_some_and(|build| !is_build_name(&build.reference)) {
            return Err(ImageError::BuildName);
        }
        // Companions may share an image: who comes second finds it made.
        let turn = self.turn(reference);
        let _turn = turn.lock().await;
        let found = self.find(source).await?;
        if let Some(image) = found.present.clone().filter(|_| found.state().is_current()) {
            return Ok(image);
        }
        match (&source.build, &found.context, &source.pull) {
            (Some(build), Some(context), pull) => {
                let failure = match self.build(source, build, context).await {
                    Ok(image) => return Ok(image),
                    Err(failure) => failure,
                };
                match pull {
                    // The last good image stays; what is broken is the context or the host.
                    Some(pull) if found.present.is_none() && !failure.rules_out_a_pull() => {
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
        let Context { directory, digest, file } = context;
        let args = argv::build(build, *digest, directory, file)?;
        tracing::info!(image = %build.reference, context = %directory.display(), "building");
        self.podman.run(Verb::Build, args).await?;
        let found = self.find(source).await?;
        if found.context.as_ref() != Some(context) {
            return Err(ImageError::ContextChanged);
        }
        let current = found.state().is_current();
        let image = self.read_back(found, Verb::Build)?;
        if !current {
            return Err(ImageError::NotReadBack(Verb::Build));
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
        self.podman.run(Verb::Pull, argv::pull(pull)).await?;
        let image = self.read_back(self.find(source).await?, Verb::Pull)?;
        tracing::info!(image = %image.reference, id = %image.id, "pulled");
        Ok(image)
    }

    async fn pull_instead(
        &self,
        source: &ImageSource,
        pull: &PullSource,
        build: ImageError,
    ) -> Result<PresentImage, ImageError> {
        tracing::warn!(image = %pull.reference, reason = %build, "the build failed; pulling");
        self.pull(source, pull).await.map_err(|pull| ImageError::BuildAndPull {
            build: Box::new(build),
            pull: Box::new(pull),
        })
    }

    fn read_back(&self, found: Found, call: Verb) -> Result<PresentImage, ImageError> {
        if let Some(platform) = found.misfit {
            return Err(ImageError::WrongPlatform {
                found: platform.to_string(),
                host: self.host.to_string(),
            });
        }
        found.present.ok_or(ImageError::NotReadBack(call))
    }

    async fn find(&self, source: &ImageSource) -> Result<Found, ImageError> {
        // The name is a key of the answer and nothing else.
        let name = CompanionName::new("image").map_err(|_| ImageError::Interrupted)?;
        let sources = BTreeMap::from([(name, source.clone())]);
        let mut found = self.read(&sources).await.into_values();
        found.next().unwrap_or(Err(ImageError::Interrupted))
    }

    fn turn(&self, reference: &ImageRef) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = lock(&self.turns);
        // Whoever has or awaits a turn holds a second count.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(reference.clone()).or_default())
    }
}

impl ImageError {
    /// Whether a pull would fail too, or is not needed: a context that changed is built again.
    fn rules_out_a_pull(&self) -> bool {
        match self {
            Self::Podman(error) => error.is_of_the_host(),
            Self::ContextChanged | Self::Interrupted => true,
            Self::Context(_)
            | Self::NoSource
            | Self::BuildName
            | Self::WrongPlatform { .. }
            | Self::NotReadBack(_)
            | Self::BuildAndPull { .. } => false,
        }
    }
}

/// Whether podman can give a build this name without it ever being sought in a registry.
fn is_build_name(reference: &ImageRef) -> bool {
    reference.registry() == "localhost" && !reference.as_str().contains('@')
}
