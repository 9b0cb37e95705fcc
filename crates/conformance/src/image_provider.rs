//! What an `ImageProvider` promises.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::image::{
    BuildSource, ImageId, ImageRef, ImageSource, ImageState, PresentImage, Provenance,
};
use companion_core::ports::{ImageProvider, PortErrorKind, PortResult};

use super::refused;

/// A host without an image of the source, one build context that is missing, one that is not, and a
/// registry of its own.
#[async_trait]
pub trait ImageWorld: Send + Sync {
    /// The provider.
    fn images(&self) -> Arc<dyn ImageProvider>;
    /// A companion.
    fn name(&self) -> CompanionName;
    /// A source that can be built, from the second of its two contexts, and pulled with verification
    /// of the registry's certificate. The first context does not exist.
    fn source(&self) -> ImageSource;
    /// Changes what lies in the context that exists.
    async fn change_context(&self);
    /// Makes every build of that context fail.
    async fn break_build(&self);
    /// Makes the first context exist, with other contents.
    async fn put_first_context(&self);
    /// Makes no context exist.
    async fn remove_contexts(&self);
    /// Has the registry offer the image.
    async fn publish(&self, contents: &str);
    /// Makes the registry unreachable.
    async fn registry_down(&self);
    /// Gives the registry a certificate that nobody vouches for.
    async fn distrust_registry(&self);
    /// How often the registry was contacted so far, as it counts itself.
    async fn contacts(&self) -> u32;
    /// Removes the source's images by name, built and pulled.
    async fn remove_images(&self);
    /// Leaves an image without a name behind that was not built for a companion.
    async fn leave_strangers_image(&self);
}

type World = dyn ImageWorld;

async fn observed(world: &World, source: &ImageSource) -> PortResult<ImageState> {
    let sources = BTreeMap::from([(world.name(), source.clone())]);
    let mut states = world.images().observe(&sources).await;
    assert_eq!(states.len(), 1);
    states.remove(&world.name()).unwrap()
}

async fn state(world: &World) -> ImageState {
    observed(world, &world.source()).await.unwrap()
}

async fn ensure(world: &World) -> PresentImage {
    world.images().ensure(&world.source()).await.unwrap()
}

fn only_pulled(world: &World) -> ImageSource {
    ImageSource { build: None, ..world.source() }
}

fn only_built(world: &World) -> ImageSource {
    ImageSource { pull: None, ..world.source() }
}

async fn an_image_that_nobody_made_is_absent_and_its_context_known(world: &World) {
    let state = state(world).await;
    assert_eq!(state.present, None);
    assert!(state.context.is_some() && !state.is_current());
}

async fn the_answer_has_an_entry_for_every_name(world: &World) {
    let other = CompanionName::new("another").unwrap();
    let sources =
        BTreeMap::from([(world.name(), world.source()), (other.clone(), ImageSource::default())]);
    let states = world.images().observe(&sources).await;
    assert!(states.keys().eq(sources.keys()));
    let nothing = states[&other].as_ref().unwrap();
    assert_eq!((&nothing.context, &nothing.present), (&None, &None));
}

async fn reading_contacts_no_registry(world: &World) {
    world.publish("one").await;
    state(world).await;
    observed(world, &only_pulled(world)).await.unwrap();
    assert_eq!(world.contacts().await, 0);
}

async fn an_image_with_a_context_is_built_from_it_without_a_registry(world: &World) {
    world.publish("one").await;
    let image = ensure(world).await;
    let state = state(world).await;
    assert_eq!(state.present.as_ref(), Some(&image));
    assert!(state.is_current());
    let context = state.context.unwrap();
    assert_eq!(image.provenance, Provenance::Built { context });
    assert_eq!(image.reference, world.source().build.unwrap().reference);
    assert_eq!(world.contacts().await, 0);
}

async fn the_first_context_that_exists_is_built_from(world: &World) {
    let second = state(world).await.context;
    world.put_first_context().await;
    let first = state(world).await.context;
    assert_ne!(first, second);
    let image = ensure(world).await;
    let context = first.unwrap();
    assert_eq!(image.provenance, Provenance::Built { context });
}

async fn an_image_that_is_present_and_current_is_not_made_again(world: &World) {
    world.publish("one").await;
    let image = ensure(world).await;
    assert_eq!(ensure(world).await, image);
    assert_eq!(state(world).await.leftovers, []);
    assert_eq!(world.contacts().await, 0);
}

async fn other_build_arguments_are_another_context(world: &World) {
    let mut source = world.source();
    let before = state(world).await.context;
    let build = source.build.as_mut().unwrap();
    build.arguments.insert("THEME".to_owned(), "dark".to_owned());
    let after = observed(world, &source).await.unwrap().context;
    assert_ne!(after, before);
}

async fn an_image_of_a_context_that_changed_is_not_current_and_is_built_again(world: &World) {
    let before = ensure(world).await;
    world.change_context().await;
    let stale = state(world).await;
    assert_eq!(stale.present.as_ref(), Some(&before));
    assert!(!stale.is_current());
    let after = ensure(world).await;
    assert_ne!(after.id, before.id);
    assert!(state(world).await.is_current());
}

async fn an_image_that_a_newer_build_replaced_is_left_over_until_it_is_pruned(world: &World) {
    let before = ensure(world).await;
    world.change_context().await;
    let after = ensure(world).await;
    assert_eq!(state(world).await.leftovers, std::slice::from_ref(&before.id));
    world.images().prune(&[before.id]).await.unwrap();
    let state = state(world).await;
    assert_eq!(state.leftovers, []);
    assert_eq!(state.present, Some(after));
}

async fn a_leftover_is_told_of_its_own_source_only(world: &World) {
    let other = ImageSource {
        build: only_built(world).build.map(|build| BuildSource {
            reference: ImageRef::new("localhost/of-another-companion:latest").unwrap(),
            ..build
        }),
        pull: None,
    };
    let before = ensure(world).await;
    world.change_context().await;
    ensure(world).await;
    assert_eq!(observed(world, &other).await.unwrap().leftovers, []);
    assert_eq!(state(world).await.leftovers, [before.id]);
}

async fn pruning_what_is_gone_or_in_use_is_a_success_and_removes_nothing(world: &World) {
    let image = ensure(world).await;
    let unknown = ImageId::new(&"0".repeat(64)).unwrap();
    let leftovers = [unknown, image.id.clone()];
    world.images().prune(&leftovers).await.unwrap();
    world.images().prune(&leftovers).await.unwrap();
    assert_eq!(state(world).await.present, Some(image));
}

async fn the_image_of_a_stranger_is_never_left_over(world: &World) {
    world.leave_strangers_image().await;
    ensure(world).await;
    assert_eq!(state(world).await.leftovers, []);
}

async fn an_image_without_a_context_is_pulled(world: &World) {
    world.publish("one").await;
    let source = only_pulled(world);
    let image = world.images().ensure(&source).await.unwrap();
    assert_eq!(image.reference, source.pull.clone().unwrap().reference);
    assert_eq!(image.provenance, Provenance::Foreign);
    let state = observed(world, &source).await.unwrap();
    assert_eq!((state.context, state.present), (None, Some(image)));
    assert!(world.contacts().await > 0);
}

async fn a_pulled_image_stays_current_whatever_becomes_of_its_registry(world: &World) {
    world.publish("one").await;
    let source = only_pulled(world);
    let image = world.images().ensure(&source).await.unwrap();
    let contacts = world.contacts().await;
    world.publish("two").await;
    assert_eq!(world.images().ensure(&source).await.unwrap(), image);
    world.registry_down().await;
    assert_eq!(world.images().ensure(&source).await.unwrap(), image);
    assert_eq!(world.contacts().await, contacts);
}

async fn a_source_whose_contexts_are_gone_is_pulled(world: &World) {
    world.publish("one").await;
    world.remove_contexts().await;
    let image = ensure(world).await;
    assert_eq!(image.reference, world.source().pull.unwrap().reference);
}

async fn an_image_that_was_built_stays_current_when_its_context_is_gone(world: &World) {
    let image = ensure(world).await;
    world.remove_contexts().await;
    let state = state(world).await;
    assert!(state.is_current(), "{state:?}");
    assert_eq!(ensure(world).await, image);
    assert_eq!(world.contacts().await, 0);
}

async fn a_first_build_that_fails_is_made_up_for_by_a_pull(world: &World) {
    world.publish("one").await;
    world.break_build().await;
    let image = ensure(world).await;
    assert_eq!(image.reference, world.source().pull.unwrap().reference);
    assert_eq!(image.provenance, Provenance::Foreign);
}

async fn a_later_build_that_fails_leaves_the_image_and_contacts_no_registry(world: &World) {
    world.publish("one").await;
    let image = ensure(world).await;
    world.change_context().await;
    world.break_build().await;
    let failed = world.images().ensure(&world.source()).await;
    refused(failed, PortErrorKind::Invalid);
    assert_eq!(state(world).await.present, Some(image));
    assert_eq!(world.contacts().await, 0);
}

async fn a_build_that_fails_without_a_registry_to_ask_is_invalid(world: &World) {
    world.break_build().await;
    let failed = world.images().ensure(&only_built(world)).await;
    refused(failed, PortErrorKind::Invalid);
    assert_eq!(state(world).await.present, None);
}

async fn a_source_with_neither_context_nor_registry_is_not_found(world: &World) {
    world.remove_contexts().await;
    let failed = world.images().ensure(&only_built(world)).await;
    refused(failed, PortErrorKind::NotFound);
    let failed = world.images().ensure(&ImageSource::default()).await;
    refused(failed, PortErrorKind::NotFound);
}

async fn an_image_that_the_registry_does_not_have_is_not_found(world: &World) {
    let failed = world.images().ensure(&only_pulled(world)).await;
    refused(failed, PortErrorKind::NotFound);
}

async fn a_registry_that_cannot_be_reached_is_a_passing_failure(world: &World) {
    world.publish("one").await;
    world.registry_down().await;
    let failed = world.images().ensure(&only_pulled(world)).await;
    refused(failed, PortErrorKind::Transient);
    let state = observed(world, &only_pulled(world)).await.unwrap();
    assert_eq!(state.present, None);
}

async fn a_registry_that_nobody_vouches_for_is_asked_only_where_that_is_permitted(world: &World) {
    world.publish("one").await;
    world.distrust_registry().await;
    let mut source = only_pulled(world);
    assert!(world.images().ensure(&source).await.is_err());
    assert_eq!(observed(world, &source).await.unwrap().present, None);
    source.pull.as_mut().unwrap().verify_tls = false;
    world.images().ensure(&source).await.unwrap();
}

async fn an_image_that_was_removed_is_made_again(world: &World) {
    ensure(world).await;
    world.remove_images().await;
    assert_eq!(state(world).await.present, None);
    ensure(world).await;
    assert!(state(world).await.is_current());
    assert_eq!(world.contacts().await, 0);
}

/// Calls a macro with the cases of this suite.
#[macro_export]
macro_rules! image_provider_cases {
    ($with:ident $(, $world:ty)?) => {
        $with! { image_provider $(, $world)?:
            an_image_that_nobody_made_is_absent_and_its_context_known,
            the_answer_has_an_entry_for_every_name,
            reading_contacts_no_registry,
            an_image_with_a_context_is_built_from_it_without_a_registry,
            the_first_context_that_exists_is_built_from,
            an_image_that_is_present_and_current_is_not_made_again,
            other_build_arguments_are_another_context,
            an_image_of_a_context_that_changed_is_not_current_and_is_built_again,
            an_image_that_a_newer_build_replaced_is_left_over_until_it_is_pruned,
            a_leftover_is_told_of_its_own_source_only,
            pruning_what_is_gone_or_in_use_is_a_success_and_removes_nothing,
            the_image_of_a_stranger_is_never_left_over,
            an_image_without_a_context_is_pulled,
            a_pulled_image_stays_current_whatever_becomes_of_its_registry,
            a_source_whose_contexts_are_gone_is_pulled,
            an_image_that_was_built_stays_current_when_its_context_is_gone,
            a_first_build_that_fails_is_made_up_for_by_a_pull,
            a_later_build_that_fails_leaves_the_image_and_contacts_no_registry,
            a_build_that_fails_without_a_registry_to_ask_is_invalid,
            a_source_with_neither_context_nor_registry_is_not_found,
            an_image_that_the_registry_does_not_have_is_not_found,
            a_registry_that_cannot_be_reached_is_a_passing_failure,
            a_registry_that_nobody_vouches_for_is_asked_only_where_that_is_permitted,
            an_image_that_was_removed_is_made_again,
        }
    };
}

use super::table;
image_provider_cases!(table, dyn ImageWorld);
