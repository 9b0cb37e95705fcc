//! Repair of running companions after changes by users, other programs and faults.

use std::sync::Arc;
use std::time::Duration;

use adapter_fake::world::units::Load;
use adapter_fake::{Counts, FakeHost};
use companion_core::model::companion::CompanionSpec;
use companion_core::model::image::ImageRef;
use companion_core::plan::{Action, Reason};
use companion_core::reconciler::{Event, EventSink, Limits, Outcome, Reconciler};
use companion_core::status::status;
use companion_tests::faults::Fault;
use companion_tests::node::{Node, config, indexer, name, viewer, wallet};

#[tokio::test(start_paused = true)]
async fn converged_reconcile_has_no_steps() {
    let node = Node::installed().await;
    node.assert_quiet().await;
}

const NONE: Cost = Cost { units: 0, reloads: 0, configs: 0, builds: 0, starts: 0, restarts: 0 };
const NEW_UNIT: Cost = Cost { units: 1, reloads: 1, restarts: 1, ..NONE };
const NEW_CONFIG: Cost = Cost { configs: 1, ..NEW_UNIT };

/// What a repair costs, and nothing else: files of units, reloads, files of configurations, builds, starts, restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    units: u32,
    reloads: u32,
    configs: u32,
    builds: u32,
    starts: u32,
    restarts: u32,
}

impl Cost {
    fn of(counts: Counts) -> Self {
        let Counts { unit_writes, reloads, config_writes, builds, starts, restarts, .. } = counts;
        assert_eq!((counts.pulls, counts.network, counts.stops), (0, 0, 0));
        Self { units: unit_writes, reloads, configs: config_writes, builds, starts, restarts }
    }
}

/// Faults in their order: what it is, which companion it concerns, and for how many seconds it lasts before the next.
type Faults = &'static [(Fault, fn() -> CompanionSpec, u64)];

/// Faults, each of a companion and followed by some seconds, and the cost of their repair by one converge.
const REPAIRS: [(Faults, Cost); 22] = {
    use Fault::*;
    [
        (&[(UnitDeleted, wallet, 0)], Cost { units: 1, reloads: 1, ..NONE }),
        (
            &[(UnitDeleted, viewer, 0), (UnitDeleted, wallet, 0), (UnitDeleted, indexer, 0)],
            Cost { units: 3, reloads: 1, ..NONE },
        ),
        (&[(UnitEdited, wallet, 0)], NEW_UNIT),
        (&[(UnitTruncated, wallet, 0)], NEW_UNIT),
        (&[(UnitExposed, wallet, 0)], Cost { units: 1, ..NONE }),
        (
            &[(UnitEdited, wallet, 0), (Reloaded, wallet, 0), (ContainerKilled, wallet, 15)],
            NEW_UNIT,
        ),
        // Found by the properties: the container had been started from the edited unit and reported the current revision.
        (&[(UnitEdited, wallet, 0), (Rebooted, wallet, 60), (UnitDeleted, wallet, 0)], NEW_UNIT),
        (&[(ContainerKilled, wallet, 30)], NONE),
        (&[(ContainerRemoved, indexer, 30)], NONE),
        (&[(ContainerPaused, wallet, 0)], Cost { restarts: 1, ..NONE }),
        (&[(ServiceStopped, wallet, 5)], Cost { starts: 1, ..NONE }),
        (&[(CredentialsRotated, viewer, 0)], NEW_CONFIG),
        (&[(ConfigDeleted, viewer, 0)], NEW_CONFIG),
        // It may have had other content when the service started.
        (&[(ConfigWritable, viewer, 0)], NEW_CONFIG),
        (&[(ManagerKilled, viewer, 0), (ConfigWritable, viewer, 0)], NEW_CONFIG),
        // Found by crash tests: the container had started with the edited file and reported the current revision.
        (&[(ConfigEdited, viewer, 0), (Rebooted, viewer, 60)], NEW_CONFIG),
        (&[(ConfigReadable, viewer, 0)], Cost { configs: 1, ..NONE }),
        (&[(ManagerKilled, viewer, 0), (ConfigReadable, viewer, 0)], Cost { configs: 1, ..NONE }),
        (&[(LinkDeleted, viewer, 0)], Cost { configs: 1, ..NONE }),
        (&[(ContextChanged, wallet, 0)], Cost { builds: 1, ..NEW_UNIT }),
        (&[(ImageRemoved, wallet, 0)], Cost { builds: 1, ..NONE }),
        (
            &[(RegistryDown, indexer, 0), (UnitDeleted, indexer, 0), (ServiceStopped, indexer, 5)],
            Cost { units: 1, reloads: 1, starts: 1, ..NONE },
        ),
    ]
};

#[tokio::test(start_paused = true)]
async fn each_repair_costs_what_it_takes_and_no_more() {
    for (faults, cost) in REPAIRS {
        let mut node = Node::installed().await;
        let before = node.host.counts();
        for (fault, spec, seconds) in faults {
            fault.apply(&node.host, &spec());
            if fault.ends_managers().is_some() {
                node.restart_manager();
            }
            node.sleep(*seconds).await;
        }
        node.converges_until_as_desired(1).await;
        let names: Vec<_> = faults.iter().map(|(fault, _, _)| fault.name()).collect();
        assert_eq!(Cost::of(node.host.counts().since(before)), cost, "{names:?}");
        node.assert_quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn masked_or_unmanaged_unit_is_kept() {
    for fault in [Fault::UnitMasked, Fault::UnitUnmanaged] {
        let node = Node::installed().await;
        fault.apply(&node.host, &wallet());
        node.host.reload_by_others();
        let before = node.host.counts();
        let convergence = node.converge().await;
        assert!(convergence.steps.is_empty(), "{fault}: {:?}", convergence.steps);
        assert_eq!(node.host.counts().since(before).unit_writes, 0);
        assert_eq!(node.host.violations(), []);
        fault.undo().unwrap().apply(&node.host, &wallet());
        node.host.reload_by_others();
        node.converges_until_as_desired(3).await;
    }
}

#[tokio::test(start_paused = true)]
async fn renderer_upgrade_causes_one_restart_each_and_is_reported() {
    let node = Node::installed().await;
    for _ in 0..2 {
        node.host.change_renderer();
        let before = node.host.counts();
        let convergence = node.converge().await;
        let after = node.host.counts().since(before);
        assert_eq!((after.unit_writes, after.reloads, after.restarts), (3, 1, 3));
        let mut reasons = convergence.steps.iter().map(|(step, _)| &step.reason);
        assert!(
            reasons.all(|reason| *reason == Reason::RendererChanged),
            "{:?}",
            convergence.steps
        );
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
        let convergence =
            tokio::spawn(async move { reconciler.converge().await.map(|_convergence| ()) });
        tokio::time::sleep(Duration::from_millis(100 * seconds)).await;
        convergence.abort();
        node.reconciler.shut_down().await;
        node.restart_manager();
        node.converges_until_as_desired(2).await;
        assert_eq!(node.host.counts().since(before).restarts, 3, "{seconds}");
        node.assert_true();
    }
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

/// A password that is changed and changed back reuses or recreates its first file.
#[tokio::test(start_paused = true)]
async fn replaced_files_are_removed_except_the_previous_one() {
    let node = Node::installed().await;
    for _ in 0..3 {
        node.host.rotate_credentials();
        node.converges_until_as_desired(1).await;
        node.sleep(60).await;
        node.converges_until_as_desired(1).await;
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
    node.converges_until_as_desired(1).await;
    assert_eq!(node.host.counts().since(counts).restarts, 0, "the build gives the same image");
    node.assert_true();
}

#[tokio::test(start_paused = true)]
async fn damaged_image_is_made_again_and_its_companion_restarts_at_most_once() {
    let node = Node::installed().await;
    let before = node.host.counts();
    node.host.damage_image(&ImageRef::new("localhost/wallet:latest").unwrap());
    node.host.stop_service(&name("wallet"));
    let convergence = node.converge().await;
    let made = convergence.steps.iter().find(|(step, _)| step.action.verb() == "ensure-image");
    let (step, outcome) = made.expect("the image is made again");
    assert_eq!(step.reason, Reason::ImageDamaged);
    assert!(!matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    node.converges_until_as_desired(2).await;
    let after = node.host.counts().since(before);
    assert_eq!((after.builds, after.starts + after.restarts), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn start_limit_is_reset_after_its_back_off() {
    let node = Node::installed().await;
    let wallet = name("wallet");
    node.host.change(|world, _| world.conditions.start_limit.burst = 1);
    node.host.crash_loop(&wallet, true);
    node.host.kill_container(&wallet);
    node.sleep(60).await;
    let _ = node.converge().await;
    node.host.crash_loop(&wallet, false);
    node.converges_until_as_desired(10).await;
}
