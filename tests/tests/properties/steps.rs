//! Runs a case: performs each operation and checks the invariants after each.

use std::sync::Arc;
use std::time::Duration;

use adapter_fake::{Counts, FakeHost, Mode};
use companion_core::reconciler::{ReconcileError, Reconciler};
use companion_tests::faults::{End, Fault};
use companion_tests::simulation::LONGEST;
use companion_tests::simulation::checks::{Verdict, must, no_violations, nothing_done};

use crate::case::Case;
use crate::companions::{MOST, named};
use crate::operations::Operation;
use crate::oracle::{Unmanaged, convergence_is_honest, in_order, says_no_secret, work_is_bounded};
use crate::simulation::Simulation;
use crate::watch::{Course, Watch};

/// The health of the host during operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Trust {
    /// A persistent fault is active until the host is recovered.
    pub(crate) troubled: bool,
    /// A read may return an older state of the host.
    pub(crate) misled: bool,
}

/// Performs the operations of `case` on `simulation` and checks the invariants after each.
pub(crate) async fn perform_all(simulation: &mut Simulation, case: &Case) -> Verdict {
    let mut trust = Trust::default();
    // The unmanaged services have started.
    simulation.sleep(1).await;
    if case.installed {
        install_all(simulation).await?;
    }
    for (number, operation) in case.operations.iter().enumerate() {
        let (now, records) = (simulation.on.host.world(), simulation.records);
        let unmanaged = Unmanaged::of(&now);
        let done = perform(simulation, operation, &mut trust).await;
        simulation.before = now;
        simulation.recorded.push(simulation.records > records);
        done.and_then(|()| no_violations(&simulation.on.host))
            .and_then(|()| {
                let kept = operation.changes_unmanaged()
                    || unmanaged == Unmanaged::of(&simulation.on.host.world());
                must(kept, || "something that is not ours changed".to_owned())
            })
            .map_err(|words| format!("operation {number}, {operation:?}: {words}"))?;
    }
    Ok(())
}

async fn install_all(simulation: &mut Simulation) -> Verdict {
    for at in 0..MOST {
        simulation.record(at, Some(0));
    }
    for _ in 0..2 {
        let _effects = sound_pass(simulation).await?;
        simulation.sleep(60).await;
    }
    in_order(&simulation.on.host)
}

/// Ends all faults and checks that the host converges within three runs and stays idle, both with the same daemon and
/// with one without memory.
pub(crate) async fn converge(simulation: &mut Simulation, forgets: bool) -> Verdict {
    simulation.heal();
    if forgets {
        simulation.restart_daemon().await?;
        // Pending stops and restart delays of the service manager are over.
        simulation.sleep(100).await;
    } else {
        // The longest back-off is over.
        simulation.sleep(1000).await;
    }
    let mut converges = 0;
    while simulation.on.host.mismatch().is_some() || converges == 0 {
        must(converges < 3, || format!("after 3 converges: {:?}", simulation.on.host.mismatch()))?;
        work_is_bounded(sound_pass(simulation).await?)?;
        simulation.sleep(30).await;
        converges += 1;
    }
    in_order(&simulation.on.host)?;
    no_violations(&simulation.on.host)?;
    quiet(simulation).await
}

async fn quiet(simulation: &mut Simulation) -> Verdict {
    let _effects = sound_pass(simulation).await?;
    let before = simulation.on.host.counts();
    let _effects = sound_pass(simulation).await?;
    nothing_done(before, simulation.on.host.counts())?;
    for _ in 0..3 {
        let (command, _) = simulation.command();
        let (_refused, _) = watched(simulation, Course::default(), command.converge()).await?;
        command.shut_down().await;
        no_violations(&simulation.on.host)?;
        let _effects = sound_pass(simulation).await?;
        nothing_done(before, simulation.on.host.counts())?;
    }
    simulation.restart_daemon().await?;
    let before = simulation.on.host.counts();
    let _effects = sound_pass(simulation).await?;
    // A daemon without memory queries the containers of removed companions.
    let processes = before.processes;
    nothing_done(before, Counts { processes, ..simulation.on.host.counts() })
}

/// Converges once with the daemon on a host without faults and checks the report; returns the number of effects.
async fn sound_pass(simulation: &Simulation) -> Result<(u32, u32), String> {
    let daemon = Arc::clone(&simulation.on.manager);
    let (convergence, effects) = watched(simulation, Course::default(), daemon.converge()).await?;
    let convergence = convergence.ok_or_else(|| "it was stopped".to_owned())?;
    convergence_is_honest(&convergence, &simulation.on.host, true)?;
    says_no_secret(&format!("{convergence:?}"))?;
    convergence.map(|_convergence| effects).map_err(|error| error.chain())
}

/// Runs `work` with a watch at every effect; `None` if it was stopped.
async fn watched<T>(
    simulation: &Simulation,
    course: Course,
    work: impl Future<Output = T>,
) -> Result<(Option<T>, (u32, u32)), String> {
    let watch = Arc::new(Watch::new(simulation, course));
    simulation.on.host.set_gate(watch.clone());
    let done = tokio::select! {
        biased;
        () = watch.reached.notified() => Ok(None),
        done = work => Ok(Some(done)),
        () = tokio::time::sleep(LONGEST) => Err("it never ends".to_owned()),
    };
    simulation.on.host.remove_gate();
    let complaints = watch.complaints();
    must(complaints.is_empty(), || complaints.join("; "))?;
    Ok((done?, watch.effects()))
}

/// Performs `operation`.
pub(crate) async fn perform(
    simulation: &mut Simulation,
    operation: &Operation,
    trust: &mut Trust,
) -> Verdict {
    let course = Course { misled: trust.misled, ..Course::default() };
    match *operation {
        Operation::Resync => resync(simulation, *trust).await?,
        Operation::Install { at, version } => ask(simulation, at, Some(version), *trust).await?,
        Operation::Remove { at } => ask(simulation, at, None, *trust).await?,
        // An intent that the disk does not accept is not recorded, and the command reports it.
        Operation::Intent { at, version } => drop(simulation.intent(at, version).await),
        Operation::Sleep(seconds) => simulation.sleep(seconds).await,
        Operation::Fault { at, fault } => {
            simulation.apply(at, fault).await?;
            trust.troubled |= lasts(fault);
        }
        Operation::CallsFail(ref call) => {
            simulation.on.host.set_old_view(simulation.before.clone());
            simulation.on.host.inject(call.clone());
            trust.troubled = true;
            trust.misled |= call.mode == Mode::OldView;
        }
        Operation::Crash { after } => {
            interrupt(simulation, after, cleanly(after % 4 == 0), course).await?;
            simulation.on.start();
        }
        Operation::PowerLoss { after, outcome } => {
            // Soon, so that work is in progress.
            let after = if simulation.on.is_supervised() { after % 8 } else { after };
            interrupt(simulation, after, End::Killed, course).await?;
            simulation.on.host.power_loss_leaving(outcome);
            simulation.on.start();
        }
        Operation::Together { at, version, stalls } => {
            together(simulation, at, version, Course { stalls, ..course }).await?;
        }
        Operation::Events(delivery) => simulation.on.host.deliver_events(delivery),
        Operation::Heal => {
            simulation.heal();
            *trust = Trust::default();
        }
        Operation::HandOver { after, inputs } => {
            interrupt(simulation, after, cleanly(after % 4 == 0), course).await?;
            simulation.hand_over(inputs);
        }
        Operation::CommandDies { at, version, after } => {
            simulation.on.end(cleanly(after % 2 == 0)).await?;
            command_dies(simulation, at, version, after, course).await?;
            simulation.on.start();
        }
    }
    Ok(())
}

fn cleanly(shut_down: bool) -> End {
    if shut_down { End::ShutDown } else { End::Killed }
}

/// The daemon converges, or may do so by itself.
async fn resync(simulation: &Simulation, trust: Trust) -> Verdict {
    if simulation.on.is_supervised() {
        simulation.sleep(30).await;
        return Ok(());
    }
    let daemon = Arc::clone(&simulation.on.manager);
    checked_pass(simulation, &daemon, &simulation.on.host, None, trust).await
}

/// The daemon ends in a converge, at the crash point `after`; one that runs by itself ends after that many seconds, in the
/// way of `end`.
async fn interrupt(simulation: &mut Simulation, after: u64, end: End, course: Course) -> Verdict {
    if simulation.on.is_supervised() {
        simulation.sleep(after).await;
        return simulation.on.end(end).await;
    }
    let (daemon, course) = (Arc::clone(&simulation.on.manager), stopped_at(after, course));
    let (convergence, _) = watched(simulation, course, daemon.converge()).await?;
    // The invariants are the same whether or not it reached the point.
    convergence.map_or(Ok(()), |convergence| {
        convergence_is_honest(&convergence, &simulation.on.host, false)
    })?;
    simulation.on.end(End::Killed).await
}

fn stopped_at(after: u64, course: Course) -> Course {
    Course { stop_at: Some(after), ..course }
}

/// No daemon runs. A command records an intent, leads, and dies at the crash point `after`; with supervised daemons, after
/// that many seconds.
async fn command_dies(
    simulation: &mut Simulation,
    at: usize,
    version: Option<u8>,
    after: u64,
    course: Course,
) -> Verdict {
    if simulation.on.is_supervised() {
        let dies = Duration::from_secs(after);
        drop(tokio::time::timeout(dies, request(simulation, at, version)).await);
        return Ok(());
    }
    if simulation.intent(at, version).await.is_err() {
        return Ok(());
    }
    let ((command, _), names) = (simulation.command(), [named(at)].into());
    let work = command.converge_for(Some(&names));
    let (convergence, _) = watched(simulation, stopped_at(after, course), work).await?;
    command.shut_down().await;
    convergence.map_or(Ok(()), |convergence| {
        convergence_is_honest(&convergence, &simulation.on.host, false)
    })
}

/// A command records an intent, and leads until that is done unless the daemon leads.
async fn request(simulation: &mut Simulation, at: usize, version: Option<u8>) {
    if simulation.intent(at, version).await.is_ok() {
        let (command, _) = simulation.command();
        drop(command.converge_for(Some(&[named(at)].into())).await);
        command.shut_down().await;
    }
}

/// Converges one companion or all, and checks the report.
async fn checked_pass(
    simulation: &Simulation,
    reconciler: &Reconciler,
    host: &FakeHost,
    at: Option<usize>,
    trust: Trust,
) -> Verdict {
    let course = Course { misled: trust.misled, ..Course::default() };
    let names = at.map(|at| [named(at)].into());
    let work = reconciler.converge_for(names.as_ref());
    let (convergence, effects) = watched(simulation, course, work).await?;
    if !trust.troubled {
        work_is_bounded(effects)?;
    }
    let convergence = convergence.ok_or_else(|| "it was stopped".to_owned())?;
    // A converge of one companion reports nothing about work that it leaves to the next resync.
    let convergence = match (convergence, at) {
        (Ok(mut convergence), Some(at)) => {
            convergence.last.desired.targets.retain(|name, _| *name == named(at));
            Ok(convergence)
        }
        (convergence, _) => convergence,
    };
    convergence_is_honest(&convergence, host, !trust.troubled)
}

/// A command records an intent. If a daemon leads, it converges; else the command leads until that is done.
async fn ask(simulation: &mut Simulation, at: usize, version: Option<u8>, trust: Trust) -> Verdict {
    if simulation.on.is_supervised() {
        request(simulation, at, version).await;
        return Ok(());
    }
    if simulation.intent(at, version).await.is_err() {
        return Ok(());
    }
    let (command, host) = simulation.command();
    let verdict = match command.lead().await {
        Ok(()) => checked_pass(simulation, &command, &host, Some(at), trust).await,
        Err(ReconcileError::Led { .. }) => {
            let daemon = Arc::clone(&simulation.on.manager);
            checked_pass(simulation, &daemon, &simulation.on.host, None, trust).await
        }
        Err(error) => says_no_secret(&error.chain()),
    };
    command.shut_down().await;
    verdict
}

/// The daemon converges. Some time after its start a command records an intent and tries to lead.
async fn together(
    simulation: &mut Simulation,
    at: usize,
    version: Option<u8>,
    course: Course,
) -> Verdict {
    if simulation.on.is_supervised() {
        request(simulation, at, version).await;
        return Ok(());
    }
    let daemon = Arc::clone(&simulation.on.manager);
    let (host, intent) = (simulation.command_host(), simulation.asked(at, version));
    let moments = [0, 10, 300, 1000, 5000, 12_000, 21_000, 40_000];
    let moment = moments[usize::try_from((course.stalls >> 20) % 8).unwrap_or(0)];
    let commanding = async {
        tokio::time::sleep(Duration::from_millis(moment)).await;
        // It may be read before its author knows that it is recorded.
        simulation.ledger.iter().for_each(|ledger| ledger.intended(&named(at), true));
        simulation.on.request(&host, &intent).await.ok()
    };
    let work = async { tokio::join!(daemon.converge(), commanding) };
    let (convergences, _) = watched(simulation, course, work).await?;
    let (one, other) = convergences.ok_or_else(|| "they were stopped".to_owned())?;
    convergence_is_honest(&one, &simulation.on.host, false)?;
    if let Some(other) = other {
        simulation.intended(at, version);
        convergence_is_honest(&other, &simulation.on.host, false)?;
    }
    Ok(())
}

/// Whether reports and costs are checked leniently after `fault` until the host is recovered.
pub(crate) fn lasts(fault: Fault) -> bool {
    // The next reload is corrupted, whenever that is.
    fault.lasts() || fault == Fault::GeneratorCorruptsOnce
}

impl Operation {
    /// Whether it changes unmanaged objects by design.
    fn changes_unmanaged(&self) -> bool {
        matches!(self, Self::Fault { .. } | Self::PowerLoss { .. } | Self::Heal)
    }
}
