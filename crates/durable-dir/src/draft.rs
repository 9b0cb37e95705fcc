//! A file that another program writes: it gets its name only once it is complete and on the disk.

use std::fs::File;
use std::path::PathBuf;

use rustix::fs::{self, Mode, OFlags};

use crate::dir::Dir;
use crate::error::{DirError, DirResult};
use crate::sync;
use crate::temporary::Temporary;

/// An empty temporary file for another program to fill, removed on drop unless it was committed.
///
/// After a crash it is left to [`Dir::sweep_temporary_files`].
#[derive(Debug)]
pub struct Draft {
    /// The name that it gets.
    name: String,
    temporary: Temporary<Dir>,
}

impl Dir {
    /// Creates an empty file that only this user can read, for another program to write the contents of `name` to.
    ///
    /// # Errors
    /// [`DirError::Full`], [`DirError::ReadOnly`], [`DirError::Denied`], [`DirError::InvalidName`], [`DirError::Io`].
    pub fn draft(&self, name: &str) -> DirResult<Draft> {
        if let Some(status) = self.status(name)? {
            status.kind.refuse_irregular(self.join(name))?;
        }
        let (temporary, _file) = Temporary::file(self.try_clone()?, name)?;
        Ok(Draft { name: name.to_owned(), temporary })
    }
}

impl Draft {
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
        inspect: impl FnOnce(&mut File) -> std::io::Result<T>,
    ) -> DirResult<T> {
        let Self { name, temporary } = self;
        let path = temporary.dir.join(&name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = fs::openat(&temporary.dir.fd, &temporary.name, flags, Mode::empty());
        let failed = |cause| DirError::from_system("write", &path, cause);
        let mut file = File::from(opened.map_err(failed)?);
        fs::fchmod(&file, Mode::from_raw_mode(mode)).map_err(failed)?;
        let found = inspect(&mut file).map_err(|cause| DirError::from_io("write", &path, cause))?;
        sync::file(&file).map_err(failed)?;
        temporary.rename_to(&name, "write")?;
        Ok(found)
    }
}
