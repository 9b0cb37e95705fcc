//! The journal: every call of a port, and what the calls cost.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use companion_core::model::companion::CompanionName;
use companion_core::ports::PortErrorKind;

/// A port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    /// `UnitStore`.
    Units,
    /// `ServiceManager`.
    Services,
    /// `ImageProvider`.
    Images,
    /// `HookRunner`.
    Hooks,
    /// `ContainerRuntime`.
    Containers,
    /// `DesiredStore`.
    Desired,
    /// `Leadership`.
    Leadership,
}

/// A method of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    missing_docs,
    reason = "each is the method of that name, and `Record` the recording of a wish"
)]
pub enum Method {
    Observe,
    List,
    Write,
    Remove,
    Reload,
    Start,
    Stop,
    Restart,
    Wait,
    ResetFailed,
    LogTails,
    Ensure,
    Prune,
    Render,
    Commit,
    Sweep,
    Load,
    Acquire,
    Record,
}

/// The calls that a reconciler makes, each once.
pub const CALLS: [(Port, Method); 24] = [
    (Port::Units, Method::Observe),
    (Port::Units, Method::List),
    (Port::Units, Method::Write),
    (Port::Units, Method::Remove),
    (Port::Services, Method::Observe),
    (Port::Services, Method::Reload),
    (Port::Services, Method::Start),
    (Port::Services, Method::Stop),
    (Port::Services, Method::Restart),
    (Port::Services, Method::Wait),
    (Port::Services, Method::ResetFailed),
    (Port::Services, Method::LogTails),
    (Port::Images, Method::Observe),
    (Port::Images, Method::Ensure),
    (Port::Images, Method::Prune),
    (Port::Hooks, Method::Observe),
    (Port::Hooks, Method::Render),
    (Port::Hooks, Method::Commit),
    (Port::Hooks, Method::Sweep),
    (Port::Hooks, Method::Remove),
    (Port::Containers, Method::Observe),
    (Port::Containers, Method::Remove),
    (Port::Desired, Method::Load),
    (Port::Leadership, Method::Acquire),
];

/// A call of a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Call {
    /// The port.
    pub port: Port,
    /// The method.
    pub method: Method,
    /// The companion that it is for, if it is for one and the port is told which; of a hook and of a
    /// build or pull, the one that was wished for with that rendered file or image.
    pub companion: Option<CompanionName>,
}

impl Call {
    pub(crate) fn new(port: Port, method: Method, companion: Option<&CompanionName>) -> Self {
        Self { port, method, companion: companion.cloned() }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}::{:?}", self.port, self.method)?;
        match &self.companion {
            Some(companion) => write!(f, "({companion})"),
            None => Ok(()),
        }
    }
}

/// How a call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It has not returned; it hangs, or its caller dropped it.
    Begun,
    /// It succeeded.
    Done,
    /// It failed.
    Failed(PortErrorKind),
}

/// A call, when and by whom it was made, and how it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it was made, since the host's first moment.
    pub at: Duration,
    /// Who made it.
    pub actor: u8,
    /// What was called.
    pub call: Call,
    /// How it went.
    pub outcome: Outcome,
}

/// How often things were done. Reads cost nothing here but the processes that they spawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Counts {
    /// Unit files written; one that was as wanted already is not.
    pub unit_writes: u32,
    /// Unit files removed.
    pub unit_removals: u32,
    /// Reloads of the service manager.
    pub reloads: u32,
    /// Starts queued.
    pub starts: u32,
    /// Stops queued.
    pub stops: u32,
    /// Restarts queued.
    pub restarts: u32,
    /// Failures reset.
    pub resets: u32,
    /// Builds begun.
    pub builds: u32,
    /// Pulls begun.
    pub pulls: u32,
    /// Images pruned.
    pub prunes: u32,
    /// Contacts with a registry.
    pub network: u32,
    /// Configurations rendered.
    pub renders: u32,
    /// Rendered files written.
    pub config_writes: u32,
    /// Rendered files removed.
    pub config_removals: u32,
    /// Containers removed.
    pub container_removals: u32,
    /// Programs that the real adapters would have started: the generator, the container program, a
    /// hook's command, the reader of the log.
    pub processes: u32,
}

impl Counts {
    /// How much more it is than `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        self.each(earlier, |count, earlier| count - earlier)
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        self.each(more, |count, more| count + more)
    }

    /// The larger of both, of each.
    #[must_use]
    pub fn most(self, other: Self) -> Self {
        self.each(other, u32::max)
    }

    fn each(self, other: Self, of: impl Fn(u32, u32) -> u32) -> Self {
        Self {
            unit_writes: of(self.unit_writes, other.unit_writes),
            unit_removals: of(self.unit_removals, other.unit_removals),
            reloads: of(self.reloads, other.reloads),
            starts: of(self.starts, other.starts),
            stops: of(self.stops, other.stops),
            restarts: of(self.restarts, other.restarts),
            resets: of(self.resets, other.resets),
            builds: of(self.builds, other.builds),
            pulls: of(self.pulls, other.pulls),
            prunes: of(self.prunes, other.prunes),
            network: of(self.network, other.network),
            renders: of(self.renders, other.renders),
            config_writes: of(self.config_writes, other.config_writes),
            config_removals: of(self.config_removals, other.config_removals),
            container_removals: of(self.container_removals, other.container_removals),
            processes: of(self.processes, other.processes),
        }
    }
}

/// The most entries that are kept; the oldest go first.
const LIMIT: usize = 65_536;

/// Every call, in order.
#[derive(Debug, Clone, Default)]
pub struct Journal {
    entries: VecDeque<Entry>,
    dropped: u64,
    pub(crate) counts: Counts,
}

impl Journal {
    /// The last 65536 calls, the oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// What the calls came to, all of them.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How many calls of `method` of `port` were made.
    pub fn calls(&self, port: Port, method: Method) -> usize {
        let calls = self.entries.iter().map(|entry| &entry.call);
        calls.filter(|call| call.port == port && call.method == method).count()
    }

    /// Enters a call, and returns its number.
    pub(crate) fn begin(&mut self, at: Duration, actor: u8, call: Call) -> u64 {
        if self.entries.len() == LIMIT {
            self.entries.pop_front();
            self.dropped += 1;
        }
        let number = self.dropped + self.entries.len() as u64;
        self.entries.push_back(Entry { at, actor, call, outcome: Outcome::Begun });
        number
    }

    /// Enters how the call with that number went.
    pub(crate) fn end(&mut self, number: u64, outcome: Outcome) {
        let position = number.checked_sub(self.dropped);
        let position = position.and_then(|position| usize::try_from(position).ok());
        if let Some(entry) = position.and_then(|position| self.entries.get_mut(position)) {
            entry.outcome = outcome;
        }
    }
}
