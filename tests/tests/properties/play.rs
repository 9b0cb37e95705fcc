//! Runs a case: performs each operation and checks the invariants after each.

use std::sync::Arc;
use std::time::Duration;

use adapter_fake::{Counts, FakeHost, Fault as FailingCall, Mode};
use companion_core::reconciler::{ReconcileError, Reconciler};
use companion_tests::faults::Fault;

use crate::case::Case;
use crate::companions::{MOST, named};
use crate::operations::{FailingCalls, How, Operation};
use crate::oracle::{
    Unmanaged, Verdict, in_order, must, nothing_done, nothing_forbidden, pass_is_honest,
    says_no_secret, work_is_bounded,
};
use crate::stage::{Stage, intend};
use crate::watch::{Course, Watch};

/// The end of all waiting: longer than the longest timeout of a call.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(4 * 3600);

/// The health of the host during operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Trust {
    /// A persistent fault is active until the host is recovered.
    pub(crate) troubled: bool,
    /// A read may return an older state of the host.
    pub(crate) misled: bool,
}

/// Performs the operations of `case` on `stage` and checks the invariants after each.
pub(crate) async fn play(stage: &mut Stage, case: &Case) -> Verdict {
    let mut trust = Trust::default();
    // The unmanaged services have started.
    stage.sleep(1).await;
    if case.installed {
        install_all(stage).await?;
    }
    for (number, operation) in case.operations.iter().enumerate() {
        let (now, records) = (stage.host.world(), stage.records);
        let unmanaged = Unmanaged::of(&now);
        let done = perform(stage, operation, &mut trust).await;
        stage.before = now;
        stage.recorded.push(stage.records > records);
        done.and_then(|()| nothing_forbidden(&stage.host))
            .and_then(|()| {
                let kept = operation.changes_unmanaged()
                    || unmanaged == Unmanaged::of(&stage.host.world());
                must(kept, || "something that is not ours changed".to_owned())
            })
            .map_err(|words| format!("operation {number}, {operation:?}: {words}"))?;
    }
    Ok(())
}

async fn install_all(stage: &mut Stage) -> Verdict {
    for at in 0..MOST {
        stage.record(at, Some(0));
    }
    for _ in 0..2 {
        let _effects = sound_pass(stage).await?;
        stage.sleep(60).await;
    }
    in_order(&stage.host)
}

/// Ends all faults and checks that the host converges within three runs and stays idle, both with the same daemon and
/// with one without memory.
pub(crate) async fn converge(stage: &mut Stage, forgets: bool) -> Verdict {
    stage.heal();
    if forgets {
        stage.restart_daemon().await;
        // Pending stops and restart delays of the service manager are over.
        stage.sleep(100).await;
    } else {
        // The longest back-off is over.
        stage.sleep(1000).await;
    }
    let mut passes = 0;
    while stage.host.untruth().is_some() || passes == 0 {
        must(passes < 3, || format!("after 3 passes: {:?}", stage.host.untruth()))?;
        work_is_bounded(sound_pass(stage).await?)?;
        stage.sleep(30).await;
        passes += 1;
    }
    in_order(&stage.host)?;
    nothing_forbidden(&stage.host)?;
    quiet(stage).await
}

async fn quiet(stage: &mut Stage) -> Verdict {
    let _effects = sound_pass(stage).await?;
    let before = stage.host.counts();
    let _effects = sound_pass(stage).await?;
    nothing_done(before, stage.host.counts())?;
    for _ in 0..3 {
        let (command, _) = stage.command();
        let (_refused, _) = watched(stage, Course::default(), command.converge()).await?;
        command.shut_down().await;
        nothing_forbidden(&stage.host)?;
        let _effects = sound_pass(stage).await?;
        nothing_done(before, stage.host.counts())?;
    }
    stage.restart_daemon().await;
    let before = stage.host.counts();
    let _effects = sound_pass(stage).await?;
    // A daemon without memory queries the containers of removed companions.
    let processes = before.processes;
    nothing_done(before, Counts { processes, ..stage.host.counts() })
}

/// Converges once with the daemon on a host without faults and checks the report; returns the number of effects.
async fn sound_pass(stage: &Stage) -> Result<(u32, u32), String> {
    let daemon = Arc::clone(&stage.daemon);
    let (pass, effects) = watched(stage, Course::default(), daemon.converge()).await?;
    let pass = pass.ok_or_else(|| "it was stopped".to_owned())?;
    pass_is_honest(&pass, &stage.host, true)?;
    says_no_secret(&format!("{pass:?}"))?;
    pass.map(|_pass| effects).map_err(|error| error.chain())
}

/// Runs `work` with a watch at every effect; `None` if it was stopped.
async fn watched<T>(
    stage: &Stage,
    course: Course,
    work: impl Future<Output = T>,
) -> Result<(Option<T>, (u32, u32)), String> {
    let watch = Arc::new(Watch::new(stage, course));
    stage.host.set_gate(watch.clone());
    let done = tokio::select! {
        biased;
        () = watch.reached.notified() => Ok(None),
        done = work => Ok(Some(done)),
        () = tokio::time::sleep(FOR_EVER) => Err("it never ends".to_owned()),
    };
    stage.host.remove_gate();
    let complaints = watch.complaints();
    must(complaints.is_empty(), || complaints.join("; "))?;
    Ok((done?, watch.effects()))
}

/// Performs `operation`.
pub(crate) async fn perform(
    stage: &mut Stage,
    operation: &Operation,
    trust: &mut Trust,
) -> Verdict {
    let course = Course { misled: trust.misled, ..Course::default() };
    match *operation {
        Operation::Resync => {
            let daemon = Arc::clone(&stage.daemon);
            judged_pass(stage, &daemon, &stage.host, None, *trust).await?;
        }
        Operation::Install { at, version } => ask(stage, at, Some(version), *trust).await?,
        Operation::Remove { at } => ask(stage, at, None, *trust).await?,
        // An intent that the disk does not accept is not recorded, and the command reports it.
        Operation::Intent { at, version } => drop(stage.intent(at, version).await),
        Operation::Sleep(seconds) => stage.sleep(seconds).await,
        Operation::Fault { at, fault } => {
            stage.apply(at, fault).await;
            trust.troubled |= lasts(fault);
        }
        Operation::CallsFail(calls) => {
            stage.host.inject(failing(stage, calls));
            trust.troubled = true;
            trust.misled |= calls.how == How::OldView;
        }
        Operation::Crash { after } => {
            cut_off(stage, Course { stop_at: Some(after), ..course }).await?;
            stage.restart_daemon().await;
        }
        Operation::PowerLoss { after, outcome } => {
            cut_off(stage, Course { stop_at: Some(after), ..course }).await?;
            stage.host.power_loss_leaving(outcome);
            stage.restart_daemon().await;
        }
        Operation::Together { at, version, stalls } => {
            together(stage, at, version, Course { stalls, ..course }).await?;
        }
        Operation::Events(delivery) => stage.host.deliver_events(delivery),
        Operation::Heal => {
            stage.heal();
            *trust = Trust::default();
        }
        Operation::HandOver { after, inputs } => {
            cut_off(stage, Course { stop_at: Some(after), ..course }).await?;
            stage.hand_over(inputs).await;
        }
        Operation::CommandDies { at, version, after } => {
            stage.daemon.shut_down().await;
            if stage.intent(at, version).await.is_ok() {
                let ((command, _), names) = (stage.command(), [named(at)].into());
                let course = Course { stop_at: Some(after), ..course };
                let (pass, _) = watched(stage, course, command.converge_for(&names)).await?;
                command.shut_down().await;
                pass.map_or(Ok(()), |pass| pass_is_honest(&pass, &stage.host, false))?;
            }
            stage.restart_daemon().await;
        }
    }
    Ok(())
}

async fn cut_off(stage: &mut Stage, course: Course) -> Verdict {
    let daemon = Arc::clone(&stage.daemon);
    let (pass, _) = watched(stage, course, daemon.converge()).await?;
    // The invariants are the same whether or not it reached the point.
    pass.map_or(Ok(()), |pass| pass_is_honest(&pass, &stage.host, false))
}

/// Converges one companion or all, and checks the report.
async fn judged_pass(
    stage: &Stage,
    reconciler: &Reconciler,
    host: &FakeHost,
    at: Option<usize>,
    trust: Trust,
) -> Verdict {
    let course = Course { misled: trust.misled, ..Course::default() };
    let names = at.map(|at| [named(at)].into());
    let work = async {
        match &names {
            Some(names) => reconciler.converge_for(names).await,
            None => reconciler.converge().await,
        }
    };
    let (pass, effects) = watched(stage, course, work).await?;
    if !trust.troubled {
        work_is_bounded(effects)?;
    }
    let pass = pass.ok_or_else(|| "it was stopped".to_owned())?;
    // A converge of one companion reports nothing about work that it leaves to the next resync.
    let pass = match (pass, at) {
        (Ok(mut pass), Some(at)) => {
            pass.last.desired.targets.retain(|name, _| *name == named(at));
            Ok(pass)
        }
        (pass, _) => pass,
    };
    pass_is_honest(&pass, host, !trust.troubled)
}

/// A command records an intent. If a daemon leads, it converges; else the command leads until that is done.
async fn ask(stage: &mut Stage, at: usize, version: Option<u8>, trust: Trust) -> Verdict {
    if stage.intent(at, version).await.is_err() {
        return Ok(());
    }
    let (command, host) = stage.command();
    let verdict = match command.lead().await {
        Ok(()) => judged_pass(stage, &command, &host, Some(at), trust).await,
        Err(ReconcileError::Led { .. }) => {
            let daemon = Arc::clone(&stage.daemon);
            judged_pass(stage, &daemon, &stage.host, None, trust).await
        }
        Err(error) => says_no_secret(&error.chain()),
    };
    command.shut_down().await;
    verdict
}

/// The daemon converges. Some time after its start a command records an intent and tries to lead.
async fn together(stage: &mut Stage, at: usize, version: Option<u8>, course: Course) -> Verdict {
    let (daemon, (command, host)) = (Arc::clone(&stage.daemon), stage.command());
    let (profile, names) = (stage.profiles[at], [named(at)].into());
    let moments = [0, 10, 300, 1000, 5000, 12_000, 21_000, 40_000];
    let moment = moments[usize::try_from((course.stalls >> 20) % 8).unwrap_or(0)];
    let commanding = async {
        tokio::time::sleep(Duration::from_millis(moment)).await;
        // It may be read before its author knows that it is recorded.
        stage.ledger.iter().for_each(|ledger| ledger.intended(&named(at), true));
        intend(&host, at, profile, version).await.ok()?;
        let pass = command.converge_for(&names).await;
        command.shut_down().await;
        Some(pass)
    };
    let work = async { tokio::join!(daemon.converge(), commanding) };
    let (passes, _) = watched(stage, course, work).await?;
    let (one, other) = passes.ok_or_else(|| "they were stopped".to_owned())?;
    pass_is_honest(&one, &stage.host, false)?;
    if let Some(other) = other {
        stage.intended(at, version);
        pass_is_honest(&other, &stage.host, false)?;
    }
    Ok(())
}

/// Whether reports and costs are judged leniently after `fault` until the host is recovered.
pub(crate) fn lasts(fault: Fault) -> bool {
    // The next reload is corrupted, whenever that is.
    fault.lasts() || fault == Fault::GeneratorCorruptsOnce
}

fn failing(stage: &Stage, calls: FailingCalls) -> FailingCall {
    let mode = match calls.how {
        How::Fails(kind) => Mode::Error(kind),
        How::FailsAfter(kind) => Mode::ErrorAfterEffect(kind),
        How::Hangs => Mode::Hang,
        How::HangsAfter => Mode::HangAfterEffect,
        How::Late(seconds) => Mode::Delay(Duration::from_secs(seconds)),
        How::OldView => Mode::OldView(Box::new(stage.before.clone())),
    };
    let FailingCalls { port, method, skip, times, .. } = calls;
    FailingCall { port, method, companion: None, skip, times, mode }
}

impl Operation {
    /// Whether it changes unmanaged objects by design.
    fn changes_unmanaged(&self) -> bool {
        matches!(self, Self::Fault { .. } | Self::PowerLoss { .. } | Self::Heal)
    }
}
