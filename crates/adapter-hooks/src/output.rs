//! The rendered files of one hook: reading, committing, sweeping, removing.
//!
//! # Flow
//! A commit writes the bytes to a file named after the output and their ID, then the stamp, and then points the output,
//! a symbolic link, to the new file.
//!
//! # Guarantees
//! - A file under an ID contains the bytes of the ID, or counts as modified.
//! - A file has mode 0600 in a directory of mode 0700 from its first byte on.
//! - The output links to a file only after that file and its stamp were synced to disk.
//!
//! # Assumptions
//! The caller excludes other writers of the same output, in this process and in others.
//!
//! # Caveats
//! A directory of ours with a wider mode is restricted if it contains only this hook's files, because it then belongs
//! to the hook. Otherwise it is rejected: restricting a home directory or `/etc` would break other programs.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;

use companion_core::model::container::AbsolutePath;
use companion_core::model::hook::{ConfigFile, ConfigId, Link};
use companion_core::ports::PortErrorKind;
use durable_dir::{Dir, DirError, DirResult, FileKind, FileStatus, Trust, temporary_for};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::HookError;
use crate::key::{Digest, HostKey};
use crate::template::OUTPUT_LIMIT;

use name::OutputName;

mod name;

/// Maximum number of directory entries. Files of a hook that renders often without starting its companion accumulate,
/// and the sweep must still find them.
const MAX_ENTRIES: usize = 100_000;

/// Maximum size of a stamp in bytes.
const STAMP_LIMIT: usize = 512;

/// The record of a program's last run, in a file next to its output. One that cannot be read says nothing: the program
/// runs again.
///
/// Without it, only another run would reveal whether the program's output has changed. It contains only full 256-bit
/// digests, and is useless without the host's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stamp {
    /// Keyed digest of the arguments and of the inputs' bytes, taken before the run.
    pub(crate) input: Digest,
    /// Keyed digest of the output, which also names the rendered file.
    pub(crate) output: Digest,
}

/// The location of a hook's files.
pub(crate) struct Output<'a> {
    directory: &'a Path,
    name: OutputName<'a>,
}

/// The existing files.
pub(crate) struct Found {
    /// The rendered files.
    pub(crate) files: BTreeMap<ConfigId, ConfigFile>,
    /// The object at the output.
    pub(crate) link: Link,
    /// The stamp of the program's last run, if valid.
    pub(crate) stamp: Option<Stamp>,
}

impl<'a> Output<'a> {
    pub(crate) fn new(path: &'a AbsolutePath) -> Result<Self, HookError> {
        let name = path.as_path().file_name().and_then(OsStr::to_str);
        let (Some(directory), Some(name)) = (path.parent(), name) else {
            return Err(HookError::invalid("`output` of the hook must name a file"));
        };
        Ok(Self { directory, name: OutputName::new(name)? })
    }

    /// Reads the existing files.
    pub(crate) fn read(&self, key: &HostKey) -> Result<Found, HookError> {
        match self.open()? {
            Some(dir) => self.read_in(&dir, key),
            None => Ok(Found { files: BTreeMap::new(), link: Link::Absent, stamp: None }),
        }
    }

    fn open(&self) -> DirResult<Option<Dir>> {
        Dir::open_existing(self.directory, Trust::Owned)
    }

    fn read_in(&self, dir: &Dir, key: &HostKey) -> Result<Found, HookError> {
        let link = self.read_link(dir)?;
        let stamp = self.read_stamp(dir);
        let is_closed = is_closed(&dir.own_status()?);
        let mut files = BTreeMap::new();
        for id in self.ids(dir)? {
            let file = match self.read_file(dir, id, key)? {
                Some(ConfigFile::Intact) if !is_closed => ConfigFile::ReadableByOthers,
                Some(file) => file,
                None => continue,
            };
            files.insert(id, file);
        }
        Ok(Found { files, link, stamp })
    }

    /// Returns the IDs that are in use as names.
    fn ids(&self, dir: &Dir) -> DirResult<Vec<ConfigId>> {
        let entries = dir.entries(MAX_ENTRIES)?;
        Ok(entries.iter().filter_map(|name| self.name.id_of(name.to_str()?)).collect())
    }

    /// Returns the state of the file `id`; `None` if it is missing. Another object than a file or link at its name is
    /// reported by the commit that needs the name.
    fn read_file(
        &self,
        dir: &Dir,
        id: ConfigId,
        key: &HostKey,
    ) -> Result<Option<ConfigFile>, HookError> {
        let name = self.name.file(id);
        let (contents, status) = match dir.read(&name, OUTPUT_LIMIT) {
            Ok(Some(file)) => (Zeroizing::new(file.bytes), file.status),
            Ok(None) => return Ok(None),
            Err(DirError::TooLarge { .. }) => return Ok(Some(ConfigFile::Modified)),
            Err(DirError::NotARegularFile { kind, .. }) => {
                return Ok((kind == FileKind::Symlink).then_some(ConfigFile::Modified));
            }
            Err(error) => {
                let status = dir.status(&name)?;
                let is_denied = error.system_kind() == Some(ErrorKind::PermissionDenied);
                // Committing again fixes only the file's own mode and owner.
                return match status {
                    Some(status) if is_denied && !is_readable(&status) => {
                        Ok(Some(ConfigFile::Modified))
                    }
                    _ => Err(error.into()),
                };
            }
        };
        Ok(Some(if key.fingerprint(&contents) != id.digest {
            ConfigFile::Modified
        } else if is_writable(&status) {
            ConfigFile::WritableByOthers
        } else if status.mode != 0o600 {
            ConfigFile::ReadableByOthers
        } else {
            ConfigFile::Intact
        }))
    }

    fn read_link(&self, dir: &Dir) -> DirResult<Link> {
        let name = self.name.as_str();
        let Some(status) = dir.status(name)? else {
            return Ok(Link::Absent);
        };
        if !status.kind.is_file_or_link() {
            return Ok(Link::Unmanaged);
        }
        let target = dir.read_link(name)?;
        let id = target.and_then(|target| self.name.id_of(target.to_str()?));
        Ok(id.map_or(Link::Other, Link::To))
    }

    fn read_stamp(&self, dir: &Dir) -> Option<Stamp> {
        let found = dir.read(&self.name.stamp(), STAMP_LIMIT).ok()??;
        serde_json::from_slice(&found.bytes).ok()
    }

    /// Commits `bytes` with the given stamp; without one, an old stamp is removed.
    pub(crate) fn commit(
        &self,
        key: &HostKey,
        bytes: &[u8],
        claimed: &[ConfigId],
        stamp: Option<Stamp>,
    ) -> Result<ConfigId, HookError> {
        let dir = Dir::create(self.directory, 0o700, Trust::Owned)?;
        self.close(&dir)?;
        // A crashed write left a file with a secret.
        self.sweep_temporary(&dir)?;
        let found = self.read_in(&dir, key)?;
        let id = ConfigId::to_commit(key.fingerprint(bytes), &found.files, claimed);
        let name = self.name.file(id);
        let intact = found.files.get(&id) == Some(&ConfigFile::Intact);
        // The writer of the intact file and the link may have crashed before the sync.
        if !(intact && dir.persist(&name)?) {
            dir.write(&name, bytes, 0o600)?;
        }
        match stamp {
            Some(stamp) => {
                let bytes = serde_json::to_vec(&stamp).unwrap_or_default();
                dir.write(&self.name.stamp(), &bytes, 0o600)?;
            }
            None => drop(dir.remove(&self.name.stamp())?),
        }
        if found.link != Link::To(id) {
            dir.link(self.name.as_str(), &name)?;
        }
        Ok(id)
    }

    /// Removes the rendered files except `keep`. Returns their number.
    pub(crate) fn sweep(&self, keep: ConfigId) -> Result<usize, HookError> {
        match self.open()? {
            Some(dir) => Ok(self.remove_files(&dir, Some(keep))?),
            None => Ok(0),
        }
    }

    /// Removes what a crash left: temporary files, and for a removed output that is `unwanted` also the files, the
    /// stamp and the directory. Returns the number of temporary files.
    pub(crate) fn cleanup(&self, unwanted: bool) -> Result<usize, HookError> {
        let Some(dir) = self.open()? else { return Ok(0) };
        let swept = self.sweep_temporary(&dir)?;
        if unwanted && dir.status(self.name.as_str())?.is_none() {
            self.remove()?;
        }
        Ok(swept)
    }

    /// Removes the files, the stamp, the output, and the directory if it is otherwise empty.
    pub(crate) fn remove(&self) -> Result<bool, HookError> {
        let Some(dir) = self.open()? else { return Ok(false) };
        // The secrets first and the output last: without files and output, a later removal would not be requested.
        self.sweep_temporary(&dir)?;
        let removed = self.remove_files(&dir, None)? > 0;
        dir.remove(&self.name.stamp())?;
        let unlinked = dir.remove(self.name.as_str())?;
        // The secret is deleted already, so a directory that cannot be removed, for instance below a directory of
        // root's, is not a failure.
        if let Err(error) = self.remove_directory(&dir) {
            tracing::debug!(%error, "failed to remove the empty directory of a removed hook");
        }
        Ok(removed || unlinked)
    }

    fn remove_files(&self, dir: &Dir, keep: Option<ConfigId>) -> DirResult<usize> {
        let mut removed = 0;
        for id in self.ids(dir)?.into_iter().filter(|id| Some(*id) != keep) {
            match dir.remove(&self.name.file(id)) {
                Ok(true) => removed += 1,
                Ok(false) | Err(DirError::NotARegularFile { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }

    fn sweep_temporary(&self, dir: &Dir) -> DirResult<usize> {
        dir.sweep_temporary_files_of(|name| self.name.makes(name))
    }

    /// Removes the directory if it is private and empty.
    fn remove_directory(&self, dir: &Dir) -> DirResult<bool> {
        let name = self.directory.file_name().and_then(|name| name.to_str());
        let (Some(parent), Some(name)) = (self.directory.parent(), name) else {
            return Ok(false);
        };
        let own = dir.own_status()?;
        Ok(own.is_ours()
            && own.mode & 0o777 == 0o700
            && Dir::open(parent, Trust::Owned)?.remove_empty_directory(name)?)
    }

    /// Restricts the directory to its owner, if it belongs to the hook.
    fn close(&self, dir: &Dir) -> Result<(), HookError> {
        let own = dir.own_status()?;
        let path = || dir.path().display().to_string();
        if !own.is_ours() {
            let message =
                format!("the directory `{}` belongs to user {}, not to this user", path(), own.uid);
            return Err(HookError::failed(PortErrorKind::Denied, message));
        }
        if is_closed(&own) {
            return Ok(());
        }
        for name in dir.entries(MAX_ENTRIES)? {
            if self.is_of_the_hook(dir, &name)? {
                continue;
            }
            let message = format!(
                "the directory `{}` has mode {:04o} and also holds `{}`, which is not the rendered file: give \
                 the hook a separate directory, or restrict this one with `chmod 0700`",
                path(),
                own.mode,
                name.to_string_lossy().escape_debug()
            );
            return Err(HookError::failed(PortErrorKind::Denied, message));
        }
        let mode = format_args!("{:04o}", own.mode);
        tracing::info!(directory = %path(), mode, "restricting the directory to its owner");
        Ok(dir.set_mode(0o700)?)
    }

    /// Returns whether an entry of the directory is the output, or a file or link that this hook made.
    fn is_of_the_hook(&self, dir: &Dir, name: &OsStr) -> DirResult<bool> {
        let Some(name) = name.to_str() else { return Ok(false) };
        // The object at the output itself is checked when it is replaced.
        if name == self.name.as_str() {
            return Ok(true);
        }
        if !self.name.makes(temporary_for(name).unwrap_or(name)) {
            return Ok(false);
        }
        let status = dir.status(name)?;
        Ok(status.is_none_or(|status| status.kind.is_file_or_link()))
    }
}

/// Returns whether a directory with this status is ours and private.
fn is_closed(status: &FileStatus) -> bool {
    status.is_ours() && status.mode & 0o077 == 0
}

/// Returns whether mode and owner of a file let us read it.
fn is_readable(status: &FileStatus) -> bool {
    status.is_ours() && status.mode & 0o400 != 0
}

/// Returns whether others may write to a file with this status. A private group does not count as others, as for
/// directories ([`Trust::Owned`]), and a directory that others may write to is not read at all.
fn is_writable(status: &FileStatus) -> bool {
    let by_group = status.mode & 0o020 != 0 && status.gid != status.uid;
    !status.is_ours() || by_group || status.mode & 0o002 != 0
}
