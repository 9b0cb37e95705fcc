//! [`ImageRecords`]: which image was made last for each source, and an archive of it, outside of the engine's store.
//!
//! A record says what was built or pulled here, so that an image with copied labels is not taken for ours. An archive
//! brings the image back after a prune or damage, without its build and without a registry. Two files for each source:
//!
//! | file | holds |
//! |---|---|
//! | `NAME.DIGEST.json` | the record: source, name, image ID, context digest, digest and size of the archive |
//! | `NAME.DIGEST.tar` | the archive, as the engine wrote it |
//!
//! Both are written whole or not at all. A record stays until another image is made for its source; it is how an image
//! that is still in the store is known again after its companion was removed. An archive is not essential: it is left
//! out, with a message in the log, if it is too large, has no space, or fails.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use companion_core::model::image::{ImageId, ImageRef};
use companion_core::model::revision::Fingerprint;
use companion_core::ports::PortResult;
use durable_dir::{Dir, DirError, DirResult, FileKind, Trust};
use host_files::blocking;
use host_files::errors::failed_to;
use serde::{Deserialize, Serialize};

mod archives;

/// Maximum size of a record in bytes.
const RECORD_LIMIT: usize = 16 * 1024;

/// Maximum number of files that a listing of the directory reads.
const FILE_LIMIT: usize = 10_000;

/// The time limit for writing records, and for reading an archive to compute its digest.
const WORK_LIMIT: Duration = Duration::from_secs(120);

/// The records and archives of images in one directory. Clones share it.
#[derive(Clone)]
pub struct ImageRecords {
    dir: PathBuf,
    /// Returns the size limit of all archives together, in bytes.
    limit: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// Held while files change, so that a record is never replaced by an older one.
    changing: blocking::Lock,
}

impl fmt::Debug for ImageRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageRecords").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// What was made last for a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The reference that identifies the source.
    pub(crate) source: ImageRef,
    /// The name that the image got, the build's or the pull's.
    pub(crate) name: ImageRef,
    /// The image.
    pub(crate) id: ImageId,
    /// The digest of the context that it was built from.
    pub(crate) context: Option<Fingerprint>,
    /// Its archive, if there is one.
    pub(crate) archive: Option<Archive>,
}

/// An archive as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Archive {
    /// The SHA-256 of the file, hexadecimal.
    pub(crate) sha256: String,
    /// Its size in bytes.
    pub(crate) bytes: u64,
}

impl ImageRecords {
    /// Keeps records in the directory `dir`, which is created with mode 0700, and archives of up to `limit` bytes
    /// together, of which one may take a quarter. `limit` is called for each archive; 0 means that none is made.
    pub fn new(dir: impl Into<PathBuf>, limit: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self { dir: dir.into(), limit: Arc::new(limit), changing: blocking::Lock::default() }
    }

    /// Removes temporary files of interrupted work, and archives that no record names. Returns the number of files.
    ///
    /// The caller leads, so nobody else writes these files.
    ///
    /// # Errors
    /// As for files of the state directory.
    pub async fn sweep(&self) -> PortResult<usize> {
        let sweep = |dir: &Dir| {
            let mut count = dir.sweep_temporary_files()?;
            let records = all(dir)?.into_iter().filter(|record| record.archive.is_some());
            let archived: BTreeSet<_> =
                records.map(|record| archives::file(&record.source)).collect();
            for name in names(dir, ".tar")?.iter().filter(|name| !archived.contains(*name)) {
                count += usize::from(dir.remove(name)?);
            }
            Ok(count)
        };
        self.change("sweep the archives of images", sweep).await
    }

    /// Reads the record of each of `sources`, in order; an unreadable one affects its source alone.
    pub(crate) async fn read(
        &self,
        sources: Vec<Option<ImageRef>>,
        limit: Duration,
    ) -> Vec<PortResult<Option<Record>>> {
        let (path, count) = (self.dir.clone(), sources.len());
        let read = move || {
            let dir = Dir::open_existing(&path, Trust::Owned)?;
            let record = |source: &Option<ImageRef>| match (&dir, source) {
                (Some(dir), Some(source)) => record(dir, source),
                _ => Ok(None),
            };
            Ok(sources.iter().map(record).collect())
        };
        let attempt = "read the records of images";
        let done: Result<DirResult<Vec<_>>, _> = blocking::within(limit, read).await;
        match done
            .map_err(|stuck| stuck.during(attempt))
            .and_then(|read| read.map_err(failed_to(attempt)))
        {
            Ok(records) => records.into_iter().map(|one| one.map_err(failed_to(attempt))).collect(),
            Err(error) => vec![Err(error); count],
        }
    }

    /// Writes `record`, unless the same image is recorded; removes the archive of another image.
    pub(crate) async fn write(&self, record: Record) -> PortResult<()> {
        let record_it = move |dir: &Dir| {
            let Record { source, name, id, context, .. } = &record;
            let same =
                |known: &Record| (&known.name, &known.id, &known.context) == (name, id, context);
            if self::record(dir, source)?.as_ref().is_some_and(same) {
                return Ok(());
            }
            write(dir, &record)?;
            dir.remove(&archives::file(source)).map(drop)
        };
        self.change("record an image", record_it).await
    }

    /// Runs `work` on the directory when no other work does; `attempt` is a verb phrase that follows "failed to".
    async fn change<T: Send + 'static>(
        &self,
        attempt: &'static str,
        work: impl FnOnce(&Dir) -> DirResult<T> + Send + 'static,
    ) -> PortResult<T> {
        let path = self.dir.clone();
        let work = move || work(&Dir::create(path, 0o700, Trust::Owned)?);
        let done = blocking::within_locked(WORK_LIMIT, &self.changing, work).await;
        done.map_err(|stuck| stuck.during(attempt))?.map_err(failed_to(attempt))
    }
}

/// Returns the start of the names of the files for `source`: readable, and different for each source.
fn stem(source: &ImageRef) -> String {
    let text = source.as_str();
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name: String =
        text.rsplit('/').next().unwrap_or(text).chars().map(plain).take(64).collect();
    format!("{name}.{}", Fingerprint::of(text.as_bytes()))
}

fn file(source: &ImageRef) -> String {
    format!("{}.json", stem(source))
}

/// Reads the record of `source`.
fn record(dir: &Dir, source: &ImageRef) -> DirResult<Option<Record>> {
    Ok(parsed(dir, &file(source))?.filter(|record| record.source == *source))
}

/// Reads the record in the file `name`. One that cannot be a record counts as missing: the image is made again.
fn parsed(dir: &Dir, name: &str) -> DirResult<Option<Record>> {
    match dir.read(name, RECORD_LIMIT) {
        Ok(contents) => Ok(contents.and_then(|it| serde_json::from_slice(&it.bytes).ok())),
        Err(DirError::NotARegularFile { .. } | DirError::TooLarge { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn write(dir: &Dir, record: &Record) -> DirResult<()> {
    let name = file(&record.source);
    let bytes = serde_json::to_vec_pretty(record)
        .map_err(|error| DirError::system("write", dir.path().join(&name), error))?;
    remove_if_link(dir, &name)?;
    dir.write(&name, &bytes, 0o600)
}

/// Removes `name` if it is a link, because a write replaces only regular files.
fn remove_if_link(dir: &Dir, name: &str) -> DirResult<()> {
    match dir.status(name)? {
        Some(status) if status.kind == FileKind::Symlink => dir.remove(name).map(drop),
        Some(_) | None => Ok(()),
    }
}

/// Returns the names of all files that end in `end`.
fn names(dir: &Dir, end: &str) -> DirResult<Vec<String>> {
    let entries = dir.entries(FILE_LIMIT)?;
    let is_ours = |name: &&str| !name.starts_with('.') && name.ends_with(end);
    let names = entries.iter().filter_map(|name| name.to_str());
    Ok(names.filter(is_ours).map(str::to_owned).collect())
}

/// Returns all records.
fn all(dir: &Dir) -> DirResult<Vec<Record>> {
    let mut records = Vec::new();
    for name in &names(dir, ".json")? {
        records.extend(parsed(dir, name)?.filter(|record| file(&record.source) == *name));
    }
    Ok(records)
}
