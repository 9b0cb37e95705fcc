//! `LockFile`: one holder at a time, freed by the kernel when its holder dies.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt as _;

use rustix::fs::{self, Mode, OFlags};

use crate::crash_point;
use crate::dir::Dir;
use crate::error::{DirError, DirResult};
use crate::status::FileStatus;

/// How often a lock file that was replaced under us is opened again.
const ATTEMPTS: usize = 4;

/// A file that exists to be locked, with the semantics of [`std::fs::File::lock`] (`flock`).
///
/// The lock belongs to this value: a second `LockFile` excludes it, in the same process too, a child
/// process does not inherit it, and it is free once the value is dropped or the process is dead. The
/// file itself is never written, replaced or removed: a lock on a file that is no longer at its name
/// would exclude nobody.
#[derive(Debug)]
pub struct LockFile {
    dir: Dir,
    name: String,
    mode: u32,
    file: File,
}

impl LockFile {
    /// Opens the lock file `name` of `dir` and makes it, with the permission bits `mode`, when it is
    /// missing.
    ///
    /// Whoever may open the file may take the lock, so `mode` is `0o600` unless others are meant to;
    /// a file of ours with another mode is given this one.
    ///
    /// # Errors
    /// [`DirError::NotARegularFile`] when something else lies there, [`DirError::Untrusted`] when the
    /// file belongs to another user, [`DirError::Denied`], [`DirError::ReadOnly`], [`DirError::Full`],
    /// [`DirError::Io`].
    pub fn open(dir: &Dir, name: &str, mode: u32) -> DirResult<Self> {
        let dir = dir.try_clone()?;
        let file = open_file(&dir, name, mode)?;
        Ok(Self { dir, name: name.to_owned(), mode, file })
    }

    /// Takes the lock if nobody has it; `false` when another holder has it, here or elsewhere.
    ///
    /// Never waits. Taking it again while holding it is `true`.
    ///
    /// # Errors
    /// [`DirError::Io`] when the file system has no locks, and as [`open`](Self::open) when the file
    /// was removed and has to be made again.
    pub fn try_lock(&mut self) -> DirResult<bool> {
        for _ in 0..ATTEMPTS {
            match self.file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(false),
                Err(TryLockError::Error(cause)) => {
                    return Err(DirError::from_io("lock", &self.dir.join(&self.name), cause));
                }
            }
            if self.is_at_its_name()? {
                crash_point::reached("lock.taken", &self.dir.path, &self.name);
                return Ok(true);
            }
            // Someone removed the file: the others lock the new one.
            self.file = open_file(&self.dir, &self.name, self.mode)?;
        }
        Err(DirError::Untrusted {
            path: self.dir.join(&self.name),
            why: "someone keeps replacing it".to_owned(),
        })
    }

    /// Frees the lock; nothing happens when it is not held.
    ///
    /// # Errors
    /// [`DirError::Io`] from the file system.
    pub fn unlock(&mut self) -> DirResult<()> {
        self.file
            .unlock()
            .map_err(|cause| DirError::from_io("unlock", &self.dir.join(&self.name), cause))
    }

    /// Whether the file is still the one that others find by the path of its directory: a lock on another
    /// one excludes nobody.
    pub fn is_in_place(&self) -> bool {
        let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        let found = std::fs::symlink_metadata(self.dir.join(&self.name)).map(identity);
        let held = self.file.metadata().map(identity);
        matches!((found, held), (Ok(found), Ok(held)) if found == held)
    }

    fn is_at_its_name(&self) -> DirResult<bool> {
        let held = fs::fstat(&self.file)
            .map_err(|cause| DirError::from_system("examine", &self.dir.join(&self.name), cause))?;
        Ok(self
            .dir
            .stat(&self.name)?
            .is_some_and(|found| (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)))
    }
}

fn open_file(dir: &Dir, name: &str, mode: u32) -> DirResult<File> {
    let path = dir.join(name);
    if let Some(status) = dir.status(name)? {
        dir.refuse_irregular(name, &status)?;
    }
    let flags = OFlags::RDWR
        | OFlags::CREATE
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::NOCTTY
        | OFlags::CLOEXEC;
    let failed = |cause| DirError::from_system("open the lock", &path, cause);
    let fd = fs::openat(&dir.fd, name, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
    let status = FileStatus::of(&fs::fstat(&fd).map_err(failed)?);
    dir.refuse_irregular(name, &status)?;
    if !status.is_ours() {
        return Err(DirError::Untrusted {
            path,
            why: format!("it belongs to user {}", status.uid),
        });
    }
    if status.mode != mode {
        fs::fchmod(&fd, Mode::from_raw_mode(mode)).map_err(failed)?;
    }
    Ok(File::from(fd))
}
