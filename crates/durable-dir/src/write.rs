//! Writing: a temporary file beside the target, on the disk, then one rename.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;

use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::crash_point;
use crate::dir::Dir;
use crate::error::{DirError, DirResult};
use crate::status::FileStatus;
use crate::{sync, temporary};

/// How often a fresh name is tried when the one before was taken.
const ATTEMPTS: usize = 8;

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
    pub fn write_unless_foreign(&self, name: &str, bytes: &[u8], mode: u32) -> DirResult<()> {
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
        let mut temporary = TemporaryFile::create(self, name)?;
        temporary.fill(name, bytes, mode)?;
        match temporary.link_to(name) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Ok(false),
            Err(cause) => return Err(DirError::from_system("write", &self.join(name), cause)),
        }
        crash_point::reached("file.renamed", &self.path, name);
        self.sync()?;
        crash_point::reached("file.directory-synced", &self.path, name);
        Ok(true)
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
        let mut temporary = TemporaryFile::create(self, name)?;
        temporary.fill(name, bytes, mode)?;
        // The name may have been taken while the bytes went to the disk.
        judge()?;
        temporary
            .rename_to(name)
            .map_err(|cause| DirError::from_system("write", &self.join(name), cause))?;
        crash_point::reached("file.renamed", &self.path, name);
        self.sync()?;
        crash_point::reached("file.directory-synced", &self.path, name);
        Ok(())
    }
}

/// A temporary file, removed when dropped unless it was renamed.
struct TemporaryFile<'a> {
    dir: &'a Dir,
    name: String,
    file: File,
    renamed: bool,
}

impl<'a> TemporaryFile<'a> {
    fn create(dir: &'a Dir, name: &str) -> DirResult<Self> {
        let failed = |cause| DirError::from_system("write", &dir.join(name), cause);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut taken = Errno::EXIST;
        for _ in 0..ATTEMPTS {
            let fresh = temporary::fresh_name(name).map_err(failed)?;
            match fs::openat(&dir.fd, &fresh, flags, Mode::RUSR | Mode::WUSR) {
                Ok(fd) => return Ok(Self::own(dir, fresh, fd)),
                Err(Errno::EXIST) => taken = Errno::EXIST,
                Err(cause) => return Err(failed(cause)),
            }
        }
        Err(failed(taken))
    }

    fn own(dir: &'a Dir, name: String, fd: OwnedFd) -> Self {
        Self { dir, name, file: File::from(fd), renamed: false }
    }

    /// Brings mode and contents to the disk; `name` is for messages.
    fn fill(&mut self, name: &str, bytes: &[u8], mode: u32) -> DirResult<()> {
        let path = self.dir.join(name);
        crash_point::reached("file.created", &self.dir.path, name);
        // Before the first byte: what others can read must never hold anything, and the `umask` has
        // no say.
        fs::fchmod(&self.file, Mode::from_raw_mode(mode))
            .map_err(|cause| DirError::from_system("write", &path, cause))?;
        let failed = |cause| DirError::from_io("write", &path, cause);
        self.file.write_all(bytes).map_err(failed)?;
        crash_point::reached("file.written", &self.dir.path, name);
        sync::file(&self.file).map_err(|cause| failed(cause.into()))?;
        crash_point::reached("file.synced", &self.dir.path, name);
        Ok(())
    }

    /// Takes the name if it is free. File systems that cannot rename so (`EINVAL`) can link.
    fn link_to(&mut self, name: &str) -> Result<(), Errno> {
        let dir = &self.dir.fd;
        match fs::renameat_with(dir, &self.name, dir, name, fs::RenameFlags::NOREPLACE) {
            Ok(()) => {
                self.renamed = true;
                Ok(())
            }
            Err(Errno::INVAL | Errno::NOSYS) => {
                fs::linkat(dir, &self.name, dir, name, AtFlags::empty())
            }
            Err(cause) => Err(cause),
        }
    }

    fn rename_to(&mut self, name: &str) -> Result<(), Errno> {
        fs::renameat(&self.dir.fd, &self.name, &self.dir.fd, name)?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for TemporaryFile<'_> {
    fn drop(&mut self) {
        if !self.renamed {
            // An error is already on its way to the caller; what stays here is swept later.
            let _swept_later = fs::unlinkat(&self.dir.fd, &self.name, AtFlags::empty());
        }
    }
}
