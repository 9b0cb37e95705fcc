//! The two files that `setup` writes, through `durable-dir`: the daemon's unit and the catalog.

use std::path::{Path, PathBuf};

use adapter_systemd::Scope;
use companion_core::error_chain::chain;
use durable_dir::{Dir, DirError, DirResult, Trust};

use super::catalog::{self, Wanted};
use super::plan::{FoundCatalog, FoundUnit};
use crate::config::Config;
use crate::error::{CommandError, CommandResult};
use crate::service::{ServiceState, UNIT, same_file, unit};

/// The most bytes of a unit file.
const UNIT_LIMIT: usize = 64 * 1024;

/// Where the unit goes.
pub(super) struct UnitPlace {
    directory: PathBuf,
    text: String,
    scope: Scope,
}

impl UnitPlace {
    pub(super) fn new(directory: PathBuf, text: String, scope: Scope) -> Self {
        Self { directory, text, scope }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.join(UNIT)
    }

    /// Inspects the unit file; with `force`, an unmanaged regular file counts as outdated.
    pub(super) fn find(
        &self,
        state: &ServiceState,
        program: &Path,
        force: bool,
    ) -> CommandResult<FoundUnit> {
        let unusable = |error: DirError| CommandError::host(chain(&error));
        let shown = self.path();
        let shown = shown.display();
        let dir = Dir::open_existing(&self.directory, Trust::Owned).map_err(unusable)?;
        let found = dir.map_or(Ok(None), |dir| dir.read(UNIT, UNIT_LIMIT));
        let unmanaged = |why: &str, fix: String| Ok(FoundUnit::Unmanaged { why: why.into(), fix });
        match found {
            Ok(None) => {
                let packaged = loaded(state, program).or_else(|| self.packaged(program));
                Ok(packaged.map_or(FoundUnit::Absent, FoundUnit::Packaged))
            }
            Ok(Some(file)) if force || unit::is_managed(&String::from_utf8_lossy(&file.bytes)) => {
                Ok(match self.packaged(program) {
                    Some(packaged) => FoundUnit::HidesPackaged(packaged),
                    None if file.bytes == self.text.as_bytes() => FoundUnit::Same,
                    None => FoundUnit::Outdated,
                })
            }
            Ok(Some(_)) => unmanaged(
                "was not written by companion",
                "companion setup --force replaces it".to_owned(),
            ),
            Err(DirError::NotARegularFile { kind, .. }) => {
                unmanaged(&format!("is {kind}"), format!("rm {shown}; companion setup"))
            }
            Err(error) => Err(unusable(error)),
        }
    }

    /// Returns the unit of the package that installed `program`.
    fn packaged(&self, program: &Path) -> Option<PathBuf> {
        let path = unit::packaged_path(self.scope);
        (unit::is_packaged(program) && path.is_file()).then(|| path.to_owned())
    }

    pub(super) fn write(&self) -> DirResult<()> {
        let dir = Dir::create(&self.directory, 0o755, Trust::Owned)?;
        dir.sweep_temporary_files_of(|name| name == UNIT)?;
        dir.write_unless_unmanaged(UNIT, self.text.as_bytes(), 0o644)
    }

    pub(super) fn delete(&self) -> DirResult<()> {
        Dir::open(&self.directory, Trust::Owned)?.remove(UNIT).map(|_was_there| ())
    }
}

/// Returns the unit elsewhere that the manager loaded, if it runs this program.
fn loaded(state: &ServiceState, program: &Path) -> Option<PathBuf> {
    let is_own = same_file(state.program.as_deref()?, program)?;
    state.fragment.clone().filter(|_| is_own)
}

/// Where the catalog goes.
pub(super) struct CatalogPlace {
    directory: PathBuf,
    name: String,
    wanted: Wanted,
    scope: Scope,
}

impl CatalogPlace {
    pub(super) fn new(scope: Scope, config: &Config) -> CommandResult<Self> {
        let path = config.host.default_catalog().ok_or_else(|| {
            CommandError::host("neither `XDG_CONFIG_HOME` nor `HOME` is an absolute path")
        })?;
        let parts = path.parent().zip(path.file_name().and_then(|name| name.to_str()));
        let (directory, name) =
            parts.ok_or_else(|| CommandError::host("the catalog has no valid path"))?;
        let wanted = Wanted::of(scope, config)?;
        Ok(Self { directory: directory.to_owned(), name: name.to_owned(), wanted, scope })
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    pub(super) fn find(&self) -> CommandResult<FoundCatalog> {
        let dir = Dir::open_existing(&self.directory, Trust::Owned);
        let found = dir.and_then(|dir| dir.map_or(Ok(None), |dir| dir.status(&self.name)));
        match found.map_err(|error| CommandError::host(chain(&error)))? {
            None => Ok(FoundCatalog::Absent),
            Some(_) => Ok(self.wanted.in_file(&self.path())),
        }
    }

    /// Writes a new catalog, unless another process created one meanwhile.
    pub(super) fn write(&self) -> DirResult<()> {
        let mode = match self.scope {
            Scope::User => 0o700,
            Scope::System => 0o755,
        };
        let dir = Dir::create(&self.directory, mode, Trust::Owned)?;
        dir.write_new(&self.name, catalog::text(&self.wanted).as_bytes(), 0o644).map(|_new| ())
    }
}
