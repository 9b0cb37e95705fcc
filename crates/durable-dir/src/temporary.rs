//! Temporary files and links: their names, recognisable after a crash, and the rename to their final name.

use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};

use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::crash_point;
use crate::dir::Dir;
use crate::error::{DirError, DirResult};
use crate::name;
use crate::status::FileStatus;

/// How often a name is generated if the previous one is in use.
const ATTEMPTS: usize = 8;

/// Number of random characters in a name: 40 bits.
const RANDOM: usize = 8;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const SUFFIX: &str = ".tmp";

/// A temporary file or link, removed on drop.
#[derive(Debug)]
pub(crate) struct Temporary {
    pub(crate) dir: Dir,
    pub(crate) name: String,
    renamed: bool,
}

impl Temporary {
    /// Calls `make` to create an entry for `name` under a new unique name. `attempted` is the verb for errors.
    pub(crate) fn create<T>(
        dir: &Dir,
        name: &str,
        attempted: &'static str,
        make: impl Fn(&str) -> Result<T, Errno>,
    ) -> DirResult<(Self, T)> {
        name::checked(name)?;
        let mut attempts = 0;
        loop {
            let fresh = fresh_name(name);
            match make(&fresh) {
                Ok(made) => {
                    crash_point::reached("file.created", &dir.path, name);
                    return Ok((Self { dir: dir.clone(), name: fresh, renamed: false }, made));
                }
                Err(Errno::EXIST) if attempts < ATTEMPTS => attempts += 1,
                Err(cause) => return Err(DirError::system(attempted, dir.join(name), cause)),
            }
        }
    }

    /// Creates an empty file for `name` that only this user can access.
    pub(crate) fn file(dir: &Dir, name: &str) -> DirResult<(Self, File)> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Self::create(dir, name, "write", |fresh| {
            fs::openat(&dir.file, fresh, flags, Mode::RUSR | Mode::WUSR).map(File::from)
        })
    }

    /// Renames to the name, durably, unless `check` refuses what is there.
    pub(crate) fn replace(
        mut self,
        name: &str,
        attempted: &'static str,
        check: impl FnOnce(&FileStatus) -> DirResult<()>,
    ) -> DirResult<()> {
        // Only now: the name may have been created while the bytes were synced.
        self.dir.status(name)?.as_ref().map_or(Ok(()), check)?;
        fs::renameat(&self.dir.file, &self.name, &self.dir.file, name)
            .map_err(|cause| DirError::system(attempted, self.dir.join(name), cause))?;
        self.renamed = true;
        sync_name(&self.dir, name)
    }

    /// Gives the file the name, durably, if that is free; returns `false` otherwise. By a hard link, because not every
    /// file system has an exclusive rename.
    pub(crate) fn take(self, name: &str) -> DirResult<bool> {
        let dir = self.dir.clone();
        match fs::linkat(&dir.file, &self.name, &dir.file, name, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Ok(false),
            Err(cause) => return Err(DirError::system("write", dir.join(name), cause)),
        }
        drop(self);
        sync_name(&dir, name)?;
        Ok(true)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // An error is already being returned to the caller; a later sweep removes the file.
            let _swept_later = self.dir.unlink(&self.name);
        }
    }
}

/// Syncs a new name to disk.
fn sync_name(dir: &Dir, name: &str) -> DirResult<()> {
    crash_point::reached("file.renamed", &dir.path, name);
    dir.sync()?;
    crash_point::reached("file.directory-synced", &dir.path, name);
    Ok(())
}

/// Returns a new name for the temporary file of `name`: `.NAME.XXXXXXXX.tmp`. It is unique rather than secret.
///
/// Only its last extension matters to Quadlet's generator, which loads every entry with a known extension, also one
/// with a leading dot (Podman 5.4, `cmd/quadlet/main.go`).
fn fresh_name(name: &str) -> String {
    let random = RandomState::new().hash_one(name).to_le_bytes();
    let letters: String = random.iter().map(|byte| letter(*byte)).collect();
    format!(".{name}.{letters}{SUFFIX}")
}

fn letter(byte: u8) -> char {
    char::from(ALPHABET[usize::from(byte % 32)])
}

/// Returns the name that a temporary file is for; `None` if `file_name` is no name of a temporary file of this crate.
pub fn temporary_for(file_name: &str) -> Option<&str> {
    let (name, letters) = file_name.strip_prefix('.')?.strip_suffix(SUFFIX)?.rsplit_once('.')?;
    let random = letters.len() == RANDOM && letters.bytes().all(|b| ALPHABET.contains(&b));
    (random && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_name_is_recognised_and_not_loaded_by_quadlet() {
        for name in ["web.container", ".hidden", "a", "x.y.z"] {
            let fresh = fresh_name(name);
            assert_eq!(temporary_for(&fresh), Some(name));
            assert!(fresh.ends_with(".tmp"));
        }
    }

    #[test]
    fn two_temporary_names_differ() {
        assert_ne!(fresh_name("a"), fresh_name("a"));
    }

    #[test]
    fn other_names_are_not_taken_for_temporary_ones() {
        for name in [
            "web.container",
            ".web.container.tmp",
            "web.container.abcdefgh.tmp",
            ".web.container.abcdefg.tmp",
            ".web.container.abcdefg1.tmp",
            ".web.container.ABCDEFGH.tmp",
            "..abcdefgh.tmp",
            ".abcdefgh.tmp",
            ".web.abcdefgh.container",
            ".web.abcdefgh.tmp~",
        ] {
            assert_eq!(temporary_for(name), None);
        }
    }
}
