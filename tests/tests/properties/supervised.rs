//! The supervisor runs during all operations: its resyncs converge the host even if events are lost.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use companion_tests::faults::{End, Fault};
use companion_tests::simulation::Daemon;
use companion_tests::simulation::checks::{Verdict, must, no_violations, nothing_done, rules_kept};
use proptest::prelude::*;

use crate::case::{ALL, Case, case, config, run};
use crate::companions::{MOST, named};
use crate::operations::Operation;
use crate::oracle::in_order;
use crate::simulation::Simulation;
use crate::steps::{Trust, perform};

/// Violations in the plans of a supervisor's reconciles.
type Wrong = Arc<Mutex<Vec<String>>>;

fn start(simulation: &Simulation, wrong: &Wrong) -> Daemon {
    let wrong = Arc::clone(wrong);
    Daemon::start(&simulation.host, Arc::clone(&simulation.daemon), move |reconcile| {
        wrong.lock().unwrap().extend(reconcile.iter().filter_map(|it| rules_kept(it).err()));
    })
}

fn cleanly(shut_down: bool) -> End {
    if shut_down { End::ShutDown } else { End::Killed }
}

/// A command records an intent, and leads until that is done unless the daemon leads.
async fn request(simulation: &mut Simulation, at: usize, version: Option<u8>) {
    if simulation.intent(at, version).await.is_ok() {
        let (command, _) = simulation.command();
        drop(command.converge_for(&[named(at)].into()).await);
        command.shut_down().await;
    }
}

pub(crate) async fn supervise(case: &Case) -> Verdict {
    let mut simulation = Simulation::of(case);
    let wrong = Wrong::default();
    let mut daemon = start(&simulation, &wrong);
    let mut trust = Trust::default();
    if case.installed {
        (0..MOST).for_each(|at| simulation.record(at, Some(0)));
        simulation.sleep(100).await;
    }
    for operation in &case.operations {
        match *operation {
            Operation::Resync => simulation.sleep(30).await,
            Operation::Crash { after } => {
                simulation.sleep(after).await;
                daemon.end(cleanly(after % 4 == 0)).await?;
                simulation.restart_daemon().await;
                daemon = start(&simulation, &wrong);
            }
            Operation::PowerLoss { after, outcome } => {
                simulation.sleep(after % 8).await;
                daemon.end(End::Killed).await?;
                simulation.host.power_loss_leaving(outcome);
                simulation.restart_daemon().await;
                daemon = start(&simulation, &wrong);
            }
            Operation::Fault { at, fault } => match fault.ends_managers() {
                None => simulation.apply(at, fault).await,
                Some(how) => {
                    daemon.end(how).await?;
                    simulation.apply(at, fault).await;
                    daemon = start(&simulation, &wrong);
                }
            },
            Operation::HandOver { after, inputs } => {
                simulation.sleep(after).await;
                daemon.end(cleanly(after % 4 == 0)).await?;
                simulation.hand_over(inputs).await;
                daemon = start(&simulation, &wrong);
            }
            Operation::CommandDies { at, version, after } => {
                daemon.end(cleanly(after % 2 == 0)).await?;
                simulation.daemon.shut_down().await;
                let dies = Duration::from_secs(after);
                drop(tokio::time::timeout(dies, request(&mut simulation, at, version)).await);
                simulation.restart_daemon().await;
                daemon = start(&simulation, &wrong);
            }
            // The command makes its request while the daemon reconciles.
            Operation::Together { at, version, .. } => request(&mut simulation, at, version).await,
            Operation::Install { at, version } => request(&mut simulation, at, Some(version)).await,
            Operation::Remove { at } => request(&mut simulation, at, None).await,
            Operation::Intent { .. }
            | Operation::Sleep(_)
            | Operation::CallsFail(_)
            | Operation::Events(_)
            | Operation::Heal => perform(&mut simulation, operation, &mut trust).await?,
        }
        no_violations(&simulation.host).map_err(|words| format!("after {operation:?}: {words}"))?;
    }
    simulation.heal();
    let _daemon = if case.forgets {
        drop(daemon);
        simulation.restart_daemon().await;
        simulation.sleep(100).await;
        let daemon = start(&simulation, &wrong);
        settled(&simulation, 90).await?;
        daemon
    } else {
        // The longest back-off, and the longest call in progress at the recovery.
        settled(&simulation, 3600).await?;
        daemon
    };
    // An idle daemon finds changes without events by its resync.
    let last = [
        Fault::UnitDeleted,
        Fault::UnitEdited,
        Fault::ServiceStopped,
        Fault::ContainerPaused,
        Fault::ConfigDeleted,
    ];
    let number = case.operations.len();
    simulation.apply(number % MOST, last[number % last.len()]).await;
    simulation.sleep(90).await;
    in_order(&simulation.host)?;
    no_violations(&simulation.host)?;
    let wrong = wrong.lock().unwrap();
    must(wrong.is_empty(), || wrong.join("; "))
}

/// Whether the host matches the desired state after `seconds`, and nothing is done in the hour after that.
async fn settled(simulation: &Simulation, seconds: u64) -> Verdict {
    simulation.sleep(seconds).await;
    in_order(&simulation.host)?;
    no_violations(&simulation.host)?;
    let before = simulation.host.counts();
    simulation.sleep(3600).await;
    nothing_done(before, simulation.host.counts())
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn unreliable_events_still_converge_within_three_resyncs(case in case(ALL, 40)) {
        let verdict = run(supervise(&case));
        prop_assert!(verdict.is_ok(), "{}", verdict.unwrap_err());
    }
}
