//! [`CallId`]: by what the processes, files and containers of a call are known.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, getpid};

use super::tree;

/// Identifies a call: the process that made it, that process's start time, and when the call started.
///
/// A call that copies images carries it in the name of its temporary directory, and thereby in the environment of its
/// processes, and a build also as a build argument, which buildah notes with its working containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CallId {
    process: i32,
    started: u64,
    /// In nanoseconds since 1970.
    called: u64,
}

impl CallId {
    /// Returns the ID of a call that starts now.
    pub(super) fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let later = |last: u64| u64::try_from(now).unwrap_or_default().max(last.saturating_add(1));
        let last =
            LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(later(last)));
        let (process, called) = (getpid(), later(last.unwrap_or_default()));
        let started = tree::started(process).unwrap_or_default();
        Self { process: process.as_raw_nonzero().get(), started, called }
    }

    /// Reads an ID as it is displayed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-');
        let process = parts.next()?.parse().ok()?;
        let started = parts.next()?.parse().ok()?;
        Some(Self { process, started, called: parts.next()?.parse().ok()? })
    }

    /// Returns whether the process that made the call is alive.
    pub(super) fn has_owner(self) -> bool {
        Pid::from_raw(self.process).and_then(tree::started) == Some(self.started)
    }

    /// Returns when the call started.
    pub(super) fn called_at(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.called)
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.process, self.started, self.called)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_id_is_read_as_it_is_written() {
        let (id, other) = (CallId::next(), CallId::next());
        assert!(id < other);
        assert_eq!(CallId::parse(&id.to_string()), Some(id));
        assert!(id.has_owner() && id.started > 0 && id.called_at() <= SystemTime::now());
        for text in ["", "1", "1-2", "1-2-", "-1-2-3-4", "a-b-c", "1-2-3-4"] {
            assert_eq!(CallId::parse(text), None, "{text}");
        }
    }
}
