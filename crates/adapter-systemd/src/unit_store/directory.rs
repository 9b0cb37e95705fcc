//! The files of the unit directory, which is reopened for each operation because it may have been moved.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use companion_core::model::companion::CompanionName;
use companion_core::model::unit::UnitFileState;
use companion_core::ports::{PortError, PortErrorKind, PortResult};
use durable_dir::{Dir, DirError, DirResult, FileContents, FileKind, Trust};

use crate::mark::{self, Ownership, UNIT_MODE};
use crate::rendering::RenderedUnit;

/// Larger than any unit that systemd would load: a single line may have 1 MiB.
const SIZE_LIMIT: usize = 1024 * 1024;
/// Far more than the units of any host.
const ENTRY_LIMIT: usize = 10_000;
const EXTENSION: &str = ".container";
/// The file extensions that Quadlet reads (podman-systemd.unit(5), Podman 5.8).
const QUADLET_EXTENSIONS: [&str; 8] =
    ["artifact", "build", "container", "image", "kube", "network", "pod", "volume"];

/// The unit directory, and how to recognise files of the previous manager.
#[derive(Debug, Clone)]
pub(super) struct UnitDir {
    path: PathBuf,
    /// The mode of created directories.
    mode: u32,
    /// The prefix of the previous manager's descriptions.
    pub(super) legacy: Option<String>,
}

/// Returns the file name of `name`.
pub(super) fn file_name(name: &CompanionName) -> String {
    format!("{name}{EXTENSION}")
}

/// Returns the error for an unmanaged file at the name of `name`.
pub(super) fn conflict(name: &CompanionName, what: &str) -> PortError {
    let file = file_name(name);
    PortError::new(
        PortErrorKind::Conflict,
        format!("`{file}` is {what}; it is unmanaged and stays unchanged"),
    )
}

impl UnitDir {
    pub(super) fn new(path: PathBuf, mode: u32) -> Self {
        Self { path, mode, legacy: None }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path without symbolic links, as Quadlet names it in `SourcePath=`; unchanged if it does not exist.
    pub(super) fn resolved(&self) -> PathBuf {
        self.path.canonicalize().unwrap_or_else(|_| self.path.clone())
    }

    /// Opens the directory; `None` if it does not exist.
    pub(super) fn open(&self) -> PortResult<Option<Dir>> {
        match Dir::open(&self.path, Trust::Owned) {
            Ok(dir) => Ok(Some(dir)),
            Err(DirError::NotFound { .. }) => Ok(None),
            Err(error) => Err(port_error("failed to open the unit directory", error)),
        }
    }

    /// Reads the file of `name`; the inner `Err(what)` describes an object that is not a readable unit and therefore
    /// unmanaged.
    fn read(
        &self,
        dir: &Dir,
        name: &CompanionName,
    ) -> PortResult<Option<Result<FileContents, String>>> {
        match dir.read(&file_name(name), SIZE_LIMIT) {
            Ok(contents) => Ok(contents.map(Ok)),
            Err(DirError::NotARegularFile { kind, .. }) => Ok(Some(Err(kind.to_string()))),
            Err(DirError::TooLarge { .. }) => Ok(Some(Err("a file of more than 1 MiB".to_owned()))),
            Err(error) => {
                let attempt = format!("failed to read the unit file of `{name}`");
                Err(port_error(attempt, error))
            }
        }
    }

    /// Returns the ownership of the file of `name`; `None` if it does not exist.
    pub(super) fn ownership(
        &self,
        dir: &Dir,
        name: &CompanionName,
    ) -> PortResult<Option<Ownership>> {
        Ok(self.read(dir, name)?.map(|found| match found {
            Ok(contents) => mark::ownership(name, &contents, self.legacy.as_deref()),
            Err(what) => Ownership::Unmanaged { what },
        }))
    }

    /// Compares the file of `name` with the desired unit.
    pub(super) fn state(
        &self,
        dir: &Dir,
        name: &CompanionName,
        wanted: impl FnOnce(u32) -> Option<RenderedUnit>,
    ) -> PortResult<UnitFileState> {
        Ok(match self.read(dir, name)? {
            None => UnitFileState::Absent,
            Some(Err(what)) => UnitFileState::Unmanaged { what },
            Some(Ok(contents)) => {
                let ownership = mark::ownership(name, &contents, self.legacy.as_deref());
                mark::compared(ownership, &contents, wanted)
            }
        })
    }

    /// Returns the names of the files that carry the ownership label; unreadable files are skipped.
    pub(super) fn marked(&self) -> PortResult<BTreeSet<CompanionName>> {
        let Some(dir) = self.open()? else {
            return Ok(BTreeSet::new());
        };
        let entries = dir
            .entries(ENTRY_LIMIT)
            .map_err(|error| port_error("failed to list the unit directory", error))?;
        let names = entries.iter().filter_map(|entry| {
            let stem = entry.name_str()?.strip_suffix(EXTENSION)?;
            CompanionName::new(stem).ok()
        });
        let marked = names.filter(|name| match self.read(&dir, name) {
            Ok(Some(Ok(contents))) => mark::is_marked(name, &contents, self.legacy.as_deref()),
            Ok(_) => false,
            Err(error) => {
                tracing::warn!(companion = %name, error = error.chain(), "skipped an unreadable unit file");
                false
            }
        });
        Ok(marked.collect())
    }

    /// Returns unit files of any kind and owner at the top of our directory that are named pipes or devices, or links
    /// to such: reading them may block forever. Drop-ins and Quadlet's other directories are not checked.
    pub(super) fn endless(&self) -> PortResult<Vec<PathBuf>> {
        let Some(dir) = self.open()? else {
            return Ok(Vec::new());
        };
        let entries = dir
            .entries(ENTRY_LIMIT)
            .map_err(|error| port_error("failed to list the unit directory", error))?;
        let units = entries.into_iter().filter(|entry| {
            let extension = Path::new(&entry.name).extension().and_then(OsStr::to_str);
            extension.is_some_and(|extension| QUADLET_EXTENSIONS.contains(&extension))
        });
        let endless = units.filter_map(|entry| {
            let path = self.path.join(&entry.name);
            // Links are followed; a dangling link does not block.
            let is_endless = match entry.kind {
                FileKind::Fifo | FileKind::Device => true,
                FileKind::Symlink => path.metadata().is_ok_and(|data| {
                    let kind = data.file_type();
                    kind.is_fifo() || kind.is_char_device() || kind.is_block_device()
                }),
                FileKind::Regular | FileKind::Directory | FileKind::Socket | FileKind::Unknown => {
                    false
                }
            };
            is_endless.then_some(path)
        });
        Ok(endless.collect())
    }

    /// Returns whether the file of `name` is managed, holds `text` and has no wider mode than required; if so, syncs
    /// it, because its writer may have crashed before doing so.
    pub(super) fn is_written(&self, name: &CompanionName, text: &str) -> PortResult<bool> {
        let Some(dir) = self.open()? else {
            return Ok(false);
        };
        let written = match self.read(&dir, name)? {
            None => false,
            Some(Err(what)) => return Err(conflict(name, &what)),
            Some(Ok(contents)) => match mark::ownership(name, &contents, self.legacy.as_deref()) {
                Ownership::Unmanaged { what } => return Err(conflict(name, &what)),
                Ownership::Ours { .. } => mark::is_written(&contents, text),
            },
        };
        if !written {
            return Ok(false);
        }
        let persisted = dir.persist(&file_name(name));
        persisted
            .map_err(|error| port_error(format!("failed to sync the unit file of `{name}`"), error))
    }

    /// Replaces the file of `name` unless it is unmanaged.
    pub(super) fn write(&self, name: &CompanionName, bytes: &[u8]) -> PortResult<()> {
        let failed =
            |error| port_error(format!("failed to write the unit file of `{name}`"), error);
        let dir = Dir::create(&self.path, self.mode, Trust::Owned).map_err(failed)?;
        if let Some(Ownership::Unmanaged { what }) = self.ownership(&dir, name)? {
            return Err(conflict(name, &what));
        }
        dir.write_unless_unmanaged(&file_name(name), bytes, UNIT_MODE).map_err(failed)
    }

    /// Removes the file of `name` unless it is unmanaged.
    pub(super) fn remove(&self, name: &CompanionName) -> PortResult<()> {
        let Some(dir) = self.open()? else {
            return Ok(());
        };
        if let Some(Ownership::Unmanaged { what }) = self.ownership(&dir, name)? {
            return Err(conflict(name, &what));
        }
        // Also if it is missing: an earlier removal may have crashed before its sync.
        match dir.remove(&file_name(name)) {
            Ok(_) => Ok(()),
            Err(error) => {
                let attempt = format!("failed to remove the unit file of `{name}`");
                Err(port_error(attempt, error))
            }
        }
    }

    /// Removes temporary files of interrupted writes.
    pub(super) fn sweep(&self) -> PortResult<usize> {
        let swept: DirResult<usize> = match self.open()? {
            Some(dir) => dir.sweep_temporary_files(),
            None => Ok(0),
        };
        swept.map_err(|error| port_error("failed to clean up the unit directory", error))
    }
}

/// Converts a file system error to a port error.
fn port_error(attempt: impl Into<String>, error: DirError) -> PortError {
    let kind = match &error {
        DirError::Denied { .. } => PortErrorKind::Denied,
        DirError::Untrusted { .. }
        | DirError::NotARegularFile { .. }
        | DirError::NotADirectory { .. } => PortErrorKind::Conflict,
        DirError::TooLarge { .. } | DirError::InvalidName { .. } => PortErrorKind::Invalid,
        // Removed in the meantime; the next write creates it again.
        DirError::NotFound { .. }
        | DirError::ReadOnly { .. }
        | DirError::Full { .. }
        | DirError::Io { .. } => PortErrorKind::Transient,
    };
    PortError::new(kind, attempt).with_source(error)
}
