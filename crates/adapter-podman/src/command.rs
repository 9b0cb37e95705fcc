//! Running podman: which program, with which environment, for how long, and how it is ended.
//!
//! A call never reads stdin, never inherits a variable that is not on the list, never outlives its
//! limit of time, and never grows without bound. A call whose future is dropped is ended softly in
//! the background: killing a process that writes to the image store can damage the store.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::error::{Cause, PodmanError, Verb};
use crate::reader::Reader;

mod abandoned;
pub(crate) mod argv;
mod child;
mod environment;
mod facts;
mod installation;
mod orphans;
pub(crate) mod output;
pub(crate) mod secrets;
mod spool;
mod tree;

use abandoned::BuildId;
use child::{Ending, Supervision};
use environment::Environment;
use facts::Facts;
use installation::Search;
use output::{Keep, Stream, last_words};
use spool::Spool;

/// The most that is read of an answer, in bytes: some thousand images with long labels.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;

/// How much of stderr is kept for the message of an error, in bytes.
const COMPLAINT_LIMIT: usize = 64 * 1024;

/// How long things may take, and must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A call that only reads.
    pub query: Duration,
    /// The removal of an image or a container; a container has 10 s to end by itself.
    pub remove: Duration,
    /// The build of an image.
    pub build: Duration,
    /// The pull of an image.
    pub pull: Duration,
    /// From being asked to end to being killed.
    pub grace: Duration,
    /// A look at files: the program, its settings, the store's lists, a build context. What takes
    /// longer counts as a file system that does not answer.
    pub files: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            query: Duration::from_secs(20),
            remove: Duration::from_secs(60),
            build: Duration::from_secs(15 * 60),
            pull: Duration::from_secs(15 * 60),
            grace: Duration::from_secs(10),
            files: Duration::from_secs(10),
        }
    }
}

impl Limits {
    fn of(&self, call: Verb) -> Duration {
        match call {
            Verb::Version | Verb::Info | Verb::Images | Verb::ImageInspect | Verb::Ps => self.query,
            Verb::ImageRm | Verb::Rm => self.remove,
            Verb::Build => self.build,
            Verb::Pull => self.pull,
        }
    }
}

/// The podman of this host, as this program runs it.
///
/// The program is looked up for each call, so a Podman that is installed or replaced later is found.
/// Clones share what Podman said of itself, and the count of children.
#[derive(Debug, Clone)]
pub struct Podman {
    search: Arc<Search>,
    environment: Arc<Environment>,
    limits: Limits,
    children: TaskTracker,
    facts: Arc<Facts>,
}

impl Podman {
    /// The podman in the `PATH` of this process, with the listed part of its environment.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::with_environment(env::vars_os())
    }

    /// The podman in the `PATH` of `environment`, of which the listed variables are passed on.
    ///
    /// Relative entries of `PATH` are skipped: they would name a program by where we stand. Proxies
    /// (`HTTPS_PROXY` and its kin) and certificates (`SSL_CERT_FILE`, `SSL_CERT_DIR`) reach builds and
    /// pulls alone; a password in a proxy's URL is neither logged nor reported.
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

    /// The same, but running the program at `path`, which must be absolute.
    #[must_use]
    pub fn with_program(self, path: impl Into<PathBuf>) -> Self {
        let search = Arc::new(Search::clone(&self.search).with_program(path.into()));
        Self { search, facts: Arc::default(), ..self }
    }

    /// The same within other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Waits until no podman of ours is left, those included whose call was dropped.
    ///
    /// To be awaited before the program ends: a service manager kills at once what a main process
    /// leaves behind. Bounded for calls that were dropped by the grace of [`Limits`], and for builds
    /// among them by the removal of what they left.
    pub async fn settled(&self) {
        self.children.close();
        self.children.wait().await;
        self.children.reopen();
    }

    /// Stops the builds and pulls of ours that outlived the process that started them, softly first,
    /// and returns how many. Then removes what such builds left in the store: working containers, and
    /// the images of stages.
    ///
    /// For the one process that builds, before its first build: a build that hangs would otherwise hang
    /// forever, with a second one beside it. Takes the grace of [`Limits`], some calls of podman, and a
    /// few seconds at most. What cannot be removed is logged.
    pub async fn end_orphans(&self) -> usize {
        let orphans = Reader::default().read(self.limits.files, orphans::find).await;
        let orphans = orphans.unwrap_or_default();
        let count = orphans.len();
        let mut ends = tokio::task::JoinSet::new();
        for orphan in orphans {
            ends.spawn(orphan.end(self.limits.grace));
        }
        while ends.join_next().await.is_some() {}
        self.remove_abandoned(None).await;
        count
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Runs a call whose answer is JSON.
    pub(crate) async fn query<T: DeserializeOwned>(
        &self,
        call: Verb,
        args: Vec<String>,
    ) -> Result<T, PodmanError> {
        let answer = self.run(call, args).await?;
        serde_json::from_slice(&answer).map_err(|source| PodmanError::Unreadable { call, source })
    }

    /// Runs a call to its successful end and returns what it printed; of a build or a pull, nothing.
    pub(crate) async fn run(&self, call: Verb, args: Vec<String>) -> Result<Vec<u8>, PodmanError> {
        self.run_for(call, args, None).await
    }

    /// The same, and when it is for a build that does not succeed, what `build` left is removed.
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
        let spool = match has_answer(call) {
            true => None,
            false => Some(Spool::new().map_err(start)?),
        };
        let (answer, complaints) = match &spool {
            None => (Stdio::piped(), Stdio::piped()),
            Some(spool) => (Stdio::null(), spool.writer().map_err(start)?),
        };
        let child = Command::new(&program)
            .args(args)
            .env_clear()
            .envs(self.environment.passed(call))
            .stdin(Stdio::null())
            .stdout(answer)
            .stderr(complaints)
            .process_group(0)
            .spawn()
            .map_err(start)?;
        // Dropping this future drops the sender, which the task below takes as the order to end.
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
            if let Some(build) = build.filter(|_| !succeeded) {
                podman.remove_abandoned(Some(build)).await;
            }
            ending
        });
        // The task neither panics nor is aborted, unless the runtime itself goes.
        task.await.map_err(|_| PodmanError::Interrupted { call })
    }
}

/// Whether anybody needs what a call prints. What needs no answer needs no reader either: see [`Spool`].
fn has_answer(call: Verb) -> bool {
    match call {
        Verb::Build | Verb::Pull => false,
        Verb::Version
        | Verb::Info
        | Verb::Images
        | Verb::ImageInspect
        | Verb::ImageRm
        | Verb::Ps
        | Verb::Rm => true,
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".to_owned(),
    }
}
