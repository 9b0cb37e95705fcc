//! A host with failing parts: nothing is lost or damaged, and it converges when they recover.

use adapter_fake::faults::KINDS;
use adapter_fake::journal::CALLS;
use adapter_fake::world::conditions::Generator;
use adapter_fake::world::files::SECRET;
use adapter_fake::world::units::UnitBytes;
use adapter_fake::{Counts, Fault, Method, Mode, Port};
use companion_core::plan::WaitingOn;
use companion_core::ports::PortErrorKind;
use companion_tests::node::{Node, REGISTRY, context, indexer, name, viewer};

/// The content of the unit file of `base`.
fn unit_of(node: &Node, base: &str) -> Option<UnitBytes> {
    node.host.world().slot(&name(base)).and_then(|slot| slot.file.now().cloned())
}

#[tokio::test(start_paused = true)]
async fn missing_generator_causes_no_restart() {
    let node = Node::installed().await;
    node.host.change(|world, _| world.conditions.generator = Generator::Missing);
    node.host.edit_unit(&name("wallet"));
    let before = node.host.counts();
    for _ in 0..5 {
        let _ = node.converge().await;
        node.sleep(30).await;
    }
    assert!(node.runs("wallet") && node.runs("viewer") && node.runs("indexer"));
    let after = node.host.counts().since(before);
    assert_eq!(Counts { processes: 0, ..after }, Counts::default());
    node.host.change(|world, _| world.conditions.generator = Generator::Works);
    node.sleep(900).await;
    node.converges_until_as_desired(3).await;
}

#[tokio::test(start_paused = true)]
async fn refused_unit_is_reported_and_the_last_valid_one_is_kept() {
    let node = Node::installed().await;
    let mut spec = indexer();
    spec.container.read_only_root = true;
    node.host.refuse_unit(&name("indexer"), true);
    node.host.install(&spec);
    let before = unit_of(&node, "indexer");
    let convergence = node.converge().await;
    assert_eq!(unit_of(&node, "indexer"), before);
    let blocked: Vec<_> = convergence.last.plan.blocked(&name("indexer")).collect();
    assert!(matches!(blocked[0].waiting_on, WaitingOn::UnitRefused { .. }), "{blocked:?}");
    assert!(node.runs("indexer"));
    node.host.refuse_unit(&name("indexer"), false);
    node.sleep(900).await;
    node.converges_until_as_desired(1).await;
}

#[tokio::test(start_paused = true)]
async fn unreachable_registry_is_queried_at_most_110_times_a_day() {
    let node = Node::new();
    node.host.registry_down(REGISTRY);
    node.host.install(&indexer());
    for _ in 0..2880 {
        let _ = node.converge().await;
        node.sleep(30).await;
    }
    let pulls = node.host.counts().pulls;
    assert!((90..=110).contains(&pulls), "{pulls}");
    node.host.registry_up(REGISTRY);
    node.sleep(900).await;
    node.converges_until_as_desired(1).await;
}

#[tokio::test(start_paused = true)]
async fn read_failure_of_one_companion_affects_only_that_companion() {
    for port in [Port::Units, Port::Services, Port::Images, Port::Hooks, Port::Containers] {
        let node = Node::installed().await;
        let denied = Mode::Error(PortErrorKind::Denied);
        node.host.inject(Fault::always(port, Method::Observe, denied).only(&viewer().name));
        ["wallet", "viewer", "indexer"].iter().for_each(|base| node.host.stop_service(&name(base)));
        node.host.delete_unit(&name("wallet"));
        let before = node.host.counts();
        let convergence = node.converge().await;
        assert!(node.runs("wallet") && node.runs("indexer"), "{port:?}");
        let hidden = viewer().name;
        let steps: Vec<_> = convergence.steps.iter().map(|(step, _)| step).collect();
        let touches = steps.iter().any(|step| step.companion() == Some(&hidden));
        assert!(!touches, "{port:?}: {steps:#?}");
        assert_eq!(node.host.counts().since(before).unit_writes, 1, "{port:?}");
        node.host.clear_faults();
        node.sleep(30).await;
        node.converges_until_as_desired(3).await;
    }
}

#[tokio::test(start_paused = true)]
async fn completed_effect_with_an_error_result_is_not_repeated() {
    let node = Node::installed().await;
    let after = Mode::ErrorAfterEffect(PortErrorKind::Transient);
    node.host.inject(Fault::once(Port::Services, Method::Restart, after));
    node.host.rotate_credentials();
    let before = node.host.counts();
    node.converges_until_as_desired(3).await;
    assert_eq!(node.host.counts().since(before).restarts, 1);
}

#[tokio::test(start_paused = true)]
async fn hanging_read_times_out_and_stops_nothing() {
    let node = Node::installed().await;
    node.host.inject(Fault::once(Port::Images, Method::Observe, Mode::Hang));
    let before = node.host.counts();
    let _ = node.converge().await;
    let after = node.host.counts().since(before);
    assert_eq!((after.stops, after.restarts, after.unit_removals), (0, 0, 0));
    node.converges_until_as_desired(1).await;
}

#[tokio::test(start_paused = true)]
async fn unreadable_or_unresponsive_desired_state_stops_all_actions() {
    let calls = [(Port::Leadership, Method::Acquire), (Port::Desired, Method::Load)];
    for mode in [Mode::Error(PortErrorKind::Invalid), Mode::Hang] {
        for (port, method) in calls {
            let mut node = Node::installed().await;
            node.restart_manager();
            node.host.inject(Fault::once(port, method, mode));
            node.host.delete_unit(&name("wallet"));
            let before = node.host.counts();
            assert!(node.reconciler.converge().await.is_err());
            assert_eq!(node.host.counts(), before);
            node.converges_until_as_desired(1).await;
        }
    }
}

/// The calls with failures in other tests.
const NOT_OF_AN_INSTALLATION: [(Port, Method); 11] = [
    // Without the record and the leadership no reconcile starts, see above.
    (Port::Desired, Method::Load),
    (Port::Leadership, Method::Acquire),
    (Port::Services, Method::Restart),
    (Port::Services, Method::Stop),
    (Port::Services, Method::ResetFailed),
    (Port::Services, Method::LogTails),
    (Port::Images, Method::Prune),
    (Port::Hooks, Method::Sweep),
    (Port::Units, Method::Remove),
    (Port::Hooks, Method::Remove),
    (Port::Containers, Method::Remove),
];

/// Every way in which a call fails: with each kind of error, with and without its effect.
fn failures() -> impl Iterator<Item = Mode> {
    let modes = |kind| [Mode::Error(kind), Mode::ErrorAfterEffect(kind)];
    KINDS.into_iter().flat_map(modes)
}

#[tokio::test(start_paused = true)]
async fn install_survives_every_single_call_failure() {
    let installs = |call: &(Port, Method)| !NOT_OF_AN_INSTALLATION.contains(call);
    for call in CALLS.into_iter().filter(installs) {
        for mode in failures() {
            let node = Node::new();
            node.host.inject(Fault::once(call.0, call.1, mode));
            node.install_all();
            node.converges_until_as_desired(3).await;
            assert_eq!(node.host.struck(), 1, "{call:?} {mode:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn repair_survives_every_single_call_failure() {
    for call in [
        (Port::Services, Method::Restart),
        (Port::Services, Method::ResetFailed),
        (Port::Services, Method::LogTails),
        (Port::Images, Method::Prune),
        (Port::Hooks, Method::Sweep),
    ] {
        for mode in failures() {
            let node = Node::installed().await;
            // A superseded image is dangling.
            node.host.change_context(&context("wallet"));
            node.converges_until_as_desired(1).await;
            node.sleep(60).await;
            node.host.change_context(&context("wallet"));
            node.host.rotate_credentials();
            node.host.change(|world, _| {
                let behaviour = world.behaviour_mut(&name("viewer"));
                (behaviour.ignores_stop, behaviour.crash_exit) = (true, Some(1));
            });
            node.host.stop_service(&name("viewer"));
            node.sleep(60).await;
            node.host.inject(Fault::once(call.0, call.1, mode));
            node.converges_until_as_desired(3).await;
            node.sleep(60).await;
            node.assert_quiet().await;
            assert_eq!(node.host.struck(), 1, "{call:?} {mode:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn removal_survives_every_single_call_failure() {
    for call in [
        (Port::Services, Method::Stop),
        (Port::Services, Method::Wait),
        (Port::Services, Method::Reload),
        (Port::Services, Method::ResetFailed),
        (Port::Units, Method::Remove),
        (Port::Hooks, Method::Remove),
        (Port::Containers, Method::Remove),
    ] {
        for mode in failures() {
            let node = Node::installed().await;
            if call.1 == Method::ResetFailed {
                // A service that needs SIGKILL ends as failed.
                node.host.change(|world, _| {
                    world.behaviour_mut(&name("viewer")).ignores_stop = true;
                });
            }
            if call == (Port::Containers, Method::Remove) {
                // A container without its unit.
                node.host.delete_unit(&name("viewer"));
                node.host.reload_by_others();
            }
            node.host.inject(Fault::once(call.0, call.1, mode));
            node.host.remove(&name("viewer"));
            node.converges_until_as_desired(3).await;
            assert_eq!(node.host.struck(), 1, "{call:?} {mode:?}");
        }
    }
}

/// Another process modifies the unit after each write: the writes are bounded.
#[tokio::test(start_paused = true)]
async fn unit_that_is_always_modified_backs_off() {
    let node = Node::installed().await;
    let before = node.host.counts();
    for _ in 0..3600 {
        node.host.edit_unit(&name("wallet"));
        let _ = node.reconciler.reconcile_once().await.unwrap();
        node.sleep(1).await;
    }
    let after = node.host.counts().since(before);
    assert!(after.unit_writes <= 15, "{} writes in an hour", after.unit_writes);
    assert!(after.reloads <= 20 && after.restarts <= 20, "{after:?}");
}

/// Another program that watches the unit edits it after each repair: the repairs back off to 15 minutes.
#[tokio::test(start_paused = true)]
async fn unit_edited_after_each_repair_backs_off_with_a_reason() {
    let node = Node::installed().await;
    let wallet = name("wallet");
    let mut writes = Vec::new();
    let mut last = None;
    while writes.len() < 12 {
        node.host.edit_unit(&wallet);
        let before = node.host.counts().unit_writes;
        let reconcile = node.reconciler.reconcile_once().await.unwrap();
        if node.host.counts().unit_writes > before {
            writes.push(node.host.now().as_secs());
        } else {
            last = Some(reconcile);
        }
        node.sleep(1).await;
    }
    let gaps: Vec<_> = writes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.windows(2).all(|pair| pair[0] <= pair[1] + 1), "{gaps:?}");
    assert!(gaps[9..].iter().all(|gap| (890..=902).contains(gap)), "{gaps:?}");
    let last = last.unwrap();
    let status = companion_core::status::status(&last);
    let status = status.iter().find(|status| status.name == wallet).unwrap();
    let why = "writing the unit failed 11 times: the unit file changed after it was written";
    assert_eq!(status.why, [why], "{status:?}");
    let retry_at = status.conditions[0].retry_at.unwrap();
    assert!(last.at.until(retry_at).as_secs() <= 900, "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn reload_failure_is_reported_with_its_cause() {
    let node = Node::new();
    let conflict = Mode::Error(PortErrorKind::Conflict);
    node.host.inject(Fault::always(Port::Services, Method::Reload, conflict));
    node.host.install(&indexer());
    let convergence = node.converge().await;
    let status = companion_core::status::status(&convergence.last);
    let failed = convergence.steps.iter().find_map(|(step, outcome)| match outcome {
        companion_core::reconciler::Outcome::Failed(problem) => Some((step, &problem.message)),
        _ => None,
    });
    let (step, error) = failed.expect("the reload failed");
    assert_eq!(step.action.verb(), "load-units");
    assert!(status[0].why.iter().any(|why| why.contains(error.as_str())), "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn secret_appears_in_no_error_and_no_status() {
    for kind in KINDS {
        let node = Node::new();
        node.host.install(&viewer());
        node.host.inject(Fault::always(Port::Hooks, Method::Commit, Mode::Error(kind)));
        let hook = viewer().hook.unwrap();
        let rendered = node.host.world().render(&hook).unwrap();
        assert!(
            String::from_utf8(rendered).unwrap().contains(SECRET),
            "the rendered file contains the secret"
        );
        let convergence = node.converge().await;
        assert!(node.host.struck() > 0, "it was rendered, but not installed");
        let status = companion_core::status::status(&convergence.last);
        let shown = format!("{:?} {status:?} {:?}", convergence.steps, convergence.last);
        assert!(convergence.last.plan.blocked(&name("viewer")).next().is_some(), "{shown}");
        assert!(!shown.contains(SECRET), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn start_during_rendering_runs_the_new_configuration() {
    let node = Node::installed().await;
    let config = companion_tests::node::config();
    node.host.change(|world, _| world.delays.render = std::time::Duration::from_secs(15));
    node.host.edit_config(&config);
    node.host.kill_container(&name("viewer"));
    node.converges_until_as_desired(3).await;
    node.assert_true();
}

#[tokio::test(start_paused = true)]
async fn container_of_another_unit_is_not_replaced_and_ours_returns() {
    let node = Node::installed().await;
    let others = ["viewer", "indexer"];
    node.host.take_container(&name("wallet"));
    let steps = node.steps_of_pass().await;
    assert_eq!(steps, ["stop wallet: an unmanaged container has its name"]);
    let before = node.host.counts();
    for _ in 0..5 {
        node.sleep(30).await;
        let convergence = node.converge().await;
        let blocked: Vec<_> = convergence.last.plan.blocked(&name("wallet")).collect();
        let [blocked] = blocked.as_slice() else { panic!("{blocked:?}") };
        assert!(blocked.waiting_on.to_string().contains("`other.service`"), "{blocked:?}");
    }
    let since = node.host.counts().since(before);
    assert_eq!(Counts { processes: 0, ..since }, Counts::default());
    assert_eq!(node.host.world().unmanaged_replaced(), 0);
    assert!(others.into_iter().all(|base| node.runs(base)));
    node.host.remove_container(&name("wallet"));
    node.converges_until_as_desired(1).await;
}
