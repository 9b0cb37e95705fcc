//! The supervisor: resyncs, wake-ups, shutdown.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use companion_core::supervisor::Supervisor;
use companion_tests::node::{Node, name};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Daemon {
    reconciles: Arc<AtomicUsize>,
    wake: Arc<Notify>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

fn start(node: &Node) -> Daemon {
    let reconciles = Arc::new(AtomicUsize::new(0));
    let shutdown = CancellationToken::new();
    let supervisor = Supervisor::new(node.reconciler.clone());
    let wake = supervisor.wake();
    let (counted, stopped) = (Arc::clone(&reconciles), shutdown.clone());
    let task = tokio::spawn(async move {
        supervisor
            .run(stopped, |_round| {
                counted.fetch_add(1, Ordering::Relaxed);
            })
            .await;
    });
    Daemon { reconciles, wake, shutdown, task }
}

#[tokio::test(start_paused = true)]
async fn it_begins_at_once_and_ends_when_told() {
    let node = Node::new();
    node.install_all();
    let daemon = start(&node);
    node.sleep(60).await;
    node.assert_true();
    daemon.shutdown.cancel();
    daemon.task.await.unwrap();
    assert!(node.runs("viewer") && node.runs("wallet"), "the companions go on");
}

#[tokio::test(start_paused = true)]
async fn when_all_is_true_it_looks_every_30_s_and_does_nothing() {
    let node = Node::installed().await;
    let daemon = start(&node);
    node.sleep(60).await;
    let (reconciles, counts) = (daemon.reconciles.load(Ordering::Relaxed), node.host.counts());
    node.sleep(3600).await;
    assert_eq!(daemon.reconciles.load(Ordering::Relaxed) - reconciles, 120);
    assert_eq!(node.host.counts(), counts, "no write, reload, restart or process in an hour");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_unit_is_back_within_one_tick() {
    let node = Node::installed().await;
    let _daemon = start(&node);
    node.sleep(60).await;
    node.host.delete_unit(&name("wallet"));
    node.sleep(31).await;
    node.assert_true();
}

#[tokio::test(start_paused = true)]
async fn a_wake_up_brings_it_back_at_once() {
    let node = Node::installed().await;
    let daemon = start(&node);
    node.sleep(61).await;
    node.host.delete_unit(&name("wallet"));
    daemon.wake.notify_one();
    node.sleep(2).await;
    node.assert_true();
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_wake_ups_is_a_few_rounds() {
    let node = Node::installed().await;
    let daemon = start(&node);
    node.sleep(61).await;
    let before = daemon.reconciles.load(Ordering::Relaxed);
    for _ in 0..1000 {
        daemon.wake.notify_one();
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert!(daemon.reconciles.load(Ordering::Relaxed) - before <= 6);
}

#[tokio::test(start_paused = true)]
async fn a_removal_while_a_tick_runs_stays_removed() {
    let node = Node::installed().await;
    let _daemon = start(&node);
    for moment in 0..40 {
        node.host.install(&companion_tests::node::wallet());
        node.sleep(40).await;
        node.host.delete_unit(&name("wallet"));
        node.sleep(moment).await;
        node.host.remove(&name("wallet"));
        node.sleep(40).await;
        node.assert_true();
        assert!(!node.runs("wallet"));
    }
}
