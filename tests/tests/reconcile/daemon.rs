//! The supervisor: resyncs, wake-ups, shutdown.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use companion_core::ports::Hint;
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
    let wake = Arc::new(Notify::new());
    let supervisor = Supervisor::new(node.reconciler.clone()).woken_by(wake.clone());
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
async fn daemon_reconciles_immediately_and_shuts_down_on_request() {
    let node = Node::new();
    node.install_all();
    let daemon = start(&node);
    node.sleep(60).await;
    node.assert_true();
    daemon.shutdown.cancel();
    daemon.task.await.unwrap();
    assert!(node.runs("viewer") && node.runs("wallet"), "the companions keep running");
}

#[tokio::test(start_paused = true)]
async fn converged_daemon_resyncs_every_30_s_without_an_action() {
    let node = Node::installed().await;
    let daemon = start(&node);
    node.sleep(60).await;
    let (reconciles, counts) = (daemon.reconciles.load(Ordering::Relaxed), node.host.counts());
    node.sleep(3600).await;
    assert_eq!(daemon.reconciles.load(Ordering::Relaxed) - reconciles, 120);
    assert_eq!(node.host.counts(), counts, "no write, reload, restart or process in an hour");
}

#[tokio::test(start_paused = true)]
async fn stopped_companion_is_started_immediately_on_a_hint_of_the_host() {
    let node = Node::installed().await;
    let _daemon = start(&node);
    node.sleep(45).await;
    node.host.change(|world, now| world.stop_service(&name("wallet"), now));
    node.sleep(1).await;
    assert!(!node.runs("wallet"), "nothing has reported the stop");
    node.host.hint(Hint::Companions([name("viewer")].into()));
    node.sleep(1).await;
    assert!(!node.runs("wallet"), "only another companion was reported");
    node.host.hint(Hint::Companions([name("wallet")].into()));
    node.sleep(2).await;
    assert!(node.runs("wallet"));
}

/// As of a companion that crashes again and again.
#[tokio::test(start_paused = true)]
async fn endless_hints_of_the_host_take_a_bounded_share() {
    let node = Node::installed().await;
    let daemon = start(&node);
    node.sleep(5).await;
    let before = daemon.reconciles.load(Ordering::Relaxed);
    for _ in 0..6000 {
        node.host.hint(Hint::All);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let caused = daemon.reconciles.load(Ordering::Relaxed) - before;
    assert!((600..=620).contains(&caused), "ten a second and a burst: {caused}");
}

#[tokio::test(start_paused = true)]
async fn first_hint_acts_immediately_and_a_burst_costs_two_more() {
    let node = Node::installed().await;
    let daemon = start(&node);
    node.sleep(45).await;
    let before = daemon.reconciles.load(Ordering::Relaxed);
    node.host.hint(Hint::All);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(daemon.reconciles.load(Ordering::Relaxed) - before, 1);
    for _ in 0..20 {
        node.host.hint(Hint::All);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(daemon.reconciles.load(Ordering::Relaxed) - before, 3);
}

/// Hints about another companion are no reason to observe this one, and do not delay the resync.
#[tokio::test(start_paused = true)]
async fn hints_about_one_companion_do_not_delay_the_resync_of_others() {
    let node = Node::installed().await;
    let _daemon = start(&node);
    node.sleep(45).await;
    node.host.change(|world, now| world.stop_service(&name("wallet"), now));
    for _ in 0..320 {
        node.host.hint(Hint::Companions([name("viewer")].into()));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(node.runs("wallet"));
}

#[tokio::test(start_paused = true)]
async fn wake_up_restores_a_unit_immediately() {
    let node = Node::installed().await;
    let daemon = start(&node);
    node.sleep(61).await;
    node.host.delete_unit(&name("wallet"));
    daemon.wake.notify_one();
    node.sleep(2).await;
    node.assert_true();
}

#[tokio::test(start_paused = true)]
async fn many_wake_ups_cause_few_reconciles() {
    let node = Node::installed().await;
    let daemon = start(&node);
    node.sleep(61).await;
    let before = daemon.reconciles.load(Ordering::Relaxed);
    for _ in 0..1000 {
        daemon.wake.notify_one();
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert!(daemon.reconciles.load(Ordering::Relaxed) - before <= 21);
}

#[tokio::test(start_paused = true)]
async fn app_removed_during_a_reconcile_stays_removed() {
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
