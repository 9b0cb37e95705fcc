//! Runs one program to completion, in a separate process group with bounded output and time. Does not interpret the
//! output.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use companion_core::ports::{PortError, PortErrorKind, PortResult};
use host_files::blocking::{self, FILE_LIMIT};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use crate::error::shown;

/// The fixed program search path, independent of our environment.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long a process group may take to exit after SIGTERM.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

/// The result of a program.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; `None` if a signal killed it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Ended {
    /// Returns the error of `program`, which failed with this result: its status and message.
    pub(crate) fn failure(&self, program: &Path, kind: PortErrorKind) -> PortError {
        let status = match self.code {
            Some(code) => format!("exit status {code}"),
            None => "killed by a signal".to_owned(),
        };
        let (program, words) = (program.display(), shown(&String::from_utf8_lossy(&self.stderr)));
        PortError::new(kind, format!("`{program}` failed ({status}): {words}"))
    }
}

/// Runs `command` for at most `limit`, plus [`GRACE`] to terminate it; keeps the first `output_limit` bytes of each
/// output.
///
/// # Errors
/// `Unavailable` if it does not start or its output cannot be read, `Transient` if it exceeds its time limit and is killed.
pub(crate) async fn run(
    mut command: Command,
    output_limit: u64,
    limit: Duration,
) -> PortResult<Ended> {
    let program = Path::new(command.as_std().get_program()).display().to_string();
    let not_run = |error| {
        let text = format!("failed to run `{program}`");
        PortError::new(PortErrorKind::Unavailable, text).with_source(error)
    };
    command
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    // The kernel reads the program's file before it runs. The group is killed when this future is dropped, also if the
    // start completes later.
    let started = blocking::within(FILE_LIMIT, move || {
        let child = command.spawn()?;
        Ok((Group::of(&child), child))
    });
    let started = started.await.unwrap_or_else(|stuck| Err(io::Error::other(stuck)));
    let (group, mut child) = started.map_err(not_run)?;
    match tokio::time::timeout(limit, finish(&mut child, output_limit)).await {
        Ok(ended) => {
            group.release();
            ended.map_err(not_run)
        }
        Err(_) => {
            group.signal(Signal::TERM);
            // The exit status is irrelevant: the group is killed in any case.
            let _ended_or_not = tokio::time::timeout(GRACE, child.wait()).await;
            let text = format!("`{program}` did not exit within {} s", limit.as_secs_f32());
            Err(PortError::new(PortErrorKind::Transient, text))
        }
    }
}

async fn finish(child: &mut Child, output_limit: u64) -> io::Result<Ended> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr, status) = tokio::try_join!(
        bounded(stdout, output_limit),
        bounded(stderr, output_limit),
        child.wait()
    )?;
    Ok(Ended { code: status.code(), stdout, stderr })
}

/// Reads to the end and keeps the beginning.
async fn bounded(stream: Option<impl AsyncRead + Unpin>, limit: u64) -> io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    if let Some(mut stream) = stream {
        (&mut stream).take(limit).read_to_end(&mut kept).await?;
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    }
    Ok(kept)
}

/// The process group of a child, killed on drop.
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
            tracing::debug!(%error, "the process group had already ended");
        }
    }

    /// Forgets the group: its ID may be reused once all of its processes have ended.
    fn release(mut self) {
        self.leader = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

#[cfg(test)]
pub(crate) mod tests;
