//! Steps on the image of one companion, its build context and its registry.

use std::collections::BTreeMap;
use std::fmt;

use companion_conformance::image_provider::ImageWorld;
use companion_core::model::image::{ImageId, ImageSource, Provenance};

use crate::random::Random;

/// The possible steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Ensure,
    EnsurePulled,
    Prune,
    ChangeContext,
    BreakBuild,
    MendBuild,
    RemoveImages,
    TakeTheName,
    Publish,
    RegistryDown,
    RegistryUp,
}

const STEPS: &[Step] = &[
    Step::Ensure,
    Step::Ensure,
    Step::Ensure,
    Step::EnsurePulled,
    Step::Prune,
    Step::ChangeContext,
    Step::BreakBuild,
    Step::MendBuild,
    Step::RemoveImages,
    Step::TakeTheName,
    Step::Publish,
    Step::RegistryDown,
    Step::RegistryUp,
];

impl Step {
    pub(super) fn random(random: &mut Random) -> Self {
        *random.one_of(STEPS)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// The state of one sequence.
#[derive(Default)]
struct Story {
    /// Images by the order in which they were seen.
    images: BTreeMap<ImageId, usize>,
    broken: bool,
    published: u32,
    down: bool,
}

/// Runs `steps` and returns the visible state after each.
pub(super) async fn play(world: &dyn ImageWorld, steps: &[Step]) -> Vec<String> {
    let mut story = Story::default();
    let mut shown = Vec::new();
    for step in steps {
        let contacts = world.contacts().await;
        let outcome = take(world, *step, &mut story).await;
        let contacted = !story.down && world.contacts().await > contacts;
        let state = show(world, &mut story).await;
        shown.push(format!("{outcome}, registry asked {contacted}\n{state}"));
    }
    shown
}

async fn take(world: &dyn ImageWorld, step: Step, story: &mut Story) -> String {
    match step {
        Step::Ensure => return ensured(world, &world.source(), story).await,
        Step::EnsurePulled => {
            let source = ImageSource { build: None, ..world.source() };
            return ensured(world, &source, story).await;
        }
        Step::Prune => {
            let dangling = observed(world).await.dangling;
            return match world.images().prune(&dangling).await {
                Ok(()) => format!("pruned {}", dangling.len()),
                Err(error) => error.kind().to_string(),
            };
        }
        Step::ChangeContext => world.change_context().await,
        // The cause of a failing build changes the context, too.
        Step::BreakBuild | Step::MendBuild => {
            let broken = step == Step::BreakBuild;
            if broken == story.broken {
                return "nothing".to_owned();
            }
            story.broken = broken;
            world.change_context().await;
            if broken {
                world.break_build().await;
            } else {
                world.fix_build().await;
            }
        }
        Step::RemoveImages => world.remove_images().await,
        Step::TakeTheName => world.take_the_name().await,
        Step::Publish => {
            story.published += 1;
            world.publish(&format!("contents {}", story.published)).await;
        }
        Step::RegistryDown => {
            story.down = true;
            world.registry_down().await;
        }
        Step::RegistryUp => {
            story.down = false;
            world.registry_up().await;
        }
    }
    "happened".to_owned()
}

async fn ensured(world: &dyn ImageWorld, source: &ImageSource, story: &mut Story) -> String {
    match world.images().ensure(source).await {
        Ok(image) => {
            let built = Some(&image.reference) == source.build.as_ref().map(|it| &it.reference);
            format!("ensured {}, built {built}", numbered(&image.id, story))
        }
        Err(error) => error.kind().to_string(),
    }
}

async fn observed(world: &dyn ImageWorld) -> companion_core::model::image::ImageState {
    let sources = BTreeMap::from([(world.name(), world.source())]);
    let mut states = world.images().observe(&sources).await;
    states.remove(&world.name()).unwrap().unwrap()
}

fn numbered(id: &ImageId, story: &mut Story) -> usize {
    let next = story.images.len();
    *story.images.entry(id.clone()).or_insert(next)
}

async fn show(world: &dyn ImageWorld, story: &mut Story) -> String {
    let state = observed(world).await;
    let present = state.present.as_ref().map(|image| {
        let ours = matches!(image.provenance, Provenance::Built { .. });
        (numbered(&image.id, story), ours)
    });
    let mut dangling: Vec<usize> = state.dangling.iter().map(|id| numbered(id, story)).collect();
    dangling.sort_unstable();
    let context = state.context.is_some();
    let current = state.is_current();
    format!("present {present:?} current {current} context {context} dangling {dangling:?}")
}
