//! Syncs files and directories to disk: the only calls of `fsync`.
//!
//! In tests each call is recorded with the state it found, because its effect is not observable otherwise.

use std::os::fd::AsFd;

use rustix::fs;
use rustix::io::Errno;

/// `fsync` of a file.
pub(crate) fn file(file: impl AsFd) -> Result<(), Errno> {
    #[cfg(test)]
    noted::note(&file);
    fs::fsync(file)
}

/// `fsync` of a directory; `EINVAL` counts as success, because some file systems (NFS, FUSE, some overlays) do not
/// support it.
pub(crate) fn directory(directory: impl AsFd) -> Result<(), Errno> {
    #[cfg(test)]
    noted::note(&directory);
    match fs::fsync(directory) {
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(cause) => Err(cause),
    }
}

/// The syncs of this thread.
#[cfg(test)]
pub(crate) mod noted {
    use std::cell::RefCell;
    use std::os::fd::{AsFd, AsRawFd as _};
    use std::path::{Path, PathBuf};

    thread_local! {
        static NOTED: RefCell<Vec<(PathBuf, String)>> = const { RefCell::new(Vec::new()) };
    }

    /// Returns the syncs since the last call: the path of each, and its state at that moment, a file's text or a
    /// directory's sorted names.
    pub(crate) fn take() -> Vec<(PathBuf, String)> {
        NOTED.take()
    }

    pub(super) fn note(synced: &impl AsFd) {
        let link = format!("/proc/self/fd/{}", synced.as_fd().as_raw_fd());
        let path = std::fs::read_link(link).unwrap();
        let found = if path.is_dir() { names(&path) } else { text(&path) };
        NOTED.with_borrow_mut(|noted| noted.push((path, found)));
    }

    fn names(directory: &Path) -> String {
        let entries = std::fs::read_dir(directory).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names.join(" ")
    }

    fn text(file: &Path) -> String {
        String::from_utf8(std::fs::read(file).unwrap()).unwrap()
    }
}
