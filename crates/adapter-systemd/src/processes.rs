//! Facts about a service's processes that systemd does not have: their environment, and whether the container is
//! frozen.
//!
//! Reads procfs and cgroupfs without starting a process and without waiting. Unreadable files are ignored, because
//! processes may end at any time.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use companion_core::model::revision::Revision;
use rustix::io::Errno;

use crate::states::{revision_in, variable_in};

/// More than the kernel's default limit for environment and arguments together (a quarter of an 8 MiB stack).
const ENVIRONMENT_LIMIT: u64 = 2 * 1024 * 1024;
/// A unit has one payload group; more than a few are unrelated.
const GROUP_LIMIT: usize = 64;
/// `cgroup.events` has a few short lines.
const EVENTS_LIMIT: u64 = 4096;

/// The mount points of the kernel's file systems.
#[derive(Debug, Clone)]
pub(crate) struct KernelFiles {
    pub(crate) proc: PathBuf,
    pub(crate) cgroup: PathBuf,
}

/// The service whose processes are inspected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    /// The main process (`MainPID`, conmon for Podman), or 0.
    pub(crate) main_pid: u32,
    /// Its control group in the unified hierarchy (`ControlGroup`).
    pub(crate) control_group: Option<String>,
    /// The unit's current run (`InvocationID`) in hexadecimal digits.
    pub(crate) invocation: String,
}

/// The result of an inspection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ProcessFacts {
    /// The revision in the environment of the main process.
    pub(crate) running: Option<Revision>,
    /// Whether the container's processes are frozen.
    pub(crate) frozen: bool,
    /// Whether the main process has ended or belongs to another run: systemd's properties are superseded.
    pub(crate) superseded: bool,
    /// The start time of the main process, in clock ticks after boot; read before its environment.
    pub(crate) started: Option<u64>,
    /// The `cgroup.events` of the container, which the kernel changes when it is frozen or ends; `None` if they could not be
    /// listed.
    pub(crate) event_files: Option<Vec<PathBuf>>,
}

/// The processes of a running service, as long as its main process is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Running {
    /// The main process, and its start time in clock ticks after boot.
    pub(crate) main: (u32, u64),
    /// The `cgroup.events` of its container, whose control group stays the same for a run.
    pub(crate) event_files: Vec<PathBuf>,
}

/// The process has ended or belongs to another run.
struct Superseded;

impl Default for KernelFiles {
    fn default() -> Self {
        Self { proc: PathBuf::from("/proc"), cgroup: PathBuf::from("/sys/fs/cgroup") }
    }
}

impl KernelFiles {
    /// Inspects the processes of `subject`.
    pub(crate) fn facts(&self, subject: &Subject) -> ProcessFacts {
        let started = self.started(subject.main_pid);
        let (running, superseded) = match self.running_revision(subject) {
            Ok(running) => (running, false),
            Err(Superseded) => (None, true),
        };
        let event_files = self.event_files(subject).ok();
        let frozen = is_frozen(event_files.as_deref().unwrap_or_default());
        ProcessFacts { running, frozen, superseded, started, event_files }
    }

    /// Returns whether the container of a service is frozen, if its main process still runs.
    pub(crate) fn frozen_if_same(&self, service: &Running) -> Option<bool> {
        let (pid, started) = service.main;
        (self.started(pid)? == started).then(|| is_frozen(&service.event_files))
    }

    /// Returns the start time of a process (`starttime` of proc_pid_stat(5)); a later process with the same ID has another.
    fn started(&self, pid: u32) -> Option<u64> {
        let stat =
            read_bounded(&self.proc.join(pid.to_string()).join("stat"), EVENTS_LIMIT).ok()?;
        // The name may contain blanks and brackets; the text after it starts with the third field.
        let stat = String::from_utf8_lossy(&stat);
        stat.rsplit_once(") ")?.1.split(' ').nth(22 - 3)?.parse().ok()
    }

    /// The process ID may have been reused; the unit's invocation ID in the environment identifies the run
    /// (systemd.exec(5), `$INVOCATION_ID`).
    fn running_revision(&self, subject: &Subject) -> Result<Option<Revision>, Superseded> {
        if subject.main_pid == 0 {
            return Ok(None);
        }
        let path = self.proc.join(subject.main_pid.to_string()).join("environ");
        let environ = match read_bounded(&path, ENVIRONMENT_LIMIT) {
            Ok(environ) => environ,
            // `ESRCH`: the process ended after the file was opened.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    || Errno::from_io_error(&error) == Some(Errno::SRCH) =>
            {
                return Err(Superseded);
            }
            Err(error) => {
                tracing::debug!(path = %path.display(), %error, "failed to read a process's environment");
                return Ok(None);
            }
        };
        let entries = || environ.split(|byte| *byte == 0);
        match variable_in(entries(), "INVOCATION_ID") {
            Some(id) if id != subject.invocation.as_bytes() => Err(Superseded),
            _ => Ok(revision_in(entries())),
        }
    }

    /// Returns the `cgroup.events` of the container's control groups.
    fn event_files(&self, subject: &Subject) -> io::Result<Vec<PathBuf>> {
        let Some(group) = subject.control_group.as_deref().and_then(relative) else {
            return Ok(Vec::new());
        };
        let children = match fs::read_dir(self.cgroup.join(group)) {
            // No process is left.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            children => children?,
        };
        let mut files = Vec::new();
        for child in children.take(GROUP_LIMIT) {
            let child = child?;
            if child.file_name().as_encoded_bytes().starts_with(b"libpod-payload-") {
                files.push(child.path().join("cgroup.events"));
            }
        }
        Ok(files)
    }
}

/// `podman pause` freezes the payload's group, which nothing else shows; `systemctl freeze` freezes the whole unit, which
/// the payload's group shows as well (cgroups(7), `cgroup.events`).
fn is_frozen(event_files: &[PathBuf]) -> bool {
    let mut events = event_files.iter().filter_map(|file| read_bounded(file, EVENTS_LIMIT).ok());
    events.any(|events| events.split(|byte| *byte == b'\n').any(|line| line == b"frozen 1"))
}

/// Returns the path relative to the hierarchy's root, if valid.
fn relative(control_group: &str) -> Option<&Path> {
    let path = Path::new(control_group.strip_prefix('/')?);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    (plain && path.components().next().is_some()).then_some(path)
}

fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    // The kernel's files have no size; most of them fit into the first read.
    let mut bytes = Vec::with_capacity(4096);
    fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
