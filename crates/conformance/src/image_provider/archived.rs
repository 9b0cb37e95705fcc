//! What is known and kept of images outside of the container runtime's store.

use companion_core::model::image::{ImageSource, Provenance};

use super::{World, ensure, observed, only_built, only_pulled, state};
use crate::Arranged;
use crate::assertions::{Done as _, same};

pub(super) async fn image_with_copied_labels_is_never_current_and_is_replaced(
    world: &World,
) -> Arranged {
    let ours = ensure(world).await;
    world.sideload().await?;
    let taken = state(world).await;
    let present = taken.present.clone().expect("the name is there");
    assert_ne!(present.id, ours.id, "another image has the name");
    same!(present.provenance, Provenance::Unmanaged, "labels say nothing");
    assert!(!taken.is_current(), "the image is not current");
    same!(ensure(world).await.id, ours.id);
    assert!(state(world).await.is_current(), "the image is current");
    same!(world.contacts().await, 0);
    world.sideload().await?;
    world.remove_contexts().await;
    world.publish("one").await;
    assert!(!state(world).await.is_current(), "the image is not current without a context either");
    let image = ensure(world).await;
    assert_ne!(image.provenance, Provenance::Unmanaged, "another image is used");
    assert!(state(world).await.is_current(), "the image is current");
    Ok(())
}

/// Takes the image away, and everything that it could be made from.
async fn lose_all(world: &World) {
    world.registry_down().await;
    world.remove_contexts().await;
    world.remove_images().await;
    same!(state(world).await.present, None);
}

async fn keep(world: &World, sources: &[ImageSource]) -> usize {
    world.images().keep_archives(sources).await.done()
}

pub(super) async fn lost_image_returns_without_build_or_registry(world: &World) -> Arranged {
    world.archives().await?;
    let image = ensure(world).await;
    keep(world, &[world.source()]).await;
    lose_all(world).await;
    same!(ensure(world).await, image);
    assert!(state(world).await.is_current(), "the image is current");
    Ok(())
}

pub(super) async fn lost_image_of_an_older_context_returns_while_its_build_fails(
    world: &World,
) -> Arranged {
    world.archives().await?;
    let image = ensure(world).await;
    keep(world, &[world.source()]).await;
    world.registry_down().await;
    world.change_context().await;
    world.break_build().await;
    world.remove_images().await;
    assert!(world.images().ensure(&only_built(world)).await.is_err(), "the build fails");
    let state = state(world).await;
    assert!(!state.is_current(), "the image is not current");
    same!(state.present, Some(image));
    Ok(())
}

pub(super) async fn lost_pulled_image_returns_without_its_registry(world: &World) -> Arranged {
    world.archives().await?;
    world.publish("one").await;
    let source = only_pulled(world);
    let image = world.images().ensure(&source).await.done();
    keep(world, std::slice::from_ref(&source)).await;
    lose_all(world).await;
    let again = world.images().ensure(&source).await.done();
    same!(again, image);
    same!(observed(world, &source).await.done().present, Some(image), "it is the same");
    Ok(())
}

pub(super) async fn taken_name_returns_to_the_image_without_a_build(world: &World) -> Arranged {
    world.archives().await?;
    let image = ensure(world).await;
    keep(world, &[world.source()]).await;
    world.take_the_name().await;
    world.registry_down().await;
    world.remove_contexts().await;
    same!(ensure(world).await, image);
    assert!(state(world).await.is_current(), "the image is current");
    Ok(())
}

pub(super) async fn archive_that_was_replaced_is_not_restored(world: &World) -> Arranged {
    world.archives().await?;
    ensure(world).await;
    keep(world, &[world.source()]).await;
    world.replace_archive().await?;
    lose_all(world).await;
    assert!(world.images().ensure(&world.source()).await.is_err(), "there is no image");
    same!(state(world).await.present, None);
    Ok(())
}

pub(super) async fn archive_of_an_unneeded_image_is_removed(world: &World) -> Arranged {
    world.archives().await?;
    let image = ensure(world).await;
    same!(keep(world, &[world.source()]).await, 0, "nothing else has an archive");
    same!(keep(world, &[]).await, 1, "the archive is removed");
    same!(keep(world, &[]).await, 0, "there is none left");
    same!(state(world).await.present, Some(image), "the image is known");
    assert!(state(world).await.is_current(), "the image is current");
    lose_all(world).await;
    assert!(world.images().ensure(&world.source()).await.is_err(), "there is no image");
    Ok(())
}
