//! Running podman: which program, with which environment, for how long, and how it is ended.
//!
//! A call never reads stdin, never inherits a variable that is not on the list, never outlives its
//! limit of time, and never grows without bound. A call whose future is dropped is ended softly in
//! the background: killing a process that writes to the image store can damage the store.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use std::os::unix::process::ExitStatusExt as _;

use serde::de::DeserializeOwned;
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::error::{Cause, PodmanError, Verb};
use crate::memory::Memory;

pub(crate) mod argv;
mod child;
mod orphans;
pub(crate) mod output;
mod spool;
mod tree;

use child::{Ending, Supervision};
use output::{Keep, Stream, last_words};
use spool::Spool;

/// The most that is read of an answer, in bytes.
const ANSWER_LIMIT: usize = 4 * 1024 * 1024;

/// How much of stderr is kept for the message of an error, in bytes.
const COMPLAINT_LIMIT: usize = 64 * 1024;

/// Where podman is looked for when the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What podman may inherit. Everything else stays out: `NOTIFY_SOCKET` would let podman speak to
/// the service manager in our name, `CONTAINERS_CONF`, `CONTAINER_HOST` or `STORAGE_DRIVER` would
/// let whoever starts us point it at another host or store.
const INHERITED: [&str; 10] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "REGISTRY_AUTH_FILE",
];

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
    /// How long a file that an answer depends on must have stood unchanged before the answer is
    /// remembered: more than a tick of any file system's clock.
    pub settle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            query: Duration::from_secs(20),
            remove: Duration::from_secs(60),
            build: Duration::from_secs(15 * 60),
            pull: Duration::from_secs(15 * 60),
            grace: Duration::from_secs(10),
            settle: Duration::from_secs(2),
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
/// The program is looked up in `PATH` once; while there is none, each call looks again, so that a
/// Podman which is installed later is found. Clones share the lookup and the count of children.
#[derive(Debug, Clone)]
pub struct Podman {
    program: Arc<OnceLock<PathBuf>>,
    search: OsString,
    environment: Arc<[(OsString, OsString)]>,
    limits: Limits,
    children: TaskTracker,
    memory: Option<Arc<Memory>>,
}

impl Podman {
    /// The podman in the `PATH` of this process, with the listed part of its environment.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::with_environment(env::vars_os())
    }

    /// The podman in the `PATH` of `environment`, of which the listed variables are passed on.
    ///
    /// Relative entries of `PATH` are skipped: they would name a program by where we stand.
    #[must_use]
    pub fn with_environment(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut passed: Vec<(OsString, OsString)> = environment
            .into_iter()
            .filter(|(name, _)| INHERITED.iter().any(|known| name == known))
            .collect();
        let path = passed.iter().find(|(name, _)| name == "PATH");
        let search = path.map_or_else(|| DEFAULT_PATH.into(), |(_, value)| value.clone());
        // Messages are compared with known phrases.
        passed.push(("LANG".into(), "C".into()));
        let (name, value) = orphans::MARK;
        passed.push((name.into(), value.into()));
        let podman = Self {
            program: Arc::default(),
            search,
            environment: passed.into(),
            limits: Limits::default(),
            children: TaskTracker::new(),
            memory: None,
        };
        if let Some(program) = find_program(&podman.search) {
            // Nobody else has the lock yet.
            let _ = podman.program.set(program);
        }
        podman
    }

    /// The same, but running the program at `path`, which must be absolute.
    #[must_use]
    pub fn with_program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = Arc::new(OnceLock::from(path.into()));
        self
    }

    /// The same within other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The same with a memory in `directory`, in the file `podman.json` (mode 0600): what is asked
    /// for a reading (the version, where the store is, which images it has) is answered from there
    /// while all that it depends on is unchanged.
    ///
    /// A directory that is not there is not made. Nothing about the memory is ever an error: what
    /// cannot be read or written, is damaged or a day old, is asked anew. Not noticed for up to that
    /// day: a Podman that changed behind a script of that name in `PATH`.
    #[must_use]
    pub fn remembering(mut self, directory: impl Into<PathBuf>) -> Self {
        self.memory = Some(Arc::new(Memory::new(directory.into())));
        self
    }

    /// Podman's version, such as `5.4.2`.
    ///
    /// # Errors
    /// [`PodmanError`], of kind `Unavailable` when there is no podman or its answer is unknown.
    pub async fn version(&self) -> Result<String, PodmanError> {
        let (basis, asked) = (self.basis(), SystemTime::now());
        if let Some(known) = self.recall(basis.as_ref(), |said| said.version.clone()).await {
            return Ok(known);
        }
        let version = self.ask_version().await?;
        let note = version.clone();
        self.remember(basis.as_ref(), asked, |said| said.version = Some(note)).await;
        self.keep().await;
        Ok(version)
    }

    async fn ask_version(&self) -> Result<String, PodmanError> {
        let answer = self.run(Verb::Version, argv::version()).await?;
        let text = String::from_utf8_lossy(&answer);
        let version = text.trim().rsplit(' ').next().unwrap_or_default();
        if version.len() <= 64 && version.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(version.to_owned());
        }
        Err(PodmanError::Unreadable {
            call: Verb::Version,
            source: serde::de::Error::custom("it names no version"),
        })
    }

    /// Waits until no podman of ours is left, those included whose call was dropped.
    ///
    /// To be awaited before the program ends: a service manager kills at once what a main process
    /// leaves behind. Bounded by the grace of [`Limits`] for calls that were dropped.
    pub async fn settled(&self) {
        self.children.close();
        self.children.wait().await;
        self.children.reopen();
    }

    /// Ends the builds and pulls of ours whose beginner was killed, softly first, and returns how many.
    ///
    /// A build that hangs would otherwise hang for ever, and a second one be begun beside it. Takes the
    /// grace of [`Limits`] and a few seconds at most.
    pub async fn end_orphans(&self) -> usize {
        // Reading the process table blocks; it fails only with the runtime.
        let orphans = tokio::task::spawn_blocking(orphans::find).await.unwrap_or_default();
        let count = orphans.len();
        let mut ends = tokio::task::JoinSet::new();
        for orphan in orphans {
            ends.spawn(orphan.end(self.limits.grace));
        }
        while ends.join_next().await.is_some() {}
        count
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
        let stdout = Stream::new(Keep::Head(ANSWER_LIMIT));
        let stderr = Stream::new(Keep::Tail(COMPLAINT_LIMIT));
        let ending = self.supervised(call, args, &stdout, &stderr).await?;
        let said = last_words(&stderr.take().0);
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
        stdout: &Stream,
        stderr: &Stream,
    ) -> Result<Ending, PodmanError> {
        let program = self.program()?;
        let start = |source| PodmanError::Start { program: program.to_owned(), source };
        let spool = match has_answer(call) {
            true => None,
            false => Some(Spool::new().map_err(start)?),
        };
        let (answer, complaints) = match &spool {
            None => (Stdio::piped(), Stdio::piped()),
            Some(spool) => (Stdio::null(), spool.writer().map_err(start)?),
        };
        let child = Command::new(program)
            .args(args)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
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
        let task = self.children.spawn(supervision.watch(child));
        // The task neither panics nor is aborted, unless the runtime itself goes.
        task.await.map_err(|_| PodmanError::Interrupted { call })
    }

    pub(crate) fn memory(&self) -> Option<&Memory> {
        self.memory.as_deref()
    }

    pub(crate) fn environment(&self) -> &[(OsString, OsString)] {
        &self.environment
    }

    pub(crate) fn settle_time(&self) -> Duration {
        self.limits.settle
    }

    pub(crate) fn program(&self) -> Result<&Path, PodmanError> {
        if let Some(program) = self.program.get() {
            return Ok(program);
        }
        let found = find_program(&self.search).ok_or_else(|| PodmanError::Missing {
            search: output::shown(&self.search.to_string_lossy()),
        })?;
        Ok(self.program.get_or_init(|| found))
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

fn find_program(search: &OsStr) -> Option<PathBuf> {
    env::split_paths(search)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join("podman"))
        .find(|path| {
            path.metadata()
                .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
        })
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".to_owned(),
    }
}
