//! Faults: make any call fail, hang, be late, or stop at a gate.

use std::time::Duration;

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::ports::{PortError, PortErrorKind};

use crate::journal::{Call, Method, Port};

/// The mode of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It fails without effect.
    Error(PortErrorKind),
    /// It fails after its effect.
    ErrorAfterEffect(PortErrorKind),
    /// It hangs without effect.
    Hang,
    /// It hangs after its effect.
    HangAfterEffect,
    /// It starts with this delay.
    Delay(Duration),
    /// A read answers from the older host of [`FakeHost::set_old_view`](crate::FakeHost::set_old_view). Other calls are
    /// not affected.
    OldView,
}

/// A fault: the affected calls, and the mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The port.
    pub port: Port,
    /// The method.
    pub method: Method,
    /// If set, affects only calls for this companion, and its entry of reads.
    pub companion: Option<CompanionName>,
    /// The number of matching calls to skip.
    pub skip: u32,
    /// The number of matching calls to affect.
    pub times: u32,
    /// The mode.
    pub mode: Mode,
}

impl Fault {
    /// Returns a fault of every call of `method` of `port`.
    pub fn always(port: Port, method: Method, mode: Mode) -> Self {
        Self { port, method, companion: None, skip: 0, times: u32::MAX, mode }
    }

    /// Returns a fault of the next call of `method` of `port`.
    pub fn once(port: Port, method: Method, mode: Mode) -> Self {
        Self { times: 1, ..Self::always(port, method, mode) }
    }

    /// Limits the fault to `companion`.
    #[must_use]
    pub fn only(self, companion: &CompanionName) -> Self {
        Self { companion: Some(companion.clone()), ..self }
    }

    /// Skips `skip` matching calls first.
    #[must_use]
    pub fn after(self, skip: u32) -> Self {
        Self { skip, ..self }
    }

    fn matches(&self, call: &Call) -> bool {
        let companion = self.companion.as_ref();
        self.is_of(call)
            && companion.is_none_or(|companion| call.companion.as_ref() == Some(companion))
    }

    fn is_of(&self, call: &Call) -> bool {
        (self.port, self.method) == (call.port, call.method)
    }
}

/// The active faults, in insertion order.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    set: Vec<Fault>,
    struck: u64,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.set.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.set.clear();
    }

    /// The number of affected calls.
    pub(crate) fn struck(&self) -> u64 {
        self.struck
    }

    /// Returns the mode of the first fault that matches `call`, if any.
    pub(crate) fn strike(&mut self, call: &Call) -> Option<Mode> {
        self.first(|fault| fault.matches(call))
    }

    /// Returns the fault of the entry `name` within a read `call`, if any. Only a fault for that companion
    /// affects the entry; a fault for all affects the call.
    pub(crate) fn strike_entry(&mut self, call: &Call, name: &CompanionName) -> Option<Mode> {
        self.first(|fault| fault.is_of(call) && fault.companion.as_ref() == Some(name))
    }

    fn first(&mut self, strikes: impl Fn(&Fault) -> bool) -> Option<Mode> {
        for fault in &mut self.set {
            if !strikes(fault) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
            } else if fault.times > 0 {
                fault.times = fault.times.saturating_sub(1);
                self.struck += 1;
                return Some(fault.mode);
            }
        }
        None
    }
}

/// All error kinds of faults.
pub const KINDS: [PortErrorKind; 6] = [
    PortErrorKind::Transient,
    PortErrorKind::NotFound,
    PortErrorKind::Conflict,
    PortErrorKind::Denied,
    PortErrorKind::Invalid,
    PortErrorKind::Unavailable,
];

/// The stage of a call at a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Before the effect.
    Before,
    /// After the effect and before the sync; only for files.
    Unsynced,
    /// After the durable effect and before the return.
    After,
}

/// A point at which an actor can be stopped or delayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectPoint {
    /// The number of earlier points on this host.
    pub number: u64,
    /// The actor.
    pub actor: u8,
    /// The call.
    pub call: Call,
    /// The stage.
    pub stage: Stage,
}

/// A hook before and after every effect.
///
/// A gate that never returns stops its actor there; dropping the actor's future then simulates a crash at that
/// point.
#[async_trait]
pub trait Gate: Send + Sync {
    /// Returns to let the actor continue.
    async fn pass(&self, point: &EffectPoint);
}

/// Stops every actor that changed a file and has not synced it yet.
#[derive(Debug)]
pub struct BeforeSync;

#[async_trait]
impl Gate for BeforeSync {
    async fn pass(&self, point: &EffectPoint) {
        if point.stage == Stage::Unsynced {
            std::future::pending().await
        }
    }
}

/// Returns the error of a fault.
pub(crate) fn injected(call: &Call, kind: PortErrorKind) -> PortError {
    PortError::new(kind, format!("{call} failed: injected fault"))
}
