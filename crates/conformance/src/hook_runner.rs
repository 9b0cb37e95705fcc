//! The contract of `HookRunner`.

use std::sync::Arc;

use async_trait::async_trait;
use companion_core::model::container::AbsolutePath;
use companion_core::model::hook::{
    ConfigFile, ConfigId, HookName, HookProgram, HookSpec, HookState, Link, Rendering, StaleCause,
};
use companion_core::model::revision::Fingerprint;
use companion_core::ports::{HookRunner, PortErrorKind};

use crate::assertions::{Done as _, begin_and_drop, refused, same};
use crate::{Arranged, HostWorld, Unarranged, suite};

mod tampering;

use tampering::*;

/// A host whose hook has all inputs and has never rendered, and ways to tamper with it.
#[async_trait]
pub trait HookWorld: HostWorld {
    /// The runner.
    fn hooks(&self) -> Arc<dyn HookRunner>;
    /// Another instance on the same host, as in another process.
    fn another(&self) -> Arc<dyn HookRunner>;
    /// A template hook that reads a secret from a file.
    fn hook(&self) -> HookSpec;
    /// The current secret in that file.
    fn secret(&self) -> String;
    /// Puts another secret there.
    async fn rotate(&self);
    /// Removes the file with the secret.
    async fn remove_input(&self);
    /// Makes the template invalid.
    async fn break_template(&self);
    /// Removes the rendered file that the output links to.
    async fn delete_file(&self);
    /// Removes the link at the output.
    async fn unlink_output(&self);
    /// Modifies the rendered file and keeps its mode.
    async fn edit_file(&self);
    /// Makes the rendered file readable by others.
    async fn expose_file(&self);
    /// Makes the rendered file writable by others.
    async fn open_file(&self);
    /// Makes a directory at the output.
    async fn put_directory(&self);
    /// Puts a regular file at the output, as left by a release without links.
    async fn put_file(&self);
    /// Truncates the second half of the rendered file.
    async fn cut_file(&self);
    /// The mode of the rendered file that the output links to, if there is one.
    async fn mode(&self) -> Option<u16>;
    /// The digest of the same inputs on another host.
    async fn digest_elsewhere(&self) -> Fingerprint;
    /// Fills the disk.
    async fn fill_disk(&self) -> Arranged {
        Err(Unarranged("disk that can be filled"))
    }
    /// Makes the output a symbolic link to the file with the secret.
    async fn put_link(&self) -> Arranged {
        Err(Unarranged("symbolic links"))
    }
}

type World = dyn HookWorld;

async fn state(world: &World) -> HookState {
    world.hooks().observe(&world.hook()).await.done()
}

async fn stale(world: &World) -> StaleCause {
    state(world).await.usable(&[]).unwrap_err()
}

async fn usable(world: &World) -> ConfigId {
    state(world).await.usable(&[]).unwrap()
}

async fn make(world: &World) -> ConfigId {
    make_with_claims(world, &[]).await
}

async fn make_with_claims(world: &World, claimed: &[ConfigId]) -> ConfigId {
    let (hooks, hook) = (world.hooks(), world.hook());
    let rendered = hooks.render(&hook).await.done();
    hooks.commit(&hook, rendered, claimed).await.done()
}

fn next(id: ConfigId) -> ConfigId {
    ConfigId { epoch: id.epoch + 1, ..id }
}

async fn neither_reading_nor_rendering_makes_a_file(world: &World) {
    let before = state(world).await;
    same!((before.usable(&[]), before.link), (Err(StaleCause::Missing), Link::Absent));
    let rendered = world.hooks().render(&world.hook()).await.done();
    assert!(!rendered.bytes().is_empty(), "the rendering is not empty");
    same!(world.mode().await, None, "rendering writes no file");
    same!(state(world).await, before);
}

async fn a_committed_file_is_usable_under_the_name_that_was_returned(world: &World) {
    let id = make(world).await;
    same!(id.epoch, 0, "the first file has epoch 0");
    let state = state(world).await;
    same!(state.usable(&[]), Ok(id));
    same!(state.rendering, Rendering::Known(id.digest), "the rendering is known");
    same!(state.link, Link::To(id));
    same!(world.another().observe(&world.hook()).await.done(), state);
    same!(world.mode().await, Some(0o600), "only the owner may read the file");
    same!(
        (make(world).await, make_with_claims(world, &[id]).await),
        (id, id),
        "the bytes are the same"
    );
}

async fn a_changed_input_gives_another_file_and_the_earlier_one_stays_until_a_sweep(world: &World) {
    let before = make(world).await;
    world.rotate().await;
    same!(stale(world).await, StaleCause::Changed);
    let after = make(world).await;
    assert_ne!(after, before, "another input gives another digest");
    let both = state(world).await;
    same!(both.usable(&[]), Ok(after));
    same!(both.files.get(&before), Some(&ConfigFile::Intact));
    for _ in ["what is there", "what is not there"] {
        world.hooks().sweep(&world.hook(), after).await.done();
        let swept = state(world).await;
        same!(swept.files.keys().collect::<Vec<_>>(), [&after]);
        same!(swept.usable(&[]), Ok(after));
    }
}

async fn what_was_rendered_before_an_input_changed_is_not_usable(world: &World) {
    let (hooks, hook) = (world.hooks(), world.hook());
    let rendered = hooks.render(&hook).await.done();
    world.rotate().await;
    hooks.commit(&hook, rendered, &[]).await.done();
    stale(world).await;
}

async fn a_missing_input_is_waited_for_and_is_no_error(world: &World) {
    world.remove_input().await;
    let state = state(world).await;
    let Rendering::NotReady { waiting_for } = &state.rendering else {
        panic!("expected NotReady, got {state:?}");
    };
    assert!(!waiting_for.is_empty(), "the missing input is named");
    same!(state.usable(&[]), Err(StaleCause::Missing));
    refused(world.hooks().render(&world.hook()).await, PortErrorKind::NotFound);
}

async fn while_an_input_is_missing_the_earlier_file_is_usable_and_removable(world: &World) {
    let earlier = make(world).await;
    world.remove_input().await;
    same!(usable(world).await, earlier);
    world.expose_file().await;
    same!(stale(world).await, StaleCause::ReadableByOthers);
    world.hooks().remove(&world.hook()).await.done();
    same!(world.mode().await, None, "the file is removed");
}

async fn a_template_that_cannot_be_rendered_is_invalid_and_the_file_stays(world: &World) {
    make(world).await;
    world.break_template().await;
    let rendered = world.hooks().render(&world.hook()).await;
    refused(rendered, PortErrorKind::Invalid);
    same!(world.mode().await, Some(0o600), "the file stays");
}

async fn what_was_removed_is_removed_and_removing_it_again_is_a_success(world: &World) {
    let (hooks, hook) = (world.hooks(), world.hook());
    hooks.remove(&hook).await.done();
    make(world).await;
    world.rotate().await;
    make(world).await;
    hooks.remove(&hook).await.done();
    let state = state(world).await;
    same!((state.files.len(), state.link), (0, Link::Absent));
    hooks.remove(&hook).await.done();
}

async fn the_same_inputs_have_another_digest_on_another_host(world: &World) {
    let digest = make(world).await.digest;
    assert_ne!(digest, world.digest_elsewhere().await, "the key of the host is in it");
}

async fn unregistered_hook_is_invalid(world: &World) {
    let hook = HookSpec {
        program: HookProgram::Registered(HookName::new("nobodys").unwrap()),
        ..world.hook()
    };
    refused(world.hooks().observe(&hook).await, PortErrorKind::Invalid);
    refused(world.hooks().render(&hook).await, PortErrorKind::Invalid);
}

async fn no_message_about_a_hook_holds_its_secret(world: &World) {
    let mut said = Vec::new();
    said.push(format!("{:?}", state(world).await));
    let rendered = world.hooks().render(&world.hook()).await.done();
    let secret = world.secret();
    let holds = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(&secret);
    assert!(holds(rendered.bytes()), "the file itself does");
    said.push(format!("{rendered:?}"));
    said.push(make(world).await.to_string());
    world.edit_file().await;
    said.push(format!("{:?}", state(world).await));
    world.break_template().await;
    let failure = world.hooks().render(&world.hook()).await.unwrap_err();
    said.extend([failure.chain(), format!("{failure:?}")]);
    world.put_directory().await;
    let failure = world.hooks().remove(&world.hook()).await.unwrap_err();
    said.extend([failure.chain(), format!("{failure:?}")]);
    for text in said {
        assert!(!text.contains(&secret), "no message contains the secret: {text}");
    }
}

async fn a_commit_that_is_dropped_leaves_a_whole_file_or_none(world: &World) {
    let (hooks, hook) = (world.hooks(), world.hook());
    let rendered = hooks.render(&hook).await.done();
    begin_and_drop(hooks.commit(&hook, rendered, &[])).await;
    let started = state(world).await;
    assert!(
        started.files.values().all(|file| *file == ConfigFile::Intact),
        "the files that are there: {started:?}"
    );
    let id = make(world).await;
    same!((usable(world).await, id.epoch), (id, 0), "the dropped commit has no later effect");
}

async fn the_files_of_one_hook_are_not_those_of_another(world: &World) {
    let id = make(world).await;
    let hook = world.hook();
    let output = AbsolutePath::new(format!("{}.other", hook.output)).unwrap();
    let other = HookSpec { output, ..hook };
    let hooks = world.hooks();
    let seen = hooks.observe(&other).await.done();
    same!(seen.usable(&[]), Err(StaleCause::Missing));
    let rendered = hooks.render(&other).await.done();
    hooks.commit(&other, rendered, &[]).await.done();
    hooks.remove(&other).await.done();
    same!(usable(world).await, id);
}

async fn a_full_disk_is_transient_and_the_earlier_file_stays(world: &World) -> Arranged {
    let before = make(world).await;
    world.fill_disk().await?;
    world.rotate().await;
    let rendered = world.hooks().render(&world.hook()).await.done();
    let committed = world.hooks().commit(&world.hook(), rendered, &[]).await;
    refused(committed, PortErrorKind::Transient);
    world.remove_input().await;
    same!(usable(world).await, before);
    Ok(())
}

suite! { hook_runner, HookWorld:
    neither_reading_nor_rendering_makes_a_file,
    a_committed_file_is_usable_under_the_name_that_was_returned,
    a_changed_input_gives_another_file_and_the_earlier_one_stays_until_a_sweep,
    what_was_rendered_before_an_input_changed_is_not_usable,
    a_missing_input_is_waited_for_and_is_no_error,
    while_an_input_is_missing_the_earlier_file_is_usable_and_removable,
    a_template_that_cannot_be_rendered_is_invalid_and_the_file_stays,
    lost_file_in_use_is_committed_in_the_next_epoch,
    a_modified_file_stays_and_the_bytes_get_the_next_epoch,
    a_file_that_others_can_read_is_closed_under_its_name,
    a_file_that_others_can_write_counts_as_modified_before,
    a_modified_file_is_modified_whatever_its_mode,
    a_lost_link_is_made_again_and_the_file_keeps_its_name,
    a_regular_file_at_the_output_is_replaced_by_the_link,
    what_was_removed_is_removed_and_removing_it_again_is_a_success,
    a_directory_at_the_output_is_a_conflict,
    the_same_inputs_have_another_digest_on_another_host,
    unregistered_hook_is_invalid,
    no_message_about_a_hook_holds_its_secret,
    a_commit_that_is_dropped_leaves_a_whole_file_or_none,
    the_files_of_one_hook_are_not_those_of_another,
    a_full_disk_is_transient_and_the_earlier_file_stays,
    a_link_to_another_place_is_replaced_and_not_followed,
}
