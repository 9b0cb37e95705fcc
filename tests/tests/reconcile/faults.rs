//! A host whose parts fail: nothing is lost, nothing is harmed, and it converges when they are back.

use adapter_fake::world::conditions::{Disk, Generator};
use adapter_fake::{Fault, Method, Mode, Port};
use companion_core::plan::WaitingOn;
use companion_core::ports::PortErrorKind;
use companion_tests::node::{Node, REGISTRY, indexer, name, viewer};

#[tokio::test(start_paused = true)]
async fn a_full_disk_keeps_the_old_unit_and_heals() {
    let node = Node::installed().await;
    node.host.edit_unit(&name("wallet"));
    node.host.change(|world, _| world.conditions.disk = Disk::Full);
    let _ = node.pass().await;
    assert!(node.runs("wallet"));
    node.host.change(|world, _| world.conditions.disk = Disk::Writable);
    node.sleep(30).await;
    node.passes_until_true(3).await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_generator_is_no_reason_to_touch_what_runs() {
    let node = Node::installed().await;
    node.host.change(|world, _| world.conditions.generator = Generator::Missing);
    node.host.edit_unit(&name("wallet"));
    for _ in 0..5 {
        let _ = node.pass().await;
        node.sleep(30).await;
    }
    assert!(node.runs("wallet") && node.runs("viewer") && node.runs("indexer"));
    node.host.change(|world, _| world.conditions.generator = Generator::Works);
    node.sleep(900).await;
    node.passes_until_true(3).await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_unit_is_told_and_the_last_good_one_stays() {
    let node = Node::installed().await;
    let mut spec = indexer();
    spec.container.read_only_root = true;
    node.host.refuse_unit(&name("indexer"), true);
    node.host.install(&spec);
    let pass = node.pass().await;
    let blocked: Vec<_> = pass.last.plan.blocked(&name("indexer")).collect();
    assert!(matches!(blocked[0].waiting_on, WaitingOn::UnitRefused { .. }), "{blocked:?}");
    assert!(node.runs("indexer"));
    node.host.refuse_unit(&name("indexer"), false);
    node.sleep(900).await;
    node.passes_until_true(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_registry_is_asked_at_most_110_times_a_day() {
    let node = Node::new();
    node.host.registry_down(REGISTRY);
    node.host.install(&indexer());
    for _ in 0..2880 {
        let _ = node.pass().await;
        node.sleep(30).await;
    }
    let pulls = node.host.counts().pulls;
    assert!((90..=110).contains(&pulls), "{pulls}");
    node.host.registry_up(REGISTRY);
    node.sleep(900).await;
    node.passes_until_true(1).await;
}

#[tokio::test(start_paused = true)]
async fn an_effect_that_was_had_and_reported_as_failed_is_not_had_twice() {
    let node = Node::installed().await;
    let after = Mode::ErrorAfterEffect(PortErrorKind::Transient);
    node.host.inject(Fault::once(Port::Services, Method::Restart, after));
    node.host.rotate_credentials();
    let before = node.host.counts();
    node.passes_until_true(3).await;
    assert_eq!(node.host.counts().since(before).restarts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_reload_that_is_refused_is_made_later() {
    let node = Node::installed().await;
    let error = Mode::Error(PortErrorKind::Transient);
    node.host.inject(Fault::once(Port::Services, Method::Reload, error));
    node.host.delete_unit(&name("wallet"));
    node.passes_until_true(3).await;
    node.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn generated_units_that_came_out_corrupt_are_loaded_again() {
    let node = Node::installed().await;
    node.host.change(|world, _| world.conditions.generator = Generator::CorruptsOnce);
    node.host.delete_unit(&name("wallet"));
    node.passes_until_true(3).await;
}

#[tokio::test(start_paused = true)]
async fn a_hanging_read_ends_and_stops_nothing() {
    let node = Node::installed().await;
    node.host.inject(Fault::once(Port::Images, Method::Observe, Mode::Hang));
    let before = node.host.counts();
    let _ = node.pass().await;
    let after = node.host.counts().since(before);
    assert_eq!((after.stops, after.restarts, after.unit_removals), (0, 0, 0));
    node.passes_until_true(1).await;
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_record_stops_all_work() {
    let node = Node::installed().await;
    let error = Mode::Error(PortErrorKind::Invalid);
    node.host.inject(Fault::always(Port::Desired, Method::Load, error));
    assert!(node.reconciler.reconcile().await.is_err());
    assert!(node.runs("viewer"));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_never_answers_ends_the_round_and_nothing_is_done() {
    for method in [Method::Lock, Method::Load] {
        let node = Node::installed().await;
        node.host.inject(Fault::once(Port::Desired, method, Mode::Hang));
        node.host.delete_unit(&name("wallet"));
        let before = node.host.counts();
        assert!(node.reconciler.reconcile().await.is_err());
        assert_eq!(node.host.counts(), before);
        node.passes_until_true(1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_single_failure_of_every_call_is_survived() {
    let calls = [
        (Port::Units, Method::Observe),
        (Port::Units, Method::List),
        (Port::Units, Method::Write),
        (Port::Services, Method::Observe),
        (Port::Services, Method::Reload),
        (Port::Services, Method::Start),
        (Port::Services, Method::Wait),
        (Port::Images, Method::Observe),
        (Port::Images, Method::Ensure),
        (Port::Hooks, Method::Observe),
        (Port::Hooks, Method::Render),
        (Port::Hooks, Method::Commit),
        (Port::Containers, Method::Observe),
    ];
    for (port, method) in calls {
        for after_effect in [false, true] {
            let kind = PortErrorKind::Transient;
            let mode = if after_effect { Mode::ErrorAfterEffect(kind) } else { Mode::Error(kind) };
            let node = Node::new();
            node.host.inject(Fault::once(port, method, mode));
            node.install_all();
            node.passes_until_true(3).await;
            node.assert_true();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_single_failure_of_a_removal_is_survived() {
    let calls = [
        (Port::Services, Method::Stop),
        (Port::Services, Method::Wait),
        (Port::Services, Method::Reload),
        (Port::Services, Method::ResetFailed),
        (Port::Units, Method::Remove),
        (Port::Hooks, Method::Remove),
        (Port::Containers, Method::Remove),
    ];
    for (port, method) in calls {
        let kind = PortErrorKind::Transient;
        for mode in [Mode::Error(kind), Mode::ErrorAfterEffect(kind)] {
            let node = Node::installed().await;
            node.host.pause_container(&name("viewer"));
            node.host.inject(Fault::once(port, method, mode));
            node.host.remove(&name("viewer"));
            node.passes_until_true(3).await;
            node.assert_true();
        }
    }
}

/// Somebody else writes the unit as often as we do: it is a nuisance, and not a storm.
#[tokio::test(start_paused = true)]
async fn a_unit_that_never_stays_as_written_is_written_less_and_less_often() {
    let node = Node::installed().await;
    let before = node.host.counts();
    for _ in 0..3600 {
        node.host.edit_unit(&name("wallet"));
        let _ = node.reconciler.round().await.unwrap();
        node.sleep(1).await;
    }
    let after = node.host.counts().since(before);
    assert!(after.unit_writes <= 15, "{} writes in an hour", after.unit_writes);
    assert!(after.reloads <= 20 && after.restarts <= 20, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn why_a_reload_failed_is_told() {
    let node = Node::new();
    let conflict = Mode::Error(PortErrorKind::Conflict);
    node.host.inject(Fault::always(Port::Services, Method::Reload, conflict));
    node.host.install(&indexer());
    let pass = node.pass().await;
    let status = companion_core::status::status(&pass.last);
    let failed = pass.steps.iter().find_map(|(step, outcome)| match outcome {
        companion_core::reconciler::Outcome::Failed { error, .. } => Some((step, error)),
        _ => None,
    });
    let (step, error) = failed.expect("the reload failed");
    assert_eq!(step.action.verb(), "daemon-reload");
    assert!(status[0].why.iter().any(|why| why.contains(error.as_str())), "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_crashed_in_the_middle_of_an_install_ends_it() {
    for seconds in 0..30 {
        let mut node = Node::new();
        node.install_all();
        let reconciler = node.reconciler.clone();
        let pass = tokio::spawn(async move { reconciler.reconcile().await.map(|_pass| ()) });
        node.sleep(seconds).await;
        pass.abort();
        node.reconciler.shut_down().await;
        node.restart_manager();
        node.passes_until_true(2).await;
        node.assert_true();
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_appears_in_no_error_and_no_status() {
    let node = Node::new();
    node.host.install(&viewer());
    let nonsense = adapter_fake::world::files::Fate::Nonsense;
    node.host.break_hook(&companion_tests::node::config(), Some(nonsense));
    let pass = node.pass().await;
    let status = companion_core::status::status(&pass.last);
    let shown = format!("{:?} {status:?} {:?}", pass.steps, pass.last);
    assert!(!shown.contains("first password"));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_starts_again_while_its_configuration_is_rendered_runs_the_true_one() {
    let node = Node::installed().await;
    let config = companion_tests::node::config();
    node.host.change(|world, _| world.delays.render = std::time::Duration::from_secs(15));
    node.host.edit_config(&config);
    node.host.kill_container(&name("viewer"));
    node.passes_until_true(3).await;
    node.assert_true();
}
