//! Removal is final and complete.

use adapter_fake::{Fault, Method, Mode, Port};
use companion_core::ports::PortErrorKind;
use companion_tests::node::{Node, context, name, viewer, wallet};

#[tokio::test(start_paused = true)]
async fn removed_companion_leaves_no_objects() {
    let node = Node::installed().await;
    node.host.remove(&name("viewer"));
    assert_eq!(
        node.steps_of_pass().await,
        [
            "stop viewer: app was removed",
            "remove-unit viewer: app was removed",
            "load-units: app was removed",
            "remove-config viewer: app was removed",
        ]
    );
    node.assert_true();
    node.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn other_companions_keep_running_during_a_removal() {
    let node = Node::installed().await;
    let before = node.host.counts();
    node.host.remove(&name("wallet"));
    let _ = node.pass().await;
    let after = node.host.counts().since(before);
    assert_eq!((after.restarts, after.starts, after.stops), (0, 0, 1));
    assert!(node.runs("viewer") && node.runs("indexer"));
}

#[tokio::test(start_paused = true)]
async fn removal_during_an_image_build_is_final() {
    let node = Node::new();
    node.host.install(&wallet());
    let reconciler = node.reconciler.clone();
    let installing = tokio::spawn(async move { reconciler.converge().await.map(|_pass| ()) });
    node.sleep(2).await;
    node.host.remove(&name("wallet"));
    let _ = node.pass().await;
    installing.await.unwrap().unwrap();
    node.sleep(120).await;
    let _ = node.pass().await;
    node.assert_true();
    assert_eq!(node.host.counts().unit_writes, 0);
}

#[tokio::test(start_paused = true)]
async fn removal_during_a_hook_run_is_final() {
    let node = Node::new();
    node.host.install(&viewer());
    node.host.change(|world, _| world.delays.render = std::time::Duration::from_secs(20));
    let reconciler = node.reconciler.clone();
    let installing = tokio::spawn(async move { reconciler.converge().await.map(|_pass| ()) });
    node.sleep(2).await;
    node.host.remove(&name("viewer"));
    let _ = node.pass().await;
    installing.await.unwrap().unwrap();
    node.sleep(120).await;
    node.assert_true();
    assert_eq!(node.host.counts().config_writes, 0);
}

#[tokio::test(start_paused = true)]
async fn reinstalled_app_is_restored_after_its_removal() {
    let node = Node::installed().await;
    node.host.remove(&name("viewer"));
    let _ = node.pass().await;
    node.host.install(&viewer());
    node.passes_until_true(1).await;
    node.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn failed_stop_is_retried_and_deletes_nothing() {
    let node = Node::installed().await;
    let error = Mode::Error(PortErrorKind::Transient);
    node.host.inject(Fault::once(Port::Services, Method::Stop, error));
    node.host.remove(&name("wallet"));
    let _ = node.pass().await;
    assert!(node.host.world().slot(&name("wallet")).unwrap().file.now().is_some());
    assert!(node.passes_until_true(3).await <= 3);
}

#[tokio::test(start_paused = true)]
async fn container_without_a_unit_is_removed_with_its_companion() {
    let node = Node::installed().await;
    node.host.delete_unit(&name("wallet"));
    node.host.reload_by_others();
    node.host.remove(&name("wallet"));
    node.passes_until_true(2).await;
    node.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn unreachable_service_manager_blocks_removals() {
    let node = Node::installed().await;
    node.host.change(|world, _| world.conditions.bus = false);
    node.host.remove(&name("wallet"));
    let before = node.host.counts();
    let pass = node.pass().await;
    assert!(pass.steps.is_empty());
    assert_eq!(node.host.counts().since(before).unit_removals, 0);
    node.host.change(|world, _| world.conditions.bus = true);
    node.passes_until_true(1).await;
}

#[tokio::test(start_paused = true)]
async fn lost_desired_state_removes_nothing() {
    let node = Node::installed().await;
    node.host.lose_record();
    let before = node.host.counts();
    let pass = node.pass().await;
    assert!(pass.steps.is_empty(), "{:?}", pass.steps);
    assert_eq!(node.host.counts().since(before).stops, 0);
    assert!(node.runs("viewer") && node.runs("wallet") && node.runs("indexer"));
}

#[tokio::test(start_paused = true)]
async fn rebuild_during_a_removal_does_not_restore_the_app() {
    let node = Node::installed().await;
    node.host.change_context(&context("wallet"));
    let reconciler = node.reconciler.clone();
    let resync = tokio::spawn(async move { reconciler.converge().await.map(|_pass| ()) });
    node.sleep(5).await;
    node.host.remove(&name("wallet"));
    let _ = node.pass().await;
    resync.await.unwrap().unwrap();
    node.passes_until_true(2).await;
    node.sleep(60).await;
    let _ = node.pass().await;
    node.assert_true();
}
