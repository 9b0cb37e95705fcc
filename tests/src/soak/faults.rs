//! The events of a soak: faults with their weights, failing calls, and intents.

use std::time::Duration;

use adapter_fake::journal::CALLS;
use adapter_fake::{Fault as FailingCall, Method, Mode};
use companion_core::ports::PortErrorKind;

use super::companions::Companions;
use crate::faults::Fault;
use crate::random::Random;

/// How often an event of `fault` occurs, relative to others.
fn weight(fault: Fault) -> u64 {
    if matches!(fault, Fault::ManagerKilled | Fault::ManagerShutDown) { 3 } else { 1 }
}

/// Faults that occur together, in addition.
const TOGETHER: [&[Fault]; 2] = [
    &[Fault::UnitEdited, Fault::Reloaded, Fault::ContainerKilled],
    &[Fault::UnitDeleted, Fault::Reloaded],
];

/// The faults of one event, in order.
pub(super) fn drawn(random: &mut Random) -> Vec<Fault> {
    let events = Fault::ALL.iter().filter_map(|fault| Some((weight(*fault), fault.event()?)));
    let events: Vec<_> = events.chain(TOGETHER.map(|faults| (1, faults.to_vec()))).collect();
    let mut rest = random.below(events.iter().map(|(weight, _)| weight).sum());
    for (weight, faults) in events {
        match rest.checked_sub(weight) {
            Some(left) => rest = left,
            None => return faults,
        }
    }
    Vec::new()
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
    let with = |(port, method)| modes.map(move |mode| FailingCall::once(port, method, mode));
    calls.flat_map(with).collect()
}

/// One companion loses everything and the others nothing: a new manager treats a run without its configuration as
/// unverified.
pub(super) fn lose_everything(companions: &Companions, at: usize) {
    let spec = companions.spec(at);
    for fault in
        [Fault::UnitDeleted, Fault::ConfigDeleted, Fault::ImageRemoved, Fault::ServiceStopped]
    {
        fault.apply(&companions.host, &spec);
    }
}
