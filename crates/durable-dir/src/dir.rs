//! `Dir`: one directory, opened by path once and accessed by descriptor.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::crash_point;
use crate::error::{DirError, DirResult};
use crate::identity::FileIdentity;
use crate::name;
use crate::status::{FileKind, FileStatus};
use crate::trust::Trust;
use crate::walk::{self, End};

/// How a file is opened that others may have replaced: no wait for a writer, no link, no terminal.
pub(crate) const NO_WAIT: OFlags =
    OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// An open directory.
///
/// It remains the directory that was opened, even if its path is changed; once it is removed, writing to it is
/// [`DirError::NotFound`]. Open it again for each operation.
#[derive(Debug)]
pub struct Dir {
    pub(crate) fd: OwnedFd,
    pub(crate) path: PathBuf,
}

impl Dir {
    /// Opens the directory at `path`, which must be absolute and without `..`.
    ///
    /// # Errors
    /// [`DirError::NotFound`], [`DirError::NotADirectory`], [`DirError::Untrusted`] by the rules of
    /// `trust`, [`DirError::Denied`], [`DirError::InvalidName`].
    pub fn open(path: impl AsRef<Path>, trust: Trust) -> DirResult<Self> {
        Self::walk_to(path.as_ref(), trust, None)
    }

    /// As [`open`](Self::open); `None` if the directory does not exist.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_existing(path: impl AsRef<Path>, trust: Trust) -> DirResult<Option<Self>> {
        match Self::open(path, trust) {
            Ok(dir) => Ok(Some(dir)),
            Err(DirError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens the directory at `path`; creates it and its parents if missing.
    ///
    /// Created directories have exactly `mode` (permission bits; for instance `0o700`), regardless of the `umask`, and
    /// are synced to disk. Existing directories keep their mode: see [`set_mode`](Self::set_mode).
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`DirError::ReadOnly`] and [`DirError::Full`] from creating.
    pub fn create(path: impl AsRef<Path>, mode: u32, trust: Trust) -> DirResult<Self> {
        Self::walk_to(path.as_ref(), trust, Some(mode))
    }

    fn walk_to(path: &Path, trust: Trust, create: Option<u32>) -> DirResult<Self> {
        match walk::walk(path, trust, create)? {
            End::Directory(found) => {
                Ok(Self { fd: walk::reopen(&found, path)?, path: path.to_owned() })
            }
            End::Entry { .. } => Err(DirError::NotADirectory { path: path.to_owned() }),
        }
    }

    /// Returns the path that it was opened by, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns another handle of the same directory.
    ///
    /// # Errors
    /// [`DirError::Io`] if the process has no descriptor left.
    pub fn try_clone(&self) -> DirResult<Self> {
        let fd =
            self.fd.try_clone().map_err(|cause| DirError::from_io("open", &self.path, cause))?;
        Ok(Self { fd, path: self.path.clone() })
    }

    /// Returns mode and owner of the directory itself.
    ///
    /// # Errors
    /// [`DirError::Io`] if it cannot be examined.
    pub fn own_status(&self) -> DirResult<FileStatus> {
        fs::fstat(&self.fd)
            .map(|stat| FileStatus::of(&stat))
            .map_err(|cause| DirError::from_system("examine", &self.path, cause))
    }

    /// Sets the directory's own permission bits to `mode`, durably.
    ///
    /// # Errors
    /// [`DirError::Denied`] if it belongs to another user.
    pub fn set_mode(&self, mode: u32) -> DirResult<()> {
        fs::fchmod(&self.fd, Mode::from_raw_mode(mode))
            .map_err(|cause| DirError::from_system("change the mode of", &self.path, cause))?;
        self.sync()
    }

    /// Returns the status of `name` without following links; `None` if it does not exist.
    ///
    /// # Errors
    /// [`DirError::InvalidName`], [`DirError::Denied`], [`DirError::Io`].
    pub fn status(&self, name: &str) -> DirResult<Option<FileStatus>> {
        Ok(self.stat(name::checked(name)?)?.map(|stat| FileStatus::of(&stat)))
    }

    /// Returns the identity of `name` without following links; `None` if it does not exist.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub fn identity(&self, name: &str) -> DirResult<Option<FileIdentity>> {
        Ok(self.stat(name::checked(name)?)?.map(|stat| FileIdentity::from(&stat)))
    }

    /// Removes the regular file `name`, durably; returns `false` if it did not exist.
    ///
    /// # Errors
    /// [`DirError::NotARegularFile`] for any other object, which stays unchanged, [`DirError::Denied`],
    /// [`DirError::ReadOnly`], [`DirError::Io`].
    pub fn remove(&self, name: &str) -> DirResult<bool> {
        self.remove_if(name, |kind| kind == FileKind::Regular)
    }

    /// As [`remove`](Self::remove), for objects of a `removable` kind.
    pub(crate) fn remove_if(
        &self,
        name: &str,
        removable: impl Fn(FileKind) -> bool,
    ) -> DirResult<bool> {
        let removed = match self.status(name)? {
            Some(status) if removable(status.kind) => self.unlink(name)?,
            Some(FileStatus { kind, .. }) => {
                return Err(DirError::NotARegularFile { path: self.join(name), kind });
            }
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
    /// [`DirError::Denied`], [`DirError::ReadOnly`], [`DirError::Io`].
    pub fn remove_empty_directory(&self, name: &str) -> DirResult<bool> {
        match fs::unlinkat(&self.fd, name::checked(name)?, AtFlags::REMOVEDIR) {
            Ok(()) => {}
            Err(Errno::NOENT | Errno::NOTDIR | Errno::NOTEMPTY | Errno::EXIST) => return Ok(false),
            Err(cause) => {
                return Err(DirError::from_system("remove", &self.join(name), cause));
            }
        }
        crash_point::reached("directory.unlinked", &self.path, name);
        self.sync()?;
        Ok(true)
    }

    /// Examines `name`, which may be longer than a caller's.
    pub(crate) fn stat(&self, name: &str) -> DirResult<Option<Stat>> {
        match fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(cause) => Err(DirError::from_system("examine", &self.join(name), cause)),
        }
    }

    /// Removes `name`; returns `false` if it did not exist.
    pub(crate) fn unlink(&self, name: &str) -> DirResult<bool> {
        match fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(cause) => Err(DirError::from_system("remove", &self.join(name), cause)),
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
        let failed = |cause| DirError::from_system(attempted, &path, cause);
        let fd = fs::openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
        let status = FileStatus::of(&fs::fstat(&fd).map_err(failed)?);
        status.kind.refuse_irregular(&path)?;
        status.refuse_unmanaged(&path)?;
        if status.mode != mode {
            fs::fchmod(&fd, Mode::from_raw_mode(mode)).map_err(failed)?;
        }
        Ok(File::from(fd))
    }

    pub(crate) fn sync(&self) -> DirResult<()> {
        walk::sync_directory(&self.fd, &self.path)
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}
