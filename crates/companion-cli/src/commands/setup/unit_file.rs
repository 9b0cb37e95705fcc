//! The daemon's unit file.

use std::path::{Path, PathBuf};

use adapter_systemd::Scope;
use companion_core::error_chain::chain;
use durable_dir::{Dir, DirError, DirResult, Trust};

use super::plan::FoundUnit;
use crate::error::{CommandError, CommandResult};
use crate::service::{ServiceState, UNIT, same_file, unit};

/// The most bytes of a unit file.
const UNIT_LIMIT: usize = 64 * 1024;

/// Where the unit goes, and its text.
pub(super) struct UnitFile {
    pub(super) directory: PathBuf,
    pub(super) text: String,
}

impl UnitFile {
    pub(super) fn path(&self) -> PathBuf {
        self.directory.join(UNIT)
    }

    /// Inspects the unit file; with `force`, an unmanaged regular file counts as outdated.
    pub(super) fn find(
        &self,
        state: &ServiceState,
        program: &Path,
        scope: Scope,
        force: bool,
    ) -> CommandResult<FoundUnit> {
        let unusable = |error: DirError| CommandError::host(chain(&error));
        let dir = Dir::open_existing(&self.directory, Trust::Owned).map_err(unusable)?;
        let packaged = Some(unit::packaged_path(scope).to_owned())
            .filter(|path| unit::is_packaged(program) && path.is_file());
        Ok(match dir.map_or(Ok(None), |dir| dir.read(UNIT, UNIT_LIMIT)) {
            Ok(None) => {
                loaded(state, program).or(packaged).map_or(FoundUnit::Absent, FoundUnit::Packaged)
            }
            Ok(Some(file)) if force || unit::is_managed(&String::from_utf8_lossy(&file.bytes)) => {
                match packaged {
                    Some(packaged) => FoundUnit::HidesPackaged(packaged),
                    None if file.bytes == self.text.as_bytes() => FoundUnit::Same,
                    None => FoundUnit::Outdated,
                }
            }
            Ok(Some(_)) => FoundUnit::Unmanaged {
                why: "was not written by companion".to_owned(),
                fix: "companion setup --force replaces it".to_owned(),
            },
            Err(DirError::NotARegularFile { kind, .. }) => FoundUnit::Unmanaged {
                why: format!("is {kind}"),
                fix: format!("rm {}; companion setup", self.path().display()),
            },
            Err(error) => return Err(unusable(error)),
        })
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
