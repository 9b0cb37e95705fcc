//! Archives of images: made by the engine, bounded, and verified by their digest before they are restored.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use companion_core::model::image::ImageRef;
use durable_dir::{Dir, DirResult, Draft, FileKind};
use host_files::blocking;
use sha2::{Digest as _, Sha256};

use super::{
    Archive, ImageRecords, Record, RecordError, WORK_LIMIT, all, remove_if_link, stem, write,
};
use crate::engine::{EngineError, ImageEngine};

/// The part of the limit that one archive may take.
const SHARE: u64 = 4;

/// The space in bytes that stays free on the disk.
const RESERVE: u64 = 1 << 30;

const CHUNK: usize = 256 * 1024;

/// Why an image has no usable archive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// The archives' files cannot be used.
    #[error(transparent)]
    Records(#[from] RecordError),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// There is no space within the limits.
    #[error("only {0} bytes are left for it")]
    NoSpace(u64),
    /// The file is another one than the one that was written.
    #[error("its contents have changed since it was written")]
    Changed,
    /// The image that came from it is another one, or damaged.
    #[error("the engine did not get the image from it")]
    NotReadBack,
}

/// Returns the name of the archive of `source`.
pub(super) fn file(source: &ImageRef) -> String {
    format!("{}.tar", stem(source))
}

impl ImageRecords {
    /// Removes the archives of all sources but `wanted`, and, in the order of names, those beyond the limit. Returns their
    /// number.
    pub(crate) async fn keep_archives_of(
        &self,
        wanted: BTreeSet<ImageRef>,
    ) -> Result<usize, RecordError> {
        let (own, limit) = (self.clone(), (self.limit)());
        let keep = move || {
            let Some(dir) = own.open()? else { return Ok(0) };
            let (mut kept, mut removed) = (0, 0);
            for record in all(&dir)? {
                let Some(bytes) = record.archive.as_ref().map(|archive| archive.bytes) else {
                    continue;
                };
                if wanted.contains(&record.source) && bytes <= limit.saturating_sub(kept) {
                    kept += bytes;
                } else {
                    remove(&dir, record)?;
                    removed += 1;
                }
            }
            Ok(removed)
        };
        self.change(keep).await
    }

    /// Has `engine` write an archive of the image that is recorded for `source`, unless there is one. Returns whether there
    /// is one then.
    ///
    /// There is none if archives are switched off, or if the image has no tag, because an engine gives no name with a
    /// digest to a restored image.
    pub(crate) async fn archive<E: ImageEngine>(
        &self,
        engine: &E,
        source: &ImageRef,
    ) -> Result<bool, ArchiveError> {
        let (own, of, limit) = (self.clone(), source.clone(), (self.limit)());
        let prepare = move || own.prepare(&of, limit);
        let prepared = blocking::within(WORK_LIMIT, prepare).await.map_err(RecordError::from)?;
        let (draft, record, room) = match prepared.map_err(RecordError::from)? {
            Prepared::Done(is_there) => return Ok(is_there),
            Prepared::Draft(draft) => *draft,
        };
        if room == 0 {
            return Err(ArchiveError::NoSpace(room));
        }
        engine.save(&record.id, &draft.path(), room).await?;
        let own = self.clone();
        let committed = self.change(move || own.commit(draft, record, room)).await?;
        committed.ok_or(ArchiveError::NoSpace(room))
    }

    fn prepare(&self, source: &ImageRef, limit: u64) -> DirResult<Prepared> {
        let dir = self.create()?;
        let Some(record) = super::record(&dir, source)? else { return Ok(Prepared::Done(false)) };
        if limit == 0 || record.name.as_str().contains('@') {
            return Ok(Prepared::Done(false));
        }
        let is_there =
            dir.status(&file(source))?.is_some_and(|status| status.kind == FileKind::Regular);
        if is_there && record.archive.is_some() {
            return Ok(Prepared::Done(true));
        }
        let others = all(&dir)?.into_iter().filter(|one| one.source != *source);
        let taken = others.filter_map(|one| Some(one.archive?.bytes)).fold(0, u64::saturating_add);
        let room = limit.saturating_sub(taken).min(limit / SHARE).min(free(&dir));
        remove_if_link(&dir, &file(source))?;
        let draft = dir.draft(&file(source))?;
        Ok(Prepared::Draft(Box::new((draft, record, room))))
    }

    /// Removes the archive of `record`, because no image comes back from it.
    pub(crate) async fn remove_archive(&self, record: Record) -> Result<(), RecordError> {
        let own = self.clone();
        let remove = move || remove(&own.create()?, record);
        self.change(remove).await
    }

    /// Gives the archive its name and records it, unless another image was recorded meanwhile.
    /// Returns whether it did, or `None` if the archive is larger than `room` bytes.
    fn commit(&self, draft: Draft, mut record: Record, room: u64) -> DirResult<Option<bool>> {
        let written = draft.path().metadata().map_or(0, |data| data.len());
        if written > room {
            return Ok(None);
        }
        let dir = self.create()?;
        let known = super::record(&dir, &record.source)?;
        if known.is_none_or(|known| known.id != record.id) {
            return Ok(Some(false));
        }
        record.archive = Some(draft.commit(0o600, digest)?);
        write(&dir, &record)?;
        Ok(Some(true))
    }

    /// Returns the path of the archive of `record`, if it is there and its contents are those that were written.
    pub(crate) async fn verified(&self, record: &Record) -> Result<Option<PathBuf>, ArchiveError> {
        let Some(archive) = record.archive.clone() else { return Ok(None) };
        let path = self.dir.join(file(&record.source));
        let read = path.clone();
        let find = move || match std::fs::symlink_metadata(&read) {
            Ok(data) if data.is_file() => digest(&mut File::open(&read)?).map(Some),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        let found = blocking::within(WORK_LIMIT, find).await.map_err(RecordError::from)?;
        match found {
            Ok(Some(found)) if found == archive => Ok(Some(path)),
            Ok(None) => Ok(None),
            Ok(Some(_)) | Err(_) => Err(ArchiveError::Changed),
        }
    }
}

enum Prepared {
    /// Nothing to do; whether there is an archive.
    Done(bool),
    /// The file to write, the record, and the largest size of the archive in bytes.
    Draft(Box<(Draft, Record, u64)>),
}

/// The record goes first, so that it never names a missing archive.
fn remove(dir: &Dir, mut record: Record) -> DirResult<()> {
    let archive = file(&record.source);
    record.archive = None;
    write(dir, &record)?;
    dir.remove(&archive).map(drop)
}

/// Returns the space in bytes that may be used on the disk of `dir`.
fn free(dir: &Dir) -> u64 {
    let found = rustix::fs::statvfs(dir.path());
    found.map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize).saturating_sub(RESERVE))
}

fn digest(file: &mut File) -> std::io::Result<Archive> {
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = file.read(&mut chunk)?;
        if length == 0 {
            break;
        }
        hash.update(chunk.get(..length).unwrap_or_default());
        bytes += length as u64;
    }
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Archive { sha256, bytes })
}
