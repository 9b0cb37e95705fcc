//! The journal: the last lines that a unit's run logged, by `journalctl(1)`. Nothing is linked for it, and nothing is followed.
//!
//! A run is known by its invocation id: the journal keeps it as a field of its own that no program can forge. Each run is read once; an
//! answer that is empty or failed is read again, but not without end.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use companion_core::model::companion::CompanionName;
use companion_core::model::log::LogTail;
use companion_core::model::unit::ServiceState;
use companion_core::ports::{PortError, PortErrorKind, PortResult};
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::error::shown;
use crate::process::{self, Unfinished};
use crate::scope::Scope;

mod entries;

/// How long one reading may take; an index makes it some 10 ms, however large the journal is.
const LIMIT: Duration = Duration::from_secs(5);
/// More than [`ENTRIES`] entries as JSON take: a field of more than 4096 bytes is `null`.
const OUTPUT_LIMIT: u64 = 2 * 1024 * 1024;
/// How many entries are read. Podman's own about the end of a container come last, and are left out.
const ENTRIES: u32 = 40;
/// How many readings go on at once.
const CONCURRENCY: usize = 4;
/// How often a run is read of which nothing was found. The journal may lag behind the end of a process for a moment.
const READINGS: u8 = 3;
/// The kind of systemd's message that it could not run a program (`SD_MESSAGE_SPAWN_FAILED`, sd-messages.h): nothing but that tells why a
/// unit failed before its first process did.
const SPAWN_FAILED: &str = "641257651c1b4ec9a8624d7a40a9e1e7";

/// The journal of a scope.
#[derive(Debug)]
pub(crate) struct Journal {
    scope: Scope,
    program: PathBuf,
    limit: Duration,
    read: Mutex<BTreeMap<CompanionName, Reading>>,
}

/// What was read of a run.
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

/// Why the journal was not read.
#[derive(Debug, thiserror::Error)]
enum JournalError {
    #[error("`{}` cannot be run", .program.display())]
    NotRun { program: PathBuf, source: io::Error },
    #[error("`{}` did not end within {} s", .program.display(), .limit.as_secs_f32())]
    TimedOut { program: PathBuf, limit: Duration },
    #[error("`{}` failed ({status}): {words}", .program.display())]
    Failed { program: PathBuf, status: String, words: String },
}

impl JournalError {
    fn kind(&self) -> PortErrorKind {
        match self {
            Self::TimedOut { .. } => PortErrorKind::Transient,
            Self::Failed { words, .. } if words.contains("ermission") => PortErrorKind::Denied,
            Self::NotRun { .. } | Self::Failed { .. } => PortErrorKind::Unavailable,
        }
    }
}

impl Journal {
    /// The journal of `scope`.
    pub(crate) fn of(scope: Scope) -> Self {
        Self::by("journalctl", scope, LIMIT)
    }

    /// The journal as `program` tells it within `limit`.
    pub(crate) fn by(program: impl Into<PathBuf>, scope: Scope, limit: Duration) -> Self {
        Self { scope, program: program.into(), limit, read: Mutex::default() }
    }

    /// Reads what the run of each of `ended` logged last, unless that was read before.
    pub(crate) async fn tails(
        &self,
        ended: &BTreeMap<CompanionName, ServiceState>,
    ) -> BTreeMap<CompanionName, PortResult<LogTail>> {
        let runs: BTreeMap<&CompanionName, Run> =
            ended.iter().filter_map(|(name, state)| Some((name, Run::of(state)?))).collect();
        let unread: Vec<(CompanionName, Run)> = {
            let mut read = self.lock();
            // Of what is not asked about any more nothing is kept.
            read.retain(|name, _| runs.contains_key(name));
            let new = |(name, run): &(&&CompanionName, &Run)| {
                read.get(**name).is_none_or(|reading| reading.is_due(run))
            };
            runs.iter().filter(new).map(|(name, run)| ((*name).clone(), run.clone())).collect()
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
            // systemd forgot the run, and with it what the journal could be asked for.
            None => Ok(LogTail::default()),
            Some(_) => read.get(name).map_or_else(
                || Err(PortError::new(PortErrorKind::Transient, "the journal was not read")),
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
        Some(Self { invocation: state.invocation.clone()?, restarts: state.restarts })
    }
}

impl Reading {
    /// Whether `run` has to be read.
    fn is_due(&self, run: &Run) -> bool {
        let nothing = self.found.as_ref().map_or(true, LogTail::is_empty);
        self.run != *run || (nothing && self.readings < READINGS)
    }
}

/// The command that prints the last entries of a run: those of its processes, and what systemd said of a process that it could not make.
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
        // Only its own user could have forged these.
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
    let failed = |error: JournalError| {
        let message = format!("the log of `{name}.service` cannot be read");
        PortError::new(error.kind(), message).with_source(error)
    };
    let ended = match process::run(command, OUTPUT_LIMIT, limit).await {
        Ok(ended) => ended,
        Err(Unfinished::NotRun(source)) => {
            return Err(failed(JournalError::NotRun { program, source }));
        }
        Err(Unfinished::TimedOut) => return Err(failed(JournalError::TimedOut { program, limit })),
    };
    // It also exits with 1 when there is no such entry, and says nothing then.
    let words = shown(&String::from_utf8_lossy(&ended.stderr));
    if ended.code != Some(0) && ended.stdout.is_empty() && !words.is_empty() {
        return Err(failed(JournalError::Failed { program, status: ended.status(), words }));
    }
    Ok(entries::tail(&ended.stdout, name))
}

#[cfg(test)]
mod tests;
