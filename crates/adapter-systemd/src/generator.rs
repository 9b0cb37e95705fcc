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

use companion_core::ports::{PortError, PortErrorKind, PortResult};
use durable_dir::{Dir, DirError, Trust};
use host_files::blocking::{self, FILE_LIMIT};
use host_files::errors::kind_of;
use host_files::units::UnitText;
use tokio::process::Command;

use crate::process::{self, Ended};
use crate::scope::Scope;

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

/// More than the service generated from the largest unit.
const OUTPUT_LIMIT: u64 = 4 * 1024 * 1024;
/// The environment variables that the generator inherits: nothing of this service (`NOTIFY_SOCKET`) and nothing that
/// redirects the generator (`PODMAN`).
const PASSED_ON: [&str; 4] = ["HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "TMPDIR"];

/// Prefix of a staging directory's name, followed by the process ID of its creator.
const STAGE_PREFIX: &str = "unit-";

/// The host's generator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Generator {
    program: PathBuf,
    scope: Scope,
    limit: Duration,
    stage: PathBuf,
}

impl Generator {
    /// Searches the generator of `scope` in systemd's directories, then in the paths of Podman's packages. Blocks on
    /// files.
    ///
    /// # Errors
    /// `Unavailable` if it is missing, or masked by the operator.
    pub(crate) fn find(scope: Scope) -> PortResult<Self> {
        Self::find_below(Path::new("/"), scope)
    }

    /// Uses the generator at `program`, whatever its name. Blocks on files.
    ///
    /// # Errors
    /// `Unavailable` if `program` is not an executable file.
    pub(crate) fn at(program: impl Into<PathBuf>, scope: Scope) -> PortResult<Self> {
        let program = program.into();
        if !is_program(&program) {
            return Err(not_found(&[program]));
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
    pub(crate) fn with_stage_dir(self, path: impl Into<PathBuf>) -> Self {
        Self { stage: path.into(), ..self }
    }

    /// Returns the program's path.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    fn find_below(root: &Path, scope: Scope) -> PortResult<Self> {
        let name = match scope {
            Scope::User => "user-generators/podman-user-generator",
            Scope::System => "system-generators/podman-system-generator",
        };
        let below = |path: PathBuf| root.join(path.strip_prefix("/").unwrap_or(&path));
        let linked = GENERATOR_DIRS.map(|dir| below(Path::new(dir).join(name)));
        for path in &linked {
            match place(path) {
                Place::PassedOver => {}
                Place::Masked => {
                    let text = format!("the Quadlet generator is masked by `{}`", path.display());
                    return Err(PortError::new(PortErrorKind::Unavailable, text));
                }
                Place::Program => return Self::at(path, scope),
            }
        }
        let programs = PROGRAMS.map(|program| below(PathBuf::from(program)));
        match programs.iter().find(|program| is_program(program)) {
            Some(program) => Self::at(program, scope),
            None => Err(not_found(&[linked.as_slice(), &programs].concat())),
        }
    }

    /// Checks that the generator generates a service from each of `units`, which are texts by name, in one run.
    ///
    /// # Errors
    /// `Invalid` with the generator's message if it rejects one of them, `Unavailable` and `Transient` if it does not run.
    pub(crate) async fn check(&self, units: &[UnitText]) -> PortResult<()> {
        let (generator, staged) = (self.clone(), units.to_vec());
        let staged = blocking::run("stage the unit", move || generator.stage(&staged)).await?;
        let limit = if units.len() > 1 { self.limit_for_all() } else { self.limit };
        let ended = self.run(Some(staged.path()), limit).await;
        let removed = blocking::within(FILE_LIMIT, move || staged.close()).await;
        if let Err(error) = removed.map_err(io::Error::other).and_then(|removed| removed) {
            tracing::warn!(%error, "failed to remove a staged unit");
        }
        verdict::interpret(&self.program, units.iter().map(|(name, _)| name), &ended?)
    }

    fn limit_for_all(&self) -> Duration {
        self.limit.saturating_mul(FOR_ALL_UNITS)
    }

    /// Runs the generator over all unit files that a reload would read, without writing output.
    pub(crate) async fn dry_run(&self) -> PortResult<Ended> {
        self.run(None, self.limit_for_all()).await
    }

    /// Runs the generator once, in a clean environment, on the units in `stage` or in the directories of its scope.
    async fn run(&self, stage: Option<&Path>, limit: Duration) -> PortResult<Ended> {
        let mut command = Command::new(&self.program);
        if self.scope == Scope::User {
            command.arg("--user");
        }
        command
            .args(["--dryrun", "--no-kmsg-log"])
            .env_clear()
            .envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .env("PATH", process::PATH)
            .env("LANG", "C.UTF-8")
            .envs(stage.map(|stage| ("QUADLET_UNIT_DIRS", stage)));
        process::run(command, OUTPUT_LIMIT, limit).await
    }

    /// Returns the staging directory, which holds one directory per check.
    pub(crate) fn stage_dir(&self) -> PathBuf {
        self.stage.clone()
    }

    /// Blocks on files.
    fn stage(&self, units: &[UnitText]) -> PortResult<tempfile::TempDir> {
        let failed = |error: DirError| {
            let kind = match kind_of(&error) {
                // A file error of the stage rejects no unit.
                PortErrorKind::Invalid => PortErrorKind::Unavailable,
                kind => kind,
            };
            let text = "failed to create a staging directory for the unit";
            PortError::new(kind, text).with_source(error)
        };
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

fn not_found(tried: &[PathBuf]) -> PortError {
    let tried: Vec<String> = tried.iter().map(|path| format!("`{}`", path.display())).collect();
    let text = format!(
        "no Quadlet generator is installed (it comes with Podman 4.4 and newer; looked for {})",
        tried.join(", ")
    );
    PortError::new(PortErrorKind::Unavailable, text)
}

#[cfg(test)]
mod tests;
