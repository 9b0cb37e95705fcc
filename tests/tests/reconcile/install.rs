//! Installation of three companions on an empty node.

use std::sync::Arc;
use std::time::Duration;

use adapter_fake::world::images::Reach;
use adapter_fake::{Fault, Method, Mode, Port};
use companion_core::reconciler::{Limits, NoEvents, ReconcileError, Reconciler};
use companion_tests::node::{
    Node, REGISTRY, called, context, indexer, name, published, viewer, wallet,
};

#[tokio::test(start_paused = true)]
async fn three_companions_start_as_soon_as_their_images_exist() {
    let node = Node::new();
    node.install_all();
    let _ = node.converge().await;
    node.assert_true();
    let counts = node.host.counts();
    assert_eq!((counts.unit_writes, counts.starts), (3, 3));
    assert_eq!(
        counts.reloads, 2,
        "one for the two that were built, one for the one that was pulled"
    );
    assert_eq!((counts.builds, counts.pulls, counts.config_writes), (2, 1, 1));
    node.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn companion_is_installed_stage_by_stage() {
    let node = Node::new();
    node.host.install(&viewer());
    assert_eq!(
        node.steps_of_pass().await,
        [
            "run-hook viewer: configuration is missing",
            "ensure-image viewer: image is missing",
            "write-unit viewer: unit file is missing",
            "load-units: unit file is missing",
            "start viewer: not running",
        ]
    );
    node.assert_true();
}

/// The wait for a permit does not count towards the limit of a pull.
#[tokio::test(start_paused = true)]
async fn images_beyond_the_bound_wait_for_a_permit() {
    const PULL: Duration = Duration::from_secs(60);
    for (max_concurrent, batches) in [(0, 6), (2, 3), (6, 1)] {
        let node = Node::new();
        node.host.set_registry(REGISTRY, Reach::Slow(PULL));
        for number in 0..6 {
            let spec = called(indexer(), &format!("indexer-{number}"));
            node.host.publish(published(&spec).unwrap(), "published");
            node.host.install(&spec);
        }
        let limits = Limits { max_concurrent, image: PULL * 2, ..Limits::default() };
        let (ports, events) = (node.host.ports(), Arc::new(NoEvents));
        let reconciler = Reconciler::with(ports, limits, events, Box::new(|| 0));
        let began = tokio::time::Instant::now();
        assert!(reconciler.converge().await.unwrap().last.is_settled());
        let took = began.elapsed();
        assert!(
            (PULL * batches..PULL * (batches + 1)).contains(&took),
            "{max_concurrent}: {took:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn failing_companion_does_not_delay_another() {
    let alone = Node::new();
    alone.host.install(&wallet());
    let _ = alone.converge().await;
    let node = Node::new();
    node.install_all();
    node.host.inject(Fault::always(Port::Hooks, Method::Render, Mode::Hang));
    node.host.registry_down(companion_tests::node::REGISTRY);
    let reconciler = node.reconciler.clone();
    let convergence = tokio::spawn(async move { reconciler.converge().await });
    while !node.runs("wallet") {
        node.sleep(1).await;
    }
    assert!(node.host.now() <= alone.host.now(), "a hanging hook does not delay other companions");
    convergence.abort();
}

#[tokio::test(start_paused = true)]
async fn start_that_exits_immediately_is_reported_as_failed() {
    let node = Node::new();
    node.host.install(&indexer());
    node.host.crash_loop(&name("indexer"), true);
    let convergence = node.converge().await;
    let status = companion_core::status::status(&convergence.last);
    assert!(!status[0].health.is_healthy(), "{status:?}");
    assert!(status[0].why[0].contains("restarting"), "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn converge_of_one_companion_waits_for_no_other() {
    let node = Node::new();
    node.install_all();
    node.host
        .inject(Fault::always(Port::Images, Method::Ensure, Mode::Hang).only(&name("indexer")));
    node.host.change(|world, _| world.delays.pull = std::time::Duration::from_secs(3600));
    let before = node.host.now();
    let names = [name("wallet")].into();
    let convergence = node.reconciler.converge_for(Some(&names)).await.unwrap();
    assert!(node.runs("wallet") && convergence.last.is_settled());
    assert!((node.host.now() - before).as_secs() < 60);
    assert_eq!(node.host.counts().pulls, 0, "no work for other companions is started");
}

#[tokio::test(start_paused = true)]
async fn two_managers_on_one_host_install_each_companion_once() {
    let node = Node::new();
    node.install_all();
    let other = Node::reconciler_of(&node.host.as_actor(1));
    let first = node.reconciler.clone();
    let (one, two) = tokio::join!(first.converge(), other.converge());
    drop(one.unwrap());
    assert!(matches!(two, Err(ReconcileError::Led { .. })), "exactly one process leads");
    node.assert_true();
    let counts = node.host.counts();
    assert_eq!((counts.unit_writes, counts.starts, counts.restarts), (3, 3, 0));
    node.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn converge_ends_when_every_replaced_image_is_removed() {
    let node = Node::installed().await;
    let before = node.host.world().images.count();
    for base in ["viewer", "wallet"] {
        node.host.change_context(&context(base));
    }
    // The first removal ends during the second.
    let slow = Fault::once(Port::Images, Method::Prune, Mode::Delay(Duration::from_secs(1)));
    node.host.inject(Fault { skip: 1, ..slow });
    let convergence = node.converge().await;
    assert_eq!(node.host.struck(), 1);
    assert_eq!(node.host.world().images.count(), before, "{:?}", convergence.steps);
    node.assert_quiet().await;
}
