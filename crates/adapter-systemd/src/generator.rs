//! Podman's generator on the host: finds it and validates a unit with it before the unit is written.
//!
//! A reload succeeds even if a generator rejects a unit, and the rejected unit is then missing. So each unit is
//! validated in a private directory first (`--dryrun` with `QUADLET_UNIT_DIRS`, podman-systemd.unit(5)). A dry run
//! loads and starts nothing.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use companion_core::ports::PortErrorKind;
use durable_dir::{Dir, DirError, Trust};
use host_files::blocking::{self, FILE_LIMIT, Stuck};
use host_files::errors::kind_of;
use host_files::units::UnitText;

use crate::process::Ended;
use crate::scope::Scope;

mod process;
pub(crate) mod verdict;

pub(crate) use verdict::bare;

/// Time limit of the generator for one unit; it takes about 20 ms on a laptop.
const LIMIT: Duration = Duration::from_secs(10);
/// Factor on [`LIMIT`] for a run over all units of the host.
const FOR_ALL_UNITS: u32 = 3;

/// The generator directories of systemd, in order of precedence (systemd.generator(7)), and the generator's names
/// there.
const GENERATOR_DIRS: [&str; 4] =
    ["/run/systemd", "/etc/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd"];
/// Paths of the program itself, for packages without the links (podman issue 17679).
const PROGRAMS: [&str; 3] =
    ["/usr/libexec/podman/quadlet", "/usr/lib/podman/quadlet", "/usr/local/libexec/podman/quadlet"];

/// Prefix of a staging directory's name, followed by the process ID of its creator.
const STAGE_PREFIX: &str = "unit-";

/// The host's generator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generator {
    program: PathBuf,
    scope: Scope,
    limit: Duration,
    stage: PathBuf,
}

/// Why a unit was rejected.
#[derive(Debug, thiserror::Error)]
pub enum GeneratorError {
    /// No generator is installed.
    #[error("no Quadlet generator is installed (it comes with Podman 4.4 and newer; looked for {})", shown_paths(.tried))]
    NotFound {
        /// The paths that were tried.
        tried: Vec<PathBuf>,
    },
    /// The operator masked the generator with a file that is not a program (systemd.generator(7)).
    #[error("the Quadlet generator is masked by `{}`", .path.display())]
    Masked {
        /// The path of the mask.
        path: PathBuf,
    },
    /// Staging the unit failed.
    #[error("failed to create a staging directory for the unit")]
    Stage {
        /// The file system's error.
        #[source]
        source: DirError,
    },
    /// Reading the generator's files timed out.
    #[error("reading the generator's files timed out")]
    Stuck(#[from] Stuck),
    /// Running the generator failed.
    #[error("failed to run `{}`", .program.display())]
    NotRun {
        /// The program.
        program: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The generator exceeded its time limit and was killed.
    #[error("`{}` did not exit within {} s", .program.display(), .limit.as_secs_f32())]
    TimedOut {
        /// The program.
        program: PathBuf,
        /// The limit.
        limit: Duration,
    },
    /// The generator failed for a reason unrelated to the unit.
    #[error("`{}` failed ({status}): {words}", .program.display())]
    Failed {
        /// The program.
        program: PathBuf,
        /// The exit status or signal.
        status: String,
        /// Its standard error, escaped, at most 2 KiB.
        words: String,
    },
    /// The generator rejected the unit.
    #[error("the Quadlet generator rejected the unit: {words}")]
    Refused {
        /// Its message, escaped, at most 2 KiB.
        words: String,
    },
    /// The generator printed no message and generated no service, as versions before 4.6 do.
    #[error("the Quadlet generator generated no service from the unit and printed no reason")]
    NoEvents,
}

impl GeneratorError {
    /// Returns the port error kind.
    #[must_use]
    pub fn kind(&self) -> PortErrorKind {
        match self {
            Self::Refused { .. } | Self::NoEvents => PortErrorKind::Invalid,
            Self::TimedOut { .. } | Self::Stuck(_) => PortErrorKind::Transient,
            // A file error of the stage rejects no unit.
            Self::Stage { source } => match kind_of(source) {
                PortErrorKind::Invalid => PortErrorKind::Unavailable,
                kind => kind,
            },
            Self::NotFound { .. }
            | Self::Masked { .. }
            | Self::NotRun { .. }
            | Self::Failed { .. } => PortErrorKind::Unavailable,
        }
    }
}

impl Generator {
    /// Searches the generator of `scope` in systemd's directories, then in the paths of Podman's packages. Blocks on
    /// files.
    ///
    /// # Errors
    /// [`GeneratorError::NotFound`] and [`GeneratorError::Masked`].
    pub fn find(scope: Scope) -> Result<Self, GeneratorError> {
        Self::find_below(Path::new("/"), scope)
    }

    /// Uses the generator at `program`, whatever its name. Blocks on files.
    ///
    /// # Errors
    /// [`GeneratorError::NotFound`] if `program` is not an executable file.
    pub fn at(program: impl Into<PathBuf>, scope: Scope) -> Result<Self, GeneratorError> {
        let program = program.into();
        if !is_program(&program) {
            return Err(GeneratorError::NotFound { tried: vec![program] });
        }
        let parent = scope.runtime_dir().unwrap_or_else(std::env::temp_dir);
        Ok(Self {
            program,
            scope,
            limit: LIMIT,
            // One name per user, in case the directory is shared, such as /tmp.
            stage: parent.join(format!("companion-stage-{}", rustix::process::geteuid().as_raw())),
        })
    }

    /// Stages units below `path` instead of in the runtime directory.
    #[must_use]
    pub fn with_stage_dir(self, path: impl Into<PathBuf>) -> Self {
        Self { stage: path.into(), ..self }
    }

    /// Returns the program's path.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    fn find_below(root: &Path, scope: Scope) -> Result<Self, GeneratorError> {
        let name = match scope {
            Scope::User => "user-generators/podman-user-generator",
            Scope::System => "system-generators/podman-system-generator",
        };
        let below = |path: PathBuf| root.join(path.strip_prefix("/").unwrap_or(&path));
        let linked = GENERATOR_DIRS.map(|dir| below(Path::new(dir).join(name)));
        for path in &linked {
            match place(path) {
                Place::PassedOver => {}
                Place::Masked => return Err(GeneratorError::Masked { path: path.clone() }),
                Place::Program => return Self::at(path, scope),
            }
        }
        let programs = PROGRAMS.map(|program| below(PathBuf::from(program)));
        match programs.iter().find(|program| is_program(program)) {
            Some(program) => Self::at(program, scope),
            None => Err(GeneratorError::NotFound {
                tried: linked.into_iter().chain(programs).collect(),
            }),
        }
    }

    /// Checks that the generator generates a service from each of `units`, which are texts by name, in one run.
    pub(crate) async fn check(&self, units: &[UnitText]) -> Result<(), GeneratorError> {
        let (generator, staged) = (self.clone(), units.to_vec());
        let staged =
            blocking::within(FILE_LIMIT, move || generator.stage(&staged).map(Staged::new));
        let staged = staged.await??;
        let limit = if units.len() > 1 { self.limit_for_all() } else { self.limit };
        let ended = process::run(&self.program, self.scope, staged.path(), limit).await;
        staged.remove().await;
        verdict::interpret(&self.program, units.iter().map(|(name, _)| name), &ended?)
    }

    fn limit_for_all(&self) -> Duration {
        self.limit.saturating_mul(FOR_ALL_UNITS)
    }

    /// Runs the generator over all unit files that a reload would read, without writing output.
    pub(crate) async fn dry_run(&self) -> Result<Ended, GeneratorError> {
        process::run(&self.program, self.scope, None, self.limit_for_all()).await
    }

    /// Returns the staging directory, which holds one directory per check.
    pub(crate) fn stage_dir(&self) -> PathBuf {
        self.stage.clone()
    }

    /// Blocks on files.
    fn stage(&self, units: &[UnitText]) -> Result<tempfile::TempDir, GeneratorError> {
        let failed = |source| GeneratorError::Stage { source };
        Dir::create(&self.stage, 0o700, Trust::Owned).map_err(failed)?;
        let made = tempfile::Builder::new()
            .prefix(&format!("{STAGE_PREFIX}{}-", std::process::id()))
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(&self.stage);
        let stage = made.map_err(|source| {
            failed(DirError::system("make a directory in", &self.stage, source))
        })?;
        let dir = Dir::open(stage.path(), Trust::Owned).map_err(failed)?;
        for (name, text) in units {
            dir.write(&format!("{name}.container"), text.as_bytes(), 0o600).map_err(failed)?;
        }
        Ok(stage)
    }
}

/// Staged units; removed on a blocking thread, even if the check is cancelled.
struct Staged(Option<tempfile::TempDir>);

impl Staged {
    fn new(dir: tempfile::TempDir) -> Self {
        Self(Some(dir))
    }

    fn path(&self) -> Option<PathBuf> {
        self.0.as_ref().map(|dir| dir.path().to_owned())
    }

    /// Removes the staged unit and waits for the removal.
    async fn remove(mut self) {
        let Some(dir) = self.0.take() else { return };
        let removed = blocking::within(FILE_LIMIT, move || close(dir));
        if let Err(error) = removed.await {
            tracing::warn!(%error, "failed to remove a staged unit");
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        let Some(dir) = self.0.take() else { return };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || close(dir))),
            Err(_no_runtime) => close(dir),
        }
    }
}

/// Closes explicitly, so that an error is logged.
fn close(dir: tempfile::TempDir) {
    if let Err(error) = dir.close() {
        tracing::warn!(%error, "failed to remove a staged unit");
    }
}

/// Removes staged units of processes that no longer exist; returns how many.
pub(crate) fn sweep_stage(stage: &Path) -> usize {
    let Ok(dir) = Dir::open(stage, Trust::Owned) else {
        return 0;
    };
    let left = dir.entries(10_000).unwrap_or_default().into_iter().filter(|name| {
        let owner =
            name.to_str().and_then(|name| name.strip_prefix(STAGE_PREFIX)?.split('-').next());
        owner
            .is_some_and(|pid| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists())
    });
    left.filter(|name| fs::remove_dir_all(stage.join(name)).is_ok()).count()
}

/// How the service manager treats a path in a generator directory (systemd.generator(7)).
enum Place {
    /// Skipped: missing, a dangling link, or not executable.
    PassedOver,
    /// Masked: an empty file or a link to `/dev/null`, which hides later paths.
    Masked,
    Program,
}

fn place(path: &Path) -> Place {
    let Ok(data) = fs::metadata(path) else {
        return Place::PassedOver;
    };
    let kind = data.file_type();
    if kind.is_char_device() || (kind.is_file() && data.len() == 0) {
        Place::Masked
    } else if kind.is_file() && data.permissions().mode() & 0o111 == 0 {
        Place::PassedOver
    } else {
        Place::Program
    }
}

/// Returns whether `path` leads to an executable file.
fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn shown_paths(paths: &[PathBuf]) -> String {
    let shown: Vec<String> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
    shown.join(", ")
}

#[cfg(test)]
mod tests;
