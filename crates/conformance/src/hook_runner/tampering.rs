//! Tampering with rendered files and the link.

use companion_core::model::hook::{ConfigFile, Link, StaleCause};
use companion_core::ports::PortErrorKind;

use super::{World, make, make_beside, next, stale, state, usable};
use crate::{Arranged, refused};

/// A process that names the lost file may have been started from other bytes.
pub(super) async fn lost_file_in_use_is_committed_in_the_next_epoch(world: &World) {
    let before = make(world).await;
    world.delete_file().await;
    assert_eq!(stale(world).await, StaleCause::Missing);
    assert_eq!(state(world).await.usable(&[before]), Err(StaleCause::Missing));
    assert_eq!(make_beside(world, &[before]).await, next(before));
    assert_eq!(usable(world).await, next(before));
}

pub(super) async fn lost_unused_file_is_committed_again(world: &World) {
    let before = make(world).await;
    world.delete_file().await;
    assert_eq!(make(world).await, before);
}

pub(super) async fn a_modified_file_stays_and_the_bytes_get_the_next_epoch(world: &World) {
    let before = make(world).await;
    world.edit_file().await;
    assert_eq!(stale(world).await, StaleCause::Changed);
    assert_eq!(make(world).await, next(before));
    let state = state(world).await;
    assert_eq!(state.usable(&[before]), Ok(next(before)));
    assert_eq!(state.files.get(&before), Some(&ConfigFile::Modified));
}

pub(super) async fn a_file_that_others_can_read_is_closed_under_its_name(world: &World) {
    let before = make(world).await;
    world.expose_file().await;
    assert_eq!(stale(world).await, StaleCause::ReadableByOthers);
    assert_eq!(make_beside(world, &[before]).await, before);
    assert_eq!(world.mode().await, Some(0o600));
}

pub(super) async fn a_file_that_others_can_write_counts_as_modified_before(world: &World) {
    let before = make(world).await;
    world.open_file().await;
    assert_eq!(stale(world).await, StaleCause::WritableByOthers);
    assert_eq!(make(world).await, next(before));
    assert_eq!(world.mode().await, Some(0o600));
}

pub(super) async fn a_modified_file_is_modified_whatever_its_mode(world: &World) {
    make(world).await;
    world.edit_file().await;
    world.expose_file().await;
    assert_eq!(stale(world).await, StaleCause::Changed);
    world.open_file().await;
    assert_eq!(stale(world).await, StaleCause::Changed);
}

pub(super) async fn a_lost_link_is_made_again_and_the_file_keeps_its_name(world: &World) {
    let before = make(world).await;
    world.unlink_output().await;
    assert_eq!(usable(world).await, before);
    assert_eq!(state(world).await.link, Link::Absent);
    assert_eq!(make_beside(world, &[before]).await, before);
    assert_eq!(state(world).await.link, Link::To(before));
}

pub(super) async fn a_regular_file_at_the_output_is_replaced_by_the_link(world: &World) {
    world.put_file().await;
    assert_eq!(stale(world).await, StaleCause::Missing);
    assert_eq!(state(world).await.link, Link::Other);
    let id = make(world).await;
    assert_eq!(usable(world).await, id);
}

pub(super) async fn a_directory_at_the_output_is_a_conflict(world: &World) {
    let (hooks, hook) = (world.hooks(), world.hook());
    let id = make(world).await;
    let rendered = hooks.render(&hook).await.unwrap();
    world.put_directory().await;
    let state = hooks.observe(&hook).await.unwrap();
    assert_eq!((state.usable(&[]), state.link), (Ok(id), Link::Unmanaged), "the file stays usable");
    let committed = hooks.commit(&hook, rendered, &[id]).await;
    refused(committed, PortErrorKind::Conflict);
    refused(hooks.remove(&hook).await, PortErrorKind::Conflict);
}

pub(super) async fn a_file_that_was_cut_off_is_modified(world: &World) {
    let before = make(world).await;
    world.cut_file().await;
    assert_eq!(stale(world).await, StaleCause::Changed);
    assert_eq!(make(world).await, next(before));
    assert_eq!(usable(world).await, next(before));
}

pub(super) async fn a_link_to_another_place_is_replaced_and_not_followed(
    world: &World,
) -> Arranged {
    let (hooks, hook) = (world.hooks(), world.hook());
    world.put_link().await?;
    assert_eq!(state(world).await.link, Link::Other);
    let secret = world.secret();
    let id = make(world).await;
    assert_eq!(usable(world).await, id);
    assert_eq!(world.secret(), secret, "the file that the link pointed to stays");
    hooks.remove(&hook).await.unwrap();
    Ok(())
}
