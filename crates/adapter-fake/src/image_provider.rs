//! `ImageProvider` on the fake host.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::image::{ImageId, ImageSource, ImageState, PresentImage};
use companion_core::ports::{ImageProvider, PortError, PortErrorKind, PortResult};
use tokio::time::sleep;

use crate::host::FakeHost;
use crate::journal::{Call, Counts, Method, Port};
use crate::world::World;
use crate::world::images::{BuildOutcome, Need, Reach};

impl FakeHost {
    /// The work, and the cost to start it.
    fn need(&self, source: &ImageSource, built_in_vain: bool) -> PortResult<Need> {
        let mut state = self.state();
        let need = state.world.image_need(source, built_in_vain)?;
        let counts = &mut state.journal.counts;
        match need {
            Need::Nothing(_) => {}
            Need::Build(_) => {
                counts.builds += 1;
                counts.processes += 1;
            }
            Need::Pull(_) => {
                counts.pulls += 1;
                counts.network += 1;
                counts.processes += 1;
            }
        }
        Ok(need)
    }

    /// Sleeps for the duration of the work, up to the limit.
    async fn work(&self, takes: Option<Duration>, what: &str) -> PortResult<()> {
        let limit = self.state().world.delays.image_limit;
        match takes.filter(|takes| *takes <= limit) {
            Some(takes) => {
                if takes > Duration::ZERO {
                    sleep(takes).await;
                }
                Ok(())
            }
            None => {
                sleep(limit).await;
                let message = format!("the {what} timed out");
                Err(PortError::new(PortErrorKind::Transient, message))
            }
        }
    }

    async fn build(
        &self,
        call: &Call,
        source: &ImageSource,
        outcome: BuildOutcome,
    ) -> PortResult<PresentImage> {
        let takes = self.state().world.delays.build;
        self.work(Some(takes).filter(|_| outcome != BuildOutcome::Hangs), "build").await?;
        self.apply(call, |world, _, _| world.build_image(source))
    }

    async fn pull(
        &self,
        call: &Call,
        source: &ImageSource,
        reach: Reach,
    ) -> PortResult<PresentImage> {
        let takes = match reach {
            Reach::Slow(takes) => takes,
            Reach::Up => self.state().world.delays.pull,
            Reach::Down | Reach::Untrusted | Reach::Locked => Duration::ZERO,
        };
        self.work(Some(takes), "pull").await?;
        self.apply(call, |world, _, _| world.pull_image(source))
    }

    async fn make_present(&self, call: &Call, source: &ImageSource) -> PortResult<PresentImage> {
        let restorable = self.state().world.is_restorable(source)?;
        if restorable {
            // As for a build or pull, what failed is made in another way.
            let _made_instead = self.apply(call, |world, counts, _| {
                counts.processes += 1;
                world.restore_image(source)
            });
        }
        let mut need = self.need(source, false)?;
        let mut in_vain = None;
        if let Need::Build(outcome) = need {
            match self.build(call, source, outcome).await {
                Ok(image) => return Ok(image),
                Err(failure) => match self.need(source, true) {
                    Ok(instead) => {
                        need = instead;
                        in_vain = Some(failure);
                    }
                    Err(_) => return Err(failure),
                },
            }
        }
        let made = match need {
            Need::Nothing(image) => Ok(image),
            Need::Pull(reach) => self.pull(call, source, reach).await,
            Need::Build(outcome) => self.build(call, source, outcome).await,
        };
        match (made, in_vain) {
            // A retry does not help if the registry has no such image: the build must be fixed.
            (Err(error), Some(failure)) if error.kind() == PortErrorKind::NotFound => Err(failure),
            (made, _) => made,
        }
    }
}

#[async_trait]
impl ImageProvider for FakeHost {
    async fn observe(
        &self,
        sources: &BTreeMap<CompanionName, ImageSource>,
    ) -> BTreeMap<CompanionName, PortResult<ImageState>> {
        let call = Call::new(Port::Images, Method::Observe, None);
        // Present means durable, also for an image whose maker was killed before its sync.
        self.state().world.sync_images();
        let read = |world: &World, _, _: &_, source: &ImageSource| world.image_state(source);
        let answer = self.read_each(call, sources.iter().collect(), read, World::saw_image).await;
        let mut state = self.state();
        let images = &state.world.images;
        let seen = state.seen_images.as_ref();
        if seen.is_none_or(|seen| (&seen.store, &seen.unnamed) != (&images.store, &images.unnamed))
        {
            state.seen_images = Some(state.world.images.clone());
            state.journal.counts.processes += 1;
        }
        answer
    }

    async fn ensure(&self, source: &ImageSource) -> PortResult<PresentImage> {
        let owner = self.specs().owner_of_image(source).cloned();
        let call = Call::new(Port::Images, Method::Ensure, owner.as_ref());
        self.act_with(&call, self.make_present(&call, source), World::sync_images).await
    }

    async fn keep_archives(&self, sources: &[ImageSource]) -> PortResult<usize> {
        let call = Call::new(Port::Images, Method::KeepArchives, None);
        let keep = |world: &mut World, counts: &mut Counts, _| {
            let (made, removed) = world.keep_archives(sources)?;
            counts.processes += made;
            Ok(removed)
        };
        self.act(call, keep).await
    }

    async fn prune(&self, dangling: &[ImageId]) -> PortResult<()> {
        let call = Call::new(Port::Images, Method::Prune, None);
        let prune = |world: &mut World, counts: &mut Counts, _| {
            counts.processes += 1;
            counts.prunes += world.prune_images(dangling)?;
            Ok(())
        };
        self.act(call, prune).await
    }
}
