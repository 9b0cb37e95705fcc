//! Build contexts: which directory is built from, and a digest of all that a build could read there.
//!
//! Only local directories, read and never written. The digest covers every entry below the
//! directory (name, kind, permissions, contents, where a link leads) and the build arguments. What a
//! `.dockerignore` leaves out is counted too: reading its rules otherwise than buildah does would
//! miss a change, whereas counting too much costs a build that changes nothing.

use std::collections::BTreeMap;
use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use companion_core::model::image::BuildSource;
use companion_core::model::revision::Fingerprint;
use companion_core::ports::PortErrorKind;
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use crate::command::output::path_shown;

/// The most entries that a context may have.
pub const ENTRY_LIMIT: usize = 10_000;

/// The most bytes that the files of a context may have together: 256 MiB.
pub const BYTE_LIMIT: u64 = 256 * 1024 * 1024;

/// The names of a build file, in Podman's own order of preference.
const BUILD_FILES: [&str; 2] = ["Containerfile", "Dockerfile"];

/// Why a context cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// It could not be read.
    #[error("build context `{}` could not be read", path_shown(.path))]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It is larger than anything that is built here.
    #[error("build context `{}` has more than {what}", path_shown(.path))]
    TooLarge {
        /// The context.
        path: PathBuf,
        /// The limit that is passed.
        what: String,
    },
    /// A symbolic link that leads, or might lead, out of the context.
    #[error(
        "symbolic link `{}` must be relative, stay in the build context, and have `..` only at \
         its start", path_shown(.path)
    )]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// Anyone may change it, and so decide what the image holds.
    #[error("`{}` in the build context may be written to by anyone", path_shown(.path))]
    Open {
        /// The file or directory.
        path: PathBuf,
    },
    /// A pipe, a socket or a device.
    #[error("`{}` in the build context is neither a file, a directory nor a link", path_shown(.path))]
    Special {
        /// The entry.
        path: PathBuf,
    },
}

impl ContextError {
    /// What the caller of a port can do about it.
    pub fn kind(&self) -> PortErrorKind {
        match self {
            Self::Read { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => PortErrorKind::Denied,
                // Something was deleted or replaced while it was read.
                _ => PortErrorKind::Transient,
            },
            Self::Open { .. } => PortErrorKind::Denied,
            Self::TooLarge { .. } | Self::Link { .. } | Self::Special { .. } => {
                PortErrorKind::Invalid
            }
        }
    }
}

/// A directory that an image can be built from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The directory.
    pub directory: PathBuf,
    /// The name of the build file in it.
    pub file: &'static str,
    /// The digest of the directory and the build arguments.
    pub digest: Fingerprint,
}

/// Finds the first directory of `source` that holds a build file, and digests it.
///
/// Blocks on the file system.
///
/// # Errors
/// [`ContextError`]; a directory that is not there is passed over, one that cannot be looked into
/// is an error, for it might be the one.
pub fn find(source: &BuildSource) -> Result<Option<Context>, ContextError> {
    for candidate in &source.contexts {
        let directory = candidate.as_path();
        for file in BUILD_FILES {
            if is_file(&directory.join(file))? {
                let mut budget =
                    Budget { root: directory, entries: ENTRY_LIMIT, bytes: BYTE_LIMIT };
                let digest = digest(&mut budget, &source.arguments)?;
                let directory = directory.to_owned();
                return Ok(Some(Context { directory, file, digest }));
            }
        }
    }
    Ok(None)
}

fn is_file(path: &Path) -> Result<bool, ContextError> {
    match fs::metadata(path) {
        Ok(data) => Ok(data.is_file()),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(false),
            _ => Err(unreadable(path)(error)),
        },
    }
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> ContextError + use<> {
    let path = path.to_owned();
    |source| ContextError::Read { path, source }
}

/// Digests the directory that `budget` is for, and `arguments`.
///
/// Each part is framed by its length, so that no two contexts run together into the same bytes.
fn digest(
    budget: &mut Budget<'_>,
    arguments: &BTreeMap<String, String>,
) -> Result<Fingerprint, ContextError> {
    let mut hash = Sha256::new();
    let root = fs::metadata(budget.root).map_err(unreadable(budget.root))?;
    refuse_open(budget.root, &root)?;
    for (path, data) in walk(budget)? {
        refuse_open(&path, &data)?;
        let relative = path.strip_prefix(budget.root).unwrap_or(&path);
        frame(&mut hash, relative.as_os_str().as_bytes());
        let mode = data.permissions().mode() & 0o7777;
        if data.is_dir() {
            frame(&mut hash, format!("directory {mode:o}").as_bytes());
        } else if data.is_symlink() {
            let target = fs::read_link(&path).map_err(unreadable(&path))?;
            let depth = relative.components().count().saturating_sub(1);
            if !stays_inside(&target, depth) {
                return Err(ContextError::Link { path });
            }
            frame(&mut hash, b"link");
            frame(&mut hash, target.as_os_str().as_bytes());
        } else if data.is_file() {
            frame(&mut hash, format!("file {mode:o}").as_bytes());
            frame(&mut hash, &contents(&path, budget)?);
        } else {
            return Err(ContextError::Special { path });
        }
    }
    frame(&mut hash, b"arguments");
    for (name, value) in arguments {
        frame(&mut hash, name.as_bytes());
        frame(&mut hash, value.as_bytes());
    }
    Ok(Fingerprint::from_digest(&hash.finalize().into()))
}

/// Refuses what anyone may write to; a link has no permissions of its own (symlink(7)).
///
/// Whose it is is not judged: a node's contexts belong to whoever installed it, and root builds from them too.
fn refuse_open(path: &Path, data: &Metadata) -> Result<(), ContextError> {
    if !data.is_symlink() && data.permissions().mode() & 0o002 != 0 {
        return Err(ContextError::Open { path: path.to_owned() });
    }
    Ok(())
}

fn frame(hash: &mut Sha256, part: &[u8]) {
    hash.update((part.len() as u64).to_be_bytes());
    hash.update(part);
}

/// What may still be read.
struct Budget<'a> {
    root: &'a Path,
    entries: usize,
    bytes: u64,
}

impl Budget<'_> {
    fn exceeded(&self, what: String) -> ContextError {
        let path = self.root.to_owned();
        ContextError::TooLarge { path, what }
    }
}

/// All entries below the root, sorted by path; links are not followed.
fn walk(budget: &mut Budget<'_>) -> Result<BTreeMap<PathBuf, Metadata>, ContextError> {
    let mut found = BTreeMap::new();
    let mut pending = vec![budget.root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).map_err(unreadable(&directory))? {
            let path = entry.map_err(unreadable(&directory))?.path();
            let data = fs::symlink_metadata(&path).map_err(unreadable(&path))?;
            if budget.entries == 0 {
                return Err(budget.exceeded(format!("{ENTRY_LIMIT} entries")));
            }
            budget.entries -= 1;
            if data.is_dir() {
                pending.push(path.clone());
            }
            found.insert(path, data);
        }
    }
    Ok(found)
}

/// The digest of a file's contents.
fn contents(path: &Path, budget: &mut Budget<'_>) -> Result<[u8; 32], ContextError> {
    // What was a file a moment ago may be a link or a pipe now: neither follow nor wait.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(unreadable(path))?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0_u8; 64 * 1024];
    loop {
        let length = file.read(&mut chunk).map_err(unreadable(path))?;
        if length == 0 {
            return Ok(hash.finalize().into());
        }
        let left = budget.bytes.checked_sub(length as u64);
        budget.bytes =
            left.ok_or_else(|| budget.exceeded(format!("{} MiB", BYTE_LIMIT / (1024 * 1024))))?;
        hash.update(chunk.get(..length).unwrap_or_default());
    }
}

/// Whether a link `depth` directories below the root leads to a place below the root.
///
/// With `..` at the start alone and never beyond the root, a link can leave the context through no
/// other link either, since each of those stays inside by the same rule.
fn stays_inside(target: &Path, depth: usize) -> bool {
    let mut up = 0;
    let mut down = false;
    for component in target.components() {
        match component {
            Component::ParentDir if down => return false,
            Component::ParentDir => up += 1,
            Component::Normal(_) => down = true,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    up <= depth
}

#[cfg(test)]
mod tests;
