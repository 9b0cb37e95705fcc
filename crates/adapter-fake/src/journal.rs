//! The journal: all port calls and their cost.

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
    reason = "each is the method of that name, and `Record` the recording of an intent"
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
    KeepArchives,
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
    /// The companion, if the call is for one; for hooks, builds and pulls, the companion with that rendered
    /// file or image in the desired state.
    pub companion: Option<CompanionName>,
}

impl Call {
    pub(crate) fn new(port: Port, method: Method, companion: Option<&CompanionName>) -> Self {
        Self { port, method, companion: companion.cloned() }
    }

    /// Returns whether it changes a file and requires a sync.
    pub(crate) fn is_of_a_file(&self) -> bool {
        matches!(
            (self.port, self.method),
            (Port::Units, Method::Write | Method::Remove)
                | (Port::Hooks, Method::Commit | Method::Remove)
                | (Port::Desired, Method::Record)
        )
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

/// The result of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It has not returned: it hangs or was cancelled.
    Started,
    /// It succeeded.
    Done,
    /// It failed.
    Failed(PortErrorKind),
}

/// A call with its time, actor and result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The time since the host's origin.
    pub at: Duration,
    /// The calling actor.
    pub actor: u8,
    /// The call.
    pub call: Call,
    /// Its result.
    pub outcome: Outcome,
}

/// Declares the counts.
macro_rules! counts {
    ($($(#[$doc:meta])* $count:ident,)*) => {
        /// The number of actions. Reads only count the processes that they spawn.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct Counts {
            $($(#[$doc])* pub $count: u32,)*
        }

        impl Counts {
            fn each(self, other: Self, of: impl Fn(u32, u32) -> u32) -> Self {
                Self { $($count: of(self.$count, other.$count),)* }
            }
        }
    };
}

counts! {
    /// Unit files written; unchanged ones are not counted.
    unit_writes,
    /// Unit files removed.
    unit_removals,
    /// Reloads of the service manager.
    reloads,
    /// Starts queued.
    starts,
    /// Stops queued.
    stops,
    /// Restarts queued.
    restarts,
    /// Failures reset.
    resets,
    /// Builds started.
    builds,
    /// Pulls started.
    pulls,
    /// Images pruned.
    prunes,
    /// Contacts with a registry.
    network,
    /// Configurations rendered.
    renders,
    /// Rendered files written.
    config_writes,
    /// Rendered files removed.
    config_removals,
    /// Containers removed.
    container_removals,
    /// Processes that the real adapters would spawn: the generator, Podman, hook commands, the log reader.
    processes,
}

impl Counts {
    /// Returns the difference from `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        self.each(earlier, |count, earlier| count - earlier)
    }

    /// Returns the sum.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        self.each(more, |count, more| count + more)
    }

    /// Returns the maximum of each count.
    #[must_use]
    pub fn most(self, other: Self) -> Self {
        self.each(other, u32::max)
    }
}

/// The maximum number of entries; the oldest are dropped first.
const LIMIT: usize = 65_536;

/// Every call, in order.
#[derive(Debug, Clone, Default)]
pub struct Journal {
    entries: VecDeque<Entry>,
    dropped: u64,
    /// The cost of all calls.
    pub(crate) counts: Counts,
}

impl Journal {
    /// Returns the last 65536 calls, oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Returns the number of calls of `method` of `port`.
    pub fn calls(&self, port: Port, method: Method) -> usize {
        let calls = self.entries.iter().map(|entry| &entry.call);
        calls.filter(|call| call.port == port && call.method == method).count()
    }

    /// Records a call and returns its number.
    pub(crate) fn begin(&mut self, at: Duration, actor: u8, call: Call) -> u64 {
        if self.entries.len() == LIMIT {
            self.entries.pop_front();
            self.dropped += 1;
        }
        let number = self.dropped + self.entries.len() as u64;
        self.entries.push_back(Entry { at, actor, call, outcome: Outcome::Started });
        number
    }

    /// Records the result of the call with that number.
    pub(crate) fn end(&mut self, number: u64, outcome: Outcome) {
        let position = number.checked_sub(self.dropped);
        let position = position.and_then(|position| usize::try_from(position).ok());
        if let Some(entry) = position.and_then(|position| self.entries.get_mut(position)) {
            entry.outcome = outcome;
        }
    }
}
