//! `Dir`: one directory, opened by path once and accessed by descriptor.

use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::crash_point;
use crate::error::{DirError, DirResult, if_found};
use crate::name;
use crate::status::{FileIdentity, FileStatus};
use crate::sync;
use crate::trust::Trust;
use crate::walk;

/// How a file is opened that others may have replaced: no wait for a writer, no link, no terminal.
pub(crate) const NO_WAIT: OFlags =
    OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// An open directory; clones are handles of the same one.
///
/// It remains the directory that was opened, even if its path is changed; once it is removed, writing to it fails with
/// `NotFound`. Open it again for each operation.
#[derive(Debug, Clone)]
pub struct Dir {
    pub(crate) file: Arc<File>,
    pub(crate) path: PathBuf,
}

impl Dir {
    /// Opens the directory at `path`, which must be absolute and without `..`.
    ///
    /// # Errors
    /// [`DirError::Untrusted`] by the rules of `trust`, [`DirError::InvalidName`], [`DirError::System`].
    pub fn open(path: impl AsRef<Path>, trust: Trust) -> DirResult<Self> {
        Self::walk_to(path.as_ref(), trust, None)
    }

    /// As [`open`](Self::open); `None` if the directory does not exist.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_existing(path: impl AsRef<Path>, trust: Trust) -> DirResult<Option<Self>> {
        if_found(Self::open(path, trust))
    }

    /// Opens the directory at `path`; creates it and its parents if missing.
    ///
    /// Created directories have exactly `mode` (permission bits; for instance `0o700`), regardless of the `umask`, and
    /// are synced to disk. Existing directories keep their mode: see [`set_mode`](Self::set_mode).
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn create(path: impl AsRef<Path>, mode: u32, trust: Trust) -> DirResult<Self> {
        Self::walk_to(path.as_ref(), trust, Some(mode))
    }

    fn walk_to(path: &Path, trust: Trust, create: Option<u32>) -> DirResult<Self> {
        let file = walk::walk(path, trust, create)?.object.reopened()?;
        Ok(Self { file: Arc::new(file), path: path.to_owned() })
    }

    /// Returns the path that it was opened by, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns mode and owner of the directory itself.
    ///
    /// # Errors
    /// [`DirError::System`] if it cannot be examined.
    pub fn own_status(&self) -> DirResult<FileStatus> {
        let data = self.file.metadata();
        Ok(FileStatus::from(&data.map_err(|cause| DirError::system("examine", &self.path, cause))?))
    }

    /// Sets the directory's own permission bits to `mode`, durably.
    ///
    /// # Errors
    /// [`DirError::System`], for instance if it belongs to another user.
    pub fn set_mode(&self, mode: u32) -> DirResult<()> {
        fs::fchmod(&self.file, Mode::from_raw_mode(mode))
            .map_err(|cause| DirError::system("change the mode of", &self.path, cause))?;
        self.sync()
    }

    /// Returns the status of `name` without following links; `None` if it does not exist.
    ///
    /// # Errors
    /// [`DirError::InvalidName`], [`DirError::System`].
    pub fn status(&self, name: &str) -> DirResult<Option<FileStatus>> {
        Ok(self.metadata(name::checked(name)?)?.as_ref().map(FileStatus::from))
    }

    /// Returns the identity of `name` without following links; `None` if it does not exist.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub fn identity(&self, name: &str) -> DirResult<Option<FileIdentity>> {
        Ok(self.metadata(name::checked(name)?)?.as_ref().map(FileIdentity::from))
    }

    /// Examines `name`, which may be longer than a caller's.
    pub(crate) fn metadata(&self, name: &str) -> DirResult<Option<Metadata>> {
        let object = match walk::open_object(&self.file, name.as_ref()) {
            Err(Errno::NOENT) => return Ok(None),
            opened => opened.map_err(Into::into),
        };
        let data = object.and_then(|object| object.metadata());
        data.map(Some).map_err(|cause| DirError::system("examine", self.join(name), cause))
    }

    /// Removes the regular file or symbolic link `name`, durably; returns `false` if it did not exist. The target of a
    /// link stays unchanged.
    ///
    /// # Errors
    /// [`DirError::NotARegularFile`] for any other object, which stays unchanged, [`DirError::InvalidName`],
    /// [`DirError::System`].
    pub fn remove(&self, name: &str) -> DirResult<bool> {
        let removed = match self.status(name)? {
            Some(status) if !status.kind.is_file_or_link() => {
                return Err(DirError::NotARegularFile { path: self.join(name), kind: status.kind });
            }
            Some(_) => self.unlink(name)?,
            None => false,
        };
        crash_point::reached("file.unlinked", &self.path, name);
        // Also if it was already missing: an earlier removal may have crashed before its sync.
        self.sync()?;
        crash_point::reached("file.unlink-synced", &self.path, name);
        Ok(removed)
    }

    /// Removes the directory `name` if it is empty, durably.
    ///
    /// Returns `false` if nothing was removed: it does not exist, is not a directory, or is not empty.
    ///
    /// # Errors
    /// [`DirError::InvalidName`], [`DirError::System`].
    pub fn remove_empty_directory(&self, name: &str) -> DirResult<bool> {
        match fs::unlinkat(&self.file, name::checked(name)?, AtFlags::REMOVEDIR) {
            Ok(()) => {}
            Err(Errno::NOENT | Errno::NOTDIR | Errno::NOTEMPTY | Errno::EXIST) => return Ok(false),
            Err(cause) => return Err(DirError::system("remove", self.join(name), cause)),
        }
        crash_point::reached("directory.unlinked", &self.path, name);
        self.sync()?;
        Ok(true)
    }

    /// Removes `name`; returns `false` if it did not exist.
    pub(crate) fn unlink(&self, name: &str) -> DirResult<bool> {
        match fs::unlinkat(&self.file, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(cause) => Err(DirError::system("remove", self.join(name), cause)),
        }
    }

    /// Opens our regular file `name` with exactly the permission bits `mode`; creates it if missing.
    pub(crate) fn open_own(
        &self,
        name: &str,
        mode: u32,
        more: OFlags,
        attempted: &'static str,
    ) -> DirResult<File> {
        let path = self.join(name);
        if let Some(status) = self.status(name)? {
            status.kind.refuse_irregular(&path)?;
        }
        let flags = OFlags::RDWR | OFlags::CREATE | NO_WAIT | more;
        let failed = |cause| DirError::system(attempted, &path, cause);
        let fd = fs::openat(&self.file, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|cause| failed(cause.into()))?;
        let file = File::from(fd);
        let status = FileStatus::from(&file.metadata().map_err(failed)?);
        status.kind.refuse_irregular(&path)?;
        status.refuse_unmanaged(&path)?;
        if status.mode != mode {
            fs::fchmod(&file, Mode::from_raw_mode(mode)).map_err(|cause| failed(cause.into()))?;
        }
        Ok(file)
    }

    pub(crate) fn sync(&self) -> DirResult<()> {
        sync::directory(&self.file).map_err(|cause| DirError::system("sync", &self.path, cause))
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}
