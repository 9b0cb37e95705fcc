//! Writing: a temporary file in the same directory, synced, then one rename.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;

use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;

use crate::crash_point;
use crate::dir::{Dir, NO_WAIT};
use crate::error::{DirError, DirResult};
use crate::name;
use crate::status::FileKind;
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
    /// [`DirError::NotARegularFile`] for any other object, [`DirError::InvalidName`], [`DirError::System`].
    pub fn write(&self, name: &str, bytes: &[u8], mode: u32) -> DirResult<()> {
        let temporary = self.temporary_file(name, bytes, mode)?;
        temporary.replace(name, "write", |found| found.kind.refuse_irregular(self.join(name)))
    }

    /// As [`write`](Self::write), but does not replace another user's file.
    ///
    /// # Errors
    /// As [`write`](Self::write), and [`DirError::Untrusted`] for another user's file.
    pub fn write_unless_unmanaged(&self, name: &str, bytes: &[u8], mode: u32) -> DirResult<()> {
        let temporary = self.temporary_file(name, bytes, mode)?;
        temporary.replace(name, "write", |found| {
            found.kind.refuse_irregular(self.join(name))?;
            found.refuse_unmanaged(self.join(name))
        })
    }

    /// Writes `bytes` to the file `name` only if it does not exist; returns `false` if it does.
    ///
    /// If several processes try concurrently, exactly one succeeds.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_new(&self, name: &str, bytes: &[u8], mode: u32) -> DirResult<bool> {
        self.temporary_file(name, bytes, mode)?.take(name)
    }

    /// Makes `name` a symbolic link to `target` in the same directory, atomically and durably.
    ///
    /// The target need not exist. A link or a regular file at `name` is replaced, regardless of its owner; a link is
    /// not followed.
    ///
    /// # Errors
    /// [`DirError::NotARegularFile`] for any other object, [`DirError::InvalidName`] also for a `target` that is not a
    /// single name, otherwise as [`write`](Self::write).
    pub fn link(&self, name: &str, target: &str) -> DirResult<()> {
        let target = name::checked(target)?;
        let make = |fresh: &str| fs::symlinkat(target, &self.file, fresh);
        let (temporary, ()) = Temporary::create(self, name, "link", make)?;
        temporary.replace(name, "link", |found| {
            if found.kind == FileKind::Symlink {
                return Ok(());
            }
            found.kind.refuse_irregular(self.join(name))
        })
    }

    /// Creates an empty file that only this user can read, for another program to write the contents of `name` to.
    ///
    /// # Errors
    /// [`DirError::InvalidName`], [`DirError::System`].
    pub fn new_file(&self, name: &str) -> DirResult<NewFile> {
        let (temporary, _file) = Temporary::file(self, name)?;
        Ok(NewFile { name: name.to_owned(), temporary })
    }

    /// Appends `bytes` to the file `name`, which is created with the permission bits `mode` if missing; returns the new
    /// size in bytes. A truncated last line is terminated first.
    ///
    /// The write is not synced: use it only for data that may be lost.
    ///
    /// # Errors
    /// [`DirError::NotARegularFile`] for any other object, [`DirError::Untrusted`] if the file belongs to another user,
    /// [`DirError::InvalidName`], [`DirError::System`].
    pub fn append(&self, name: &str, bytes: &[u8], mode: u32) -> DirResult<usize> {
        let mut file = self.open_own(name, mode, OFlags::APPEND, "append to")?;
        let written = ends_line(&mut file).and_then(|whole| {
            let end: &[u8] = if whole { b"" } else { b"\n" };
            file.write_all(&[end, bytes].concat())?;
            file.metadata()
        });
        match written {
            Ok(data) => Ok(usize::try_from(data.len()).unwrap_or(usize::MAX)),
            Err(cause) => Err(DirError::system("append to", self.join(name), cause)),
        }
    }

    /// Syncs the regular file `name` and its name to disk unchanged; returns `false` if it does not exist.
    ///
    /// For a file that already has the right contents: its writer may have crashed before the sync. Neither the file
    /// nor its times change.
    ///
    /// # Errors
    /// [`DirError::NotARegularFile`] for any other object, [`DirError::InvalidName`], [`DirError::System`].
    pub fn persist(&self, name: &str) -> DirResult<bool> {
        let Some(status) = self.status(name)? else {
            return Ok(false);
        };
        status.kind.refuse_irregular(self.join(name))?;
        let failed = |cause| DirError::system("persist", self.join(name), cause);
        let file = match fs::openat(&self.file, name, OFlags::RDONLY | NO_WAIT, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(false),
            Err(cause) => return Err(failed(cause)),
        };
        sync::file(&file).map_err(failed)?;
        self.sync()?;
        Ok(true)
    }

    /// Creates a temporary file for `name`, with mode and contents synced to disk.
    fn temporary_file(&self, name: &str, bytes: &[u8], mode: u32) -> DirResult<Temporary> {
        let (temporary, mut file) = Temporary::file(self, name)?;
        let failed = |cause: io::Error| DirError::system("write", self.join(name), cause);
        // Before the first byte: a file readable by others must never have contents, regardless of the `umask`.
        fs::fchmod(&file, Mode::from_raw_mode(mode)).map_err(|cause| failed(cause.into()))?;
        file.write_all(bytes).map_err(failed)?;
        crash_point::reached("file.written", &self.path, name);
        sync::file(&file).map_err(|cause| failed(cause.into()))?;
        crash_point::reached("file.synced", &self.path, name);
        Ok(temporary)
    }
}

/// Returns whether the file is empty or ends with a newline.
fn ends_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// An empty temporary file for another program to fill, removed on drop unless it was committed.
///
/// After a crash it is left to [`Dir::sweep_temporary_files`].
#[derive(Debug)]
pub struct NewFile {
    /// The name that it gets.
    name: String,
    temporary: Temporary,
}

impl NewFile {
    /// Returns the path that the other program writes to.
    pub fn path(&self) -> PathBuf {
        self.temporary.dir.join(&self.temporary.name)
    }

    /// Gives the file its name, durably and with exactly the permission bits `mode`, after `inspect` has accepted its
    /// contents. An existing regular file of that name is replaced.
    ///
    /// # Errors
    /// The error of `inspect`, or as [`Dir::write`]; the temporary file is removed then.
    pub fn commit<T>(
        self,
        mode: u32,
        inspect: impl FnOnce(&mut File) -> io::Result<T>,
    ) -> DirResult<T> {
        let Self { name, temporary } = self;
        let path = temporary.dir.join(&name);
        let failed = |cause: io::Error| DirError::system("write", &path, cause);
        let flags = OFlags::RDONLY | NO_WAIT;
        let opened = fs::openat(&temporary.dir.file, &temporary.name, flags, Mode::empty());
        let mut file = File::from(opened.map_err(|cause| failed(cause.into()))?);
        fs::fchmod(&file, Mode::from_raw_mode(mode)).map_err(|cause| failed(cause.into()))?;
        let found = inspect(&mut file).map_err(failed)?;
        sync::file(&file).map_err(|cause| failed(cause.into()))?;
        temporary.replace(&name, "write", |found| found.kind.refuse_irregular(&path))?;
        Ok(found)
    }
}
