//! Builds, and the lifetime of built images.

use std::collections::BTreeMap;

use companion_core::model::companion::CompanionName;
use companion_core::model::image::{BuildSource, ImageId, ImageRef, ImageSource, Provenance};
use companion_core::ports::PortErrorKind;

use super::{World, ensure, none_is_made, observed, only_built, state};
use crate::Arranged;
use crate::assertions::{Done as _, begin_and_drop, only, refused, same};

pub(super) async fn the_answer_has_an_entry_for_every_name(world: &World) {
    let other = CompanionName::new("another").unwrap();
    let sources =
        BTreeMap::from([(world.name(), world.source()), (other.clone(), ImageSource::default())]);
    let states = world.images().observe(&sources).await;
    assert!(states.keys().eq(sources.keys()), "the answer has an entry for every name");
    let nothing = states[&other].as_ref().unwrap();
    same!((&nothing.context, &nothing.present), (&None, &None));
}

pub(super) async fn absent_image_is_built_from_the_first_context_that_exists(world: &World) {
    let second = state(world).await;
    same!(second.present, None);
    assert!(second.context.is_some() && !second.is_current(), "there is a context: {second:?}");
    world.put_first_context().await;
    let first = state(world).await.context;
    assert_ne!(first, second.context, "another context has another digest");
    let image = ensure(world).await;
    let context = first.unwrap();
    same!(image.provenance, Provenance::Built { context });
}

pub(super) async fn other_build_arguments_are_another_context(world: &World) {
    let mut source = world.source();
    let before = state(world).await.context;
    let build = source.build.as_mut().unwrap();
    build.arguments.insert("THEME".to_owned(), "dark".to_owned());
    let after = observed(world, &source).await.done().context;
    assert_ne!(after, before, "other build arguments are another context");
}

pub(super) async fn an_image_of_a_context_that_changed_is_not_current_and_is_built_again(
    world: &World,
) {
    let before = ensure(world).await;
    world.change_context().await;
    let stale = state(world).await;
    same!(stale.present.as_ref(), Some(&before));
    assert!(!stale.is_current(), "the image is not current");
    let after = ensure(world).await;
    assert_ne!(after.id, before.id, "another context gives another image");
    assert!(state(world).await.is_current(), "the image is current");
}

pub(super) async fn replaced_image_is_dangling_until_it_is_pruned(world: &World) {
    world.leave_unmanaged_image().await;
    let before = ensure(world).await;
    world.change_context().await;
    let after = ensure(world).await;
    same!(state(world).await.dangling, std::slice::from_ref(&before.id));
    world.images().prune(&[before.id]).await.done();
    let state = state(world).await;
    same!(state.dangling, []);
    same!(state.present, Some(after));
}

pub(super) async fn a_dangling_image_is_reported_for_its_own_source_only(world: &World) {
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
    same!(observed(world, &other).await.done().dangling, []);
    same!(state(world).await.dangling, [before.id], "the replaced image is dangling");
}

pub(super) async fn pruning_what_is_removed_or_in_use_is_a_success_and_removes_nothing(
    world: &World,
) {
    let image = ensure(world).await;
    let unknown = ImageId::new(&"0".repeat(64)).unwrap();
    let dangling = [unknown, image.id.clone()];
    for dangling in [&[][..], &dangling, &dangling] {
        world.images().prune(dangling).await.done();
    }
    let present = state(world).await.present.map(|present| present.id);
    same!(present, Some(image.id));
}

pub(super) async fn an_image_that_was_built_stays_current_when_its_context_is_removed(
    world: &World,
) {
    let image = ensure(world).await;
    world.remove_contexts().await;
    let state = state(world).await;
    assert!(state.is_current(), "the image is current: {state:?}");
    same!(ensure(world).await, image);
    same!(world.contacts().await, 0);
}

pub(super) async fn what_one_instance_built_another_one_sees_and_builds_no_more(world: &World) {
    let image = ensure(world).await;
    let source = world.source();
    let sources = BTreeMap::from([(world.name(), source.clone())]);
    let states = world.another().observe(&sources).await;
    let seen = only(states, &world.name()).done();
    same!(seen.present, Some(image.clone()));
    same!(world.another().ensure(&source).await.done(), image);
    same!(state(world).await.dangling, []);
}

pub(super) async fn concurrent_requests_for_one_image_return_the_same(world: &World) {
    let (images, source) = (world.images(), world.source());
    let (one, other) = tokio::join!(images.ensure(&source), images.ensure(&source));
    let image = one.done();
    same!(other.done(), image, "each instance loads the same");
    same!(state(world).await.present, Some(image));
    same!(state(world).await.dangling, []);
}

pub(super) async fn a_build_that_was_fixed_gives_the_image(world: &World) {
    world.break_build().await;
    none_is_made(world, &only_built(world), PortErrorKind::Invalid).await;
    world.fix_build().await;
    world.images().ensure(&only_built(world)).await.done();
    assert!(state(world).await.is_current(), "the image is current");
}

pub(super) async fn a_build_that_is_dropped_half_way_leaves_a_whole_image_or_none(world: &World) {
    begin_and_drop(world.images().ensure(&world.source())).await;
    let started = state(world).await;
    assert!(started.present.is_none() || started.is_current(), "it is whole or none: {started:?}");
    ensure(world).await;
    assert!(state(world).await.is_current(), "the image is current");
}

pub(super) async fn a_name_that_another_image_took_is_not_current_and_built_again(world: &World) {
    ensure(world).await;
    world.take_the_name().await;
    let taken = state(world).await;
    let present = taken.present.clone().expect("the name is there");
    same!(present.provenance, Provenance::Unmanaged, "nobody here built the image");
    assert!(!taken.is_current(), "the image is not current");
    ensure(world).await;
    assert!(state(world).await.is_current(), "the image is current");
    same!(world.contacts().await, 0);
}

pub(super) async fn replaced_image_in_use_is_neither_dangling_nor_pruned(
    world: &World,
) -> Arranged {
    let before = ensure(world).await;
    world.use_image(&before.id).await?;
    world.change_context().await;
    let after = ensure(world).await;
    same!(state(world).await.dangling, []);
    world.images().prune(&[before.id]).await.done();
    same!(state(world).await.present, Some(after));
    Ok(())
}

pub(super) async fn builds_that_fail_or_are_dropped_leave_nothing_in_the_store(
    world: &World,
) -> Arranged {
    let (images, source) = (world.images(), only_built(world));
    let none = world.stored().await?;
    world.break_build().await;
    refused(images.ensure(&source).await, PortErrorKind::Invalid);
    same!(world.stored().await?, none, "a build that fails leaves nothing");
    world.fix_build().await;
    begin_and_drop(images.ensure(&source)).await;
    let dropped = world.stored().await?;
    assert!(dropped == none || dropped == none + 1, "{dropped}, {none} before");
    images.ensure(&source).await.done();
    same!(world.stored().await?, none + 1, "a build leaves nothing but its image");

    world.change_context().await;
    world.break_build().await;
    refused(images.ensure(&source).await, PortErrorKind::Invalid);
    same!(world.stored().await?, none + 1, "a build that fails leaves only the image of before");
    world.fix_build().await;
    images.ensure(&source).await.done();
    images.prune(&state(world).await.dangling).await.done();
    same!(world.stored().await?, none + 1, "the image of before is pruned");
    Ok(())
}

pub(super) async fn damaged_image_is_not_present_and_is_made_again(world: &World) -> Arranged {
    let before = ensure(world).await;
    world.damage_image(&before.id).await?;
    // Another instance, because one that knows the image need not look at it again.
    let (images, source) = (world.another(), world.source());
    let sources = BTreeMap::from([(world.name(), source.clone())]);
    let seen = images.observe(&sources).await.remove(&world.name()).unwrap().unwrap();
    assert!(seen.damaged && seen.present.is_none(), "{seen:?}");
    images.ensure(&source).await.unwrap();
    let seen = images.observe(&sources).await.remove(&world.name()).unwrap().unwrap();
    assert!(seen.is_current() && !seen.damaged, "{seen:?}");
    assert_eq!(world.contacts().await, 0);
    Ok(())
}

pub(super) async fn present_image_survives_a_power_loss(world: &World) -> Arranged {
    let image = ensure(world).await;
    world.lose_power().await?;
    let after = state(world).await;
    assert_eq!((after.present, after.damaged), (Some(image), false));
    Ok(())
}

pub(super) async fn without_the_container_program_images_are_unavailable(
    world: &World,
) -> Arranged {
    let images = world.without_host().await?;
    let sources = BTreeMap::from([(world.name(), world.source())]);
    let states = images.observe(&sources).await;
    refused(only(states, &world.name()), PortErrorKind::Unavailable);
    refused(images.ensure(&world.source()).await, PortErrorKind::Unavailable);
    Ok(())
}
