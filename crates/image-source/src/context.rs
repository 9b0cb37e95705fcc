//! Build contexts: the directory to build from, and a digest of everything that a build could read there.
//!
//! # Flow
//! The first candidate with a build file is the context. The digest covers every entry below it (name, kind,
//! permissions, contents, link target) and the build arguments. A file with unchanged identity is not read again.
//!
//! # Guarantees
//! - A context is only read, within limits of entries, bytes and time.
//! - Links stay inside, and no other user can modify an entry, or replace a directory on the context's path; any other
//!   context is refused.
//!
//! # Caveats
//! - Files excluded by `.dockerignore` count too: interpreting its rules differently from the engine would miss a change,
//!   whereas counting too much only costs an unnecessary build.

use std::collections::BTreeMap;
use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::mem;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use companion_core::model::container::AbsolutePath;
use companion_core::model::revision::Fingerprint;
use companion_core::ports::PortErrorKind;
use durable_dir::{DirError, FileIdentity, FileKind, FileStatus, Trust, status_of};
use host_files::errors::kind_of;
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use crate::text::path_shown;

mod reads;

pub(crate) use reads::Contexts;

/// Maximum number of entries in a context.
pub const ENTRY_LIMIT: usize = 10_000;

/// Maximum total size of a context's files: 256 MiB.
pub const BYTE_LIMIT: u64 = 256 * 1024 * 1024;

/// How many directories of a context are watched for changes; a change in another one is found by the resync.
const WATCHED_LIMIT: usize = 64;

/// How long a file must be unchanged before its digest is cached: two changes within one tick of the file system's
/// clock leave the same identity, and the coarsest ticks are 2 s (FAT).
const SETTLE: Duration = Duration::from_secs(2);

/// The names of a build file, in Podman's order of preference.
const BUILD_FILES: [&str; 2] = ["Containerfile", "Dockerfile"];

/// Why a context cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// Reading it failed.
    #[error("failed to read build context `{}`", path_shown(.path))]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It exceeds a limit.
    #[error("build context `{}` has more than {what}", path_shown(.path))]
    TooLarge {
        /// The context.
        path: PathBuf,
        /// The exceeded limit.
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
    /// Another user could modify it, and thereby the image.
    #[error("another user could change `{}`, from which an image is built: {why}", path_shown(.path))]
    Untrusted {
        /// The file or directory.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// A directory or link on its path failed, or is not trusted.
    #[error("failed to use build context `{}`", path_shown(.path))]
    Path {
        /// The build file.
        path: PathBuf,
        /// The cause.
        source: DirError,
    },
    /// Reading it timed out, or an earlier read is still in progress.
    #[error("build context {contexts} not read yet: its file system is slow or does not respond")]
    NoAnswer {
        /// The candidates, quoted.
        contexts: String,
    },
    /// A pipe, a socket or a device.
    #[error("`{}` in the build context is not a file, directory or symbolic link", path_shown(.path))]
    Special {
        /// The entry.
        path: PathBuf,
    },
}

impl ContextError {
    /// Returns the port error kind.
    pub fn kind(&self) -> PortErrorKind {
        match self {
            Self::Read { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => PortErrorKind::Denied,
                // An entry was deleted or replaced during the read.
                _ => PortErrorKind::Transient,
            },
            Self::NoAnswer { .. } => PortErrorKind::Transient,
            Self::Untrusted { .. } => PortErrorKind::Denied,
            Self::Path { source, .. } => kind_of(source),
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

/// A directory that an image can be built from, without build arguments.
#[derive(Debug, Clone)]
struct Tree {
    directory: PathBuf,
    file: &'static str,
    /// The digest of everything in the directory.
    hash: Sha256,
    /// The directories below it.
    below: Vec<PathBuf>,
}

impl Tree {
    /// Returns the context with these build arguments.
    fn with_arguments(&self, arguments: &BTreeMap<String, String>) -> Context {
        let Self { directory, file, mut hash, below: _ } = self.clone();
        frame(&mut hash, b"arguments");
        for (name, value) in arguments {
            frame(&mut hash, name.as_bytes());
            frame(&mut hash, value.as_bytes());
        }
        Context { directory, file, digest: Fingerprint::from_digest(&hash.finalize().into()) }
    }
}

/// Finds the first of the `candidates` that has a build file, and computes its digest.
///
/// Blocks on the file system.
///
/// # Errors
/// [`ContextError`]; a missing directory is skipped, but an unreadable one is an error, because it might have a build
/// file.
fn find(candidates: &[AbsolutePath], digests: &mut Digests) -> Result<Option<Tree>, ContextError> {
    for candidate in candidates {
        let directory = candidate.as_path();
        for file in BUILD_FILES {
            let file_path = directory.join(file);
            if is_file(&file_path)? {
                // Who may rename a directory of the path decides what is built.
                status_of(&file_path, Trust::Owned)
                    .map_err(|source| ContextError::Path { path: file_path, source })?;
                let mut budget = Budget::of(directory);
                let hash = digest(&mut budget, digests)?;
                let below = digests.below.clone();
                return Ok(Some(Tree { directory: directory.to_owned(), file, hash, below }));
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

/// Computes the digest of the directory of `budget`.
///
/// Each part is framed by its length, so different contexts cannot have the same encoding.
fn digest(budget: &mut Budget<'_>, digests: &mut Digests) -> Result<Sha256, ContextError> {
    let mut hash = Sha256::new();
    // The digests of removed files are dropped.
    let known = mem::take(&mut digests.known);
    digests.below.clear();
    let root = fs::metadata(budget.root).map_err(unreadable(budget.root))?;
    refuse_untrusted(budget.root, &root)?;
    for (path, data) in walk(budget)? {
        refuse_untrusted(&path, &data)?;
        let relative = path.strip_prefix(budget.root).unwrap_or(&path);
        frame(&mut hash, relative.as_os_str().as_bytes());
        let mode = data.permissions().mode() & 0o7777;
        if data.is_dir() {
            frame(&mut hash, format!("directory {mode:o}").as_bytes());
            if digests.below.len() < WATCHED_LIMIT {
                digests.below.push(path);
            }
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
            frame(&mut hash, &digests.of(&path, &data, budget, &known)?);
        } else {
            return Err(ContextError::Special { path });
        }
    }
    Ok(hash)
}

/// The digests of the files of one context, by identity.
#[derive(Debug)]
struct Digests {
    known: BTreeMap<FileIdentity, [u8; 32]>,
    settle: Duration,
    /// The directories below the context, at most [`WATCHED_LIMIT`].
    below: Vec<PathBuf>,
}

impl Default for Digests {
    fn default() -> Self {
        Self { known: BTreeMap::new(), settle: SETTLE, below: Vec::new() }
    }
}

impl Digests {
    /// Returns the digest of the file at `path`; reads it unless it is `known`.
    fn of(
        &mut self,
        path: &Path,
        data: &Metadata,
        budget: &mut Budget<'_>,
        known: &BTreeMap<FileIdentity, [u8; 32]>,
    ) -> Result<[u8; 32], ContextError> {
        let identity = FileIdentity::from(data);
        if let Some(known) = known.get(&identity) {
            budget.spend(identity.size())?;
            self.known.insert(identity, *known);
            return Ok(*known);
        }
        let now = SystemTime::now();
        let (identity, digest) = contents(path, budget)?;
        if identity.was_settled(now, self.settle) {
            self.known.insert(identity, digest);
        }
        Ok(digest)
    }
}

/// Rejects files and directories that another user could modify; a link has no permissions of its own (symlink(7)).
fn refuse_untrusted(path: &Path, data: &Metadata) -> Result<(), ContextError> {
    let status = FileStatus::from(data);
    match status.distrusted().filter(|_why| status.kind != FileKind::Symlink) {
        Some(why) => Err(ContextError::Untrusted { path: path.to_owned(), why }),
        None => Ok(()),
    }
}

fn frame(hash: &mut Sha256, part: &[u8]) {
    hash.update((part.len() as u64).to_be_bytes());
    hash.update(part);
}

/// The remaining read budget.
struct Budget<'a> {
    root: &'a Path,
    entries: usize,
    bytes: u64,
}

impl<'a> Budget<'a> {
    fn of(root: &'a Path) -> Self {
        Self { root, entries: ENTRY_LIMIT, bytes: BYTE_LIMIT }
    }

    fn spend(&mut self, bytes: u64) -> Result<(), ContextError> {
        let left = self.bytes.checked_sub(bytes);
        self.bytes =
            left.ok_or_else(|| self.exceeded(format!("{} MiB", BYTE_LIMIT / (1024 * 1024))))?;
        Ok(())
    }

    fn exceeded(&self, what: String) -> ContextError {
        let path = self.root.to_owned();
        ContextError::TooLarge { path, what }
    }
}

/// Returns all entries below the root, sorted by path; links are not followed.
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

/// Returns the digest of a file's contents and the file's identity.
fn contents(
    path: &Path,
    budget: &mut Budget<'_>,
) -> Result<(FileIdentity, [u8; 32]), ContextError> {
    // The file may have been replaced by a link or a pipe: neither follow nor block.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(unreadable(path))?;
    // Taken before the contents: a later change gives another identity.
    let identity = FileIdentity::from(&file.metadata().map_err(unreadable(path))?);
    let mut hash = Sha256::new();
    let mut chunk = vec![0_u8; 64 * 1024];
    loop {
        let length = file.read(&mut chunk).map_err(unreadable(path))?;
        if length == 0 {
            return Ok((identity, hash.finalize().into()));
        }
        budget.spend(length as u64)?;
        hash.update(chunk.get(..length).unwrap_or_default());
    }
}

/// Returns whether a link `depth` directories below the root leads to a path below the root.
///
/// If `..` occurs only at the start and never exceeds the root, a link cannot leave the context through another link
/// either, because each link obeys the same rule.
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
