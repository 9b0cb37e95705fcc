//! Writing: a temporary file beside the target, on the disk, then one rename.

use std::fs::File;
use std::io::Write as _;

use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;

use crate::crash_point;
use crate::dir::Dir;
use crate::error::{DirError, DirResult};
use crate::status::FileStatus;
use crate::sync;
use crate::temporary::Temporary;

impl Dir {
    /// Writes `bytes` to the file `name`, whole or not at all, with exactly the permission bits
    /// `mode`.
    ///
    /// The file that was there is replaced, whoever owns it; what is not a regular file is not.
    /// After `Ok` the new file is on the disk. After an error the old file stands and no temporary
    /// file is left, with one exception: when the last `fsync`, that of the directory, fails, the new
    /// file stands already, but a power loss may bring back the old one. Writing again mends it.
    ///
    /// # Errors
    /// [`DirError::NotARegularFile`] when something else lies there, [`DirError::Full`],
    /// [`DirError::ReadOnly`], [`DirError::Denied`], [`DirError::NotFound`] when the directory was
    /// removed meanwhile, [`DirError::Io`].
    pub fn write(&self, name: &str, bytes: &[u8], mode: u32) -> DirResult<()> {
        self.replace(name, bytes, mode, |_| Ok(()))
    }

    /// As [`write`](Self::write), but leaves a file alone that belongs to another user.
    ///
    /// # Errors
    /// As [`write`](Self::write), and [`DirError::Untrusted`] for another user's file.
    pub fn write_unless_unmanaged(&self, name: &str, bytes: &[u8], mode: u32) -> DirResult<()> {
        self.replace(name, bytes, mode, |status| {
            if status.is_ours() {
                return Ok(());
            }
            Err(DirError::Untrusted {
                path: self.join(name),
                why: format!("it belongs to user {}", status.uid),
            })
        })
    }

    /// Writes `bytes` to the file `name` only if nothing is there; `false` when something is.
    ///
    /// Of several processes that try at once, exactly one succeeds.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_new(&self, name: &str, bytes: &[u8], mode: u32) -> DirResult<bool> {
        if self.status(name)?.is_some() {
            return Ok(false);
        }
        self.temporary_file(name, bytes, mode)?.take(name, "write")
    }

    /// Brings the regular file `name` and its name to the disk, as they are; `false` when nothing is
    /// there.
    ///
    /// For a file that is found to be right already: whoever wrote it may have died before it was
    /// durable. Neither the file nor its times change.
    ///
    /// # Errors
    /// [`DirError::NotARegularFile`] when something else lies there, [`DirError::Denied`],
    /// [`DirError::Io`].
    pub fn persist(&self, name: &str) -> DirResult<bool> {
        let Some(status) = self.status(name)? else {
            return Ok(false);
        };
        self.refuse_irregular(name, &status)?;
        let failed = |cause| DirError::from_system("persist", &self.join(name), cause);
        // Should it have been replaced since, these flags keep the opening from waiting.
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(false),
            Err(cause) => return Err(failed(cause)),
        };
        sync::file(&file).map_err(failed)?;
        self.sync()?;
        Ok(true)
    }

    fn replace(
        &self,
        name: &str,
        bytes: &[u8],
        mode: u32,
        agree: impl Fn(&FileStatus) -> DirResult<()>,
    ) -> DirResult<()> {
        let judge = || {
            self.status(name)?.map_or(Ok(()), |status| {
                self.refuse_irregular(name, &status)?;
                agree(&status)
            })
        };
        judge()?;
        let temporary = self.temporary_file(name, bytes, mode)?;
        // The name may have been taken while the bytes went to the disk.
        judge()?;
        temporary.rename_to(name, "write")
    }

    /// A temporary file for `name`, whose mode and contents have reached the disk.
    fn temporary_file(&self, name: &str, bytes: &[u8], mode: u32) -> DirResult<Temporary<'_>> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let make = |fresh: &str| fs::openat(&self.fd, fresh, flags, Mode::RUSR | Mode::WUSR);
        let (temporary, fd) = Temporary::create(self, name, "write", make)?;
        let path = self.join(name);
        // Before the first byte: what others can read must never hold anything, and the `umask` has
        // no say.
        fs::fchmod(&fd, Mode::from_raw_mode(mode))
            .map_err(|cause| DirError::from_system("write", &path, cause))?;
        let failed = |cause| DirError::from_io("write", &path, cause);
        let mut file = File::from(fd);
        file.write_all(bytes).map_err(failed)?;
        crash_point::reached("file.written", &self.path, name);
        sync::file(&file).map_err(|cause| failed(cause.into()))?;
        crash_point::reached("file.synced", &self.path, name);
        Ok(temporary)
    }
}
