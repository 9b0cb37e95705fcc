//! Faults: how a test makes any call fail, hang, be late or be stopped at.

use std::time::Duration;

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::ports::PortErrorKind;

use crate::journal::{Call, Method, Port};
use crate::world::World;

/// In what way a call fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// It does nothing and says that it failed.
    Error(PortErrorKind),
    /// It does what it should and says that it failed.
    ErrorAfterEffect(PortErrorKind),
    /// It does nothing and never returns.
    Hang,
    /// It does what it should and never returns.
    HangAfterEffect,
    /// It begins that much later.
    Delay(Duration),
    /// A read answers from this older state of the host. Other calls are not affected.
    OldView(Box<World>),
}

/// A fault: which calls of which method fail, and in what way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The port.
    pub port: Port,
    /// The method.
    pub method: Method,
    /// Only calls for this companion, and its entry of reads about several, if one is named.
    pub companion: Option<CompanionName>,
    /// How many matching calls are left alone first.
    pub skip: u32,
    /// How many matching calls then fail.
    pub times: u32,
    /// In what way.
    pub mode: Mode,
}

impl Fault {
    /// Every call of `method` of `port` fails in that way, until the faults are cleared.
    pub fn always(port: Port, method: Method, mode: Mode) -> Self {
        Self { port, method, companion: None, skip: 0, times: u32::MAX, mode }
    }

    /// The next call of `method` of `port` fails in that way.
    pub fn once(port: Port, method: Method, mode: Mode) -> Self {
        Self { times: 1, ..Self::always(port, method, mode) }
    }

    /// The same fault for calls for `companion` alone.
    #[must_use]
    pub fn only(self, companion: &CompanionName) -> Self {
        Self { companion: Some(companion.clone()), ..self }
    }

    /// The same fault after `skip` matching calls that go well.
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

/// The faults that are set, in the order they were set in.
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

    /// How many calls went another way than they would have.
    pub(crate) fn struck(&self) -> u64 {
        self.struck
    }

    /// The way in which `call` fails, if it does; the first fault that matches decides.
    pub(crate) fn strike(&mut self, call: &Call) -> Option<Mode> {
        self.first(|fault| fault.matches(call))
    }

    /// The way in which the answer about `name` fails within `call`, which reads several companions. Only a
    /// fault for that companion strikes it: one for all of them strikes the call itself.
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
                return Some(fault.mode.clone());
            }
        }
        None
    }
}

/// Every kind of error that a fault can give.
pub const KINDS: [PortErrorKind; 6] = [
    PortErrorKind::Transient,
    PortErrorKind::NotFound,
    PortErrorKind::Conflict,
    PortErrorKind::Denied,
    PortErrorKind::Invalid,
    PortErrorKind::Unavailable,
];

/// Where in a call a gate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Nothing was done.
    Before,
    /// It was done, and a loss of power would undo it; only files have this stage.
    Unsynced,
    /// It was done for good, and its caller has not been told.
    After,
}

/// A point at which an actor can be stopped, held up or overtaken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectPoint {
    /// How many points were passed before it on this host.
    pub number: u64,
    /// Who is there.
    pub actor: u8,
    /// What is being called.
    pub call: Call,
    /// How far it is.
    pub stage: Stage,
}

/// Stands before and after every effect.
///
/// A gate that never returns stops its actor there; dropping the actor's future then is a crash at
/// that very point.
#[async_trait]
pub trait Gate: Send + Sync {
    /// Lets the actor pass by returning.
    async fn pass(&self, point: &EffectPoint);
}
