//! Symbolic links to neighbours: replaced whole, by one rename, as files are.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use rustix::fs;
use rustix::io::Errno;

use crate::dir::Dir;
use crate::error::{DirError, DirResult};
use crate::name;
use crate::status::FileKind;
use crate::temporary::Temporary;

impl Dir {
    /// Where the symbolic link `name` points to; `None` when something else or nothing lies there.
    ///
    /// # Errors
    /// [`DirError::InvalidName`], [`DirError::Denied`], [`DirError::Io`].
    pub fn read_link(&self, name: &str) -> DirResult<Option<PathBuf>> {
        match fs::readlinkat(&self.fd, name::checked(name)?, Vec::new()) {
            Ok(target) => Ok(Some(OsString::from_vec(target.into_bytes()).into())),
            // `EINVAL` is that of anything but a link.
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(cause) => Err(DirError::from_system("read", &self.join(name), cause)),
        }
    }

    /// Makes `name` a symbolic link to the neighbour `target`, whole or not at all, and durably.
    ///
    /// The target need not exist. A link or a regular file at `name` is replaced, whoever owns it; a
    /// link is not followed.
    ///
    /// # Errors
    /// [`DirError::NotARegularFile`] when something else lies there, [`DirError::InvalidName`] also for
    /// a `target` that is no single name, else as [`write`](Self::write).
    pub fn link(&self, name: &str, target: &str) -> DirResult<()> {
        let target = name::checked(target)?;
        let judge = || match self.status(name)? {
            Some(status) if !is_file_or_link(status.kind) => self.refuse_irregular(name, &status),
            Some(_) | None => Ok(()),
        };
        judge()?;
        let make = |fresh: &str| fs::symlinkat(target, &self.fd, fresh);
        let (temporary, ()) = Temporary::create(self, name, "link", make)?;
        // The name may have been taken meanwhile.
        judge()?;
        temporary.rename_to(name, "link")
    }

    /// Removes the symbolic link or regular file `name`, durably; `false` when nothing was there.
    ///
    /// What a link points to is left alone.
    ///
    /// # Errors
    /// As [`remove`](Self::remove).
    pub fn remove_link(&self, name: &str) -> DirResult<bool> {
        self.remove_if(name, is_file_or_link)
    }
}

/// Whether it is of a kind that a link may replace.
pub(crate) fn is_file_or_link(kind: FileKind) -> bool {
    matches!(kind, FileKind::Regular | FileKind::Symlink)
}
