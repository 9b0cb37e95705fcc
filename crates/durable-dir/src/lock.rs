//! `LockFile`: an exclusive lock, released by the kernel when its holder dies.

use std::fs::{File, Metadata, TryLockError, symlink_metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use rustix::fs::OFlags;

use crate::crash_point;
use crate::dir::Dir;
use crate::error::{DirError, DirResult};

/// How often a replaced lock file is reopened.
const ATTEMPTS: usize = 4;

/// A held lock with the semantics of [`std::fs::File::lock`] (`flock`).
///
/// The lock belongs to this value: another one is excluded, also in the same process, a child process does not
/// inherit it, and it is released when the value is dropped or the process dies. The file itself is never written,
/// replaced or removed, because a lock on a file that has lost its name would exclude no other process.
#[derive(Debug)]
pub struct LockFile {
    file: File,
    path: PathBuf,
}

impl LockFile {
    /// Takes the lock of the file `name` in `dir`, which is created with the permission bits `mode` if missing; `None`
    /// if another holder has it, in this or another process. Never waits.
    ///
    /// Any user who may open the file may take the lock, so use `0o600` unless others need it; the mode of the file
    /// is corrected.
    ///
    /// # Errors
    /// [`DirError::NotARegularFile`] for any other object, [`DirError::Untrusted`] if the file belongs to another user,
    /// [`DirError::System`], also if the file system has no locks.
    pub fn try_lock(dir: &Dir, name: &str, mode: u32) -> DirResult<Option<Self>> {
        let lock =
            Self::take(dir.join(name), || dir.open_own(name, mode, OFlags::empty(), "lock"))?;
        if lock.is_some() {
            crash_point::reached("lock.taken", &dir.path, name);
        }
        Ok(lock)
    }

    /// Locks the file that `open` returns, which is at `path` unless it was replaced since.
    pub(crate) fn take(
        path: PathBuf,
        open: impl Fn() -> DirResult<File>,
    ) -> DirResult<Option<Self>> {
        for _ in 0..ATTEMPTS {
            let file = open()?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(cause)) => {
                    return Err(DirError::system("lock", path, cause));
                }
            }
            let lock = Self { file, path: path.clone() };
            if lock.is_in_place() {
                return Ok(Some(lock));
            }
        }
        Err(DirError::Untrusted { path, why: "it was replaced repeatedly".to_owned() })
    }

    /// Returns whether the file is still the one that other processes find by path; a lock on another file excludes no
    /// process.
    pub fn is_in_place(&self) -> bool {
        let identity = |metadata: Metadata| (metadata.dev(), metadata.ino());
        let found = symlink_metadata(&self.path).map(identity);
        let held = self.file.metadata().map(identity);
        matches!((found, held), (Ok(found), Ok(held)) if found == held)
    }
}
