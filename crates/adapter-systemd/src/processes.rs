//! What systemd does not know of a service's processes: the environment they were started with, and whether the container is frozen.
//!
//! Read from procfs and cgroupfs, without a process and without waiting. What cannot be read says nothing: processes end at any time.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use companion_core::model::revision::Revision;
use rustix::io::Errno;

use crate::states::{revision_in, variable_in};

/// More than the kernel lets an environment and argument list have together by default (a quarter of an 8 MiB stack).
const ENVIRONMENT_LIMIT: u64 = 2 * 1024 * 1024;
/// A unit has one payload group; more than a few are someone else's.
const GROUP_LIMIT: usize = 64;
/// `cgroup.events` is a few short lines.
const EVENTS_LIMIT: u64 = 4096;

/// Where the kernel's file systems are mounted.
#[derive(Debug, Clone)]
pub(crate) struct KernelFiles {
    pub(crate) proc: PathBuf,
    pub(crate) cgroup: PathBuf,
}

/// Whose processes are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    /// The first process (`MainPID`, conmon for Podman), 0 for none.
    pub(crate) main_pid: u32,
    /// Its group in the unified hierarchy (`ControlGroup`).
    pub(crate) control_group: Option<String>,
    /// The unit's present run (`InvocationID`) in hexadecimal digits.
    pub(crate) invocation: String,
}

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ProcessFacts {
    /// The revision in the environment of the first process.
    pub(crate) running: Option<Revision>,
    /// Whether the container's processes are frozen.
    pub(crate) paused: bool,
    /// Whether the first process is gone, or is of another run than the subject's: what systemd said was overtaken.
    pub(crate) overtaken: bool,
}

/// The process is gone, or is not of the run that was asked about.
struct Overtaken;

impl Default for KernelFiles {
    fn default() -> Self {
        Self { proc: PathBuf::from("/proc"), cgroup: PathBuf::from("/sys/fs/cgroup") }
    }
}

impl KernelFiles {
    /// Looks at `subject`'s processes.
    pub(crate) fn facts(&self, subject: &Subject) -> ProcessFacts {
        let (running, overtaken) = match self.running_revision(subject) {
            Ok(running) => (running, false),
            Err(Overtaken) => (None, true),
        };
        ProcessFacts { running, paused: self.is_paused(subject), overtaken }
    }

    /// A number that belonged to the service a moment ago may be another process's by now; systemd gives each run of a unit an
    /// id of its own (systemd.exec(5), `$INVOCATION_ID`), which says whose this environment is.
    fn running_revision(&self, subject: &Subject) -> Result<Option<Revision>, Overtaken> {
        if subject.main_pid == 0 {
            return Ok(None);
        }
        let path = self.proc.join(subject.main_pid.to_string()).join("environ");
        let environ = match read_bounded(&path, ENVIRONMENT_LIMIT) {
            Ok(environ) => environ,
            // `ESRCH` is that of a process that ended since the opening.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    || Errno::from_io_error(&error) == Some(Errno::SRCH) =>
            {
                return Err(Overtaken);
            }
            Err(error) => {
                tracing::debug!(path = %path.display(), %error, "no environment could be read");
                return Ok(None);
            }
        };
        let entries = || environ.split(|byte| *byte == 0);
        match variable_in(entries(), "INVOCATION_ID") {
            Some(id) if id != subject.invocation.as_bytes() => Err(Overtaken),
            _ => Ok(revision_in(entries())),
        }
    }

    /// `podman pause` freezes the group of the payload and nothing else shows it; `systemctl freeze` freezes the whole unit, which
    /// the payload's group shows as well (cgroups(7), `cgroup.events`).
    fn is_paused(&self, subject: &Subject) -> bool {
        let Some(group) = subject.control_group.as_deref().and_then(relative) else {
            return false;
        };
        let Ok(children) = fs::read_dir(self.cgroup.join(group)) else {
            return false;
        };
        let payloads = children.take(GROUP_LIMIT).filter_map(Result::ok).filter(|child| {
            let name = child.file_name();
            name.as_encoded_bytes().starts_with(b"libpod-payload-")
        });
        let mut events = payloads.filter_map(|child| {
            read_bounded(&child.path().join("cgroup.events"), EVENTS_LIMIT).ok()
        });
        events.any(|events| events.split(|byte| *byte == b'\n').any(|line| line == b"frozen 1"))
    }
}

/// The path below the hierarchy's root, if it is one.
fn relative(control_group: &str) -> Option<&Path> {
    let path = Path::new(control_group.strip_prefix('/')?);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    (plain && path.components().next().is_some()).then_some(path)
}

fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
