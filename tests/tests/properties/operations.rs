//! The operations of a case, derived from numbers: every list of numbers is a case, and so is every sublist, so that
//! counterexamples shrink.

use std::time::Duration;

use adapter_fake::faults::KINDS;
use adapter_fake::journal::CALLS;
use adapter_fake::{Delivery, Fault as FailingCall, Mode, Port};
use companion_tests::faults::Fault;

use crate::companions::{MOST, VERSIONS};
use crate::leaders::INPUTS;

/// An operation on a host, or by one of its processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A command records the intent to install a version of a companion; the leader converges, else the command does.
    Install { at: usize, version: u8 },
    /// The daemon converges.
    Resync,
    /// The same for the removal of a companion.
    Remove { at: usize },
    /// An intent is recorded, and its process dies before any effect.
    Intent { at: usize, version: Option<u8> },
    /// Time passes.
    Sleep(u64),
    /// A fault of a companion or of the whole host.
    Fault { at: usize, fault: Fault },
    /// Some calls of a port fail.
    CallsFail(FailingCall),
    /// The daemon dies in a converge, at the given crash point.
    Crash { after: u64 },
    /// The host loses power in a converge.
    PowerLoss { after: u64, outcome: u64 },
    /// The daemon converges while a command records an intent and tries to lead; the digits of a number delay each of
    /// them at each point.
    Together { at: usize, version: Option<u8>, stalls: u64 },
    /// Events are delivered differently from now on.
    Events(Delivery),
    /// All faults end.
    Heal,
    /// The daemon dies in a converge at the given crash point, and the next one has other inputs.
    HandOver { after: u64, inputs: u8 },
    /// No daemon runs. A command records an intent, leads, and dies at the given crash point; then a daemon starts.
    CommandDies { at: usize, version: Option<u8>, after: u64 },
}

/// The faults that are drawn more often than others: changes of inputs, and a boot.
const COMMON: [Fault; 3] = [Fault::CredentialsRotated, Fault::ContextChanged, Fault::Rebooted];

/// The fault of that number, of one companion or of the whole host.
fn drawn(of_host: bool, number: u8) -> Fault {
    let drawn = Fault::simulated().filter(|fault| fault.concerns_all() == of_host);
    let drawn: Vec<_> = drawn.collect();
    drawn[usize::from(number) % drawn.len()]
}

/// The number of kinds of operations in a swarm.
pub(crate) const DRAWN_KINDS: usize = 16;

/// An operation as numbers: its kind, its companion, and two parameters.
pub(crate) type Numbers = (u16, u8, u8, u16);

/// The weight of each kind of operation, in the order of [`Operation`]; 0 is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Swarm(pub(crate) [u8; DRAWN_KINDS]);

impl Swarm {
    /// The swarm of some bits: a kind without its bit never occurs, except for the first two.
    pub(crate) fn of(bits: u32, rates: u64) -> Self {
        let mut weights = [0; DRAWN_KINDS];
        for (kind, weight) in weights.iter_mut().enumerate() {
            let rate = u8::try_from((rates >> (3 * kind)) & 7).unwrap() + 1;
            *weight = if kind < 2 || bits & (1 << kind) != 0 { rate } else { 0 };
        }
        Self(weights)
    }

    fn kind(&self, selector: u16) -> usize {
        let total: u16 = self.0.iter().map(|weight| u16::from(*weight)).sum();
        let mut rest = selector % total;
        for (kind, weight) in self.0.iter().enumerate() {
            match rest.checked_sub(u16::from(*weight)) {
                Some(left) => rest = left,
                None => return kind,
            }
        }
        0
    }

    /// The operation of `numbers` in this swarm.
    pub(crate) fn operation(&self, numbers: Numbers) -> Operation {
        let (selector, at, small, large) = numbers;
        let at = usize::from(at) % MOST;
        let version = small % VERSIONS;
        let intent = (small < 170).then_some(version);
        let large = u64::from(large);
        let pick = |length: usize| usize::from(small) % length;
        match self.kind(selector) {
            0 => Operation::Install { at, version },
            1 => Operation::Resync,
            2 => Operation::Remove { at },
            3 => Operation::Intent { at, version: intent },
            4 => Operation::Sleep([1, 7, 30, 120, 1000][pick(5)]),
            5 => Operation::Fault { at, fault: drawn(false, small) },
            6 => Operation::Fault { at, fault: drawn(true, small) },
            7 => Operation::Fault { at, fault: COMMON[pick(COMMON.len())] },
            8 => Operation::CallsFail(failing_call(small, large)),
            9 => Operation::Crash { after: large % 64 },
            10 => Operation::PowerLoss { after: large % 64, outcome: u64::from(small) },
            11 => {
                Operation::Together { at, version: intent, stalls: large.wrapping_mul(0x9e37_79b9) }
            }
            12 => Operation::Events(
                [
                    Delivery::Lost,
                    Delivery::Doubled,
                    Delivery::Late(Duration::from_secs(large % 50)),
                    Delivery::Delivered,
                ][pick(4)],
            ),
            13 => Operation::Heal,
            14 => Operation::HandOver { after: large % 64, inputs: small % INPUTS },
            _ => Operation::CommandDies { at, version: intent, after: large % 64 },
        }
    }
}

fn failing_call(small: u8, large: u64) -> FailingCall {
    let [a, b, ..] = large.to_le_bytes();
    let (port, method) = CALLS[usize::from(a) % CALLS.len()];
    let kind = KINDS[usize::from(small / 8) % KINDS.len()];
    let mode = match small % 8 {
        0 | 1 => Mode::Error(kind),
        2 | 3 => Mode::ErrorAfterEffect(kind),
        4 => Mode::Hang,
        5 => Mode::HangAfterEffect,
        6 => Mode::Delay(Duration::from_secs([1, 25, 100, 4000][usize::from(b / 16) % 4])),
        // The record is one file, and the leadership is not a read.
        _ if matches!(port, Port::Desired | Port::Leadership) => Mode::Error(kind),
        // Before the last operation.
        _ => Mode::OldView,
    };
    let times = u32::from(b / 4 % 3) + 1;
    FailingCall { times, ..FailingCall::once(port, method, mode).after(u32::from(b % 4)) }
}
