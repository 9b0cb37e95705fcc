//! Removal is final and complete.

use std::time::Duration;

use adapter_fake::{Fault, Method, Mode, Port};
use companion_core::ports::PortErrorKind;
use companion_tests::node::{Node, context, name, viewer, wallet};

#[tokio::test(start_paused = true)]
async fn removed_companion_leaves_no_objects() {
    let node = Node::installed().await;
    let before = node.host.counts();
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
    let after = node.host.counts().since(before);
    assert_eq!((after.restarts, after.starts, after.stops), (0, 0, 1));
    assert!(node.runs("wallet") && node.runs("indexer"), "the others keep running");
    node.assert_quiet().await;
}

/// Of a first build, of one that replaces the image, and of a hook run.
#[tokio::test(start_paused = true)]
async fn removal_during_a_build_or_a_hook_run_is_final() {
    for (spec, is_installed) in [(wallet(), false), (wallet(), true), (viewer(), false)] {
        let node = if is_installed { Node::installed().await } else { Node::new() };
        node.host.change(|world, _| world.delays.render = Duration::from_secs(20));
        if is_installed {
            node.host.change_context(&context(spec.name.as_str()));
        } else {
            node.host.install(&spec);
        }
        let reconciler = node.reconciler.clone();
        let working =
            tokio::spawn(async move { reconciler.converge().await.map(|_convergence| ()) });
        node.sleep(2).await;
        let before = node.host.counts();
        node.host.remove(&spec.name);
        let _ = node.converge().await;
        working.await.unwrap().unwrap();
        node.sleep(120).await;
        let _ = node.converge().await;
        node.assert_true();
        let after = node.host.counts().since(before);
        assert_eq!((after.unit_writes, after.config_writes), (0, 0), "{}", spec.name);
    }
}

#[tokio::test(start_paused = true)]
async fn failed_stop_is_retried_and_deletes_nothing() {
    let node = Node::installed().await;
    let error = Mode::Error(PortErrorKind::Transient);
    node.host.inject(Fault::once(Port::Services, Method::Stop, error));
    node.host.remove(&name("wallet"));
    let _ = node.converge().await;
    assert!(node.host.world().slot(&name("wallet")).unwrap().file.now().is_some());
    assert!(node.converges_until_as_desired(3).await <= 3);
}

#[tokio::test(start_paused = true)]
async fn unreachable_service_manager_blocks_removals() {
    let node = Node::installed().await;
    node.host.change(|world, _| world.conditions.bus = false);
    node.host.remove(&name("wallet"));
    let before = node.host.counts();
    let convergence = node.converge().await;
    assert!(convergence.steps.is_empty());
    assert_eq!(node.host.counts().since(before).unit_removals, 0);
    node.host.change(|world, _| world.conditions.bus = true);
    node.converges_until_as_desired(1).await;
}

#[tokio::test(start_paused = true)]
async fn lost_desired_state_removes_nothing() {
    let node = Node::installed().await;
    node.host.lose_record();
    let before = node.host.counts();
    let convergence = node.converge().await;
    assert!(convergence.steps.is_empty(), "{:?}", convergence.steps);
    assert_eq!(node.host.counts().since(before).stops, 0);
    assert!(node.runs("viewer") && node.runs("wallet") && node.runs("indexer"));
}
