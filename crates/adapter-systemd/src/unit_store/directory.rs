//! The files of the unit directory: opened anew for each piece of work, since anyone may have moved it meanwhile.

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

/// No unit that systemd would load is larger: a single line may have 1 MiB.
const SIZE_LIMIT: usize = 1024 * 1024;
/// Far more than units of any host; a directory with more is someone's accident.
const ENTRY_LIMIT: usize = 10_000;
const EXTENSION: &str = ".container";
/// What Quadlet reads in its directories (podman-systemd.unit(5), Podman 5.8).
const QUADLET_EXTENSIONS: [&str; 8] =
    ["artifact", "build", "container", "image", "kube", "network", "pod", "volume"];

/// Where the units are, and how a file of the predecessor is known.
#[derive(Debug, Clone)]
pub(super) struct UnitDir {
    path: PathBuf,
    /// The mode of the directories that are made on the way.
    mode: u32,
    /// What the predecessor's descriptions begin with.
    pub(super) legacy: Option<String>,
}

/// The name of the file of `name`.
pub(super) fn file_name(name: &CompanionName) -> String {
    format!("{name}{EXTENSION}")
}

/// The refusal to touch what lies at the name of `name`.
pub(super) fn conflict(name: &CompanionName, what: &str) -> PortError {
    let file = file_name(name);
    PortError::new(PortErrorKind::Conflict, format!("`{file}` is {what}, and is left alone"))
}

impl UnitDir {
    pub(super) fn new(path: PathBuf, mode: u32) -> Self {
        Self { path, mode, legacy: None }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The path without symbolic links, as Quadlet names it in `SourcePath=`; as given while it does not exist.
    pub(super) fn resolved(&self) -> PathBuf {
        self.path.canonicalize().unwrap_or_else(|_| self.path.clone())
    }

    /// Opens the directory; `None` when there is none yet.
    pub(super) fn open(&self) -> PortResult<Option<Dir>> {
        match Dir::open(&self.path, Trust::Owned) {
            Ok(dir) => Ok(Some(dir)),
            Err(DirError::NotFound { .. }) => Ok(None),
            Err(error) => Err(port_error("the unit directory cannot be opened", error)),
        }
    }

    /// Reads what lies at `name`; `Err(what)` inside for what cannot be read as a unit and is therefore unmanaged.
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
                let attempt = format!("the unit file of `{name}` cannot be read");
                Err(port_error(attempt, error))
            }
        }
    }

    /// Whose the file of `name` is; `None` when there is none.
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

    /// Compares the file of `name` with what is wanted there.
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

    /// The names of the files that carry the mark. What cannot be read carries none that we know of.
    pub(super) fn marked(&self) -> PortResult<BTreeSet<CompanionName>> {
        let Some(dir) = self.open()? else {
            return Ok(BTreeSet::new());
        };
        let entries = dir
            .entries(ENTRY_LIMIT)
            .map_err(|error| port_error("the unit directory cannot be listed", error))?;
        let names = entries.iter().filter_map(|entry| {
            let stem = entry.name_str()?.strip_suffix(EXTENSION)?;
            CompanionName::new(stem).ok()
        });
        let marked = names.filter(|name| match self.read(&dir, name) {
            Ok(Some(Ok(contents))) => mark::is_marked(name, &contents, self.legacy.as_deref()),
            Ok(_) => false,
            Err(error) => {
                tracing::warn!(companion = %name, error = error.chain(), "a unit file is left out");
                false
            }
        });
        Ok(marked.collect())
    }

    /// The unit files of whatever kind, anyone's, at the top of our directory that are named pipes or devices, or links to such: who
    /// reads one may wait for ever. One among drop-ins or in another search path of Quadlet's is not named.
    pub(super) fn endless(&self) -> PortResult<Vec<PathBuf>> {
        let Some(dir) = self.open()? else {
            return Ok(Vec::new());
        };
        let entries = dir
            .entries(ENTRY_LIMIT)
            .map_err(|error| port_error("the unit directory cannot be listed", error))?;
        let units = entries.into_iter().filter(|entry| {
            let extension = Path::new(&entry.name).extension().and_then(OsStr::to_str);
            extension.is_some_and(|extension| QUADLET_EXTENSIONS.contains(&extension))
        });
        let endless = units.filter_map(|entry| {
            let path = self.path.join(&entry.name);
            // A link is read through; one that leads nowhere ends at once.
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

    /// Whether the file of `name` is ours, holds `text` and is for no more people than it should be; then it is brought to the disk,
    /// since whoever wrote it may have died before that.
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
            .map_err(|error| port_error(format!("the unit file of `{name}` cannot be kept"), error))
    }

    /// Replaces the file of `name`, unless it is unmanaged.
    pub(super) fn write(&self, name: &CompanionName, bytes: &[u8]) -> PortResult<()> {
        let failed =
            |error| port_error(format!("the unit file of `{name}` cannot be written"), error);
        let dir = Dir::create(&self.path, self.mode, Trust::Owned).map_err(failed)?;
        if let Some(Ownership::Unmanaged { what }) = self.ownership(&dir, name)? {
            return Err(conflict(name, &what));
        }
        dir.write_unless_unmanaged(&file_name(name), bytes, UNIT_MODE).map_err(failed)
    }

    /// Removes the file of `name`, unless it is unmanaged.
    pub(super) fn remove(&self, name: &CompanionName) -> PortResult<()> {
        let Some(dir) = self.open()? else {
            return Ok(());
        };
        if let Some(Ownership::Unmanaged { what }) = self.ownership(&dir, name)? {
            return Err(conflict(name, &what));
        }
        // Also when there is none: the one who removed it may have died before it was durable.
        match dir.remove(&file_name(name)) {
            Ok(_) => Ok(()),
            Err(error) => {
                let attempt = format!("the unit file of `{name}` cannot be removed");
                Err(port_error(attempt, error))
            }
        }
    }

    /// Removes what cut-off writes left.
    pub(super) fn sweep(&self) -> PortResult<usize> {
        let swept: DirResult<usize> = match self.open()? {
            Some(dir) => dir.sweep_temporary_files(),
            None => Ok(0),
        };
        swept.map_err(|error| port_error("the unit directory cannot be swept", error))
    }
}

/// The port's error for one of the file system.
fn port_error(attempt: impl Into<String>, error: DirError) -> PortError {
    let kind = match &error {
        DirError::Denied { .. } => PortErrorKind::Denied,
        DirError::Untrusted { .. }
        | DirError::NotARegularFile { .. }
        | DirError::NotADirectory { .. } => PortErrorKind::Conflict,
        DirError::TooLarge { .. } | DirError::InvalidName { .. } => PortErrorKind::Invalid,
        // Removed while it was worked in; it will be made anew.
        DirError::NotFound { .. }
        | DirError::ReadOnly { .. }
        | DirError::Full { .. }
        | DirError::Io { .. } => PortErrorKind::Transient,
    };
    PortError::new(kind, attempt).with_source(error)
}
