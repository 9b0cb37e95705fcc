//! Runs podman: the program, its environment, its time limits and its termination.
//!
//! A call never reads stdin, inherits only listed environment variables, and is bounded in time and output. A call
//! whose future is dropped is terminated gracefully in the background: killing a process that writes to the image store
//! can damage the store.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use image_source::Reader;
use serde::de::DeserializeOwned;
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::error::{Cause, PodmanError, Verb};

mod abandoned;
pub(crate) mod argv;
mod child;
mod environment;
mod facts;
mod installation;
mod orphans;
pub(crate) mod output;
mod remains;
pub(crate) mod secrets;
mod spool;
mod temporary;
mod tree;
mod trial;

use abandoned::BuildId;
use child::{Ending, Supervision};
use environment::Environment;
use facts::Facts;
use installation::Search;
use output::{Keep, Stream, last_words};
use spool::Spool;

/// Maximum size of an answer in bytes: thousands of images with long labels.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;

/// How much of stderr is kept for an error message, in bytes.
const COMPLAINT_LIMIT: usize = 64 * 1024;

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
    fn of(&self, call: Verb) -> Duration {
        match call {
            Verb::Version | Verb::Info | Verb::Images | Verb::ImageInspect | Verb::Ps => self.query,
            Verb::ImageRm | Verb::Rm | Verb::Run | Verb::Tag => self.remove,
            Verb::Save | Verb::Load => self.archive,
            Verb::Build => self.build,
            Verb::Pull => self.pull,
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
        let search = Arc::new(Search::clone(&self.search).with_program(path.into()));
        Self { search, facts: Arc::default(), ..self }
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

    /// Stops our builds and pulls that outlived the process that started them, gracefully first, and returns how many.
    /// Then removes what such builds left: processes, working containers, images without a manifest and temporary
    /// directories.
    ///
    /// Only the process that builds calls this, before its first build: otherwise a hung build would hang forever,
    /// concurrently with a second one. Takes the grace of [`Limits`], some podman calls, and a few seconds. Failed
    /// removals are logged.
    pub async fn end_orphans(&self) -> usize {
        let orphans = Reader::default().read(self.limits.files, orphans::find).await;
        let orphans = orphans.unwrap_or_default();
        let count = orphans.len();
        let mut ends = tokio::task::JoinSet::new();
        for orphan in orphans {
            ends.spawn(orphan.end(self.limits.grace));
        }
        while ends.join_next().await.is_some() {}
        let began = self.sweep_temporary().await;
        self.remove_abandoned(None, began).await;
        count
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Runs a call that answers in JSON.
    pub(crate) async fn query<T: DeserializeOwned>(
        &self,
        call: Verb,
        args: Vec<String>,
    ) -> Result<T, PodmanError> {
        let answer = self.run(call, args).await?;
        serde_json::from_slice(&answer).map_err(|source| PodmanError::Unreadable { call, source })
    }

    /// Runs a call and returns its output; a build or a pull has none.
    pub(crate) async fn run(&self, call: Verb, args: Vec<String>) -> Result<Vec<u8>, PodmanError> {
        self.run_for(call, args, None).await
    }

    /// As [`run`](Self::run); cleans up after `build` if it fails.
    async fn run_for(
        &self,
        call: Verb,
        args: Vec<String>,
        build: Option<BuildId>,
    ) -> Result<Vec<u8>, PodmanError> {
        let secrets = self.environment.secrets();
        let stdout = Stream::new(Keep::Head(ANSWER_LIMIT), secrets.clone());
        let stderr = Stream::new(Keep::Tail(COMPLAINT_LIMIT), secrets.clone());
        let ending = self.supervised(call, args, build, [&stdout, &stderr]).await?;
        let (complaints, is_cut) = stderr.take();
        let said = last_words(&complaints, is_cut, secrets);
        match ending {
            Ending::Exited(status) if status.success() => match stdout.take() {
                (answer, false) => Ok(answer),
                (_, true) => Err(PodmanError::TooMuch { call, limit: ANSWER_LIMIT }),
            },
            Ending::Exited(status) => Err(PodmanError::Failed {
                call,
                ending: describe(status),
                status: status.code(),
                cause: Cause::of(&said),
                said,
            }),
            Ending::TimedOut => {
                Err(PodmanError::TimedOut { call, limit: self.limits.of(call), said })
            }
            Ending::Abandoned => Err(PodmanError::Interrupted { call }),
            Ending::Lost(source) => Err(PodmanError::Wait { call, source }),
        }
    }

    async fn supervised(
        &self,
        call: Verb,
        args: Vec<String>,
        build: Option<BuildId>,
        [stdout, stderr]: [&Stream; 2],
    ) -> Result<Ending, PodmanError> {
        let program = self.program().await?.path;
        let start = |source| PodmanError::Start { program: program.clone(), source };
        let needs = call.needs();
        let spool = match needs.spool {
            true => Some(Spool::new().map_err(start)?),
            false => None,
        };
        let (answer, complaints) = match &spool {
            None => (Stdio::piped(), Stdio::piped()),
            Some(spool) => (Stdio::null(), spool.writer().map_err(start)?),
        };
        let temporary = match needs.temporary {
            true => Some(self.make_temporary().await?.map_err(start)?),
            false => None,
        };
        let began = SystemTime::now();
        let child = Command::new(&program)
            .args(args)
            .env_clear()
            .envs(self.environment.passed(call))
            .envs(temporary.iter().map(|directory| ("TMPDIR", directory)))
            .stdin(Stdio::null())
            .stdout(answer)
            .stderr(complaints)
            .process_group(0)
            .spawn();
        let child = match (child, temporary.clone()) {
            (Err(error), Some(directory)) => {
                self.remove_temporary(directory, true).await;
                return Err(start(error));
            }
            (child, _) => child.map_err(start)?,
        };
        // Dropping this future drops the sender, which tells the task below to terminate podman.
        let (_waiting, abandoned) = oneshot::channel();
        let supervision = Supervision {
            limit: self.limits.of(call),
            grace: self.limits.grace,
            abandoned,
            stdout: stdout.clone(),
            stderr: stderr.clone(),
            spool,
        };
        let podman = self.clone();
        let task = self.children.spawn(async move {
            let ending = supervision.watch(child).await;
            let succeeded = matches!(&ending, Ending::Exited(status) if status.success());
            if let Some(directory) = temporary {
                podman.remove_temporary(directory, succeeded).await;
            }
            if let Some(build) = build.filter(|_| !succeeded) {
                podman.remove_abandoned(Some(build), Some(began)).await;
            }
            ending
        });
        // The task neither panics nor is aborted, except at the runtime's shutdown.
        task.await.map_err(|_| PodmanError::Interrupted { call })
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".to_owned(),
    }
}
