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
use companion_core::ports::{PortError, PortErrorKind, PortResult};
use durable_dir::{FileIdentity, FileKind, FileStatus, Trust, status_of};
use host_files::errors::failed_to;
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use crate::text::path_shown;

mod reads;

pub(crate) use reads::Contexts;

/// Maximum number of entries in a context.
const ENTRY_LIMIT: usize = 10_000;

/// Maximum total size of a context's files: 256 MiB.
const BYTE_LIMIT: u64 = 256 * 1024 * 1024;

/// How many directories of a context are watched for changes; a change in another one is found by the resync.
const WATCHED_LIMIT: usize = 64;

/// How long a file must be unchanged before its digest is cached: two changes within one tick of the file system's
/// clock leave the same identity, and the coarsest ticks are 2 s (FAT).
const SETTLE: Duration = Duration::from_secs(2);

/// The names of a build file, in Podman's order of preference.
const BUILD_FILES: [&str; 2] = ["Containerfile", "Dockerfile"];

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
/// A missing directory is skipped, but an unreadable one is an error, because it might have a build file.
fn find(candidates: &[AbsolutePath], digests: &mut Digests) -> PortResult<Option<Tree>> {
    for candidate in candidates {
        let directory = candidate.as_path();
        for file in BUILD_FILES {
            let file_path = directory.join(file);
            if is_file(&file_path)? {
                // Who may rename a directory of the path decides what is built.
                let attempt = format!("use build context `{}`", path_shown(&file_path));
                status_of(&file_path, Trust::Owned).map_err(failed_to(&attempt))?;
                let (hash, below) = digest(&mut Budget::of(directory), digests)?;
                return Ok(Some(Tree { directory: directory.to_owned(), file, hash, below }));
            }
        }
    }
    Ok(None)
}

fn is_file(path: &Path) -> PortResult<bool> {
    match fs::metadata(path) {
        Ok(data) => Ok(data.is_file()),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(false),
            _ => Err(unreadable(path)(error)),
        },
    }
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> PortError {
    move |error| {
        let kind = match error.kind() {
            io::ErrorKind::PermissionDenied => PortErrorKind::Denied,
            // An entry was deleted or replaced during the read.
            _ => PortErrorKind::Transient,
        };
        let message = format!("failed to read build context `{}`", path_shown(path));
        PortError::new(kind, message).with_source(error)
    }
}

/// Computes the digest of the directory of `budget`, and returns it with the directories below, of which at most
/// [`WATCHED_LIMIT`].
///
/// Each part is framed by its length, so different contexts cannot have the same encoding.
fn digest(budget: &mut Budget<'_>, digests: &mut Digests) -> PortResult<(Sha256, Vec<PathBuf>)> {
    let (mut hash, mut below) = (Sha256::new(), Vec::new());
    // The digests of removed files are dropped.
    let known = mem::take(&mut digests.known);
    let root = fs::metadata(budget.root).map_err(unreadable(budget.root))?;
    refuse_untrusted(budget.root, &root)?;
    for (path, data) in walk(budget)? {
        refuse_untrusted(&path, &data)?;
        let relative = path.strip_prefix(budget.root).unwrap_or(&path);
        frame(&mut hash, relative.as_os_str().as_bytes());
        let mode = data.permissions().mode() & 0o7777;
        if data.is_dir() {
            frame(&mut hash, format!("directory {mode:o}").as_bytes());
            if below.len() < WATCHED_LIMIT {
                below.push(path);
            }
        } else if data.is_symlink() {
            let target = fs::read_link(&path).map_err(unreadable(&path))?;
            let depth = relative.components().count().saturating_sub(1);
            if !stays_inside(&target, depth) {
                let rule =
                    "must be relative, stay in the build context, and have `..` only at its start";
                let message = format!("symbolic link `{}` {rule}", path_shown(&path));
                return Err(PortError::new(PortErrorKind::Invalid, message));
            }
            frame(&mut hash, b"link");
            frame(&mut hash, target.as_os_str().as_bytes());
        } else if data.is_file() {
            frame(&mut hash, format!("file {mode:o}").as_bytes());
            frame(&mut hash, &digests.of(&path, &data, budget, &known)?);
        } else {
            let rule = "in the build context is not a file, directory or symbolic link";
            let message = format!("`{}` {rule}", path_shown(&path));
            return Err(PortError::new(PortErrorKind::Invalid, message));
        }
    }
    Ok((hash, below))
}

/// The digests of the files of one context, by identity.
#[derive(Debug)]
struct Digests {
    known: BTreeMap<FileIdentity, [u8; 32]>,
    settle: Duration,
}

impl Default for Digests {
    fn default() -> Self {
        Self { known: BTreeMap::new(), settle: SETTLE }
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
    ) -> PortResult<[u8; 32]> {
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

/// Rejects files and directories that another user could modify; a link has no permissions (symlink(7)).
fn refuse_untrusted(path: &Path, data: &Metadata) -> PortResult<()> {
    let status = FileStatus::from(data);
    let why = status.distrusted().filter(|_why| status.kind != FileKind::Symlink);
    why.map_or(Ok(()), |why| {
        let path = path_shown(path);
        let message =
            format!("another user could change `{path}`, from which an image is built: {why}");
        Err(PortError::new(PortErrorKind::Denied, message))
    })
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

    fn spend(&mut self, bytes: u64) -> PortResult<()> {
        let left = self.bytes.checked_sub(bytes);
        self.bytes =
            left.ok_or_else(|| self.exceeded(&format!("{} MiB", BYTE_LIMIT / (1024 * 1024))))?;
        Ok(())
    }

    fn exceeded(&self, what: &str) -> PortError {
        let message = format!("build context `{}` has more than {what}", path_shown(self.root));
        PortError::new(PortErrorKind::Invalid, message)
    }
}

/// Returns all entries below the root, sorted by path; links are not followed.
fn walk(budget: &mut Budget<'_>) -> PortResult<BTreeMap<PathBuf, Metadata>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![budget.root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).map_err(unreadable(&directory))? {
            let path = entry.map_err(unreadable(&directory))?.path();
            let data = fs::symlink_metadata(&path).map_err(unreadable(&path))?;
            if budget.entries == 0 {
                return Err(budget.exceeded(&format!("{ENTRY_LIMIT} entries")));
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
fn contents(path: &Path, budget: &mut Budget<'_>) -> PortResult<(FileIdentity, [u8; 32])> {
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
