//! Lists directories, and removes temporary files of crashed writes.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use rustix::fs;

use crate::dir::Dir;
use crate::error::{DirError, DirResult};
use crate::status::{FileKind, FileStatus};
use crate::temporary;

/// Maximum number of entries that a sweep reads.
const MAX_SWEPT: usize = 100_000;

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its name, which need not be UTF-8.
    pub name: OsString,
    /// Its kind; links are not followed.
    pub kind: FileKind,
}

impl Entry {
    /// Returns the name if it is UTF-8, as the other calls take it.
    pub fn name_str(&self) -> Option<&str> {
        self.name.to_str()
    }

    /// Returns the name of the file or link that this temporary one was for, if its name has this crate's pattern.
    pub fn temporary_for(&self) -> Option<&str> {
        self.name_str().and_then(temporary::target)
    }
}

impl Dir {
    /// Returns the entries without `.` and `..`, sorted by name.
    ///
    /// # Errors
    /// [`DirError::TooLarge`] if there are more than `limit`, [`DirError::Denied`], [`DirError::Io`].
    pub fn entries(&self, limit: usize) -> DirResult<Vec<Entry>> {
        let failed = |cause| DirError::from_system("list", &self.path, cause);
        let mut entries = Vec::new();
        for read in fs::Dir::read_from(&self.fd).map_err(failed)? {
            let read = read.map_err(failed)?;
            let name = read.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if entries.len() == limit {
                return Err(DirError::TooLarge { path: self.path.clone(), limit, unit: "entries" });
            }
            let kind = match FileKind::of(read.file_type()) {
                // Some file systems do not report the kind while listing.
                FileKind::Unknown => {
                    match fs::statat(&self.fd, name, fs::AtFlags::SYMLINK_NOFOLLOW) {
                        Ok(stat) => FileStatus::of(&stat).kind,
                        Err(rustix::io::Errno::NOENT) => continue,
                        Err(cause) => return Err(failed(cause)),
                    }
                }
                kind @ (FileKind::Regular
                | FileKind::Directory
                | FileKind::Symlink
                | FileKind::Fifo
                | FileKind::Socket
                | FileKind::Device) => kind,
            };
            entries.push(Entry { name: OsString::from_vec(name.to_bytes().to_vec()), kind });
        }
        entries.sort();
        Ok(entries)
    }

    /// Removes the temporary files and links of crashed writes, and returns how many.
    ///
    /// Only our own with a name of the pattern that [`write`](Self::write) and [`link`](Self::link) use. A file that is
    /// currently being written looks the same: **the caller excludes every other writer to this directory**, in other
    /// processes (the host's lock) and in its own threads.
    ///
    /// # Errors
    /// As [`entries`](Self::entries) and [`remove`](Self::remove).
    pub fn sweep_temporary_files(&self) -> DirResult<usize> {
        self.sweep_temporary_files_of(|_| true)
    }

    /// As [`sweep_temporary_files`](Self::sweep_temporary_files), but only for files and links of a `wanted` name: the
    /// caller excludes every other writer of these.
    ///
    /// # Errors
    /// As [`sweep_temporary_files`](Self::sweep_temporary_files).
    pub fn sweep_temporary_files_of(&self, wanted: impl Fn(&str) -> bool) -> DirResult<usize> {
        let mut swept = 0;
        for entry in self.entries(MAX_SWEPT)? {
            let Some(name) =
                entry.name_str().filter(|_| entry.temporary_for().is_some_and(&wanted))
            else {
                continue;
            };
            let leftover = self
                .stat(name)?
                .map(|stat| FileStatus::of(&stat))
                .is_some_and(|status| status.kind.is_file_or_link() && status.is_ours());
            if leftover && self.unlink(name)? {
                swept += 1;
            }
        }
        if swept > 0 {
            self.sync()?;
        }
        Ok(swept)
    }
}
