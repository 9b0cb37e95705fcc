//! The status of a file, and its identity at a point in time.

use std::fmt;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::FileType;

use crate::error::{DirError, DirResult};
use crate::trust::Trust;

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character or block device.
    Device,
    /// An unknown kind.
    Unknown,
}

impl FileKind {
    /// Returns whether an object of this kind may be removed, or replaced by a link: a regular file or a symbolic link.
    pub fn is_file_or_link(self) -> bool {
        matches!(self, Self::Regular | Self::Symlink)
    }

    /// Refuses an object at `path` that is not a regular file.
    pub(crate) fn refuse_irregular(self, path: impl Into<PathBuf>) -> DirResult<()> {
        match self {
            Self::Regular => Ok(()),
            kind => Err(DirError::NotARegularFile { path: path.into(), kind }),
        }
    }
}

impl From<FileType> for FileKind {
    fn from(file_type: FileType) -> Self {
        match file_type {
            FileType::RegularFile => Self::Regular,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Symlink,
            FileType::Fifo => Self::Fifo,
            FileType::Socket => Self::Socket,
            FileType::CharacterDevice | FileType::BlockDevice => Self::Device,
            FileType::Unknown => Self::Unknown,
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Regular => "a regular file",
            Self::Directory => "a directory",
            Self::Symlink => "a symbolic link",
            Self::Fifo => "a named pipe",
            Self::Socket => "a socket",
            Self::Device => "a device",
            Self::Unknown => "an object of unknown type",
        })
    }
}

/// Kind, mode and owner of a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStatus {
    /// The kind.
    pub kind: FileKind,
    /// The permission bits with set-id and sticky bits, at most `0o7777`.
    pub mode: u32,
    /// The owner's user ID.
    pub uid: u32,
    /// The group ID.
    pub gid: u32,
    /// The number of hard links.
    pub links: u64,
    /// The size in bytes.
    pub size: u64,
}

impl FileStatus {
    /// Returns why this file or directory must not determine what is run, or `None`: it belongs to another user, or
    /// others may write to it, by the rules of [`Trust::Owned`] for the end of a path.
    pub fn distrusted(&self) -> Option<String> {
        Trust::Owned.against(self, rustix::process::geteuid().as_raw(), true)
    }

    /// Refuses the file at `path` if it belongs to another user.
    pub(crate) fn refuse_unmanaged(&self, path: impl Into<PathBuf>) -> DirResult<()> {
        if self.is_ours() {
            return Ok(());
        }
        let why = format!("it belongs to user {}", self.uid);
        Err(DirError::Untrusted { path: path.into(), why })
    }

    /// Returns whether it belongs to the effective user of this process.
    pub fn is_ours(&self) -> bool {
        self.uid == rustix::process::geteuid().as_raw()
    }
}

impl From<&Metadata> for FileStatus {
    fn from(data: &Metadata) -> Self {
        Self {
            kind: FileType::from_raw_mode(data.mode()).into(),
            mode: data.mode() & 0o7777,
            uid: data.uid(),
            gid: data.gid(),
            links: data.nlink(),
            size: data.size(),
        }
    }
}

/// A file at a point in time: any replacement or change gives another identity.
///
/// Only root can reset the change time (inode(7)), so contents modified in place with restored times are detected too.
/// Two changes within one tick of the file system's clock are not: see [`was_settled`](Self::was_settled). A file system that
/// does not update the times immediately, as of memory-mapped pages or with cached attributes, may hide a change for that time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds since 1970, and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileIdentity {
    /// Returns the file at `path`, following links; `None` if it is missing or cannot be examined.
    pub fn of(path: &Path) -> Option<Self> {
        Some(Self::from(&fs::metadata(path).ok()?))
    }

    /// Returns the size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns whether the file had been unchanged for `margin` at `moment`.
    ///
    /// Any later change then has a later time, however coarse the file system's clock is and even if the inode number
    /// is reused. A time in the future is never settled.
    pub fn was_settled(&self, moment: SystemTime, margin: Duration) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let changed = u64::try_from(seconds).ok().zip(u32::try_from(nanoseconds).ok()).and_then(
            |(seconds, nanoseconds)| {
                SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds))
            },
        );
        changed
            .and_then(|changed| moment.duration_since(changed).ok())
            .is_some_and(|age| age >= margin)
    }
}

impl From<&Metadata> for FileIdentity {
    fn from(data: &Metadata) -> Self {
        Self {
            device: data.dev(),
            inode: data.ino(),
            size: data.size(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dir;

    #[test]
    fn a_file_is_settled_once_the_margin_has_passed_and_never_from_the_future() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let identity = FileIdentity::of(file.path()).unwrap();
        let (seconds, nanoseconds) = identity.changed;
        let changed = SystemTime::UNIX_EPOCH
            + Duration::new(seconds.try_into().unwrap(), nanoseconds.try_into().unwrap());
        let margin = Duration::from_secs(2);
        assert!(identity.was_settled(changed + margin, margin));
        assert!(!identity.was_settled(changed + margin - Duration::from_nanos(1), margin));
        assert!(!identity.was_settled(changed - Duration::from_nanos(1), Duration::ZERO));
    }

    #[test]
    fn the_same_file_has_one_identity_by_its_path_and_in_its_directory() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("file"), "one").unwrap();
        let dir = Dir::open(place.path(), Trust::Owned).unwrap();
        let identity = FileIdentity::of(&place.path().join("file"));
        assert_eq!(dir.identity("file").unwrap(), identity);
        assert_eq!(identity.unwrap().size(), 3);
        assert_eq!(dir.identity("missing").unwrap(), None);
    }

    #[test]
    fn an_in_place_change_with_restored_times_is_detected() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "one").unwrap();
        let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        file.as_file().set_modified(past).unwrap();
        let before = FileIdentity::of(file.path()).unwrap();
        let after = loop {
            fs::write(file.path(), "two").unwrap();
            file.as_file().set_modified(past).unwrap();
            let after = FileIdentity::of(file.path()).unwrap();
            // Within one tick of the clock the two are indistinguishable.
            if after.changed != before.changed {
                break after;
            }
        };
        assert_eq!((after.size, after.modified), (before.size, before.modified));
        assert_ne!(after, before);
    }
}
