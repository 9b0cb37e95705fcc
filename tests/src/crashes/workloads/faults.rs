//! Workloads with faults: each fault alone, and several of them with intents or with a second process.

use std::time::Duration;

use super::{ALL, EVERY, INDEXER, Op, Other, VIEWER, WALLET, Workload, bare, explorer, installed};
use crate::faults::Fault;
use crate::node::{companions, indexer, other_version, wallet};

/// The faults in which no manager can crash: the service manager repairs them, or a reconcile ends with its first read.
const IDLE: [Fault; 15] = [
    Fault::UnitMasked,
    Fault::Reloaded,
    Fault::ContainerKilled,
    Fault::ContainerRemoved,
    Fault::CrashLoop,
    Fault::NeverReady,
    Fault::StartsFail,
    Fault::UserManagerStopped,
    Fault::StartsLimited,
    Fault::ClockSetBack,
    Fault::ClockSetForward,
    Fault::Rebooted,
    Fault::PowerLost,
    Fault::RecordCorrupt,
    Fault::RecordForbidden,
];

/// Each fault, after those that make it matter and, when it lasts, before its counterpart a minute later.
pub(super) fn each() -> impl Iterator<Item = Workload> {
    let events = Fault::ALL.iter().filter_map(|fault| Some((*fault, fault.event()?)));
    events.filter(|(fault, _)| !IDLE.contains(fault)).map(|(fault, event)| {
        let touched = touched_by(fault, &event);
        let undone: Vec<_> = event.iter().rev().filter_map(|fault| fault.undo()).collect();
        let mut ops: Vec<_> = event.iter().map(|fault| Op::Fault(*fault, touched[0])).collect();
        if !undone.is_empty() {
            ops.extend([Op::Converge, Op::Sleep(60)]);
            ops.extend(undone.iter().map(|fault| Op::Fault(*fault, touched[0])));
        }
        installed(fault.name(), touched, ops)
    })
}

/// The companions that `event` may touch, the first of them its target. The name of its fault chooses among several.
fn touched_by(fault: Fault, event: &[Fault]) -> &'static [&'static str] {
    let all: Vec<_> = companions().into_iter().chain([explorer()]).collect();
    let fits = |touched: &&[&'static str]| {
        let target = all.iter().find(|spec| touched[0] == spec.name.as_str());
        target.is_some_and(|spec| event.iter().all(|fault| fault.fits(spec)))
    };
    let keeps_others = |touched: &&[&'static str]| {
        let mut others = all.iter().filter(|spec| !touched.contains(&spec.name.as_str()));
        // A crash may be a loss of power, and then a boot.
        let restarts = |fault: &Fault, other| fault.may_restart(other) || fault.hides_all_units();
        others.all(|other| !event.iter().any(|fault| restarts(fault, other)))
    };
    let of_one = [WALLET, VIEWER, INDEXER].into_iter();
    let fitting: Vec<_> = of_one.filter(fits).filter(keeps_others).collect();
    match fitting.len() {
        0 => EVERY,
        several => fitting[fault.name().len() % several],
    }
}

/// Several faults of one companion, and others.
pub(super) fn combined() -> Vec<Workload> {
    use Fault::*;
    use Op::{Converge, Remove, Sleep};
    let wallet = |fault| Op::Fault(fault, "wallet");
    let viewer = |fault| Op::Fault(fault, "viewer");
    let indexer = |fault| Op::Fault(fault, "indexer");
    vec![
        installed(
            "three units deleted together",
            ALL,
            vec![wallet(UnitDeleted), viewer(UnitDeleted), indexer(UnitDeleted)],
        ),
        installed(
            "a unit edited, loaded and started",
            WALLET,
            vec![wallet(UnitEdited), wallet(Reloaded), wallet(ContainerKilled), Sleep(15)],
        ),
        installed(
            "a unit edited, and a reboot",
            WALLET,
            vec![wallet(UnitEdited), wallet(Rebooted)],
        ),
        installed(
            "a unit deleted, and a loss of power",
            INDEXER,
            vec![indexer(UnitDeleted), indexer(PowerLost)],
        ),
        installed(
            "a mask that is removed",
            WALLET,
            vec![
                wallet(UnitMasked),
                wallet(ServiceStopped),
                Converge,
                Sleep(60),
                wallet(UnitUnmasked),
                wallet(Reloaded),
            ],
        ),
        installed(
            "a shadowing unit that is removed",
            WALLET,
            vec![
                wallet(UnitShadowed),
                wallet(ServiceStopped),
                Converge,
                Sleep(60),
                wallet(UnitUnshadowed),
            ],
        ),
        installed(
            "a killed container with a lost unit",
            WALLET,
            vec![wallet(UnitDeleted), wallet(Reloaded), wallet(ContainerKilled)],
        ),
        installed(
            "a container removed by hand, its service stopped",
            INDEXER,
            vec![indexer(ContainerRemoved), indexer(ServiceStopped)],
        ),
        installed(
            "a service that had to be killed",
            WALLET,
            vec![wallet(StopIgnored), wallet(ServiceStopped), Sleep(15), wallet(ProgramRestored)],
        ),
        installed(
            "the removal of one with a dangling container",
            WALLET,
            vec![wallet(UnitDeleted), wallet(Reloaded), wallet(ContainerKilled), Remove("wallet")],
        ),
        installed(
            "remove one with a lost unit",
            WALLET,
            vec![wallet(UnitDeleted), wallet(Reloaded), Remove("wallet")],
        ),
        installed(
            "an edited configuration, its service stopped",
            VIEWER,
            vec![viewer(ConfigEdited), viewer(ServiceStopped)],
        ),
        installed(
            "two changed build contexts, and old images to prune",
            &["viewer", "wallet"],
            vec![wallet(ContextChanged), Converge, Sleep(60), viewer(ContextChanged)],
        ),
        installed(
            "a lost image, its service stopped",
            WALLET,
            vec![wallet(ImageRemoved), wallet(ServiceStopped)],
        ),
    ]
}

/// Intents while a part of the host fails.
pub(super) fn conditions() -> Vec<Workload> {
    use Fault::*;
    use Op::{Converge, Install, Sleep};
    let wallet = |fault| Op::Fault(fault, "wallet");
    let viewer = |fault| Op::Fault(fault, "viewer");
    let of_indexer = |fault| Op::Fault(fault, "indexer");
    vec![
        bare(
            "an installation while the registry is down",
            INDEXER,
            vec![
                of_indexer(RegistryDown),
                Install(indexer),
                Converge,
                Sleep(60),
                of_indexer(RegistryUp),
            ],
        ),
        installed(
            "an update while the service manager is unreachable",
            WALLET,
            vec![
                wallet(BusDown),
                Install(|| other_version(crate::node::wallet())),
                Converge,
                Sleep(60),
                wallet(BusUp),
            ],
        ),
        installed(
            "a removal while the disk is full",
            VIEWER,
            vec![Op::Remove("viewer"), viewer(DiskFull), Converge, Sleep(60), viewer(DiskWritable)],
        ),
        installed(
            "an update while the disk is full",
            VIEWER,
            vec![
                viewer(DiskFull),
                viewer(CredentialsRotated),
                Converge,
                Sleep(60),
                viewer(DiskWritable),
            ],
        ),
    ]
}

/// A second process that acts during a repair or a build.
pub(super) fn concurrent() -> Vec<Workload> {
    use Op::{Concurrent, Install};
    let soon = Duration::from_millis(30);
    let later = Duration::from_secs(5);
    let of_wallet = |fault| Op::Fault(fault, "wallet");
    vec![
        installed(
            "a repair during a removal",
            &["viewer", "wallet"],
            vec![
                Op::Fault(Fault::UnitEdited, "viewer"),
                Concurrent(soon, Other::Removes("wallet")),
            ],
        ),
        installed(
            "a repair during the removal of the same companion",
            WALLET,
            vec![of_wallet(Fault::UnitEdited), Concurrent(soon, Other::Removes("wallet"))],
        ),
        bare(
            "a build during its removal",
            WALLET,
            vec![Install(wallet), Concurrent(later, Other::Removes("wallet"))],
        ),
        bare(
            "a build during an installation",
            &["wallet", "indexer"],
            vec![Install(wallet), Concurrent(later, Other::Installs(indexer))],
        ),
        installed(
            "two managers at one repair",
            WALLET,
            vec![
                of_wallet(Fault::UnitDeleted),
                of_wallet(Fault::ServiceStopped),
                Concurrent(soon, Other::Manager),
            ],
        ),
    ]
}
