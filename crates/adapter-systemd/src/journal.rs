//! Reads the last journal lines of a unit's run with `journalctl(1)`.
//!
//! The invocation ID identifies a run: the journal stores it in a trusted field that no program can forge. Each run is
//! read once; an empty or failed read is repeated a few times.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use companion_core::model::companion::CompanionName;
use companion_core::model::log::LogTail;
use companion_core::model::service::ServiceState;
use companion_core::ports::{PortError, PortErrorKind, PortResult};
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::process;
use crate::scope::Scope;

mod entries;

/// Time limit of one read; with the index it takes about 10 ms, regardless of the journal's size.
const LIMIT: Duration = Duration::from_secs(5);
/// More than [`ENTRIES`] entries as JSON: a field of more than 4096 bytes is `null`.
const OUTPUT_LIMIT: u64 = 2 * 1024 * 1024;
/// How many entries are read. Podman's own events about the end of a container come last and are dropped.
const ENTRIES: u32 = 40;
/// How many reads run concurrently.
const CONCURRENCY: usize = 4;
/// How often a run without entries is read. The journal may lag behind the end of a process.
const READINGS: u8 = 3;
/// The message ID for a program that systemd could not run (`SD_MESSAGE_SPAWN_FAILED`, sd-messages.h): the only
/// explanation of a unit that failed before its first process ran.
const SPAWN_FAILED: &str = "641257651c1b4ec9a8624d7a40a9e1e7";

/// The journal of a scope.
#[derive(Debug)]
pub(crate) struct Journal {
    scope: Scope,
    program: PathBuf,
    limit: Duration,
    read: Mutex<BTreeMap<CompanionName, Reading>>,
}

/// The log lines read for a run.
#[derive(Debug, Clone)]
struct Reading {
    run: Run,
    found: PortResult<LogTail>,
    readings: u8,
}

/// A run of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    invocation: String,
    restarts: u32,
}

impl Journal {
    /// Returns the journal of `scope`.
    pub(crate) fn of(scope: Scope) -> Self {
        Self::by("journalctl", scope, LIMIT)
    }

    /// Returns the journal as printed by `program` within `limit`.
    pub(crate) fn by(program: impl Into<PathBuf>, scope: Scope, limit: Duration) -> Self {
        Self { scope, program: program.into(), limit, read: Mutex::default() }
    }

    /// Reads the last lines of each run in `ended`, unless they were read before.
    pub(crate) async fn tails(
        &self,
        ended: &BTreeMap<CompanionName, ServiceState>,
    ) -> BTreeMap<CompanionName, PortResult<LogTail>> {
        let runs: BTreeMap<&CompanionName, Run> =
            ended.iter().filter_map(|(name, state)| Some((name, Run::of(state)?))).collect();
        let unread: Vec<(CompanionName, Run)> = {
            let read = self.lock();
            let is_due = |name, run| read.get(name).is_none_or(|reading| reading.is_due(run));
            let due = runs.iter().filter(|(name, run)| is_due(**name, *run));
            due.map(|(name, run)| ((*name).clone(), run.clone())).collect()
        };
        for few in unread.chunks(CONCURRENCY) {
            let mut reads = JoinSet::new();
            for (name, run) in few.iter().cloned() {
                let (program, limit) = (self.program.clone(), self.limit);
                let command = command(&program, self.scope, &run.invocation);
                reads.spawn(async move {
                    let found = tail(program, command, limit, &name).await;
                    (name, run, found)
                });
            }
            while let Some(read) = reads.join_next().await {
                if let Ok((name, run, found)) = read {
                    self.note(name, run, found);
                }
            }
        }
        let read = self.lock();
        let tail = |name: &CompanionName| match runs.get(name) {
            // systemd forgot the run, and with it the invocation ID.
            None => Ok(LogTail::default()),
            Some(_) => read.get(name).map_or_else(
                || {
                    Err(PortError::new(
                        PortErrorKind::Transient,
                        "reading the journal was interrupted",
                    ))
                },
                |reading| reading.found.clone(),
            ),
        };
        ended.keys().map(|name| (name.clone(), tail(name))).collect()
    }

    fn note(&self, name: CompanionName, run: Run, found: PortResult<LogTail>) {
        let mut read = self.lock();
        let earlier = read.get(&name).filter(|reading| reading.run == run);
        let readings = earlier.map_or(0, |reading| reading.readings).saturating_add(1);
        read.insert(name, Reading { run, found, readings });
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<CompanionName, Reading>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    fn of(state: &ServiceState) -> Option<Self> {
        Some(Self { invocation: state.run_id.clone()?, restarts: state.restarts })
    }
}

impl Reading {
    /// Returns whether `run` has to be read.
    fn is_due(&self, run: &Run) -> bool {
        let nothing = self.found.as_ref().map_or(true, LogTail::is_empty);
        self.run != *run || (nothing && self.readings < READINGS)
    }
}

/// Returns the command that prints the last entries of a run: those of its processes, and systemd's about a process
/// that it could not run.
fn command(program: &PathBuf, scope: Scope, invocation: &str) -> Command {
    let by_manager = match scope {
        Scope::User => "USER_INVOCATION_ID",
        Scope::System => "INVOCATION_ID",
    };
    let uid = rustix::process::getuid().as_raw();
    let mut command = Command::new(program);
    command
        .args(["--quiet", "--no-pager", "--output=json"])
        .arg(format!("--output-fields={}", entries::FIELDS))
        .arg(format!("--lines={ENTRIES}"))
        .arg(format!("_SYSTEMD_INVOCATION_ID={invocation}"))
        .arg("+")
        // Only the same user could forge these.
        .arg(format!("{by_manager}={invocation}"))
        .arg(format!("MESSAGE_ID={SPAWN_FAILED}"))
        .arg(format!("_UID={uid}"))
        .env_clear()
        .env("PATH", process::PATH)
        .env("LANG", "C.UTF-8");
    command
}

async fn tail(
    program: PathBuf,
    command: Command,
    limit: Duration,
    name: &CompanionName,
) -> PortResult<LogTail> {
    let failed = |error: PortError| {
        let message = format!("failed to read the log of `{name}.service`");
        PortError::new(error.kind(), message).with_source(error)
    };
    let ended = process::run(command, OUTPUT_LIMIT, limit).await.map_err(failed)?;
    // journalctl also exits with 1, without a message, when there is no matching entry.
    let words = String::from_utf8_lossy(&ended.stderr);
    if ended.code != Some(0) && ended.stdout.is_empty() && !words.trim_ascii().is_empty() {
        let denied = words.contains("ermission");
        let kind = if denied { PortErrorKind::Denied } else { PortErrorKind::Unavailable };
        return Err(failed(ended.failure(&program, kind)));
    }
    Ok(entries::tail(&ended.stdout, name))
}

#[cfg(test)]
mod tests;
