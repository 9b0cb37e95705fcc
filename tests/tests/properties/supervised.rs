//! The supervisor runs during all operations: its resyncs converge the host even if events are lost.

use std::sync::{Arc, Mutex};

use companion_core::reconciler::{Reconcile, ReconcileError};
use companion_tests::faults::{End, Fault};
use companion_tests::simulation::checks::{Verdict, must, no_violations, nothing_done, rules_kept};
use proptest::prelude::*;

use crate::case::{ALL, Case, case, config, run};
use crate::companions::MOST;
use crate::oracle::in_order;
use crate::simulation::Simulation;
use crate::steps::{Trust, perform};

/// Violations in the plans of a supervisor's reconciles.
type Wrong = Arc<Mutex<Vec<String>>>;

pub(crate) async fn supervise(case: &Case) -> Verdict {
    let wrong = Wrong::default();
    let seen = Arc::clone(&wrong);
    let mut simulation = Simulation::of(case).supervised(Arc::new(move |reconcile: &_| {
        let reconcile: &Result<Reconcile, ReconcileError> = reconcile;
        seen.lock().unwrap().extend(reconcile.iter().filter_map(|it| rules_kept(it).err()));
    }));
    let mut trust = Trust::default();
    if case.installed {
        (0..MOST).for_each(|at| simulation.record(at, Some(0)));
        simulation.sleep(100).await;
    }
    for operation in &case.operations {
        perform(&mut simulation, operation, &mut trust).await?;
        no_violations(&simulation.on.host)
            .map_err(|words| format!("after {operation:?}: {words}"))?;
    }
    simulation.heal();
    if case.forgets {
        simulation.on.end(End::Killed).await?;
        simulation.sleep(100).await;
        simulation.on.start();
        settled(&simulation, 90).await?;
    } else {
        // The longest back-off, and the longest call in progress at the recovery.
        settled(&simulation, 3600).await?;
    }
    // An idle daemon finds changes without events by its resync.
    let last = [
        Fault::UnitDeleted,
        Fault::UnitEdited,
        Fault::ServiceStopped,
        Fault::ContainerPaused,
        Fault::ConfigDeleted,
    ];
    let number = case.operations.len();
    simulation.apply(number % MOST, last[number % last.len()]).await?;
    simulation.sleep(90).await;
    in_order(&simulation.on.host)?;
    no_violations(&simulation.on.host)?;
    let wrong = wrong.lock().unwrap();
    must(wrong.is_empty(), || wrong.join("; "))
}

/// Whether the host matches the desired state after `seconds`, and nothing is done in the hour after that.
async fn settled(simulation: &Simulation, seconds: u64) -> Verdict {
    simulation.sleep(seconds).await;
    in_order(&simulation.on.host)?;
    no_violations(&simulation.on.host)?;
    let before = simulation.on.host.counts();
    simulation.sleep(3600).await;
    nothing_done(before, simulation.on.host.counts())
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn unreliable_events_still_converge_within_three_resyncs(case in case(ALL, 40)) {
        let verdict = run(supervise(&case));
        prop_assert!(verdict.is_ok(), "{}", verdict.unwrap_err());
    }
}
