//! Repair of running companions after changes by users, other programs and faults.

use std::sync::Arc;
use std::time::Duration;

use adapter_fake::FakeHost;
use adapter_fake::world::units::Load;
use companion_core::model::image::ImageRef;
use companion_core::plan::{Action, Reason};
use companion_core::reconciler::{Event, EventSink, Limits, Outcome, Reconciler};
use companion_core::status::status;
use companion_tests::node::{Node, REGISTRY, config, context, name};

#[tokio::test(start_paused = true)]
async fn converged_pass_has_no_steps() {
    let node = Node::installed().await;
    node.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn deleted_unit_is_restored_within_one_resync_without_a_restart() {
    let node = Node::installed().await;
    node.host.delete_unit(&name("wallet"));
    let before = node.host.counts();
    assert_eq!(node.passes_until_true(1).await, 1);
    let after = node.host.counts().since(before);
    assert_eq!((after.unit_writes, after.reloads, after.restarts, after.starts), (1, 1, 0, 0));
    node.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn three_lost_units_are_restored_with_one_reload() {
    let node = Node::installed().await;
    for base in ["viewer", "wallet", "indexer"] {
        node.host.delete_unit(&name(base));
    }
    let before = node.host.counts();
    node.passes_until_true(1).await;
    let after = node.host.counts().since(before);
    assert_eq!((after.unit_writes, after.reloads, after.restarts), (3, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn drifted_unit_file_is_rewritten_and_reloaded_once() {
    let node = Node::installed().await;
    node.host.edit_unit(&name("wallet"));
    let before = node.host.counts();
    node.passes_until_true(1).await;
    let after = node.host.counts().since(before);
    assert_eq!((after.unit_writes, after.reloads, after.restarts), (1, 1, 1));
    node.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn renderer_upgrade_causes_one_restart_each_and_is_reported() {
    let node = Node::installed().await;
    for _ in 0..2 {
        node.host.change_renderer();
        let before = node.host.counts();
        let pass = node.pass().await;
        let after = node.host.counts().since(before);
        assert_eq!((after.unit_writes, after.reloads, after.restarts), (3, 1, 3));
        let mut reasons = pass.steps.iter().map(|(step, _)| &step.reason);
        assert!(reasons.all(|reason| *reason == Reason::RendererChanged), "{:?}", pass.steps);
        node.assert_true();
        node.sleep(60).await;
        node.assert_quiet().await;
    }
    for (name, slot) in node.host.world().slots() {
        let Load::Ours(text) = &slot.load else { panic!("{name} is not loaded") };
        assert_eq!(text.revision.restart_epoch, 0);
    }
}

/// An earlier release, also after a downgrade, renders units differently.
#[tokio::test(start_paused = true)]
async fn upgrade_interrupted_by_a_crash_causes_one_restart() {
    for seconds in 0..10 {
        let mut node = Node::installed().await;
        node.host.change_renderer();
        let before = node.host.counts();
        let reconciler = node.reconciler.clone();
        let pass = tokio::spawn(async move { reconciler.converge().await.map(|_pass| ()) });
        tokio::time::sleep(Duration::from_millis(100 * seconds)).await;
        pass.abort();
        node.reconciler.shut_down().await;
        node.restart_manager();
        node.passes_until_true(2).await;
        assert_eq!(node.host.counts().since(before).restarts, 3, "{seconds}");
        node.assert_true();
    }
}

#[tokio::test(start_paused = true)]
async fn world_writable_unit_mode_is_fixed_without_a_restart() {
    let node = Node::installed().await;
    node.host.expose_unit(&name("wallet"));
    let before = node.host.counts();
    node.passes_until_true(1).await;
    let after = node.host.counts().since(before);
    assert_eq!((after.unit_writes, after.reloads, after.restarts, after.starts), (1, 0, 0, 0));
    node.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn edited_loaded_and_started_unit_is_restored() {
    let node = Node::installed().await;
    node.host.edit_unit(&name("wallet"));
    node.host.reload_by_others();
    node.host.kill_container(&name("wallet"));
    node.sleep(15).await;
    node.passes_until_true(1).await;
    node.assert_quiet().await;
}

/// Found by the properties: the container had been started from the edited unit and reported the current revision.
#[tokio::test(start_paused = true)]
async fn unit_edited_before_a_boot_and_deleted_is_unverified() {
    let node = Node::installed().await;
    node.host.edit_unit(&name("wallet"));
    node.host.reboot();
    node.sleep(60).await;
    node.host.delete_unit(&name("wallet"));
    node.passes_until_true(1).await;
    node.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn truncated_unit_is_rewritten() {
    let node = Node::installed().await;
    node.host.truncate_unit(&name("wallet"));
    node.passes_until_true(1).await;
    node.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn killed_container_is_restarted_by_systemd() {
    let node = Node::installed().await;
    node.host.kill_container(&name("wallet"));
    let before = node.host.counts();
    let _ = node.pass().await;
    node.sleep(30).await;
    let _ = node.pass().await;
    node.assert_true();
    let after = node.host.counts().since(before);
    assert_eq!((after.starts, after.restarts, after.unit_writes, after.builds), (0, 0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn manually_removed_container_is_recreated() {
    let node = Node::installed().await;
    node.host.remove_container(&name("indexer"));
    assert!(node.passes_until_true(2).await <= 2);
}

#[tokio::test(start_paused = true)]
async fn companion_becomes_ready_although_the_hosts_clock_was_set_back() {
    let node = Node::installed().await;
    node.host.change(|world, now| {
        world.conditions.reports_uptime = false;
        world.stop_service(&name("wallet"), now);
    });
    let converged = node.reconciler.converge().await.unwrap();
    assert!(converged.last.is_settled());
    let unready = status(&converged.last).into_iter().find(|one| !one.health.is_healthy());
    assert_eq!(unready, None);
}

#[tokio::test(start_paused = true)]
async fn frozen_container_is_recreated() {
    let node = Node::installed().await;
    node.host.pause_container(&name("wallet"));
    assert_eq!(node.steps_of_pass().await, ["restart wallet: frozen"]);
    node.assert_true();
}

/// The container is unpaused as soon as the restart that would do so is announced.
struct Unpausing(FakeHost);

impl EventSink for Unpausing {
    fn on_event(&self, event: &Event<'_>) {
        if let Event::StepBegun(step) = event
            && matches!(step.action, Action::RestartUnit(_))
        {
            self.0.unpause_container(&name("wallet"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn container_resumed_since_observation_is_not_restarted() {
    let mut node = Node::installed().await;
    node.host.pause_container(&name("wallet"));
    let (ports, events) = (node.host.ports(), Arc::new(Unpausing(node.host.clone())));
    let reconciler = Reconciler::with(ports, Limits::default(), events, Box::new(|| 0));
    node.reconciler = Arc::new(reconciler);
    let before = node.host.counts();
    assert_eq!(node.steps_of_pass().await, ["restart wallet: frozen (not needed)"]);
    assert_eq!(node.host.counts().since(before).restarts, 0);
    node.assert_true();
}

#[tokio::test(start_paused = true)]
async fn a_service_stopped_by_hand_is_started() {
    let node = Node::installed().await;
    node.host.stop_service(&name("wallet"));
    node.sleep(5).await;
    assert_eq!(node.steps_of_pass().await, ["start wallet: not running"]);
    node.assert_true();
}

#[tokio::test(start_paused = true)]
async fn rotated_password_causes_exactly_one_restart() {
    let node = Node::installed().await;
    node.host.rotate_credentials();
    let before = node.host.counts();
    node.passes_until_true(1).await;
    let after = node.host.counts().since(before);
    assert_eq!((after.config_writes, after.restarts), (1, 1));
    node.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn lost_configuration_causes_one_restart() {
    let node = Node::installed().await;
    node.host.delete_config(&config());
    let before = node.host.counts();
    node.passes_until_true(1).await;
    let after = node.host.counts().since(before);
    assert_eq!((after.renders, after.config_writes, after.restarts), (1, 1, 1));
    node.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn lost_link_is_restored_without_a_restart() {
    let node = Node::installed().await;
    node.host.unlink_config(&config());
    let before = node.host.counts();
    node.passes_until_true(1).await;
    let after = node.host.counts().since(before);
    assert_eq!((after.config_writes, after.unit_writes, after.restarts), (1, 0, 0));
    node.assert_quiet().await;
}

/// A password that is changed and changed back reuses or recreates its first file.
#[tokio::test(start_paused = true)]
async fn replaced_files_are_removed_except_the_previous_one() {
    let node = Node::installed().await;
    for _ in 0..3 {
        node.host.rotate_credentials();
        node.passes_until_true(1).await;
        node.sleep(60).await;
        node.passes_until_true(1).await;
        let files = node.host.world().files.rendered_at(&config());
        assert_eq!(files.len(), 1, "{files:?}");
    }
    node.assert_quiet().await;
}

/// An unmanaged image takes the tag, and the service manager alone restarts the container.
#[tokio::test(start_paused = true)]
async fn start_under_a_moved_tag_uses_the_image_of_the_unit() {
    let node = Node::installed().await;
    let before = node.host.world().slot(&name("wallet")).unwrap().service.run.unwrap().image;
    node.host.put_image(&ImageRef::new("localhost/wallet:latest").unwrap(), "unmanaged");
    node.host.kill_container(&name("wallet"));
    node.sleep(30).await;
    let after = node.host.world().slot(&name("wallet")).unwrap().service.run.unwrap().image;
    assert_eq!(after, before);
    let counts = node.host.counts();
    node.passes_until_true(1).await;
    assert_eq!(node.host.counts().since(counts).restarts, 0, "the build gives the same image");
    node.assert_true();
}

/// Found by crash tests: the container had started with the edited file and reported the current revision.
#[tokio::test(start_paused = true)]
async fn start_with_an_edited_configuration_is_restarted_after_rendering() {
    let node = Node::installed().await;
    node.host.edit_config(&config());
    node.host.reboot();
    node.sleep(60).await;
    let before = node.host.counts();
    node.passes_until_true(1).await;
    let after = node.host.counts().since(before);
    assert_eq!((after.config_writes, after.restarts, after.unit_writes), (1, 1, 1));
    node.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn insecure_configuration_mode_is_fixed_without_a_restart() {
    for young in [false, true] {
        let mut node = Node::installed().await;
        if young {
            node.restart_manager();
        }
        node.host.expose_config(&config(), 0o644);
        let before = node.host.counts();
        node.passes_until_true(1).await;
        let after = node.host.counts().since(before);
        assert_eq!((after.config_writes, after.unit_writes, after.restarts), (1, 0, 0), "{young}");
        node.assert_quiet().await;
    }
}

/// It may have had other content when the service started.
#[tokio::test(start_paused = true)]
async fn configuration_writable_by_others_causes_one_restart() {
    for young in [false, true] {
        let mut node = Node::installed().await;
        if young {
            node.restart_manager();
        }
        node.host.expose_config(&config(), 0o646);
        let before = node.host.counts();
        node.passes_until_true(1).await;
        let after = node.host.counts().since(before);
        assert_eq!((after.config_writes, after.restarts), (1, 1), "{young}");
        node.assert_quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn changed_dockerfile_is_built_and_restarts_once() {
    let node = Node::installed().await;
    node.host.change_context(&context("wallet"));
    let before = node.host.counts();
    node.passes_until_true(1).await;
    let after = node.host.counts().since(before);
    assert_eq!((after.builds, after.restarts, after.pulls), (1, 1, 0));
    node.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn unreachable_registry_is_ignored_while_the_image_exists() {
    let node = Node::installed().await;
    node.host.registry_down(REGISTRY);
    node.host.delete_unit(&name("indexer"));
    node.host.stop_service(&name("indexer"));
    node.sleep(5).await;
    let before = node.host.counts();
    node.passes_until_true(1).await;
    assert_eq!(node.host.counts().since(before).network, 0);
}

#[tokio::test(start_paused = true)]
async fn image_removed_under_a_container_is_rebuilt_without_a_restart() {
    let node = Node::installed().await;
    node.host.remove_image(&ImageRef::new("localhost/wallet:latest").unwrap());
    let before = node.host.counts();
    node.passes_until_true(1).await;
    let after = node.host.counts().since(before);
    assert_eq!((after.builds, after.restarts), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn damaged_image_is_made_again_and_its_companion_restarts_at_most_once() {
    let node = Node::installed().await;
    let before = node.host.counts();
    node.host.damage_image(&ImageRef::new("localhost/wallet:latest").unwrap());
    node.host.stop_service(&name("wallet"));
    let pass = node.pass().await;
    let made = pass.steps.iter().find(|(step, _)| step.action.verb() == "ensure-image");
    let (step, outcome) = made.expect("the image is made again");
    assert_eq!(step.reason, Reason::ImageDamaged);
    assert!(!matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    node.passes_until_true(2).await;
    let after = node.host.counts().since(before);
    assert_eq!((after.builds, after.starts + after.restarts), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn companions_restart_after_a_reboot_without_the_daemon() {
    let node = Node::installed().await;
    node.host.reboot();
    node.sleep(60).await;
    node.assert_true();
}

#[tokio::test(start_paused = true)]
async fn start_limit_is_reset_after_its_back_off() {
    let node = Node::installed().await;
    let wallet = name("wallet");
    node.host.change(|world, _| world.conditions.start_limit.burst = 1);
    node.host.crash_loop(&wallet, true);
    node.host.kill_container(&wallet);
    node.sleep(60).await;
    let _ = node.pass().await;
    node.host.crash_loop(&wallet, false);
    node.passes_until_true(10).await;
}

#[tokio::test(start_paused = true)]
async fn unmanaged_unit_is_neither_changed_nor_started() {
    let node = Node::installed().await;
    node.host.put_unmanaged_unit(&name("wallet"));
    let before = node.host.counts();
    let pass = node.pass().await;
    assert!(pass.steps.is_empty());
    assert_eq!(node.host.counts().since(before).unit_writes, 0);
    assert_eq!(node.host.violations(), []);
}

#[tokio::test(start_paused = true)]
async fn masked_unit_is_kept() {
    let node = Node::installed().await;
    node.host.mask(&name("wallet"));
    node.host.reload_by_others();
    let pass = node.pass().await;
    assert!(pass.steps.is_empty(), "{:?}", pass.steps);
    node.host.unmask(&name("wallet"));
    node.host.reload_by_others();
    node.passes_until_true(3).await;
}
