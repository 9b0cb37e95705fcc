//! The status of a file: its kind, mode and owner.

use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use rustix::fs::{FileType, Stat};

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
    /// Returns whether [`Dir::link`](crate::Dir::link) may replace an object of this kind: a regular file or a symbolic
    /// link.
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

    pub(crate) fn of(file_type: FileType) -> Self {
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

/// Kind, mode and owner of a file or directory, from one `fstat`.
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
    pub(crate) fn of(stat: &Stat) -> Self {
        Self {
            kind: FileKind::of(FileType::from_raw_mode(stat.st_mode)),
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            links: widened(stat.st_nlink),
            size: u64::try_from(stat.st_size).unwrap_or(0),
        }
    }

    /// Returns why this file or directory must not determine what is run, or `None`: it belongs to another user, or
    /// others may write to it, by the rules of [`Trust::Owned`] for the last directory of a path.
    pub fn distrusted(&self) -> Option<String> {
        Trust::Owned.against_directory(self, rustix::process::geteuid().as_raw(), true)
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
            kind: FileKind::of(FileType::from_raw_mode(data.mode())),
            mode: data.mode() & 0o7777,
            uid: data.uid(),
            gid: data.gid(),
            links: data.nlink(),
            size: data.size(),
        }
    }
}

/// Link counts, inode and device numbers have 32 or 64 bits, depending on the architecture.
pub(crate) fn widened(count: impl Into<u64>) -> u64 {
    count.into()
}
