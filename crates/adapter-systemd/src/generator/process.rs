//! Runs the generator once: its own environment, its own process group, bounded output and time.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use super::GeneratorError;
use crate::blocking::{self, FILE_LIMIT};
use crate::scope::Scope;

/// More than the service made of the largest unit.
const OUTPUT_LIMIT: u64 = 4 * 1024 * 1024;
/// How long a group may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);
/// What is handed on of our own environment: nothing that belongs to our service (`NOTIFY_SOCKET`), and nothing that would point the
/// generator elsewhere (`PODMAN`).
const PASSED_ON: [&str; 4] = ["HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "TMPDIR"];

/// How a run of the generator ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Ended {
    /// How it ended, in words.
    pub(crate) fn status(&self) -> String {
        self.code
            .map_or_else(|| "ended by a signal".to_owned(), |code| format!("exit status {code}"))
    }
}

/// Runs `program` on the units in `stage`, or on all that it finds in the directories of `scope`.
pub(super) async fn run(
    program: &Path,
    scope: Scope,
    stage: Option<PathBuf>,
    limit: Duration,
) -> Result<Ended, GeneratorError> {
    let mut command = Command::new(program);
    if scope == Scope::User {
        command.arg("--user");
    }
    command
        .args(["--dryrun", "--no-kmsg-log"])
        .env_clear()
        .envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LANG", "C.UTF-8")
        .envs(stage.map(|stage| ("QUADLET_UNIT_DIRS", stage)))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let failed = |source| GeneratorError::NotRun { program: program.to_owned(), source };
    // The program is read before it runs. The group is ended when nobody waits for it any more, now or later.
    let spawned = blocking::within(FILE_LIMIT, move || {
        let child = command.spawn()?;
        let group = Group::of(&child);
        Ok((group, child))
    });
    let (group, mut child) = spawned.await?.map_err(failed)?;
    match tokio::time::timeout(limit, finish(&mut child)).await {
        Ok(ended) => {
            group.release();
            ended.map_err(failed)
        }
        Err(_) => {
            group.signal(Signal::TERM);
            // How it ends does not matter any more; the group is killed in any case.
            let _ended_or_not = tokio::time::timeout(GRACE, child.wait()).await;
            Err(GeneratorError::TimedOut { program: program.to_owned(), limit })
        }
    }
}

async fn finish(child: &mut Child) -> io::Result<Ended> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr, status) =
        tokio::try_join!(bounded(stdout), bounded(stderr), child.wait())?;
    Ok(Ended { code: status.code(), stdout, stderr })
}

/// Reads to the end, and keeps the beginning.
async fn bounded(stream: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    if let Some(mut stream) = stream {
        (&mut stream).take(OUTPUT_LIMIT).read_to_end(&mut kept).await?;
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    }
    Ok(kept)
}

/// The process group of a child, killed when dropped.
struct Group {
    leader: Option<Pid>,
}

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self { leader: id.and_then(Pid::from_raw) }
    }

    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader
            && let Err(error) = kill_process_group(leader, signal)
        {
            tracing::debug!(%error, "the generator's group had ended already");
        }
    }

    /// Its number may be another group's as soon as all of it ended.
    fn release(mut self) {
        self.leader = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
