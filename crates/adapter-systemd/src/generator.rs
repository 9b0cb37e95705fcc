//! Podman's generator of the host: where it is, and what it says about a unit before the unit is put where systemd reads it.
//!
//! A reload succeeds whatever a generator refuses, and the refused unit is then simply missing. So each unit is tried in a private
//! directory first (`--dryrun` with `QUADLET_UNIT_DIRS`, podman-systemd.unit(5)). Nothing is loaded or started by that.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use companion_core::ports::PortErrorKind;
use durable_dir::{Dir, DirError, Trust};

use crate::blocking::{self, FILE_LIMIT, Stuck};
use crate::process::Ended;
use crate::scope::Scope;

mod process;
pub(crate) mod verdict;

pub(crate) use verdict::bare;

/// How long the generator may take for one unit; it needs some 20 ms on a laptop.
const LIMIT: Duration = Duration::from_secs(10);
/// How many times that it may take for all units of the host.
const FOR_ALL_UNITS: u32 = 3;

/// Where systemd looks for generators, first wins (systemd.generator(7)), and their names there.
const GENERATOR_DIRS: [&str; 4] =
    ["/run/systemd", "/etc/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd"];
/// Where the program itself lies, for packages that forget the links (podman issue 17679).
const PROGRAMS: [&str; 3] =
    ["/usr/libexec/podman/quadlet", "/usr/lib/podman/quadlet", "/usr/local/libexec/podman/quadlet"];

/// What the name of a staged unit's directory begins with; the number of the process that made it follows.
const STAGE_PREFIX: &str = "unit-";

/// A host's generator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generator {
    program: PathBuf,
    scope: Scope,
    limit: Duration,
    stage: PathBuf,
}

/// Why a unit was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum GeneratorError {
    /// There is none.
    #[error("no Quadlet generator is installed (it comes with Podman 4.4 and newer; looked for {})", shown_paths(.tried))]
    NotFound {
        /// Where it was looked for.
        tried: Vec<PathBuf>,
    },
    /// The operator switched it off by something that is not a program at its place (systemd.generator(7)).
    #[error("the Quadlet generator is switched off at `{}`", .path.display())]
    Masked {
        /// The place.
        path: PathBuf,
    },
    /// The unit cannot be staged for it.
    #[error("no directory for the unit to be checked in")]
    Stage {
        /// What the file system said.
        #[source]
        source: DirError,
    },
    /// The files that it needs do not answer.
    #[error("the generator's files cannot be reached")]
    Stuck(#[from] Stuck),
    /// It cannot be run.
    #[error("`{}` cannot be run", .program.display())]
    NotRun {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It did not end in time, and was ended.
    #[error("`{}` did not end within {} s", .program.display(), .limit.as_secs_f32())]
    TimedOut {
        /// The program.
        program: PathBuf,
        /// The limit.
        limit: Duration,
    },
    /// It ended with an error that is not about the unit.
    #[error("`{}` failed ({status}): {words}", .program.display())]
    Failed {
        /// The program.
        program: PathBuf,
        /// How it ended.
        status: String,
        /// What it wrote to its standard error, escaped, 2 KiB at most.
        words: String,
    },
    /// It refused the unit.
    #[error("the Quadlet generator says: {words}")]
    Refused {
        /// Its own words, escaped, 2 KiB at most.
        words: String,
    },
    /// It said nothing and made no service of the unit, as versions before 4.6 do.
    #[error("the Quadlet generator made no service of the unit, and did not say why")]
    NoEvents,
}

impl GeneratorError {
    /// What the caller of a port can do.
    #[must_use]
    pub fn kind(&self) -> PortErrorKind {
        match self {
            Self::Refused { .. } | Self::NoEvents => PortErrorKind::Invalid,
            Self::TimedOut { .. } | Self::Stuck(_) => PortErrorKind::Transient,
            Self::Stage { source } if source.is_transient() => PortErrorKind::Transient,
            Self::NotFound { .. }
            | Self::Masked { .. }
            | Self::NotRun { .. }
            | Self::Failed { .. } => PortErrorKind::Unavailable,
            Self::Stage { .. } => PortErrorKind::Denied,
        }
    }
}

impl Generator {
    /// Looks for the generator of `scope` where systemd would, and then where Podman's packages put the program. Blocks on files.
    ///
    /// # Errors
    /// [`GeneratorError::NotFound`] and [`GeneratorError::Masked`].
    pub fn find(scope: Scope) -> Result<Self, GeneratorError> {
        Self::find_below(Path::new("/"), scope)
    }

    /// The generator at `program`, whatever its name. Blocks on files.
    ///
    /// # Errors
    /// [`GeneratorError::NotFound`] when there is nothing that could be run.
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
            // In a shared directory such as /tmp, one name for each user.
            stage: parent.join(format!("companion-stage-{}", rustix::process::geteuid().as_raw())),
        })
    }

    /// Stages units below `path` instead of the runtime directory.
    #[must_use]
    pub fn with_stage_dir(self, path: impl Into<PathBuf>) -> Self {
        Self { stage: path.into(), ..self }
    }

    /// The program's path.
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

    /// Asks whether a service would be made of `text` as `<name>.container`.
    pub(crate) async fn check(&self, name: &str, text: &str) -> Result<(), GeneratorError> {
        let (generator, unit) = (self.clone(), (name.to_owned(), text.to_owned()));
        let staged = blocking::within(FILE_LIMIT, move || {
            let (name, text) = unit;
            generator.stage(&name, &text).map(Staged::new)
        });
        let staged = staged.await??;
        let ended = process::run(&self.program, self.scope, staged.path(), self.limit).await;
        staged.remove().await;
        verdict::judge(&self.program, name, &ended?)
    }

    /// Has it read all that a reload would have it read, and make nothing of it.
    pub(crate) async fn dry_run(&self) -> Result<Ended, GeneratorError> {
        let limit = self.limit.saturating_mul(FOR_ALL_UNITS);
        process::run(&self.program, self.scope, None, limit).await
    }

    /// The directory that units are staged in, one directory for each.
    pub(crate) fn stage_dir(&self) -> PathBuf {
        self.stage.clone()
    }

    /// Blocks on files.
    fn stage(&self, name: &str, text: &str) -> Result<tempfile::TempDir, GeneratorError> {
        let failed = |source| GeneratorError::Stage { source };
        Dir::create(&self.stage, 0o700, Trust::Owned).map_err(failed)?;
        let made = tempfile::Builder::new()
            .prefix(&format!("{STAGE_PREFIX}{}-", std::process::id()))
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(&self.stage);
        let stage = made.map_err(|source| {
            failed(DirError::Io {
                attempted: "make a directory in",
                path: self.stage.clone(),
                source,
            })
        })?;
        let dir = Dir::open(stage.path(), Trust::Owned).map_err(failed)?;
        let file = format!("{name}.container");
        dir.write(&file, text.as_bytes(), 0o600).map_err(failed)?;
        Ok(stage)
    }
}

/// A staged unit, removed on a thread that may block, also when whoever staged it goes away.
struct Staged(Option<tempfile::TempDir>);

impl Staged {
    fn new(dir: tempfile::TempDir) -> Self {
        Self(Some(dir))
    }

    fn path(&self) -> Option<PathBuf> {
        self.0.as_ref().map(|dir| dir.path().to_owned())
    }

    /// Removes it, and waits for that.
    async fn remove(mut self) {
        let Some(dir) = self.0.take() else { return };
        let removed = blocking::within(FILE_LIMIT, move || close(dir));
        if let Err(error) = removed.await {
            tracing::warn!(%error, "a staged unit is left behind");
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

/// Not only dropped, so that what is left is heard of.
fn close(dir: tempfile::TempDir) {
    if let Err(error) = dir.close() {
        tracing::warn!(%error, "a staged unit is left behind");
    }
}

/// Removes staged units of processes that are no more, and returns how many.
pub(crate) fn sweep_stage(stage: &Path) -> usize {
    let Ok(dir) = Dir::open(stage, Trust::Owned) else {
        return 0;
    };
    let left = dir.entries(10_000).unwrap_or_default().into_iter().filter(|entry| {
        let owner =
            entry.name_str().and_then(|name| name.strip_prefix(STAGE_PREFIX)?.split('-').next());
        owner
            .is_some_and(|pid| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists())
    });
    left.filter(|entry| fs::remove_dir_all(stage.join(&entry.name)).is_ok()).count()
}

/// What the service manager makes of a place where generators lie (systemd.generator(7)).
enum Place {
    /// It looks at the next one: nothing is there, a dangling link, or what nobody may execute.
    PassedOver,
    /// An empty file or a link to `/dev/null`, which hides the places after it.
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

/// Whether a path leads to a file that someone may run.
fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn shown_paths(paths: &[PathBuf]) -> String {
    let shown: Vec<String> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
    shown.join(", ")
}

#[cfg(test)]
mod tests;
