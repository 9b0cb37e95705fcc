//! Pulls: when a registry is contacted, and its responses.

use companion_core::model::image::{ImageSource, Provenance, PullSource};
use companion_core::ports::PortErrorKind;

use super::{World, ensure, none_is_made, observed, only_built, only_pulled, state};
use crate::assertions::{Done as _, refused, same};
use crate::{Arranged, Trait};

pub(super) async fn reading_changes_nothing_and_contacts_no_registry(world: &World) {
    world.publish("one").await;
    observed(world, &only_pulled(world)).await.done();
    ensure(world).await;
    let before = state(world).await;
    for _ in 0..3 {
        same!(state(world).await, before);
    }
    same!(world.contacts().await, 0);
}

pub(super) async fn an_image_with_a_context_is_built_from_it_without_a_registry(world: &World) {
    world.publish("one").await;
    let image = ensure(world).await;
    let state = state(world).await;
    same!(state.present.as_ref(), Some(&image));
    assert!(state.is_current(), "the image is current");
    let context = state.context.unwrap();
    same!(image.provenance, Provenance::Built { context });
    same!(image.reference, world.source().build.unwrap().reference);
    same!(ensure(world).await, image, "it is not made again");
    same!(self::state(world).await.dangling, []);
    world.remove_images().await;
    same!(self::state(world).await.present, None);
    ensure(world).await;
    assert!(self::state(world).await.is_current(), "what was removed is made again");
    same!(world.contacts().await, 0);
}

pub(super) async fn an_image_without_a_context_is_pulled(world: &World) {
    world.publish("one").await;
    let source = only_pulled(world);
    let image = world.images().ensure(&source).await.done();
    same!(image.reference, source.pull.clone().unwrap().reference);
    same!(image.provenance, Provenance::External);
    let state = observed(world, &source).await.done();
    same!((state.context, state.present.as_ref()), (None, Some(&image)));
    assert!(world.contacts().await > 0, "the registry was contacted");
    world.remove_images().await;
    same!(observed(world, &source).await.done().present, None);
    same!(world.images().ensure(&source).await.done().id, image.id, "it is pulled again");
}

pub(super) async fn a_pulled_image_stays_current_whatever_becomes_of_its_registry(world: &World) {
    world.publish("one").await;
    let source = only_pulled(world);
    let image = world.images().ensure(&source).await.done();
    let contacts = world.contacts().await;
    world.publish("two").await;
    same!(world.images().ensure(&source).await.done(), image);
    world.registry_down().await;
    same!(world.images().ensure(&source).await.done(), image);
    same!(world.contacts().await, contacts);
}

pub(super) async fn a_source_whose_contexts_are_removed_is_pulled(world: &World) {
    world.publish("one").await;
    world.remove_contexts().await;
    let image = ensure(world).await;
    same!(image.reference, world.source().pull.unwrap().reference);
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
    same!(state(world).await.present, Some(image));
    same!(world.contacts().await, 0);
}

pub(super) async fn image_that_neither_a_context_nor_a_registry_has_is_not_found(world: &World) {
    world.remove_contexts().await;
    for source in [only_built(world), only_pulled(world), ImageSource::default()] {
        none_is_made(world, &source, PortErrorKind::NotFound).await;
    }
}

pub(super) async fn unreachable_registry_is_transient_until_it_is_back(world: &World) {
    world.publish("one").await;
    world.registry_down().await;
    let source = only_pulled(world);
    none_is_made(world, &source, PortErrorKind::Transient).await;
    world.registry_up().await;
    let image = world.images().ensure(&source).await.done();
    same!(observed(world, &source).await.done().present, Some(image));
}

pub(super) async fn untrusted_registry_is_contacted_only_if_permitted(world: &World) {
    world.publish("one").await;
    world.distrust_registry().await;
    let mut source = only_pulled(world);
    assert!(world.images().ensure(&source).await.is_err(), "the certificate is not trusted");
    same!(observed(world, &source).await.done().present, None);
    if world.traits().contains(&Trait::TlsPerPull) {
        source.pull.as_mut().unwrap().verify_tls = false;
        world.images().ensure(&source).await.done();
    }
}

pub(super) async fn a_build_that_fails_for_an_image_that_no_registry_has_is_invalid(world: &World) {
    world.break_build().await;
    for source in [world.source(), only_built(world)] {
        none_is_made(world, &source, PortErrorKind::Invalid).await;
    }
}

pub(super) async fn a_first_build_that_fails_is_made_up_for_by_a_pull_until_it_is_repaired(
    world: &World,
) {
    world.publish("one").await;
    world.break_build().await;
    world.registry_down().await;
    let made = world.images().ensure(&world.source()).await;
    assert!(made.is_err(), "neither the build nor the pull can succeed");
    same!(state(world).await.present, None);
    world.registry_up().await;
    let pulled = ensure(world).await;
    same!(pulled.reference, world.source().pull.unwrap().reference);
    same!(pulled.provenance, Provenance::External);
    world.fix_build().await;
    let contacts = world.contacts().await;
    let built = ensure(world).await;
    same!(built.reference, world.source().build.unwrap().reference);
    assert!(state(world).await.is_current(), "the image is current");
    same!(world.contacts().await, contacts);
}

pub(super) async fn a_registry_that_asks_for_credentials_denies_the_image(
    world: &World,
) -> Arranged {
    world.publish("one").await;
    world.lock_registry().await?;
    none_is_made(world, &only_pulled(world), PortErrorKind::Denied).await;
    Ok(())
}

pub(super) async fn image_for_another_architecture_is_invalid_and_not_present(
    world: &World,
) -> Arranged {
    world.publish_mismatch().await?;
    none_is_made(world, &only_pulled(world), PortErrorKind::Invalid).await;
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
    let image = world.images().ensure(&source).await.done();
    same!(image.reference, right, "the image has the name with the digest");
    same!(observed(world, &source).await.done().present, Some(image));
    none_is_made(world, &named(wrong), PortErrorKind::NotFound).await;
    Ok(())
}
