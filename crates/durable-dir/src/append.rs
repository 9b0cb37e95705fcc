//! Appending to a log whose last line may be truncated by a crash.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

use rustix::fs::{self, Mode, OFlags};

use crate::dir::Dir;
use crate::error::{DirError, DirResult};
use crate::status::FileStatus;

impl Dir {
    /// Appends `bytes` to the file `name`, which is created with the permission bits `mode` if missing; returns the new
    /// size in bytes. A truncated last line is terminated first.
    ///
    /// The write is not synced: use it only for data that may be lost.
    ///
    /// # Errors
    /// [`DirError::NotARegularFile`] for any other object, [`DirError::Untrusted`] if the file belongs to another user,
    /// [`DirError::Full`], [`DirError::ReadOnly`], [`DirError::Denied`], [`DirError::Io`].
    pub fn append(&self, name: &str, bytes: &[u8], mode: u32) -> DirResult<usize> {
        let path = self.join(name);
        if let Some(status) = self.status(name)? {
            self.refuse_irregular(name, &status)?;
        }
        let flags = OFlags::RDWR
            | OFlags::APPEND
            | OFlags::CREATE
            | OFlags::NOFOLLOW
            | OFlags::NONBLOCK
            | OFlags::NOCTTY
            | OFlags::CLOEXEC;
        let failed = |cause| DirError::from_system("append to", &path, cause);
        let fd = fs::openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
        let status = FileStatus::of(&fs::fstat(&fd).map_err(failed)?);
        self.refuse_irregular(name, &status)?;
        if !status.is_ours() {
            let why = format!("it belongs to user {}", status.uid);
            return Err(DirError::Untrusted { path, why });
        }
        if status.mode != mode {
            fs::fchmod(&fd, Mode::from_raw_mode(mode)).map_err(failed)?;
        }
        let mut file = File::from(fd);
        let written = ends_line(&mut file).and_then(|whole| {
            let end: &[u8] = if whole { b"" } else { b"\n" };
            file.write_all(&[end, bytes].concat())?;
            file.metadata()
        });
        let metadata = written.map_err(|cause| DirError::from_io("append to", &path, cause))?;
        Ok(usize::try_from(metadata.len()).unwrap_or(usize::MAX))
    }
}

/// Returns whether the file is empty or ends with a newline.
fn ends_line(file: &mut File) -> std::io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}
