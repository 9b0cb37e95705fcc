//! The events of a soak: faults with their weights, failing calls, and intents.

use std::time::Duration;

use adapter_fake::journal::CALLS;
use adapter_fake::{Fault as FailingCall, Method, Mode};
use companion_core::ports::PortErrorKind;

use super::stage::Stage;
use crate::faults::Fault;
use crate::random::Random;

/// How often a fault occurs, relative to others, and the faults just before it that make it matter.
struct Weighted(u64, &'static [Fault]);

/// The weight of a fault; 0 is never.
fn weighted(fault: Fault) -> Weighted {
    use Fault::*;
    let before: &[Fault] = match fault {
        // A counterpart ends its fault; alone it changes nothing.
        UnitAccepted
        | UnitUnmasked
        | UnitUnshadowed
        | ContainerUnpaused
        | ProgramRestored
        | ConfigDirectoryRemoved
        | InputRestored
        | HookRestored
        | ContextRestored
        | BuildRestored
        | RegistryUp
        | RecordReadable
        | CatalogRestored
        | BusUp
        | LoggedIn
        | PodmanRestored
        | GeneratorRestored
        | UnparsableFileRemoved
        | DiskWritable
        | StartsUsual
        | ReloadsUnlimited
        | StartsFast => return Weighted(0, &[]),
        // The fake host does not model these.
        UnitTouched | ServiceRestarted | ConfigDirectory | LinkRedirected | TagRemoved
        | ImagesPruned | RecordLocked | CatalogBroken | StatusGarbled | ManagerHeld
        | FilesComeAndGo => return Weighted(0, &[]),
        // Only new intents of their owners restore a record.
        RecordLost => return Weighted(0, &[]),
        // The dangling image stays, which is as intended.
        ImageLeft => return Weighted(0, &[]),
        ManagerKilled | ManagerShutDown => return Weighted(3, &[UnitDeleted, ServiceStopped]),
        UnitRefused | BusDown | GeneratorCorruptsOnce | ReloadsLimited | UnparsableFile => {
            &[UnitDeleted]
        }
        DiskFull | DiskReadOnly | GeneratorMissing | PodmanMissing | StopIgnored => &[UnitEdited],
        JobCancelled | RecordCorrupt | RecordForbidden | StartsSlow => &[ServiceStopped],
        StartsFail | NeverReady => &[ContainerKilled],
        StartsLimited => &[CrashLoop],
        ContainerUnmanaged | ContainerLeft => &[ContainerRemoved, ServiceStopped],
        HookFails | HookHangs | HookNonsense => &[CredentialsRotated],
        InputLost => &[ConfigDeleted],
        BuildFails | BuildHangs | ContextRemoved => &[ContextChanged],
        RegistryDown | RegistrySlow | RegistryUntrusted => &[ImageRemoved],
        UnitEdited | UnitSpoilt | UnitExposed | UnitDeleted | UnitTruncated | UnitGarbled
        | UnitUnmanaged | UnitUnmanagedRefused | UnitDirectory | UnitUnreadable
        | RendererChanged | UnitMasked | UnitShadowed | Reloaded | ContainerKilled
        | ContainerRemoved | ContainerPaused | ServiceStopped | ServiceFailed | CrashLoop
        | ConfigDeleted | ConfigEdited | ConfigReadable | ConfigWritable | LinkDeleted
        | LinkReplaced | LinkDirectory | CredentialsRotated | ContextChanged | ImageRemoved
        | TagMoved | LoggedOut | ClockSetBack | ClockSetForward | Rebooted | PowerLost => &[],
    };
    Weighted(1, before)
}

/// Faults that occur together, in addition.
const TOGETHER: [&[Fault]; 2] = [
    &[Fault::UnitEdited, Fault::Reloaded, Fault::ContainerKilled],
    &[Fault::UnitDeleted, Fault::Reloaded],
];

/// The faults of one event, in order.
pub(super) fn drawn(random: &mut Random) -> Vec<Fault> {
    let weights = Fault::ALL.iter().map(|fault| (*fault, weighted(*fault)));
    let weights: Vec<_> = weights.filter(|(_, Weighted(weight, _))| *weight > 0).collect();
    let total: u64 = weights.iter().map(|(_, Weighted(weight, _))| weight).sum();
    let mut rest = random.below(total + TOGETHER.len() as u64);
    for (fault, Weighted(weight, before)) in &weights {
        match rest.checked_sub(*weight) {
            Some(left) => rest = left,
            None => return before.iter().copied().chain([*fault]).collect(),
        }
    }
    let together = TOGETHER.into_iter().nth(usize::try_from(rest).unwrap_or_default());
    together.unwrap_or_default().to_vec()
}

/// Whether other companions may restart because of it, and more is done: it changes what they share, or it ends all
/// runs.
pub(super) fn restarts_others(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::RendererChanged
            | Fault::CredentialsRotated
            | Fault::InputLost
            | Fault::LoggedOut
            | Fault::Rebooted
            | Fault::PowerLost
    )
}

/// The failing calls, one kind of failure each, while a companion has lost its unit, its container and its
/// configuration.
pub(super) fn failing_calls() -> Vec<FailingCall> {
    // After that loss nothing is restarted, removed or dangling, and no service has failed.
    let never = [
        Method::Restart,
        Method::Stop,
        Method::ResetFailed,
        Method::LogTails,
        Method::Remove,
        Method::Prune,
        Method::Sweep,
    ];
    let calls = CALLS.into_iter().filter(move |(_, method)| !never.contains(method));
    let modes = [
        Mode::Error(PortErrorKind::Transient),
        Mode::Error(PortErrorKind::Unavailable),
        Mode::ErrorAfterEffect(PortErrorKind::Transient),
        Mode::Hang,
        Mode::HangAfterEffect,
        Mode::Delay(Duration::from_secs(7)),
    ];
    let with =
        |(port, method)| modes.clone().map(move |mode| FailingCall::once(port, method, mode));
    calls.flat_map(with).collect()
}

/// One companion loses everything and the others nothing: a new manager treats a run without its configuration as
/// unverified.
pub(super) fn lose_everything(stage: &Stage, at: usize) {
    let spec = stage.spec(at);
    for fault in
        [Fault::UnitDeleted, Fault::ConfigDeleted, Fault::ImageRemoved, Fault::ServiceStopped]
    {
        fault.apply(&stage.host, &spec);
    }
}
