//! Lists directories, and removes temporary files of crashed writes.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use rustix::fs;

use crate::dir::Dir;
use crate::error::{DirError, DirResult};
use crate::status::FileStatus;
use crate::temporary::temporary_for;

/// Maximum number of entries that a sweep reads.
const MAX_SWEPT: usize = 100_000;

impl Dir {
    /// Returns the names of the entries without `.` and `..`, sorted; they need not be UTF-8.
    ///
    /// # Errors
    /// [`DirError::TooLarge`] if there are more than `limit`, [`DirError::System`].
    pub fn entries(&self, limit: usize) -> DirResult<Vec<OsString>> {
        let failed = |cause| DirError::system("list", &self.path, cause);
        let mut entries = Vec::new();
        for entry in fs::Dir::read_from(&self.file).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            if entries.len() == limit {
                return Err(DirError::TooLarge { path: self.path.clone(), limit, unit: "entries" });
            }
            entries.push(OsString::from_vec(name.to_vec()));
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
        let entries = self.entries(MAX_SWEPT)?;
        let names = entries.iter().filter_map(|name| name.to_str());
        let mut swept = 0;
        for name in names.filter(|name| temporary_for(name).is_some_and(&wanted)) {
            let status = self.metadata(name)?.as_ref().map(FileStatus::from);
            let stale =
                status.is_some_and(|status| status.kind.is_file_or_link() && status.is_ours());
            if stale && self.unlink(name)? {
                swept += 1;
            }
        }
        if swept > 0 {
            self.sync()?;
        }
        Ok(swept)
    }
}
