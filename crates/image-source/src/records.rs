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
//! Both are written whole or not at all. An archive is not essential: it is left out, with a message in the log, if it is
//! too large, has no space, or fails.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use companion_core::model::image::{ImageId, ImageRef, ImageSource};
use companion_core::model::revision::Fingerprint;
use companion_core::ports::{PortErrorKind, PortResult};
use durable_dir::{Dir, DirError, DirResult, Trust};
use host_files::blocking::{self, Stuck};
use serde::{Deserialize, Serialize};

mod archives;

pub(crate) use archives::Lost;

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
}

impl fmt::Debug for ImageRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageRecords").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// What was made last for a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The reference of the source; see [`source_reference`].
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

/// Why records cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A file error.
    #[error(transparent)]
    File(#[from] DirError),
    /// The work did not end in time.
    #[error("failed to access the records of images")]
    Stuck(#[from] Stuck),
}

impl RecordError {
    pub(crate) fn kind(&self) -> PortErrorKind {
        match self {
            Self::File(error) => host_files::errors::kind_of(error),
            Self::Stuck(_) => PortErrorKind::Transient,
        }
    }
}

/// Returns the reference that identifies `source`: that of its build, or of its pull.
pub(crate) fn source_reference(source: &ImageSource) -> Option<&ImageRef> {
    let built = source.build.as_ref().map(|build| &build.reference);
    built.or(source.pull.as_ref().map(|pull| &pull.reference))
}

impl ImageRecords {
    /// Keeps records in the directory `dir`, which is created with mode 0700, and archives of up to `limit` bytes
    /// together, of which one may take a quarter. `limit` is called for each archive; 0 means that none is made.
    pub fn new(dir: impl Into<PathBuf>, limit: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self { dir: dir.into(), limit: Arc::new(limit) }
    }

    /// Removes temporary files of interrupted work, and all archives if none are to be made. Returns the number of files.
    ///
    /// The caller leads, so nobody else writes these files.
    ///
    /// # Errors
    /// As for files of the state directory.
    pub async fn sweep(&self) -> PortResult<usize> {
        let (own, attempt) = (self.clone(), "remove temporary files of image archives");
        blocking::run(attempt, move || own.swept().map_err(host_files::errors::failed_to(attempt)))
            .await
    }

    fn swept(&self) -> DirResult<usize> {
        let Some(dir) = self.open()? else { return Ok(0) };
        let mut count = dir.sweep_temporary_files()?;
        if (self.limit)() == 0 {
            for name in archives::names(&dir)? {
                count += usize::from(dir.remove(&name)?);
            }
        }
        Ok(count)
    }

    /// Reads the record of each of `sources`, in order; an unreadable one affects its source alone.
    pub(crate) async fn read(
        &self,
        sources: Vec<Option<ImageRef>>,
        limit: Duration,
    ) -> Result<Vec<DirResult<Option<Record>>>, RecordError> {
        let own = self.clone();
        let read = move || {
            let Some(dir) = own.open()? else {
                return Ok(sources.iter().map(|_| Ok(None)).collect());
            };
            let record = |source: &Option<ImageRef>| match source {
                Some(source) => record(&dir, source),
                None => Ok(None),
            };
            Ok(sources.iter().map(record).collect())
        };
        blocking::within(limit, read).await?
    }

    /// Writes `record`, unless the same image is recorded; removes the archive of another image.
    pub(crate) async fn write(&self, record: Record) -> Result<(), RecordError> {
        let own = self.clone();
        let write = move || {
            let dir = own.create()?;
            let Record { source, name, id, context, .. } = &record;
            let same =
                |known: &Record| (&known.name, &known.id, &known.context) == (name, id, context);
            if self::record(&dir, source)?.as_ref().is_some_and(same) {
                return Ok(());
            }
            write(&dir, &record)?;
            dir.remove(&archives::file(source)).map(drop)
        };
        Ok(blocking::within(WORK_LIMIT, write).await??)
    }

    /// Removes the records and archives of `images`.
    pub(crate) async fn forget(&self, images: &[ImageId]) -> Result<(), RecordError> {
        let (own, images) = (self.clone(), images.to_vec());
        let forget = move || {
            let Some(dir) = own.open()? else { return Ok(()) };
            for record in all(&dir)? {
                if images.contains(&record.id) {
                    dir.remove(&archives::file(&record.source))?;
                    // Last: what it names is removed with it.
                    dir.remove(&file(&record.source))?;
                }
            }
            Ok(())
        };
        blocking::within(WORK_LIMIT, forget).await?
    }

    fn create(&self) -> DirResult<Dir> {
        Dir::create(&self.dir, 0o700, Trust::Owned)
    }

    /// Opens the directory, if it exists.
    fn open(&self) -> DirResult<Option<Dir>> {
        match Dir::open(&self.dir, Trust::Owned) {
            Ok(dir) => Ok(Some(dir)),
            Err(DirError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
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

/// Reads the record of `source`. One that cannot be parsed counts as missing: the image is made again.
fn record(dir: &Dir, source: &ImageRef) -> DirResult<Option<Record>> {
    let read = dir.read(&file(source), RECORD_LIMIT)?;
    let parsed = read.and_then(|contents| serde_json::from_slice::<Record>(&contents.bytes).ok());
    Ok(parsed.filter(|record| record.source == *source))
}

fn write(dir: &Dir, record: &Record) -> DirResult<()> {
    let name = file(&record.source);
    let bytes = serde_json::to_vec_pretty(record).map_err(|error| DirError::Io {
        attempted: "write",
        path: dir.path().join(&name),
        source: error.into(),
    })?;
    dir.write(&name, &bytes, 0o600)
}

/// Returns all records, without those that cannot be parsed.
fn all(dir: &Dir) -> DirResult<Vec<Record>> {
    let mut records = BTreeMap::new();
    for entry in dir.entries(FILE_LIMIT)? {
        let name = entry.name_str().filter(|name| name.ends_with(".json"));
        let Some(contents) = name.and_then(|name| dir.read(name, RECORD_LIMIT).ok().flatten())
        else {
            continue;
        };
        if let Ok(record) = serde_json::from_slice::<Record>(&contents.bytes) {
            records.insert(record.source.clone(), record);
        }
    }
    Ok(records.into_values().collect())
}
