//! Symbolic links to files in the same directory: replaced atomically by a rename.

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
    /// Returns the target of the symbolic link `name`; `None` if it is missing or not a link.
    ///
    /// # Errors
    /// [`DirError::InvalidName`], [`DirError::Denied`], [`DirError::Io`].
    pub fn read_link(&self, name: &str) -> DirResult<Option<PathBuf>> {
        match fs::readlinkat(&self.fd, name::checked(name)?, Vec::new()) {
            Ok(target) => Ok(Some(OsString::from_vec(target.into_bytes()).into())),
            // `EINVAL`: not a symbolic link.
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(cause) => Err(DirError::from_system("read", &self.join(name), cause)),
        }
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
        let check = || match self.status(name)? {
            Some(status) if !status.kind.is_file_or_link() => {
                status.kind.refuse_irregular(self.join(name))
            }
            Some(_) | None => Ok(()),
        };
        check()?;
        let make = |dir: &Self, fresh: &str| fs::symlinkat(target, &dir.fd, fresh);
        let (temporary, ()) = Temporary::create(self, name, "link", make)?;
        // The name may have been created in the meantime.
        check()?;
        temporary.rename_to(name, "link")
    }

    /// Removes the symbolic link or regular file `name`, durably; returns `false` if it did not exist.
    ///
    /// The target of a link stays unchanged.
    ///
    /// # Errors
    /// As [`remove`](Self::remove).
    pub fn remove_link(&self, name: &str) -> DirResult<bool> {
        self.remove_if(name, FileKind::is_file_or_link)
    }
}
