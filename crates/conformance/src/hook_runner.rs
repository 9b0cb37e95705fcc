//! What a `HookRunner` promises.

use std::sync::Arc;

use async_trait::async_trait;
use companion_core::model::container::AbsolutePath;
use companion_core::model::hook::{HookName, HookProgram, HookSpec, HookState, StaleCause};
use companion_core::model::revision::Fingerprint;
use companion_core::ports::{HookRunner, PortErrorKind};

use crate::{Arranged, Unarranged, begin_and_drop, optional_table, refused, table};

/// A host whose hook has all its inputs and has never rendered, and the hands of those who tamper
/// with it.
#[async_trait]
pub trait HookWorld: Send + Sync {
    /// The runner.
    fn hooks(&self) -> Arc<dyn HookRunner>;
    /// Another instance on the same host, as another process has it.
    fn another(&self) -> Arc<dyn HookRunner>;
    /// A template hook that reads a secret from a file.
    fn hook(&self) -> HookSpec;
    /// What is secret in that file now.
    fn secret(&self) -> String;
    /// Puts another secret there.
    async fn rotate(&self);
    /// Removes the file with the secret.
    async fn remove_input(&self);
    /// Makes the template one that cannot be rendered.
    async fn break_template(&self);
    /// Removes the rendered file.
    async fn delete_output(&self);
    /// Changes the rendered file and leaves its mode.
    async fn edit_output(&self);
    /// Lets everyone read the rendered file.
    async fn expose_output(&self);
    /// Lets everyone write the rendered file.
    async fn open_output(&self);
    /// Makes a directory in the rendered file's place.
    async fn put_directory(&self);
    /// Takes the second half of the bytes from the rendered file.
    async fn cut_output(&self);
    /// The mode of the rendered file, if there is one.
    async fn mode(&self) -> Option<u16>;
    /// The digest that the same inputs get on another host.
    async fn digest_elsewhere(&self) -> Fingerprint;
    /// Leaves no room for another byte.
    async fn fill_disk(&self) -> Arranged {
        Err(Unarranged("disk that can be filled"))
    }
    /// Makes a symbolic link to a file in the rendered file's place.
    async fn put_link(&self) -> Arranged {
        Err(Unarranged("symbolic links"))
    }
}

type World = dyn HookWorld;

async fn state(world: &World) -> HookState {
    world.hooks().observe(&world.hook()).await.unwrap()
}

async fn stale(world: &World) -> (StaleCause, Fingerprint) {
    match state(world).await {
        HookState::Stale { cause, input } => (cause, input),
        other => panic!("it should be stale, and is {other:?}"),
    }
}

async fn make(world: &World) -> Fingerprint {
    let (hooks, hook) = (world.hooks(), world.hook());
    let rendered = hooks.render(&hook).await.unwrap();
    hooks.commit(&hook, rendered).await.unwrap()
}

async fn a_hook_that_never_rendered_is_stale_for_want_of_its_file(world: &World) {
    assert_eq!(stale(world).await.0, StaleCause::Missing);
    assert_eq!(world.mode().await, None);
}

async fn rendering_puts_nothing_in_place(world: &World) {
    let rendered = world.hooks().render(&world.hook()).await.unwrap();
    assert!(!rendered.bytes().is_empty());
    assert_eq!(world.mode().await, None);
    assert_eq!(stale(world).await.0, StaleCause::Missing);
}

async fn what_was_committed_is_current_under_the_digest_that_was_returned(world: &World) {
    let config = make(world).await;
    assert_eq!(state(world).await, HookState::Current { config });
}

async fn another_instance_agrees_on_what_is_current(world: &World) {
    let config = make(world).await;
    let state = world.another().observe(&world.hook()).await.unwrap();
    assert_eq!(state, HookState::Current { config });
}

async fn a_committed_file_is_for_its_owner_alone(world: &World) {
    make(world).await;
    assert_eq!(world.mode().await, Some(0o600));
}

async fn committing_the_same_bytes_again_gives_the_same_digest(world: &World) {
    assert_eq!(make(world).await, make(world).await);
}

async fn a_changed_input_makes_the_file_stale_and_the_next_one_another(world: &World) {
    let before = make(world).await;
    world.rotate().await;
    assert_eq!(stale(world).await.0, StaleCause::Changed);
    let after = make(world).await;
    assert_ne!(after, before);
    assert_eq!(state(world).await, HookState::Current { config: after });
}

async fn the_input_digest_changes_when_an_input_does_and_not_otherwise(world: &World) {
    let (_, before) = stale(world).await;
    assert_eq!(stale(world).await.1, before);
    world.rotate().await;
    assert_ne!(stale(world).await.1, before);
}

async fn what_was_rendered_before_an_input_changed_is_stale_once_committed(world: &World) {
    let (hooks, hook) = (world.hooks(), world.hook());
    let rendered = hooks.render(&hook).await.unwrap();
    world.rotate().await;
    hooks.commit(&hook, rendered).await.unwrap();
    assert_eq!(stale(world).await.0, StaleCause::Changed);
}

async fn a_missing_input_is_waited_for_and_is_no_error(world: &World) {
    world.remove_input().await;
    match state(world).await {
        HookState::NotReady { waiting_for, config } => {
            assert!(!waiting_for.is_empty());
            assert_eq!(config, None);
        }
        other => panic!("it should not be ready, and is {other:?}"),
    }
}

async fn while_an_input_is_missing_the_earlier_file_is_known(world: &World) {
    let earlier = make(world).await;
    world.remove_input().await;
    let HookState::NotReady { config, .. } = state(world).await else {
        panic!("it should not be ready");
    };
    assert_eq!(config, Some(earlier));
    world.expose_output().await;
    let HookState::NotReady { config, .. } = state(world).await else {
        panic!("it should not be ready");
    };
    assert_eq!(config, None, "a file that others read is none to start with");
}

async fn rendering_without_an_input_is_not_found(world: &World) {
    world.remove_input().await;
    let rendered = world.hooks().render(&world.hook()).await;
    refused(rendered, PortErrorKind::NotFound);
}

async fn a_template_that_cannot_be_rendered_is_invalid_and_the_file_stands(world: &World) {
    make(world).await;
    world.break_template().await;
    let rendered = world.hooks().render(&world.hook()).await;
    refused(rendered, PortErrorKind::Invalid);
    assert_eq!(world.mode().await, Some(0o600));
}

async fn a_deleted_file_is_missed_and_made_again(world: &World) {
    let before = make(world).await;
    world.delete_output().await;
    assert_eq!(stale(world).await.0, StaleCause::Missing);
    assert_eq!(make(world).await, before);
}

async fn an_edited_file_is_stale_and_made_again(world: &World) {
    let before = make(world).await;
    world.edit_output().await;
    assert_eq!(stale(world).await.0, StaleCause::Changed);
    assert_eq!(make(world).await, before);
    assert_eq!(state(world).await, HookState::Current { config: before });
}

async fn a_file_that_others_may_read_is_stale_and_closed_again(world: &World) {
    let before = make(world).await;
    world.expose_output().await;
    assert_eq!(stale(world).await.0, StaleCause::Exposed);
    assert_eq!(make(world).await, before);
    assert_eq!(world.mode().await, Some(0o600));
}

async fn a_file_that_others_may_write_is_told_from_one_that_they_may_only_read(world: &World) {
    let before = make(world).await;
    world.open_output().await;
    assert_eq!(stale(world).await.0, StaleCause::Writable);
    assert_eq!(make(world).await, before);
    assert_eq!(world.mode().await, Some(0o600));
}

async fn an_edited_file_is_changed_whoever_may_read_or_write_it(world: &World) {
    let before = make(world).await;
    world.edit_output().await;
    world.expose_output().await;
    assert_eq!(stale(world).await.0, StaleCause::Changed);
    world.open_output().await;
    assert_eq!(stale(world).await.0, StaleCause::Changed);
    assert_eq!(make(world).await, before);
    assert_eq!(state(world).await, HookState::Current { config: before });
}

async fn a_removed_file_is_gone_and_removing_it_again_is_a_success(world: &World) {
    let (hooks, hook) = (world.hooks(), world.hook());
    hooks.remove(&hook).await.unwrap();
    make(world).await;
    hooks.remove(&hook).await.unwrap();
    assert_eq!(world.mode().await, None);
    hooks.remove(&hook).await.unwrap();
}

async fn a_file_can_be_removed_when_its_inputs_are_gone(world: &World) {
    make(world).await;
    world.remove_input().await;
    world.hooks().remove(&world.hook()).await.unwrap();
    assert_eq!(world.mode().await, None);
}

async fn a_directory_in_the_place_of_the_file_is_a_conflict(world: &World) {
    let (hooks, hook) = (world.hooks(), world.hook());
    let rendered = hooks.render(&hook).await.unwrap();
    world.put_directory().await;
    refused(hooks.observe(&hook).await, PortErrorKind::Conflict);
    let committed = hooks.commit(&hook, rendered).await;
    refused(committed, PortErrorKind::Conflict);
    refused(hooks.remove(&hook).await, PortErrorKind::Conflict);
}

async fn the_same_inputs_have_another_digest_on_another_host(world: &World) {
    assert_ne!(make(world).await, world.digest_elsewhere().await);
}

async fn a_hook_that_nobody_registered_is_invalid(world: &World) {
    let hook = HookSpec {
        program: HookProgram::Registered(HookName::new("nobodys").unwrap()),
        ..world.hook()
    };
    refused(world.hooks().observe(&hook).await, PortErrorKind::Invalid);
    refused(world.hooks().render(&hook).await, PortErrorKind::Invalid);
}

async fn nothing_that_is_said_of_a_hook_holds_its_secret(world: &World) {
    let mut said = Vec::new();
    said.push(format!("{:?}", state(world).await));
    let rendered = world.hooks().render(&world.hook()).await.unwrap();
    let secret = world.secret();
    let holds = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(&secret);
    assert!(holds(rendered.bytes()), "the file itself does");
    said.push(format!("{rendered:?}"));
    said.push(make(world).await.to_string());
    world.edit_output().await;
    said.push(format!("{:?}", state(world).await));
    world.break_template().await;
    let failure = world.hooks().render(&world.hook()).await.unwrap_err();
    said.extend([failure.chain(), format!("{failure:?}")]);
    world.put_directory().await;
    let failure = world.hooks().observe(&world.hook()).await.unwrap_err();
    said.extend([failure.chain(), format!("{failure:?}")]);
    for text in said {
        assert!(!text.contains(&secret), "{text}");
    }
}

async fn observing_renders_nothing_and_changes_nothing(world: &World) {
    let before = stale(world).await;
    assert_eq!(stale(world).await, before);
    assert_eq!(world.mode().await, None);
    let config = make(world).await;
    for _ in 0..3 {
        assert_eq!(state(world).await, HookState::Current { config });
    }
}

async fn a_file_that_was_cut_off_is_stale_and_made_again(world: &World) {
    let before = make(world).await;
    world.cut_output().await;
    assert_eq!(stale(world).await.0, StaleCause::Changed);
    assert_eq!(make(world).await, before);
    assert_eq!(state(world).await, HookState::Current { config: before });
}

async fn a_commit_that_is_dropped_half_way_leaves_a_whole_file_or_none(world: &World) {
    let (hooks, hook) = (world.hooks(), world.hook());
    let rendered = hooks.render(&hook).await.unwrap();
    begin_and_drop(hooks.commit(&hook, rendered)).await;
    let begun = state(world).await;
    let whole = match &begun {
        HookState::Current { .. } => true,
        HookState::Stale { cause, .. } => *cause == StaleCause::Missing,
        HookState::NotReady { .. } => false,
    };
    assert!(whole, "{begun:?}");
    let config = make(world).await;
    assert_eq!(state(world).await, HookState::Current { config });
}

async fn the_file_of_one_hook_is_not_that_of_another(world: &World) {
    let config = make(world).await;
    let hook = world.hook();
    let output = AbsolutePath::new(format!("{}.other", hook.output)).unwrap();
    let other = HookSpec { output, ..hook };
    let hooks = world.hooks();
    let seen = hooks.observe(&other).await.unwrap();
    assert!(matches!(seen, HookState::Stale { cause: StaleCause::Missing, .. }), "{seen:?}");
    let rendered = hooks.render(&other).await.unwrap();
    hooks.commit(&other, rendered).await.unwrap();
    hooks.remove(&other).await.unwrap();
    assert_eq!(state(world).await, HookState::Current { config });
}

async fn a_full_disk_is_a_passing_failure_and_the_earlier_file_stands(world: &World) -> Arranged {
    let before = make(world).await;
    world.fill_disk().await?;
    world.rotate().await;
    let rendered = world.hooks().render(&world.hook()).await.unwrap();
    let committed = world.hooks().commit(&world.hook(), rendered).await;
    refused(committed, PortErrorKind::Transient);
    world.remove_input().await;
    let HookState::NotReady { config, .. } = state(world).await else {
        panic!("it should not be ready");
    };
    assert_eq!(config, Some(before));
    Ok(())
}

async fn a_link_in_the_place_of_the_file_is_a_conflict(world: &World) -> Arranged {
    let (hooks, hook) = (world.hooks(), world.hook());
    let rendered = hooks.render(&hook).await.unwrap();
    world.put_link().await?;
    refused(hooks.observe(&hook).await, PortErrorKind::Conflict);
    refused(hooks.commit(&hook, rendered).await, PortErrorKind::Conflict);
    refused(hooks.remove(&hook).await, PortErrorKind::Conflict);
    Ok(())
}

/// Calls a macro with the cases of this suite that every world can arrange.
#[macro_export]
macro_rules! hook_runner_cases {
    ($with:ident $(, $world:ident)?) => {
        $with! { hook_runner $(, $world)?:
            a_hook_that_never_rendered_is_stale_for_want_of_its_file,
            rendering_puts_nothing_in_place,
            what_was_committed_is_current_under_the_digest_that_was_returned,
            another_instance_agrees_on_what_is_current,
            a_committed_file_is_for_its_owner_alone,
            committing_the_same_bytes_again_gives_the_same_digest,
            a_changed_input_makes_the_file_stale_and_the_next_one_another,
            the_input_digest_changes_when_an_input_does_and_not_otherwise,
            what_was_rendered_before_an_input_changed_is_stale_once_committed,
            a_missing_input_is_waited_for_and_is_no_error,
            while_an_input_is_missing_the_earlier_file_is_known,
            rendering_without_an_input_is_not_found,
            a_template_that_cannot_be_rendered_is_invalid_and_the_file_stands,
            a_deleted_file_is_missed_and_made_again,
            an_edited_file_is_stale_and_made_again,
            a_file_that_others_may_read_is_stale_and_closed_again,
            a_file_that_others_may_write_is_told_from_one_that_they_may_only_read,
            an_edited_file_is_changed_whoever_may_read_or_write_it,
            a_removed_file_is_gone_and_removing_it_again_is_a_success,
            a_file_can_be_removed_when_its_inputs_are_gone,
            a_directory_in_the_place_of_the_file_is_a_conflict,
            the_same_inputs_have_another_digest_on_another_host,
            a_hook_that_nobody_registered_is_invalid,
            nothing_that_is_said_of_a_hook_holds_its_secret,
            observing_renders_nothing_and_changes_nothing,
            a_file_that_was_cut_off_is_stale_and_made_again,
            a_commit_that_is_dropped_half_way_leaves_a_whole_file_or_none,
            the_file_of_one_hook_is_not_that_of_another,
        }
    };
}

/// Calls a macro with the cases of this suite that not every world can arrange.
#[macro_export]
macro_rules! hook_runner_optional_cases {
    ($with:ident $(, $world:ident)?) => {
        $with! { hook_runner $(, $world)?:
            a_full_disk_is_a_passing_failure_and_the_earlier_file_stands,
            a_link_in_the_place_of_the_file_is_a_conflict,
        }
    };
}

hook_runner_cases!(table, HookWorld);
hook_runner_optional_cases!(optional_table, HookWorld);
