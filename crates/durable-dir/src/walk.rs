//! Walks a path component by component, and checks each before opening the next.
//!
//! `openat2` with `RESOLVE_NO_SYMLINKS` would reject every link, and without it follow every link; neither is the rule
//! here, so links are resolved manually.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};
use std::{io, mem};

use rustix::fs::{self, CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{DirError, DirResult};
use crate::name;
use crate::status::{FileKind, FileStatus};
use crate::sync;
use crate::trust::Trust;

/// The kernel's limit on links in one path.
const MAX_LINKS: u32 = 40;

const READ_DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens an object itself, also a link, without access to its contents.
pub(crate) fn open_object(directory: &File, name: &OsStr) -> rustix::io::Result<File> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(fs::openat(directory, name, flags, Mode::empty())?.into())
}

/// The end of a walk.
pub(crate) struct End {
    pub(crate) object: Object,
    /// The parent directory of an object other than a directory, and its name there. Links have been resolved.
    pub(crate) holder: File,
    pub(crate) name: OsString,
}

/// An object on the path.
pub(crate) struct Object {
    file: File,
    path: PathBuf,
    pub(crate) status: FileStatus,
}

/// Walks to `path`; with `create`, creates missing directories with that mode.
pub(crate) fn walk(path: &Path, trust: Trust, create: Option<u32>) -> DirResult<End> {
    name::checked_path(path)?;
    let mut pending: VecDeque<OsString> = parts(path).collect();
    let mut here = Object::root()?;
    let (mut holder, mut name) = (Object::root()?.file, OsString::from("."));
    let mut links = 0;
    while let Some(part) = pending.pop_front() {
        here.must_be_a_directory()?;
        here.must_be_trusted(trust, false)?;
        let next = here.open(&part, create)?;
        if next.status.kind != FileKind::Symlink {
            (holder, name) = (mem::replace(&mut here, next).file, part);
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            let why = format!("it has more than {MAX_LINKS} symbolic links");
            return Err(DirError::Untrusted { path: path.to_owned(), why });
        }
        let target = next.target(trust)?;
        if target.is_absolute() {
            here = Object::root()?;
        }
        parts(&target).rev().for_each(|part| pending.push_front(part));
    }
    here.must_be_trusted(trust, true)?;
    Ok(End { object: here, holder, name })
}

impl Object {
    fn root() -> DirResult<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = fs::openat(CWD, c"/", flags, Mode::empty());
        Self::opened(opened.map(File::from), PathBuf::from("/"))
    }

    fn opened(file: rustix::io::Result<File>, path: PathBuf) -> DirResult<Self> {
        let found = file.map_err(io::Error::from).and_then(|file| Ok((file.metadata()?, file)));
        match found {
            Ok((data, file)) => Ok(Self { file, path, status: FileStatus::from(&data) }),
            Err(cause) => Err(DirError::system("open", path, cause)),
        }
    }

    /// Opens the entry `part` of this directory.
    fn open(&self, part: &OsStr, create: Option<u32>) -> DirResult<Self> {
        let path = self.path.join(part);
        let opened = match (open_object(&self.file, part), create) {
            (Err(Errno::NOENT), Some(mode)) => {
                self.make(part, mode)?;
                open_object(&self.file, part)
            }
            (opened, _) => opened,
        };
        Self::opened(opened, path)
    }

    /// Creates a missing directory with exactly `mode`, durably.
    fn make(&self, part: &OsStr, mode: u32) -> DirResult<()> {
        let failed = |cause| DirError::system("create", self.path.join(part), cause);
        match fs::mkdirat(&self.file, part, Mode::RWXU) {
            Ok(()) => {}
            // Another process created it first; it is checked like any other.
            Err(Errno::EXIST) => return Ok(()),
            Err(cause) => return Err(failed(cause)),
        }
        let made = fs::openat(&self.file, part, READ_DIRECTORY, Mode::empty()).map_err(failed)?;
        fs::fchmod(&made, Mode::from_raw_mode(mode)).map_err(failed)?;
        sync::directory(&made).map_err(failed)?;
        sync::directory(&self.reopened()?).map_err(failed)
    }

    /// Opens this directory for reading and for `fsync`.
    pub(crate) fn reopened(&self) -> DirResult<File> {
        self.must_be_a_directory()?;
        match fs::openat(&self.file, c".", READ_DIRECTORY, Mode::empty()) {
            Ok(directory) => Ok(directory.into()),
            Err(cause) => Err(DirError::system("open", &self.path, cause)),
        }
    }

    fn must_be_a_directory(&self) -> DirResult<()> {
        match self.status.kind {
            FileKind::Directory => Ok(()),
            _ => Err(DirError::system("open", &self.path, Errno::NOTDIR)),
        }
    }

    fn must_be_trusted(&self, trust: Trust, last: bool) -> DirResult<()> {
        self.refuse(trust.against(&self.status, us(), last))
    }

    /// Returns where this link leads. Reads the link that was opened, whose owner is checked.
    fn target(&self, trust: Trust) -> DirResult<PathBuf> {
        self.refuse(trust.against_link(&self.status, us()))?;
        match fs::readlinkat(&self.file, c"", Vec::new()) {
            Ok(target) => Ok(OsString::from_vec(target.into_bytes()).into()),
            Err(cause) => Err(DirError::system("open", &self.path, cause)),
        }
    }

    fn refuse(&self, why: Option<String>) -> DirResult<()> {
        match why {
            Some(why) => Err(DirError::Untrusted { path: self.path.clone(), why }),
            None => Ok(()),
        }
    }
}

fn us() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Returns the components of `path` after its root.
fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(_) | Component::ParentDir => Some(part.as_os_str().to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}
