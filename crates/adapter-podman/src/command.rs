//! Runs podman: the program, its environment, its time limits and its termination.
//!
//! A call never reads stdin, inherits only listed environment variables, and is bounded in time and output. A call
//! whose future is dropped is terminated gracefully in the background: killing a process that writes to the image store
//! can damage the store.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use companion_core::ports::PortErrorKind;
use image_source::text::path_shown;
use image_source::{EngineError, EngineResult};
use serde::de::DeserializeOwned;
use tokio::net::unix::pipe::Receiver;
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::error::{self, Cause};

mod abandoned;
pub(crate) mod argv;
mod call_id;
mod child;
mod environment;
mod facts;
mod installation;
pub(crate) mod output;
mod remains;
pub(crate) mod secrets;
mod temporary;
mod tree;
mod trial;

use argv::{Call, Kind};
use child::{ANSWER_LIMIT, Ended, Ending, Supervision};
use environment::Environment;
use facts::Facts;
use installation::Search;

/// Time limits of podman calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A read-only call.
    pub query: Duration,
    /// The removal of an image or a container; a container has 10 s to stop.
    pub remove: Duration,
    /// The build of an image.
    pub build: Duration,
    /// The pull of an image.
    pub pull: Duration,
    /// The writing or loading of an image's archive.
    pub archive: Duration,
    /// The time between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// File reads: the program, its settings, the store's indexes, a build context. A file system that takes longer
    /// counts as unresponsive.
    pub files: Duration,
    /// Writing the image store to the disk after a build or pull; the disk may first have to write what others wrote.
    pub sync: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            query: Duration::from_secs(20),
            remove: Duration::from_secs(60),
            build: Duration::from_secs(15 * 60),
            pull: Duration::from_secs(15 * 60),
            archive: Duration::from_secs(5 * 60),
            grace: Duration::from_secs(10),
            files: Duration::from_secs(10),
            sync: Duration::from_secs(180),
        }
    }
}

impl Limits {
    fn of(&self, kind: Kind) -> Duration {
        match kind {
            Kind::Query => self.query,
            Kind::Change => self.remove,
            Kind::Save | Kind::Load => self.archive,
            Kind::Build => self.build,
            Kind::Pull => self.pull,
        }
    }
}

/// The podman of this host.
///
/// The program is looked up for each call, so a Podman that is installed or replaced later is found. Clones share
/// cached facts about Podman and the count of children.
#[derive(Debug, Clone)]
pub struct Podman {
    search: Arc<Search>,
    environment: Arc<Environment>,
    limits: Limits,
    children: TaskTracker,
    facts: Arc<Facts>,
}

impl Podman {
    /// Uses the podman in this process's `PATH`, with the listed part of its environment.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::with_environment(env::vars_os())
    }

    /// Uses the podman in the `PATH` of `environment`, and passes on the listed variables.
    ///
    /// Relative entries of `PATH` are skipped, because they depend on the working directory. Only builds and pulls get
    /// proxies (`HTTPS_PROXY` etc.) and certificates (`SSL_CERT_FILE`, `SSL_CERT_DIR`); a password in a proxy's URL is
    /// neither logged nor reported.
    #[must_use]
    pub fn with_environment(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let environment = Environment::of(environment);
        Self {
            search: Arc::new(Search::of(&environment)),
            environment: Arc::new(environment),
            limits: Limits::default(),
            children: TaskTracker::new(),
            facts: Arc::default(),
        }
    }

    /// Uses the program at `path`, which must be absolute.
    #[must_use]
    pub fn with_program(self, path: impl Into<PathBuf>) -> Self {
        let mut search = Search::clone(&self.search);
        search.program = Some(path.into());
        Self { search: Arc::new(search), facts: Arc::default(), ..self }
    }

    /// Uses other time limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Waits until all our podman processes have ended, including those of dropped calls.
    ///
    /// Await this before the program exits: a service manager kills the remaining processes of a service immediately.
    /// The wait is bounded by the grace of [`Limits`] for dropped calls, plus the cleanup after dropped builds.
    pub async fn settled(&self) {
        self.children.close();
        self.children.wait().await;
        self.children.reopen();
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Runs a call that answers in JSON.
    pub(crate) async fn query<T: DeserializeOwned>(&self, call: Call) -> EngineResult<T> {
        let exit = self.exit(call).await?;
        let call = exit.call.clone();
        serde_json::from_slice(&exit.answer()?).map_err(|why| error::unreadable(call, why))
    }

    /// Runs a call and returns its answer.
    pub(crate) async fn run(&self, call: Call) -> EngineResult<Vec<u8>> {
        self.exit(call).await?.answer()
    }

    /// Runs a call and returns how it exited.
    pub(crate) async fn exit(&self, call: Call) -> EngineResult<Exit> {
        let kind = call.kind;
        let Ended { ending, answer, complaints } = self.supervised(&call).await?;
        let said = complaints.last_words(self.environment.secrets());
        let error = match ending {
            Ending::Exited(status) => return Ok(Exit { call, status, answer, said }),
            Ending::TimedOut => {
                let (limit, said) = (self.limits.of(kind).as_secs(), error::Said(&said));
                error::transient(format!("`{call}` did not exit within {limit} s{said}")).into()
            }
            Ending::Abandoned => interrupted(&call),
            Ending::Lost(source) => {
                error::transient(format!("failed to wait for `{call}`")).with_source(source).into()
            }
        };
        Err(error)
    }

    async fn supervised(&self, call: &Call) -> EngineResult<Ended> {
        let program = self.program().await?.path;
        let start = |source: io::Error| {
            let message = format!("failed to start `{}`", path_shown(&program));
            error::of_the_host(PortErrorKind::Unavailable, message, source)
        };
        let temporary = match call.kind.copies_images() {
            true => Some(self.make_temporary(call.id).await?.map_err(start)?),
            false => None,
        };
        let spawned = lasting_pipe().and_then(|(complaints, stderr)| {
            let child = Command::new(&program)
                .args(&call.args)
                .env_clear()
                .envs(self.environment.passed(call.kind))
                .envs(temporary.iter().map(|directory| ("TMPDIR", directory)))
                .stdin(Stdio::null())
                .stdout(if call.kind.has_answer() { Stdio::piped() } else { Stdio::null() })
                .stderr(stderr)
                .process_group(0)
                .spawn()?;
            Ok((child, complaints))
        });
        let (child, complaints) = match spawned {
            Ok(spawned) => spawned,
            Err(error) => {
                self.remove_temporary(temporary).await;
                return Err(start(error));
            }
        };
        // Dropping this future drops the sender, which makes the task below terminate podman.
        let (_waiting, abandoned) = oneshot::channel();
        let supervision = Supervision {
            limit: self.limits.of(call.kind),
            grace: self.limits.grace,
            abandoned,
            complaints,
            secrets: self.environment.secrets().clone(),
        };
        let (podman, id) = (self.clone(), call.id);
        let task = self.children.spawn(async move {
            let ended = supervision.watch(child).await;
            match &ended.ending {
                Ending::Exited(status) if status.success() => {
                    podman.remove_temporary(temporary).await;
                }
                _ if temporary.is_some() => podman.clean_up(Some(id)).await,
                _ => {}
            }
            ended
        });
        // The task neither panics nor is aborted, except at the runtime's shutdown.
        task.await.map_err(|_| interrupted(call))
    }
}

/// Returns the two ends of a pipe to which a child can write although nobody reads it any more: the writing end reads too.
///
/// If this process died, podman would otherwise be killed by SIGPIPE, which leaves a working container that cannot be
/// identified as ours. So it goes on, or waits at a full pipe, until the next leader stops it.
fn lasting_pipe() -> io::Result<(Receiver, File)> {
    let (reader, _writer) = io::pipe()?;
    let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
    let both = File::options().read(true).write(true).open(path)?;
    Ok((Receiver::from_owned_fd(reader.into())?, both))
}

/// How a call exited, and what it printed.
#[derive(Debug)]
pub(crate) struct Exit {
    call: Call,
    status: ExitStatus,
    answer: Vec<u8>,
    /// The end of its stderr, in one line.
    pub(crate) said: String,
}

impl Exit {
    /// Returns the exit status; `None` if a signal killed it.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Returns the answer of a call that succeeded.
    pub(crate) fn answer(self) -> EngineResult<Vec<u8>> {
        let Self { call, status, answer, said } = self;
        if answer.len() > ANSWER_LIMIT {
            let message = format!("`{call}` printed more than {ANSWER_LIMIT} bytes");
            return Err(error::transient(message).into());
        }
        if status.success() {
            return Ok(answer);
        }
        let ending = match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "an unknown status".to_owned(),
        };
        Err(Cause::of(&said).error(&call, &ending, &said))
    }
}

fn interrupted(call: &Call) -> EngineError {
    EngineError::Host(error::transient(format!("`{call}` was interrupted")))
}
