//! `LockFile`: an exclusive lock, released by the kernel when its holder dies.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt as _;

use rustix::fs::OFlags;

use crate::crash_point;
use crate::dir::Dir;
use crate::error::{DirError, DirResult};

/// How often a replaced lock file is reopened.
const ATTEMPTS: usize = 4;

/// A lock file with the semantics of [`std::fs::File::lock`] (`flock`).
///
/// The lock belongs to this value: a second `LockFile` is excluded, also in the same process, a child process does not
/// inherit it, and it is released when the value is dropped or the process dies. The file itself is never written,
/// replaced or removed, because a lock on a file that has lost its name would exclude no other process.
#[derive(Debug)]
pub struct LockFile {
    dir: Dir,
    name: String,
    mode: u32,
    file: File,
}

impl LockFile {
    /// Opens the lock file `name` of `dir`; creates it with the permission bits `mode` if missing.
    ///
    /// Any user who may open the file may take the lock, so use `0o600` unless others need it; the mode of our own file
    /// is corrected.
    ///
    /// # Errors
    /// [`DirError::NotARegularFile`] for any other object, [`DirError::Untrusted`] if the file belongs to another user,
    /// [`DirError::Denied`], [`DirError::ReadOnly`], [`DirError::Full`], [`DirError::Io`].
    pub fn open(dir: &Dir, name: &str, mode: u32) -> DirResult<Self> {
        let dir = dir.try_clone()?;
        let file = open_file(&dir, name, mode)?;
        Ok(Self { dir, name: name.to_owned(), mode, file })
    }

    /// Takes the lock if it is free; returns `false` if another holder has it, in this or another process.
    ///
    /// Never waits. Returns `true` if this value already holds the lock.
    ///
    /// # Errors
    /// [`DirError::Io`] if the file system has no locks, and as [`open`](Self::open) if the file was removed and has to
    /// be created again.
    pub fn try_lock(&mut self) -> DirResult<bool> {
        for _ in 0..ATTEMPTS {
            match self.file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(false),
                Err(TryLockError::Error(cause)) => {
                    return Err(DirError::from_io("lock", &self.dir.join(&self.name), cause));
                }
            }
            if self.holds_its_name()? {
                crash_point::reached("lock.taken", &self.dir.path, &self.name);
                return Ok(true);
            }
            // The file was removed: other processes lock the new one.
            self.file = open_file(&self.dir, &self.name, self.mode)?;
        }
        Err(DirError::Untrusted {
            path: self.dir.join(&self.name),
            why: "it was replaced repeatedly".to_owned(),
        })
    }

    /// Returns whether the file is still the one that other processes find by path; a lock on another file excludes no
    /// process.
    pub fn is_in_place(&self) -> bool {
        let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        let found = std::fs::symlink_metadata(self.dir.join(&self.name)).map(identity);
        let held = self.file.metadata().map(identity);
        matches!((found, held), (Ok(found), Ok(held)) if found == held)
    }

    /// The same within the open directory, which may have been moved.
    fn holds_its_name(&self) -> DirResult<bool> {
        let held = self
            .file
            .metadata()
            .map_err(|cause| DirError::from_io("examine", &self.dir.join(&self.name), cause))?;
        Ok(self.dir.identity(&self.name)?.is_some_and(|found| found.is_file_of(&held)))
    }
}

fn open_file(dir: &Dir, name: &str, mode: u32) -> DirResult<File> {
    dir.open_own(name, mode, OFlags::empty(), "open the lock")
}
