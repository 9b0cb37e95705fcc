//! Pulls: when a registry is contacted, and its responses.

use companion_core::model::image::{ImageSource, Provenance, PullSource};
use companion_core::ports::PortErrorKind;

use super::{World, ensure, observed, only_built, only_pulled, state};
use crate::{Arranged, refused};

pub(super) async fn reading_contacts_no_registry(world: &World) {
    world.publish("one").await;
    state(world).await;
    observed(world, &only_pulled(world)).await.unwrap();
    assert_eq!(world.contacts().await, 0);
}

pub(super) async fn an_image_with_a_context_is_built_from_it_without_a_registry(world: &World) {
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

pub(super) async fn an_image_without_a_context_is_pulled(world: &World) {
    world.publish("one").await;
    let source = only_pulled(world);
    let image = world.images().ensure(&source).await.unwrap();
    assert_eq!(image.reference, source.pull.clone().unwrap().reference);
    assert_eq!(image.provenance, Provenance::External);
    let state = observed(world, &source).await.unwrap();
    assert_eq!((state.context, state.present), (None, Some(image)));
    assert!(world.contacts().await > 0);
}

pub(super) async fn a_pulled_image_stays_current_whatever_becomes_of_its_registry(world: &World) {
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

pub(super) async fn a_source_whose_contexts_are_gone_is_pulled(world: &World) {
    world.publish("one").await;
    world.remove_contexts().await;
    let image = ensure(world).await;
    assert_eq!(image.reference, world.source().pull.unwrap().reference);
}

pub(super) async fn a_first_build_that_fails_is_made_up_for_by_a_pull(world: &World) {
    world.publish("one").await;
    world.break_build().await;
    let image = ensure(world).await;
    assert_eq!(image.reference, world.source().pull.unwrap().reference);
    assert_eq!(image.provenance, Provenance::External);
}

pub(super) async fn a_later_build_that_fails_leaves_the_image_and_contacts_no_registry(
    world: &World,
) {
    world.publish("one").await;
    let image = ensure(world).await;
    world.change_context().await;
    world.break_build().await;
    let failed = world.images().ensure(&world.source()).await;
    refused(failed, PortErrorKind::Invalid);
    assert_eq!(state(world).await.present, Some(image));
    assert_eq!(world.contacts().await, 0);
}

pub(super) async fn a_build_that_fails_without_a_registry_to_ask_is_invalid(world: &World) {
    world.break_build().await;
    let failed = world.images().ensure(&only_built(world)).await;
    refused(failed, PortErrorKind::Invalid);
    assert_eq!(state(world).await.present, None);
}

pub(super) async fn a_source_with_neither_context_nor_registry_is_not_found(world: &World) {
    world.remove_contexts().await;
    let failed = world.images().ensure(&only_built(world)).await;
    refused(failed, PortErrorKind::NotFound);
    let failed = world.images().ensure(&ImageSource::default()).await;
    refused(failed, PortErrorKind::NotFound);
}

pub(super) async fn an_image_that_the_registry_does_not_have_is_not_found(world: &World) {
    let failed = world.images().ensure(&only_pulled(world)).await;
    refused(failed, PortErrorKind::NotFound);
}

pub(super) async fn unreachable_registry_is_transient(world: &World) {
    world.publish("one").await;
    world.registry_down().await;
    let failed = world.images().ensure(&only_pulled(world)).await;
    refused(failed, PortErrorKind::Transient);
    let state = observed(world, &only_pulled(world)).await.unwrap();
    assert_eq!(state.present, None);
}

pub(super) async fn untrusted_registry_is_contacted_only_if_permitted(world: &World) {
    world.publish("one").await;
    world.distrust_registry().await;
    let mut source = only_pulled(world);
    assert!(world.images().ensure(&source).await.is_err());
    assert_eq!(observed(world, &source).await.unwrap().present, None);
    source.pull.as_mut().unwrap().verify_tls = false;
    world.images().ensure(&source).await.unwrap();
}

pub(super) async fn a_pulled_image_that_was_removed_is_pulled_again(world: &World) {
    world.publish("one").await;
    let source = only_pulled(world);
    let image = world.images().ensure(&source).await.unwrap();
    world.remove_images().await;
    assert_eq!(observed(world, &source).await.unwrap().present, None);
    assert_eq!(world.images().ensure(&source).await.unwrap().id, image.id);
}

pub(super) async fn a_registry_that_came_back_gives_the_image(world: &World) {
    world.publish("one").await;
    world.registry_down().await;
    let source = only_pulled(world);
    refused(world.images().ensure(&source).await, PortErrorKind::Transient);
    world.registry_up().await;
    let image = world.images().ensure(&source).await.unwrap();
    assert_eq!(observed(world, &source).await.unwrap().present, Some(image));
}

pub(super) async fn a_first_build_that_fails_while_the_registry_is_down_leaves_nothing(
    world: &World,
) {
    world.publish("one").await;
    world.break_build().await;
    world.registry_down().await;
    assert!(world.images().ensure(&world.source()).await.is_err());
    assert_eq!(state(world).await.present, None);
}

pub(super) async fn a_build_that_fails_for_an_image_that_no_registry_has_is_invalid(world: &World) {
    world.break_build().await;
    let failed = world.images().ensure(&world.source()).await;
    refused(failed, PortErrorKind::Invalid);
    assert_eq!(state(world).await.present, None);
}

pub(super) async fn pulled_image_is_replaced_by_the_repaired_build(world: &World) {
    world.publish("one").await;
    world.break_build().await;
    let pulled = ensure(world).await;
    assert_eq!(pulled.provenance, Provenance::External);
    world.mend_build().await;
    let contacts = world.contacts().await;
    let built = ensure(world).await;
    assert_eq!(built.reference, world.source().build.unwrap().reference);
    assert!(state(world).await.is_current());
    assert_eq!(world.contacts().await, contacts);
}

pub(super) async fn a_registry_that_asks_for_credentials_denies_the_image(
    world: &World,
) -> Arranged {
    world.publish("one").await;
    world.lock_registry().await?;
    let failed = world.images().ensure(&only_pulled(world)).await;
    refused(failed, PortErrorKind::Denied);
    assert_eq!(observed(world, &only_pulled(world)).await.unwrap().present, None);
    Ok(())
}

pub(super) async fn image_for_another_architecture_is_invalid_and_not_present(
    world: &World,
) -> Arranged {
    world.publish_misfit().await?;
    let failed = world.images().ensure(&only_pulled(world)).await;
    refused(failed, PortErrorKind::Invalid);
    assert_eq!(observed(world, &only_pulled(world)).await.unwrap().present, None);
    Ok(())
}

pub(super) async fn an_image_that_is_named_by_its_digest_is_that_image_or_none(
    world: &World,
) -> Arranged {
    let (right, wrong) = world.publish_pinned().await?;
    let named = |reference| {
        let pull = PullSource { reference, ..world.source().pull.expect("it can be pulled") };
        ImageSource { build: None, pull: Some(pull) }
    };
    let source = named(right.clone());
    let image = world.images().ensure(&source).await.unwrap();
    assert_eq!(image.reference, right);
    assert_eq!(observed(world, &source).await.unwrap().present, Some(image));
    let source = named(wrong);
    refused(world.images().ensure(&source).await, PortErrorKind::NotFound);
    assert_eq!(observed(world, &source).await.unwrap().present, None);
    Ok(())
}
