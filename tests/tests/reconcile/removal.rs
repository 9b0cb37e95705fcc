//! Removal is final, and leaves nothing.

use adapter_fake::{Fault, Method, Mode, Port};
use companion_core::ports::PortErrorKind;
use companion_tests::node::{Node, context, name, viewer, wallet};

#[tokio::test(start_paused = true)]
async fn nothing_is_left_of_a_removed_companion() {
    let node = Node::installed().await;
    node.host.remove(&name("viewer"));
    assert_eq!(
        node.steps_of_pass().await,
        [
            "stop viewer: app was removed",
            "remove-unit viewer: app was removed",
            "daemon-reload: app was removed",
            "remove-config viewer: app was removed",
        ]
    );
    node.assert_true();
    node.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn the_others_run_on_while_one_is_removed() {
    let node = Node::installed().await;
    let before = node.host.counts();
    node.host.remove(&name("wallet"));
    let _ = node.pass().await;
    let after = node.host.counts().since(before);
    assert_eq!((after.restarts, after.starts, after.stops), (0, 0, 1));
    assert!(node.runs("viewer") && node.runs("indexer"));
}

#[tokio::test(start_paused = true)]
async fn a_removal_while_the_image_is_built_is_final() {
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
async fn a_removal_while_the_hook_renders_is_final() {
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
async fn what_is_installed_again_after_its_removal_comes_back() {
    let node = Node::installed().await;
    node.host.remove(&name("viewer"));
    let _ = node.pass().await;
    node.host.install(&viewer());
    node.passes_until_true(1).await;
    node.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_fails_is_tried_again_and_deletes_nothing_before() {
    let node = Node::installed().await;
    let error = Mode::Error(PortErrorKind::Transient);
    node.host.inject(Fault::once(Port::Services, Method::Stop, error));
    node.host.remove(&name("wallet"));
    let _ = node.pass().await;
    assert!(node.host.world().slot(&name("wallet")).unwrap().file.now().is_some());
    assert!(node.passes_until_true(3).await <= 3);
}

#[tokio::test(start_paused = true)]
async fn a_container_whose_unit_vanished_is_removed_with_its_companion() {
    let node = Node::installed().await;
    node.host.delete_unit(&name("wallet"));
    node.host.reload_by_others();
    node.host.remove(&name("wallet"));
    node.passes_until_true(2).await;
    node.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_removed_while_the_service_manager_cannot_be_asked() {
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
async fn a_lost_record_removes_nothing() {
    let node = Node::installed().await;
    node.host.lose_record();
    let before = node.host.counts();
    let pass = node.pass().await;
    assert!(pass.steps.is_empty(), "{:?}", pass.steps);
    assert_eq!(node.host.counts().since(before).stops, 0);
    assert!(node.runs("viewer") && node.runs("wallet") && node.runs("indexer"));
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_during_a_removal_does_not_bring_it_back() {
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
