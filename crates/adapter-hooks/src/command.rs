//! Programs that print a file's contents: which programs may run, with which environment, and how long.
//!
//! No shell, no inherited environment, no standard input, a separate process group. A program's standard error is
//! discarded: it may contain the file's secret, and no filter is reliable. Errors report the exit status and recommend
//! running the program manually.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use companion_core::model::container::AbsolutePath;
use companion_core::ports::{PortError, PortErrorKind, PortResult};
use durable_dir::{FileKind, Trust, status_of};
use host_files::blocking;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
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
pub(crate) struct Invocation {
    argv: Vec<String>,
    inputs: Vec<AbsolutePath>,
    seconds: u32,
}

impl Invocation {
    /// Validates the fields of a command hook.
    pub(crate) fn new(
        argv: Vec<String>,
        inputs: Vec<AbsolutePath>,
        seconds: u32,
    ) -> Result<Self, HookError> {
        let bytes: usize = argv.iter().map(String::len).sum();
        let why = if !argv.first().is_some_and(|program| Path::new(program).is_absolute()) {
            "`argv` of the hook must start with the absolute path of a program".to_owned()
        } else if argv.len() > MAX_ARGUMENTS || bytes > MAX_ARGUMENT_BYTES {
            format!(
                "`argv` of the hook must have at most {MAX_ARGUMENTS} arguments of \
                 {MAX_ARGUMENT_BYTES} bytes in total"
            )
        } else if argv.iter().any(|argument| argument.contains('\0')) {
            "`argv` of the hook must not contain a NUL".to_owned()
        } else if inputs.len() > MAX_INPUTS {
            format!("`inputs` of the hook must have at most {MAX_INPUTS} entries")
        } else if !TIMEOUTS.contains(&seconds) {
            "`timeout` of the hook must be from 1 to 300 s".to_owned()
        } else {
            return Ok(Self { argv, inputs, seconds });
        };
        Err(HookError::invalid(why))
    }

    fn program(&self) -> &str {
        &self.argv[0]
    }

    /// Returns the files that the program's output depends on.
    pub(crate) fn inputs(&self) -> Vec<PathBuf> {
        self.inputs.iter().map(|input| input.as_path().to_owned()).collect()
    }

    /// Returns the keyed digest of everything that the program's output depends on.
    ///
    /// Blocks on files.
    pub(crate) fn input_digest(&self, key: &HostKey) -> Result<Digest, HookError> {
        let arguments: Vec<&[u8]> = self.argv.iter().map(|word| word.as_bytes()).collect();
        let mut all = key.digest("argv", &arguments).to_vec();
        for input in &self.inputs {
            let contents = input::require(input)?;
            all.extend(key.digest("input-file", &[input.as_str().as_bytes(), &contents]));
        }
        Ok(key.digest("command", &[&all]))
    }

    /// Rejects a program that others could modify: it would run with our privileges.
    ///
    /// The program and the directories on its path must belong to us or to root, and others must not have write access.
    /// Blocks on files.
    pub(crate) fn check_program(&self) -> Result<(), HookError> {
        let status = status_of(self.program(), Trust::Owned).map_err(|cause| {
            let error = PortError::new(kind_of_input(&cause), "failed to examine it");
            self.failed(error.with_source(cause))
        })?;
        let why = match status {
            Some(status) if status.kind != FileKind::Regular => format!("it is {}", status.kind),
            Some(status) if status.mode & 0o111 == 0 => {
                format!("it is not executable (mode {:04o})", status.mode)
            }
            Some(_) => return Ok(()),
            None => {
                let missing = PortError::new(PortErrorKind::NotFound, "it does not exist");
                return Err(self.failed(missing));
            }
        };
        Err(self.failed(PortError::new(PortErrorKind::Denied, why)))
    }

    /// Runs the program and returns its output.
    ///
    /// Its process group is killed in every case, also when this call is dropped. A process that left the group keeps
    /// running, but delays no caller.
    ///
    /// # Errors
    /// They never contain its output. A failed program is retried: it may depend on a service that was unavailable.
    pub(crate) async fn run(&self) -> Result<Zeroizing<Vec<u8>>, HookError> {
        self.output().await.map_err(|error| self.failed(error))
    }

    async fn output(&self) -> PortResult<Zeroizing<Vec<u8>>> {
        let (group, mut child) =
            started(self.command()).await.map_err(|cause| io_failed("start it", cause))?;
        // Reserved once and wiped on drop.
        let mut bytes = Zeroizing::new(Vec::with_capacity(OUTPUT_LIMIT + 1));
        let limit = Duration::from_secs(u64::from(self.seconds));
        let Ok(ended) = timeout(limit, read_until_exit(&mut child, &mut bytes)).await else {
            end(&mut child, &group).await;
            let message = format!("it did not exit within {} s and was killed", self.seconds);
            return Err(PortError::new(PortErrorKind::Transient, message));
        };
        // Kills the rest of the program's process group.
        drop(group);
        let status = ended?;
        if !status.success() {
            let message = format!(
                "it failed with {status}; its output is withheld because it may contain a secret: \
                 run it manually to see it"
            );
            return Err(PortError::new(PortErrorKind::Transient, message));
        }
        Ok(bytes)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.program());
        command
            .args(self.argv.iter().skip(1))
            .env_clear()
            .env("PATH", PATH)
            .env("LANG", "C")
            .envs(PASSED_ON.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        command
    }

    /// Returns the error of the hook for one of its program.
    fn failed(&self, source: PortError) -> HookError {
        let message = format!("failed to run the program `{}`", self.program());
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
    spawned.await.unwrap_or_else(|stuck| Err(io::Error::other(stuck)))
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

/// Reads the output until the program itself has exited, even if another process holds its output open.
async fn read_until_exit(child: &mut Child, bytes: &mut Vec<u8>) -> PortResult<ExitStatus> {
    let unread = |cause| io_failed("read its output", cause);
    let mut stdout = child.stdout.take().ok_or_else(|| unread(ErrorKind::BrokenPipe.into()))?;
    let mut open = true;
    let status = loop {
        tokio::select! {
            ended = child.wait() => break ended.map_err(unread)?,
            read = stdout.read_buf(bytes), if open => open = read.map_err(unread)? > 0,
        }
        must_fit(bytes)?;
    };
    // What is in the pipe, without waiting for more.
    let pipe = stdout.into_owned_fd().map_err(unread)?;
    rustix::io::ioctl_fionbio(&pipe, true).map_err(|cause| unread(cause.into()))?;
    let room = OUTPUT_LIMIT + 1 - bytes.len();
    match File::from(pipe).take(u64::try_from(room).unwrap_or(0)).read_to_end(bytes) {
        Err(cause) if cause.kind() != ErrorKind::WouldBlock => Err(unread(cause)),
        _ => must_fit(bytes).map(|()| status),
    }
}

fn must_fit(bytes: &[u8]) -> PortResult<()> {
    if bytes.len() <= OUTPUT_LIMIT {
        return Ok(());
    }
    let message = format!("it printed more than {OUTPUT_LIMIT} bytes");
    Err(PortError::new(PortErrorKind::Invalid, message))
}

fn io_failed(attempt: &str, cause: io::Error) -> PortError {
    let kind = match cause.kind() {
        ErrorKind::NotFound => PortErrorKind::NotFound,
        ErrorKind::PermissionDenied => PortErrorKind::Denied,
        _ => PortErrorKind::Transient,
    };
    PortError::new(kind, format!("failed to {attempt}")).with_source(cause)
}

#[cfg(test)]
mod tests;
