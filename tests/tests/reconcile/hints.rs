//! Reconciles that observe only what may have changed.

use std::collections::BTreeSet;
use std::time::Duration;

use companion_core::model::companion::CompanionName;
use companion_core::ports::Hint;
use companion_core::reconciler::{Outcome, Reconcile, ReconcileError};
use companion_tests::faults::Fault;
use companion_tests::node::{Node, companions, context, indexer, name};

fn about(base: &str) -> Hint {
    Hint::Companions([name(base)].into())
}

fn names(bases: &[&str]) -> Option<BTreeSet<CompanionName>> {
    Some(bases.iter().map(|base| name(base)).collect())
}

fn is_seen_up(reconcile: &Reconcile, base: &str) -> bool {
    let service = &reconcile.observed.companions[&name(base)].service;
    service.known().is_some_and(companion_core::model::service::ServiceState::is_up)
}

/// Stops a service by hand, to the end.
async fn stop(node: &Node, base: &str) {
    node.host.change(|world, now| world.stop_service(&name(base), now));
    node.sleep(1).await;
}

/// A node with all companions, and its last reconcile.
async fn observed() -> Result<(Node, Reconcile), ReconcileError> {
    let node = Node::installed().await;
    let last = node.reconciler.reconcile_once().await?;
    assert_eq!(last.names, None);
    Ok((node, last))
}

#[tokio::test(start_paused = true)]
async fn hint_has_only_its_companion_observed_and_repaired() {
    let (node, last) = observed().await.unwrap();
    stop(&node, "wallet").await;
    let again = node.reconciler.reconcile_again(last, about("viewer")).await.unwrap();
    assert_eq!(again.names, names(&["viewer"]));
    assert!(is_seen_up(&again, "wallet"), "it is as the last reconcile observed it");
    assert!(again.steps().is_empty());
    let again = node.reconciler.reconcile_again(again, about("wallet")).await.unwrap();
    assert!(!is_seen_up(&again, "wallet"));
    assert_eq!(again.outcomes, [Outcome::Started]);
}

#[tokio::test(start_paused = true)]
async fn end_of_work_has_its_companion_observed_without_a_hint() {
    let (node, last) = observed().await.unwrap();
    stop(&node, "wallet").await;
    let ended = node.reconciler.work_ended();
    let again = node.reconciler.reconcile_again(last, about("wallet")).await.unwrap();
    ended.await;
    let again = node.reconciler.reconcile_again(again, Hint::NONE).await.unwrap();
    assert_eq!(again.names, names(&["wallet"]));
    assert!(is_seen_up(&again, "wallet"));
}

#[tokio::test(start_paused = true)]
async fn steps_and_due_attempts_have_their_companions_observed() {
    let (node, last) = observed().await.unwrap();
    node.host.delete_unit(&name("wallet"));
    let again = node.reconciler.reconcile_again(last, about("wallet")).await.unwrap();
    assert!(!again.steps().is_empty());
    let again = node.reconciler.reconcile_again(again, Hint::NONE).await.unwrap();
    assert_eq!(again.names, names(&["wallet"]), "its unit was written");
    Fault::UnitRefused.apply(&node.host, &indexer());
    node.host.edit_unit(&indexer().name);
    let failed = node.reconciler.reconcile_again(again, about("indexer")).await.unwrap();
    assert!(failed.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed(_))));
    let blocked = node.reconciler.reconcile_again(failed, Hint::NONE).await.unwrap();
    assert_eq!(blocked.names, names(&["indexer"]), "its step failed");
    let blocked = node.reconciler.reconcile_again(blocked, Hint::NONE).await.unwrap();
    assert_eq!(blocked.names, names(&[]), "it waits for its back-off");
    node.sleep(30).await;
    let due = node.reconciler.reconcile_again(blocked, Hint::NONE).await.unwrap();
    assert_eq!(due.names, names(&["indexer"]));
}

#[tokio::test(start_paused = true)]
async fn all_are_observed_if_what_may_have_changed_is_unknown() {
    let (node, last) = observed().await.unwrap();
    let last = node.reconciler.reconcile_again(last, Hint::All).await.unwrap();
    assert_eq!(last.names, None, "of a hint about all");
    let last = node.reconciler.reconcile_again(last, about("unmanaged")).await.unwrap();
    assert_eq!(last.names, None, "of a hint about a companion that is not desired");
    node.host.remove(&indexer().name);
    let last = node.reconciler.reconcile_again(last, about("viewer")).await.unwrap();
    assert_eq!(last.names, None, "of another desired state");
    let _between = node.converge().await;
    let last = node.reconciler.reconcile_again(last, about("viewer")).await.unwrap();
    assert_eq!(last.names, None, "after another reconcile");
}

/// Hints about another companion neither postpone an attempt nor take it back.
#[tokio::test(start_paused = true)]
async fn plan_for_a_companion_that_is_not_observed_stays_the_same() {
    let (node, last) = observed().await.unwrap();
    Fault::UnitRefused.apply(&node.host, &indexer());
    node.host.edit_unit(&indexer().name);
    let mut last = node.reconciler.reconcile_again(last, about("indexer")).await.unwrap();
    last = node.reconciler.reconcile_again(last, Hint::NONE).await.unwrap();
    let blocked = last.plan.blocked.clone();
    assert!(blocked.iter().any(|blocked| blocked.retry_at.is_some()), "{blocked:?}");
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        last = node.reconciler.reconcile_again(last, about("viewer")).await.unwrap();
        assert_eq!(last.names, names(&["viewer"]));
        assert_eq!(last.plan.blocked, blocked);
        assert_eq!(last.plan.recovered, []);
    }
    let retry_at = blocked.iter().filter_map(|blocked| blocked.retry_at).min().unwrap();
    let left = last.requeue_after().unwrap();
    assert_eq!(last.at.until(retry_at), left);
}

/// An image is removed only when the units of all companions are known.
#[tokio::test(start_paused = true)]
async fn replaced_image_is_removed_when_all_companions_are_observed() {
    let (node, last) = observed().await.unwrap();
    node.host.change_context(&context("viewer"));
    let mut last = node.reconciler.reconcile_again(last, about("viewer")).await.unwrap();
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        last = node.reconciler.reconcile_again(last, about("viewer")).await.unwrap();
        assert_eq!(node.host.counts().prunes, 0);
    }
    node.assert_true();
    let _all = node.converge().await;
    assert_eq!(node.host.counts().prunes, 1);
}

/// The steps for the companion of `name`, in order.
fn steps_for(reconcile: &Reconcile, name: &CompanionName) -> Vec<String> {
    let plan = &reconcile.plan;
    let steps = plan.serving(name).map(ToString::to_string);
    steps.chain(plan.blocked(name).map(|blocked| blocked.waiting_on.to_string())).collect()
}

/// Whatever happened to a companion, a hint about it leads to the same decisions as observing all.
#[tokio::test(start_paused = true)]
async fn plan_for_a_companion_is_the_same_as_after_observing_all() {
    for fault in Fault::simulated().filter(|fault| fault.ends_managers().is_none()) {
        for spec in companions().iter().filter(|spec| fault.fits(spec)) {
            let (node, last) = observed().await.unwrap();
            fault.apply(&node.host, spec);
            let hint = Hint::Companions([spec.name.clone()].into());
            let again = node.reconciler.reconcile_again(last, hint).await;
            let (whole, _) = observed().await.unwrap();
            fault.apply(&whole.host, spec);
            let all = whole.reconciler.reconcile_once().await;
            let found = [again, all].map(|reconcile| {
                let reconcile = reconcile.map_err(|error| error.chain())?;
                assert_eq!(reconcile.violations, [], "{fault}, {}", spec.name);
                Ok::<_, String>(steps_for(&reconcile, &spec.name))
            });
            assert_eq!(found[0], found[1], "{fault}, {}", spec.name);
        }
    }
}
