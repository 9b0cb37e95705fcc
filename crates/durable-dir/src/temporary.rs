//! Temporary files and links: their names, recognisable after a crash, and the rename to their final name.

use std::borrow::Borrow;
use std::os::fd::OwnedFd;

use rustix::fs::{self, AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::crash_point;
use crate::dir::Dir;
use crate::error::{DirError, DirResult};

/// How often a name is generated if the previous one is in use.
const ATTEMPTS: usize = 8;

/// Number of random characters in a name: 40 bits.
const RANDOM: usize = 8;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const SUFFIX: &str = ".tmp";

/// A temporary file or link, removed on drop unless it was renamed.
#[derive(Debug)]
pub(crate) struct Temporary<D: Borrow<Dir>> {
    pub(crate) dir: D,
    pub(crate) name: String,
    renamed: bool,
}

impl<D: Borrow<Dir>> Temporary<D> {
    /// Calls `make` to create an entry for `name` under a new unique name. `attempted` is the verb for errors.
    pub(crate) fn create<T>(
        dir: D,
        name: &str,
        attempted: &'static str,
        make: impl Fn(&Dir, &str) -> Result<T, Errno>,
    ) -> DirResult<(Self, T)> {
        let failed = |cause| DirError::from_system(attempted, &dir.borrow().join(name), cause);
        let mut taken = Errno::EXIST;
        for _ in 0..ATTEMPTS {
            let fresh = fresh_name(name).map_err(failed)?;
            match make(dir.borrow(), &fresh) {
                Ok(made) => {
                    crash_point::reached("file.created", &dir.borrow().path, name);
                    return Ok((Self { dir, name: fresh, renamed: false }, made));
                }
                Err(Errno::EXIST) => taken = Errno::EXIST,
                Err(cause) => return Err(failed(cause)),
            }
        }
        Err(failed(taken))
    }

    /// Creates an empty file for `name` that only this user can access.
    pub(crate) fn file(dir: D, name: &str) -> DirResult<(Self, OwnedFd)> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let make =
            |dir: &Dir, fresh: &str| fs::openat(&dir.fd, fresh, flags, Mode::RUSR | Mode::WUSR);
        Self::create(dir, name, "write", make)
    }

    /// Replaces the file with the name, durably.
    pub(crate) fn rename_to(mut self, name: &str, attempted: &'static str) -> DirResult<()> {
        let dir = self.dir.borrow();
        fs::renameat(&dir.fd, &self.name, &dir.fd, name)
            .map_err(|cause| DirError::from_system(attempted, &dir.join(name), cause))?;
        self.renamed = true;
        sync_name(self.dir.borrow(), name)
    }

    /// Renames to the name, durably, if it is free; returns `false` otherwise. Falls back to a hard link on file
    /// systems without an exclusive rename (`EINVAL`).
    pub(crate) fn take(mut self, name: &str, attempted: &'static str) -> DirResult<bool> {
        let fd = &self.dir.borrow().fd;
        let taken = match fs::renameat_with(fd, &self.name, fd, name, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) => {
                fs::linkat(fd, &self.name, fd, name, AtFlags::empty())
            }
            renamed => {
                self.renamed = renamed.is_ok();
                renamed
            }
        };
        match taken {
            Ok(()) => sync_name(self.dir.borrow(), name).map(|()| true),
            Err(Errno::EXIST) => Ok(false),
            Err(cause) => {
                Err(DirError::from_system(attempted, &self.dir.borrow().join(name), cause))
            }
        }
    }
}

impl<D: Borrow<Dir>> Drop for Temporary<D> {
    fn drop(&mut self) {
        if !self.renamed {
            // An error is already being returned to the caller; a later sweep removes the file.
            let _swept_later = fs::unlinkat(&self.dir.borrow().fd, &self.name, AtFlags::empty());
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

/// Returns a new name for the temporary file of `name`: `.NAME.XXXXXXXX.tmp`.
///
/// Only its last extension matters to Quadlet's generator, which loads every entry with a known extension, also one
/// with a leading dot (Podman 5.4, `cmd/quadlet/main.go`).
fn fresh_name(name: &str) -> Result<String, Errno> {
    let mut random = [0_u8; RANDOM];
    let got = getrandom(&mut random, GetRandomFlags::empty())?;
    if got != RANDOM {
        return Err(Errno::AGAIN);
    }
    let letters: String = random
        .iter()
        .filter_map(|byte| ALPHABET.get(usize::from(byte % 32)))
        .map(|&letter| char::from(letter))
        .collect();
    Ok(format!(".{name}.{letters}{SUFFIX}"))
}

/// Returns the name that a temporary file of [`fresh_name`] is for; `None` for any other name.
pub(crate) fn target(file_name: &str) -> Option<&str> {
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
            let fresh = fresh_name(name).unwrap();
            assert_eq!(target(&fresh), Some(name));
            assert!(fresh.ends_with(".tmp"));
        }
    }

    #[test]
    fn two_temporary_names_differ() {
        assert_ne!(fresh_name("a").unwrap(), fresh_name("a").unwrap());
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
            assert_eq!(target(name), None);
        }
    }
}
