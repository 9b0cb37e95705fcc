//! Programs that print a file's contents: which programs may run, with which environment, and how long.
//!
//! No shell, no inherited environment, no standard input, a separate process group. A program's standard error is
//! discarded: it may contain the file's secret, and no filter is reliable. Errors report the exit status and recommend
//! running the program manually.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use companion_core::model::container::AbsolutePath;
use companion_core::ports::{PortError, PortErrorKind, PortResult};
use durable_dir::{FileKind, Trust, status_of};
use host_files::blocking::{self, Stuck};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::error::{HookError, kind_of_input};
use crate::input;
use crate::key::{Digest, HostKey};
use crate::template::OUTPUT_LIMIT;

/// Range of a program's time limit in seconds.
const TIMEOUTS: std::ops::RangeInclusive<u32> = 1..=300;
/// Maximum number of arguments, and of their bytes in total.
const MAX_ARGUMENTS: usize = 64;
const MAX_ARGUMENT_BYTES: usize = 64 * 1024;
const MAX_INPUTS: usize = 16;
/// How long the file system may take to load the program.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How long a program may take to exit after `SIGTERM`.
const GRACE: Duration = Duration::from_secs(5);
/// How long the kernel may take to end it after `SIGKILL`.
const REAPING: Duration = Duration::from_secs(1);
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The environment variables that a program inherits; `PATH` and `LANG` are fixed.
const PASSED_ON: [&str; 2] = ["HOME", "XDG_RUNTIME_DIR"];

/// A command hook with validated fields.
#[derive(Clone, Copy)]
pub(crate) struct Invocation<'a> {
    program: &'a str,
    argv: &'a [String],
    inputs: &'a [AbsolutePath],
    seconds: u32,
}

impl<'a> Invocation<'a> {
    /// Validates the fields of a command hook.
    pub(crate) fn new(
        argv: &'a [String],
        inputs: &'a [AbsolutePath],
        seconds: u32,
    ) -> Result<Self, HookError> {
        let refused = |field, why: String| Err(HookError::specification(field, why));
        let Some(program) = argv.first() else {
            return refused("argv", "must name a program".to_owned());
        };
        if !Path::new(program).is_absolute() {
            return refused("argv", "must start with an absolute path".to_owned());
        }
        let bytes: usize = argv.iter().map(String::len).sum();
        if argv.len() > MAX_ARGUMENTS || bytes > MAX_ARGUMENT_BYTES {
            let why = format!(
                "must have at most {MAX_ARGUMENTS} arguments of {MAX_ARGUMENT_BYTES} bytes in total"
            );
            return refused("argv", why);
        }
        if argv.iter().any(|argument| argument.contains('\0')) {
            return refused("argv", "must not contain a NUL".to_owned());
        }
        if inputs.len() > MAX_INPUTS {
            return refused("inputs", format!("must have at most {MAX_INPUTS} entries"));
        }
        if !TIMEOUTS.contains(&seconds) {
            return refused("timeout", "must be from 1 to 300 s".to_owned());
        }
        Ok(Self { program, argv, inputs, seconds })
    }

    /// Returns the keyed digest of everything that the program's output depends on.
    ///
    /// Blocks on files.
    pub(crate) fn input_digest(&self, key: &HostKey) -> Result<Digest, HookError> {
        let arguments: Vec<&[u8]> = self.argv.iter().map(|word| word.as_bytes()).collect();
        let argv = key.digest("argv", &arguments);
        let mut all = argv.to_vec();
        for input in self.inputs {
            let contents = input::require(input)?;
            all.extend(key.digest("input-file", &[input.as_str().as_bytes(), &contents]));
        }
        Ok(key.digest("command", &[&all]))
    }

    /// Rejects a program that others could modify: it would run with our privileges.
    ///
    /// The program and the directories on its path must belong to us or to root, and others must not have write access.
    /// Blocks on files.
    pub(crate) fn check_program(&self) -> PortResult<()> {
        let status = status_of(self.program, Trust::Owned)
            .map_err(|cause| {
                PortError::new(kind_of_input(&cause), "failed to examine it").with_source(cause)
            })?
            .ok_or_else(|| PortError::new(PortErrorKind::NotFound, "it does not exist"))?;
        let why = if status.kind != FileKind::Regular {
            format!("it is {}", status.kind)
        } else if let Some(why) = status.distrusted() {
            why
        } else if status.mode & 0o111 == 0 {
            format!("it is not executable (mode {:04o})", status.mode)
        } else {
            return Ok(());
        };
        Err(PortError::new(PortErrorKind::Denied, format!("it was rejected: {why}")))
    }

    /// Runs the program and returns its output.
    ///
    /// Its process group is killed in every case, also when this call is dropped. A process that left the group keeps
    /// running, but delays no caller.
    ///
    /// # Errors
    /// They never contain its output. A failed program is retried: it may depend on a service that was unavailable.
    pub(crate) async fn run(&self) -> PortResult<Zeroizing<Vec<u8>>> {
        let started = started(self.command()).await;
        let (group, mut child) = started.map_err(|cause| failed_to("start it", cause))?;
        let stdout = child.stdout.take().ok_or_else(|| unread(ErrorKind::BrokenPipe))?;
        let mut output = Printed::new(stdout);
        let limit = Duration::from_secs(u64::from(self.seconds));
        let status = match timeout(limit, output.collect(&mut child)).await {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => {
                drop(group);
                return Err(error);
            }
            Err(_elapsed) => {
                end(&mut child, &group).await;
                let message = format!("it did not exit within {} s and was killed", self.seconds);
                return Err(PortError::new(PortErrorKind::Transient, message));
            }
        };
        // Kills the rest of the program's process group.
        drop(group);
        if !status.success() {
            let message = format!(
                "it failed with {status}; its output is withheld because it may contain a secret: \
                 run it manually to see it"
            );
            return Err(PortError::new(PortErrorKind::Transient, message));
        }
        output.rest()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command
            .args(self.argv.iter().skip(1))
            .env_clear()
            .envs(environment())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        command
    }

    /// Returns the error of the hook for one of its program.
    pub(crate) fn failed(&self, source: PortError) -> HookError {
        let message = format!("failed to run the program `{}`", self.program);
        HookError::Failed(PortError::new(source.kind(), message).with_source(source))
    }
}

/// Starts a program on a blocking thread, because its file is read before it runs. Its group is killed if the caller is
/// dropped, now or later.
async fn started(mut command: Command) -> io::Result<(ProcessGroup, Child)> {
    let spawned = blocking::within(START_LIMIT, move || {
        let child = command.spawn()?;
        Ok((ProcessGroup::of(&child), child))
    });
    match spawned.await {
        Ok(started) => started,
        Err(Stuck::CutOff(_)) => Err(io::Error::other("the start was interrupted")),
        Err(Stuck::NoAnswer { .. } | Stuck::Full | Stuck::Busy) => Err(ErrorKind::TimedOut.into()),
    }
}

fn environment() -> Vec<(&'static str, OsString)> {
    let fixed = [("PATH", PATH.into()), ("LANG", "C".into())];
    let passed_on =
        PASSED_ON.into_iter().filter_map(|name| std::env::var_os(name).map(|value| (name, value)));
    fixed.into_iter().chain(passed_on).collect()
}

/// Terminates the group: SIGTERM, then SIGKILL. Bounded, even if the kernel cannot end the process.
async fn end(child: &mut Child, group: &ProcessGroup) {
    group.signal(Signal::TERM);
    if timeout(GRACE, child.wait()).await.is_err() {
        group.signal(Signal::KILL);
        if timeout(REAPING, child.wait()).await.is_err() {
            tracing::warn!("a hook's program is still running after SIGKILL");
        }
    }
}

/// The process group of a program, killed on drop.
///
/// Drop it right after its leader was reaped, before the ID can be reused.
struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    fn of(leader: &Child) -> Self {
        let id = leader.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0
            && let Err(error) = kill_process_group(group, signal)
            && error != rustix::io::Errno::SRCH
        {
            tracing::warn!(%error, "failed to kill a hook's process group");
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// The program's output so far, in memory that is reserved once and wiped on drop.
struct Printed {
    stdout: ChildStdout,
    bytes: Zeroizing<Vec<u8>>,
    piece: Zeroizing<Vec<u8>>,
}

impl Printed {
    fn new(stdout: ChildStdout) -> Self {
        Self {
            stdout,
            bytes: Zeroizing::new(Vec::with_capacity(OUTPUT_LIMIT)),
            piece: Zeroizing::new(vec![0; 8192]),
        }
    }

    /// Reads until the program itself has exited, even if another process holds its output open.
    async fn collect(&mut self, leader: &mut Child) -> PortResult<ExitStatus> {
        let mut open = true;
        loop {
            tokio::select! {
                ended = leader.wait() => return ended.map_err(unread),
                read = self.stdout.read(&mut self.piece), if open => {
                    let count = read.map_err(unread)?;
                    open = count > 0;
                    take(&mut self.bytes, &self.piece, count)?;
                }
            }
        }
    }

    /// Reads the data in the pipe, without waiting for more.
    fn rest(self) -> PortResult<Zeroizing<Vec<u8>>> {
        let Self { stdout, mut bytes, mut piece } = self;
        let pipe = stdout.into_owned_fd().map_err(unread)?;
        rustix::io::ioctl_fionbio(&pipe, true).map_err(unread)?;
        loop {
            match rustix::io::read(&pipe, piece.as_mut_slice()) {
                Ok(0) | Err(rustix::io::Errno::AGAIN) => return Ok(bytes),
                Ok(count) => take(&mut bytes, &piece, count)?,
                Err(rustix::io::Errno::INTR) => {}
                Err(cause) => return Err(unread(cause)),
            }
        }
    }
}

fn failed_to(attempt: &str, cause: io::Error) -> PortError {
    let kind = match cause.kind() {
        ErrorKind::NotFound => PortErrorKind::NotFound,
        ErrorKind::PermissionDenied => PortErrorKind::Denied,
        _ => PortErrorKind::Transient,
    };
    PortError::new(kind, format!("failed to {attempt}")).with_source(cause)
}

fn unread(cause: impl Into<io::Error>) -> PortError {
    failed_to("read its output", cause.into())
}

fn take(bytes: &mut Vec<u8>, piece: &[u8], count: usize) -> PortResult<()> {
    if bytes.len() + count > OUTPUT_LIMIT {
        let message = format!("it printed more than {OUTPUT_LIMIT} bytes");
        return Err(PortError::new(PortErrorKind::Invalid, message));
    }
    bytes.extend_from_slice(piece.get(..count).unwrap_or_default());
    Ok(())
}

#[cfg(test)]
mod tests;
