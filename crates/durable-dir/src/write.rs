//! Writing: a temporary file in the same directory, synced, then one rename.

use std::fs::File;
use std::io::Write as _;

use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;

use crate::crash_point;
use crate::dir::{Dir, NO_WAIT};
use crate::error::{DirError, DirResult};
use crate::status::FileStatus;
use crate::sync;
use crate::temporary::Temporary;

impl Dir {
    /// Writes `bytes` to the file `name` atomically, with exactly the permission bits `mode`.
    ///
    /// An existing regular file is replaced, regardless of its owner; other objects are not. After `Ok` the new file is
    /// on the disk. After an error the old file is intact and no temporary file is left, with one exception: if the
    /// final `fsync` of the directory fails, the new file is in place, but a power loss may restore the old one.
    /// Writing again fixes this.
    ///
    /// # Errors
    /// [`DirError::NotARegularFile`] for any other object, [`DirError::Full`], [`DirError::ReadOnly`],
    /// [`DirError::Denied`], [`DirError::NotFound`] if the directory was removed in the meantime, [`DirError::Io`].
    pub fn write(&self, name: &str, bytes: &[u8], mode: u32) -> DirResult<()> {
        self.replace(name, bytes, mode, |_| Ok(()))
    }

    /// As [`write`](Self::write), but does not replace another user's file.
    ///
    /// # Errors
    /// As [`write`](Self::write), and [`DirError::Untrusted`] for another user's file.
    pub fn write_unless_unmanaged(&self, name: &str, bytes: &[u8], mode: u32) -> DirResult<()> {
        self.replace(name, bytes, mode, |status| status.refuse_unmanaged(self.join(name)))
    }

    /// Writes `bytes` to the file `name` only if it does not exist; returns `false` if it does.
    ///
    /// If several processes try concurrently, exactly one succeeds.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_new(&self, name: &str, bytes: &[u8], mode: u32) -> DirResult<bool> {
        if self.status(name)?.is_some() {
            return Ok(false);
        }
        self.temporary_file(name, bytes, mode)?.take(name, "write")
    }

    /// Syncs the regular file `name` and its name to disk unchanged; returns `false` if it does not exist.
    ///
    /// For a file that already has the right contents: its writer may have crashed before the sync. Neither the file
    /// nor its times change.
    ///
    /// # Errors
    /// [`DirError::NotARegularFile`] for any other object, [`DirError::Denied`], [`DirError::Io`].
    pub fn persist(&self, name: &str) -> DirResult<bool> {
        let Some(status) = self.status(name)? else {
            return Ok(false);
        };
        status.kind.refuse_irregular(self.join(name))?;
        let failed = |cause| DirError::from_system("persist", &self.join(name), cause);
        let file = match fs::openat(&self.fd, name, OFlags::RDONLY | NO_WAIT, Mode::empty()) {
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
        let check = || {
            self.status(name)?.map_or(Ok(()), |status| {
                status.kind.refuse_irregular(self.join(name))?;
                agree(&status)
            })
        };
        check()?;
        let temporary = self.temporary_file(name, bytes, mode)?;
        // The name may have been created while the bytes were synced.
        check()?;
        temporary.rename_to(name, "write")
    }

    /// Creates a temporary file for `name`, with mode and contents synced to disk.
    fn temporary_file(&self, name: &str, bytes: &[u8], mode: u32) -> DirResult<Temporary<&Self>> {
        let (temporary, fd) = Temporary::file(self, name)?;
        let path = self.join(name);
        // Before the first byte: a file readable by others must never have contents, regardless of the `umask`.
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
