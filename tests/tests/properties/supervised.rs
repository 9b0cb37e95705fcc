//! The supervisor runs during all operations: its resyncs converge the host even if events are lost.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use companion_core::reconciler::{Reconcile, ReconcileError};
use companion_core::supervisor::Supervisor;
use companion_tests::faults::{End, Fault};
use proptest::prelude::*;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::case::{ALL, Case, case, config, run};
use crate::companions::{MOST, named};
use crate::operations::Operation;
use crate::oracle::{Verdict, in_order, must, nothing_done, nothing_forbidden};
use crate::play::{Trust, perform};
use crate::stage::Stage;

/// A running supervisor; dropping it kills the daemon.
struct Daemon {
    task: JoinHandle<()>,
    shutdown: CancellationToken,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Violations in the plans of a supervisor's reconciles.
type Wrong = Arc<Mutex<Vec<String>>>;

fn start(stage: &Stage, wrong: &Wrong) -> Daemon {
    let supervisor = Supervisor::new(Arc::clone(&stage.daemon));
    stage.host.tell(supervisor.wake());
    let shutdown = CancellationToken::new();
    let (stopped, wrong) = (shutdown.clone(), Arc::clone(wrong));
    let check = move |reconcile: &Result<Reconcile, ReconcileError>| {
        let violations = reconcile.iter().flat_map(|reconcile| &reconcile.violations);
        let words = violations.map(|rule| format!("a plan breaks {rule}"));
        wrong.lock().unwrap().extend(words);
    };
    Daemon { task: tokio::spawn(supervisor.run(stopped, check)), shutdown }
}

/// Ends the daemon, cleanly or not, and starts another.
async fn restart(
    stage: &mut Stage,
    daemon: Daemon,
    in_order: bool,
    wrong: &Wrong,
) -> Result<Daemon, String> {
    end(daemon, in_order).await?;
    stage.restart_daemon().await;
    Ok(start(stage, wrong))
}

/// Ends the daemon, cleanly or not.
async fn end(daemon: Daemon, in_order: bool) -> Verdict {
    if in_order {
        daemon.shutdown.cancel();
    } else {
        daemon.task.abort();
    }
    let mut daemon = daemon;
    let ended = tokio::time::timeout(crate::play::FOR_EVER, &mut daemon.task).await;
    must(ended.is_ok(), || "the supervisor does not end".to_owned())
}

/// A command records an intent, and leads until that is done unless the daemon leads.
async fn request(stage: &mut Stage, at: usize, version: Option<u8>) {
    if stage.intent(at, version).await.is_ok() {
        let (command, _) = stage.command();
        drop(command.converge_for(&[named(at)].into()).await);
        command.shut_down().await;
    }
}

pub(crate) async fn supervise(case: &Case) -> Verdict {
    let mut stage = Stage::of(case);
    let wrong = Wrong::default();
    let mut daemon = start(&stage, &wrong);
    let mut trust = Trust::default();
    if case.installed {
        (0..MOST).for_each(|at| stage.record(at, Some(0)));
        stage.sleep(100).await;
    }
    for operation in &case.operations {
        match *operation {
            Operation::Resync => stage.sleep(30).await,
            Operation::Crash { after } => {
                stage.sleep(after).await;
                daemon = restart(&mut stage, daemon, after % 4 == 0, &wrong).await?;
            }
            Operation::PowerLoss { after, outcome } => {
                stage.sleep(after % 8).await;
                daemon.task.abort();
                stage.host.power_loss_leaving(outcome);
                daemon = restart(&mut stage, daemon, false, &wrong).await?;
            }
            Operation::Fault { at, fault } => match fault.ends_managers() {
                None => stage.apply(at, fault).await,
                Some(how) => {
                    end(daemon, how == End::ShutDown).await?;
                    stage.apply(at, fault).await;
                    daemon = start(&stage, &wrong);
                }
            },
            Operation::HandOver { after, inputs } => {
                stage.sleep(after).await;
                end(daemon, after % 4 == 0).await?;
                stage.hand_over(inputs).await;
                daemon = start(&stage, &wrong);
            }
            Operation::CommandDies { at, version, after } => {
                end(daemon, after % 2 == 0).await?;
                stage.daemon.shut_down().await;
                let dies = Duration::from_secs(after);
                drop(tokio::time::timeout(dies, request(&mut stage, at, version)).await);
                stage.restart_daemon().await;
                daemon = start(&stage, &wrong);
            }
            // The command makes its request while the daemon reconciles.
            Operation::Together { at, version, .. } => request(&mut stage, at, version).await,
            Operation::Install { at, version } => request(&mut stage, at, Some(version)).await,
            Operation::Remove { at } => request(&mut stage, at, None).await,
            Operation::Intent { .. }
            | Operation::Sleep(_)
            | Operation::CallsFail(_)
            | Operation::Events(_)
            | Operation::Heal => perform(&mut stage, operation, &mut trust).await?,
        }
        nothing_forbidden(&stage.host).map_err(|words| format!("after {operation:?}: {words}"))?;
    }
    stage.heal();
    let _daemon = if case.forgets {
        drop(daemon);
        stage.restart_daemon().await;
        stage.sleep(100).await;
        let daemon = start(&stage, &wrong);
        settled(&stage, 90).await?;
        daemon
    } else {
        // The longest back-off, and the longest call in progress at the recovery.
        settled(&stage, 3600).await?;
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
    stage.apply(number % MOST, last[number % last.len()]).await;
    stage.sleep(90).await;
    in_order(&stage.host)?;
    nothing_forbidden(&stage.host)?;
    let wrong = wrong.lock().unwrap();
    must(wrong.is_empty(), || wrong.join("; "))
}

/// Whether the host matches the desired state after `seconds`, and nothing is done in the hour after that.
async fn settled(stage: &Stage, seconds: u64) -> Verdict {
    stage.sleep(seconds).await;
    in_order(&stage.host)?;
    nothing_forbidden(&stage.host)?;
    let before = stage.host.counts();
    stage.sleep(3600).await;
    nothing_done(before, stage.host.counts())
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn unreliable_events_still_converge_within_three_resyncs(case in case(ALL, 40)) {
        let verdict = run(supervise(&case));
        prop_assert!(verdict.is_ok(), "{}", verdict.unwrap_err());
    }
}
