//! Walks a path component by component, and checks each before opening the next.
//!
//! `openat2` with `RESOLVE_NO_SYMLINKS` would reject every link, and without it follow every link; neither is the rule
//! here, so links are resolved manually.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{self, CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{DirError, DirResult};
use crate::name;
use crate::status::{FileKind, FileStatus};
use crate::sync;
use crate::trust::Trust;

/// The kernel's limit on links in one path.
const MAX_LINKS: u32 = 40;

const SEARCH: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const READ_DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The end of a walk.
pub(crate) enum End {
    /// A directory, opened for searching only (`O_PATH`).
    Directory(OwnedFd),
    /// Any other object: its parent directory, its name there, and its status. Links have been resolved.
    Entry { holder: OwnedFd, name: OsString, status: FileStatus },
}

/// Walks to `path`; with `create`, creates missing directories with that mode.
pub(crate) fn walk(path: &Path, trust: Trust, create: Option<u32>) -> DirResult<End> {
    name::checked_path(path)?;
    let us = rustix::process::geteuid().as_raw();
    let mut pending = VecDeque::new();
    push_front(&mut pending, path);
    let mut walk = Walk { here: root()?, at: PathBuf::from("/"), trust, us };
    walk.check_here(pending.is_empty())?;
    let mut links = 0;
    while let Some(part) = pending.pop_front() {
        let last = pending.is_empty();
        match walk.step(&part, create)? {
            Step::Directory(fd, at) => {
                (walk.here, walk.at) = (fd, at);
                walk.check_here(last)?;
            }
            Step::Link(target) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(DirError::Untrusted {
                        path: path.to_owned(),
                        why: format!("it has more than {MAX_LINKS} symbolic links"),
                    });
                }
                if target.is_absolute() {
                    (walk.here, walk.at) = (root()?, PathBuf::from("/"));
                }
                push_front(&mut pending, &target);
                if pending.is_empty() {
                    walk.check_here(true)?;
                }
            }
            Step::Other(status) if last => {
                return Ok(End::Entry { holder: walk.here, name: part, status });
            }
            Step::Other(_) => {
                return Err(DirError::NotADirectory { path: walk.at.join(part) });
            }
        }
    }
    Ok(End::Directory(walk.here))
}

/// Opens the same directory for reading and for `fsync`.
pub(crate) fn reopen(directory: &OwnedFd, at: &Path) -> DirResult<OwnedFd> {
    fs::openat(directory, c".", READ_DIRECTORY, Mode::empty())
        .map_err(|cause| DirError::from_system("open", at, cause))
}

/// Syncs the names in a directory to disk.
pub(crate) fn sync_directory(directory: &OwnedFd, at: &Path) -> DirResult<()> {
    sync::directory(directory).map_err(|cause| DirError::from_system("sync", at, cause))
}

struct Walk {
    here: OwnedFd,
    at: PathBuf,
    trust: Trust,
    us: u32,
}

enum Step {
    Directory(OwnedFd, PathBuf),
    Link(PathBuf),
    Other(FileStatus),
}

impl Walk {
    fn step(&self, part: &OsStr, create: Option<u32>) -> DirResult<Step> {
        let at = if part == ".." {
            self.at.parent().unwrap_or(&self.at).to_owned()
        } else {
            self.at.join(part)
        };
        let failed = |cause| DirError::from_system("open", &at, cause);
        let opened = match (fs::openat(&self.here, part, SEARCH, Mode::empty()), create) {
            (Err(Errno::NOENT), Some(mode)) => {
                self.make(part, mode)?;
                fs::openat(&self.here, part, SEARCH, Mode::empty())
            }
            (opened, _) => opened,
        };
        let fd = opened.map_err(failed)?;
        let status = FileStatus::of(&fs::fstat(&fd).map_err(failed)?);
        match status.kind {
            FileKind::Directory => Ok(Step::Directory(fd, at)),
            FileKind::Symlink => {
                if let Some(why) = self.trust.against_link(&status, self.us) {
                    return Err(DirError::Untrusted { path: at, why });
                }
                // With an empty path, this reads the link of the descriptor itself, whose owner was just checked.
                let target = fs::readlinkat(&fd, c"", Vec::new()).map_err(failed)?;
                Ok(Step::Link(OsString::from_vec(target.into_bytes()).into()))
            }
            FileKind::Regular
            | FileKind::Fifo
            | FileKind::Socket
            | FileKind::Device
            | FileKind::Unknown => Ok(Step::Other(status)),
        }
    }

    /// Creates a missing directory with exactly `mode`, durably.
    fn make(&self, part: &OsStr, mode: u32) -> DirResult<()> {
        let at = self.at.join(part);
        let failed = |cause| DirError::from_system("create", &at, cause);
        match fs::mkdirat(&self.here, part, Mode::RWXU) {
            Ok(()) => {}
            // Another process created it first; it is checked like any other.
            Err(Errno::EXIST) => return Ok(()),
            Err(cause) => return Err(failed(cause)),
        }
        let made = fs::openat(&self.here, part, READ_DIRECTORY, Mode::empty()).map_err(failed)?;
        fs::fchmod(&made, Mode::from_raw_mode(mode)).map_err(failed)?;
        sync_directory(&made, &at)?;
        sync_directory(&reopen(&self.here, &self.at)?, &self.at)
    }

    fn check_here(&self, last: bool) -> DirResult<()> {
        let stat = fs::fstat(&self.here)
            .map_err(|cause| DirError::from_system("examine", &self.at, cause))?;
        match self.trust.against_directory(&FileStatus::of(&stat), self.us, last) {
            None => Ok(()),
            Some(why) => Err(DirError::Untrusted { path: self.at.clone(), why }),
        }
    }
}

fn root() -> DirResult<OwnedFd> {
    fs::openat(CWD, c"/", SEARCH | OFlags::DIRECTORY, Mode::empty())
        .map_err(|cause| DirError::from_system("open", Path::new("/"), cause))
}

/// Prepends the components of `path` to the pending ones.
fn push_front(pending: &mut VecDeque<OsString>, path: &Path) {
    for part in path.components().rev() {
        match part {
            Component::Normal(name) => pending.push_front(name.to_owned()),
            Component::ParentDir => pending.push_front("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
}
