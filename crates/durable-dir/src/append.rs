//! Appending to a log whose last line may be truncated by a crash.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

use rustix::fs::OFlags;

use crate::dir::Dir;
use crate::error::{DirError, DirResult};

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
        let mut file = self.open_own(name, mode, OFlags::APPEND, "append to")?;
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
