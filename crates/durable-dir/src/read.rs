//! Reads files, bounded and without blocking on a writer.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;

use crate::dir::{Dir, NO_WAIT};
use crate::error::{DirError, DirResult, if_found};
use crate::name;
use crate::status::FileStatus;
use crate::trust::Trust;
use crate::walk;

/// The contents of a regular file, with the mode and owner from the same descriptor.
///
/// `Debug` shows only the number of bytes, because the contents may be secret.
#[derive(Clone, PartialEq, Eq)]
pub struct FileContents {
    /// All bytes. The buffer is allocated once, so no partial copy remains in memory.
    pub bytes: Vec<u8>,
    /// Mode and owner.
    pub status: FileStatus,
}

impl fmt::Debug for FileContents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileContents")
            .field("bytes", &format_args!("{} bytes", self.bytes.len()))
            .field("status", &self.status)
            .finish()
    }
}

impl Dir {
    /// Reads the regular file `name` of at most `limit` bytes; `None` if it does not exist.
    ///
    /// # Errors
    /// [`DirError::NotARegularFile`] for a link, directory, FIFO, socket or device, which is not opened;
    /// [`DirError::TooLarge`], [`DirError::InvalidName`], [`DirError::System`].
    pub fn read(&self, name: &str, limit: usize) -> DirResult<Option<FileContents>> {
        let Some(status) = self.status(name)? else {
            return Ok(None);
        };
        let path = self.join(name);
        status.kind.refuse_irregular(&path)?;
        read_at(&self.file, name.as_ref(), &path, limit)
    }

    /// Returns the target of the symbolic link `name`; `None` if it is missing or not a link.
    ///
    /// # Errors
    /// [`DirError::InvalidName`], [`DirError::System`].
    pub fn read_link(&self, name: &str) -> DirResult<Option<PathBuf>> {
        match fs::readlinkat(&self.file, name::checked(name)?, Vec::new()) {
            Ok(target) => Ok(Some(OsString::from_vec(target.into_bytes()).into())),
            // `EINVAL`: not a symbolic link.
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(cause) => Err(DirError::system("read", self.join(name), cause)),
        }
    }
}

/// Reads the regular file at `path` of at most `limit` bytes; `None` if it or a parent directory does not exist.
///
/// Symbolic links are followed by the rules of `trust`, also in the last component.
///
/// # Errors
/// As [`Dir::open`] and [`Dir::read`].
pub fn read_file(
    path: impl AsRef<Path>,
    limit: usize,
    trust: Trust,
) -> DirResult<Option<FileContents>> {
    let path = path.as_ref();
    let Some(end) = if_found(walk::walk(path, trust, None))? else {
        return Ok(None);
    };
    end.object.status.kind.refuse_irregular(path)?;
    read_at(&end.holder, &end.name, path, limit)
}

/// Returns the status of `path`, following the links that `trust` allows; `None` if it does not exist.
///
/// # Errors
/// As [`Dir::open`].
pub fn status_of(path: impl AsRef<Path>, trust: Trust) -> DirResult<Option<FileStatus>> {
    let end = if_found(walk::walk(path.as_ref(), trust, None))?;
    Ok(end.map(|end| end.object.status))
}

fn read_at(
    holder: &File,
    name: &OsStr,
    path: &Path,
    limit: usize,
) -> DirResult<Option<FileContents>> {
    let failed = |cause: io::Error| DirError::system("read", path, cause);
    // The kind was checked before; if the object was replaced since, these flags prevent blocking on a writer,
    // following a link and acquiring a terminal.
    let file = match fs::openat(holder, name, OFlags::RDONLY | NO_WAIT, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(Errno::NOENT) => return Ok(None),
        Err(cause) => return Err(failed(cause.into())),
    };
    let status = FileStatus::from(&file.metadata().map_err(failed)?);
    status.kind.refuse_irregular(path)?;
    let size = usize::try_from(status.size).unwrap_or(usize::MAX);
    let too_large = || DirError::TooLarge { path: path.to_owned(), limit, unit: "bytes" };
    if size > limit {
        return Err(too_large());
    }
    // One byte more than its size, so that EOF is reached without growing the buffer. A growing file, or one of /proc
    // without a size, still ends at the limit.
    let mut bytes = Vec::with_capacity(size.saturating_add(1));
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(bound).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > limit {
        return Err(too_large());
    }
    Ok(Some(FileContents { bytes, status }))
}
