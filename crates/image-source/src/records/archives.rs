//! Archives of images: made by the engine, bounded, and verified by their digest before they are restored.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use companion_core::model::image::ImageRef;
use companion_core::ports::{PortError, PortErrorKind, PortResult};
use durable_dir::{Dir, DirResult, FileKind, NewFile, Trust};
use host_files::blocking;
use host_files::errors::failed_to;
use sha2::{Digest as _, Sha256};

use super::{Archive, ImageRecords, Record, WORK_LIMIT, all, remove_if_link, stem, write};
use crate::engine::{EngineResult, ImageEngine};

/// The part of the limit that one archive may take.
const SHARE: u64 = 4;

/// The space in bytes that stays free on the disk.
const RESERVE: u64 = 1 << 30;

const CHUNK: usize = 256 * 1024;

/// Returns the name of the archive of `source`.
pub(super) fn file(source: &ImageRef) -> String {
    format!("{}.tar", stem(source))
}

impl ImageRecords {
    /// Removes the archives of all sources but `wanted`, and, in the order of names, those beyond the limit. Returns their
    /// number.
    pub(crate) async fn keep_archives_of(&self, wanted: BTreeSet<ImageRef>) -> PortResult<usize> {
        let limit = (self.limit)();
        let keep = move |dir: &Dir| {
            let (mut kept, mut removed) = (0, 0);
            for record in all(dir)? {
                let Some(bytes) = record.archive.as_ref().map(|archive| archive.bytes) else {
                    continue;
                };
                if wanted.contains(&record.source) && bytes <= limit.saturating_sub(kept) {
                    kept += bytes;
                } else {
                    remove(dir, &record)?;
                    removed += 1;
                }
            }
            Ok(removed)
        };
        self.change("remove archives of images", keep).await
    }

    /// Has `engine` write an archive of the image that is recorded for `source`, unless there is one.
    ///
    /// There is none if archives are switched off, or if the image has no tag, because an engine gives no name with a
    /// digest to a restored image.
    pub(crate) async fn archive(
        &self,
        engine: &impl ImageEngine,
        source: &ImageRef,
    ) -> EngineResult<()> {
        let (of, limit, attempt) =
            (source.clone(), (self.limit)(), "write the archive of an image");
        let prepared = self.change(attempt, move |dir| prepare(dir, &of, limit)).await?;
        let Some((new_file, record, room)) = prepared else { return Ok(()) };
        let no_space = || {
            let message = format!("only {room} bytes are left for it");
            PortError::new(PortErrorKind::Invalid, message).into()
        };
        if room == 0 {
            return Err(no_space());
        }
        engine.save(&record.id, &new_file.path(), room).await?;
        let fits = self.change(attempt, move |dir| commit(dir, new_file, record, room)).await?;
        if fits { Ok(()) } else { Err(no_space()) }
    }

    /// Removes the archive of `record`, because no image comes back from it.
    pub(crate) async fn remove_archive(&self, record: Record) -> PortResult<()> {
        self.change("remove the archive of an image", move |dir| remove(dir, &record)).await
    }

    /// Returns the path of the archive of `record`, if there is one. Removes an archive whose contents are not those that
    /// were written.
    ///
    /// # Errors
    /// `Invalid` for such an archive.
    pub(crate) async fn verified(&self, record: &Record) -> PortResult<Option<PathBuf>> {
        let Some(archive) = record.archive.clone() else { return Ok(None) };
        let path = self.dir.join(file(&record.source));
        let (place, source, read) = (self.dir.clone(), record.source.clone(), path.clone());
        // Without the lock: it takes as long as the archive is large.
        let find = move || -> DirResult<Option<bool>> {
            let Some(dir) = Dir::open_existing(place, Trust::Owned)? else { return Ok(None) };
            if !is_there(&dir, &source)? {
                return Ok(None);
            }
            let found = File::open(read).and_then(|mut file| digest(&mut file));
            Ok(Some(found.is_ok_and(|found| found == archive)))
        };
        let attempt = "read the archive of an image";
        let found = blocking::within(WORK_LIMIT, find).await.map_err(|stuck| stuck.during(attempt));
        match found?.map_err(failed_to(attempt))? {
            None => Ok(None),
            Some(true) => Ok(Some(path)),
            Some(false) => {
                self.remove_archive(record.clone()).await?;
                let message = "the contents of the archive have changed since it was written";
                Err(PortError::new(PortErrorKind::Invalid, message))
            }
        }
    }
}

/// Returns the file to write, the record, and the largest size of the archive in bytes; `None` if there is nothing to do.
fn prepare(dir: &Dir, source: &ImageRef, limit: u64) -> DirResult<Option<(NewFile, Record, u64)>> {
    let Some(record) = super::record(dir, source)? else { return Ok(None) };
    let has_one = record.archive.is_some() && is_there(dir, source)?;
    if limit == 0 || record.name.as_str().contains('@') || has_one {
        return Ok(None);
    }
    let others = all(dir)?.into_iter().filter(|one| one.source != *source);
    let taken = others.filter_map(|one| Some(one.archive?.bytes)).fold(0, u64::saturating_add);
    let room = limit.saturating_sub(taken).min(limit / SHARE).min(free(dir));
    remove_if_link(dir, &file(source))?;
    Ok(Some((dir.new_file(&file(source))?, record, room)))
}

/// Gives the archive its name and records it, unless another image was recorded meanwhile. Returns `false` if it is larger
/// than `room` bytes.
fn commit(dir: &Dir, new_file: NewFile, mut record: Record, room: u64) -> DirResult<bool> {
    if new_file.path().metadata().map_or(0, |data| data.len()) > room {
        return Ok(false);
    }
    if super::record(dir, &record.source)?.is_some_and(|known| known.id == record.id) {
        record.archive = Some(new_file.commit(0o600, digest)?);
        write(dir, &record)?;
    }
    Ok(true)
}

fn is_there(dir: &Dir, source: &ImageRef) -> DirResult<bool> {
    Ok(dir.status(&file(source))?.is_some_and(|status| status.kind == FileKind::Regular))
}

/// Removes the archive of `record`, unless another one was recorded meanwhile. The record goes first, so that it never
/// names a missing archive.
fn remove(dir: &Dir, known: &Record) -> DirResult<()> {
    let Some(mut record) = super::record(dir, &known.source)? else { return Ok(()) };
    if record.archive != known.archive {
        return Ok(());
    }
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

#[cfg(test)]
mod tests {
    use companion_core::model::image::ImageId;

    use super::*;

    fn archived(sha256: &str) -> Record {
        let name = ImageRef::new("localhost/page:latest").unwrap();
        Record {
            source: name.clone(),
            name,
            id: ImageId::new(&"1".repeat(64)).unwrap(),
            context: None,
            archive: Some(Archive { sha256: sha256.to_owned(), bytes: 3 }),
        }
    }

    /// An archive is read without the lock, so another one may be recorded before the first turns out to be damaged.
    #[test]
    fn removal_of_a_replaced_archive_keeps_its_successor() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::create(temp.path().join("images"), 0o700, Trust::Owned).unwrap();
        let (old, new) = (archived("old"), archived("new"));
        write(&dir, &new).unwrap();
        dir.write(&file(&new.source), b"new", 0o600).unwrap();
        remove(&dir, &old).unwrap();
        assert!(is_there(&dir, &new.source).unwrap());
        assert_eq!(super::super::record(&dir, &new.source).unwrap(), Some(new.clone()));
        remove(&dir, &new).unwrap();
        assert!(!is_there(&dir, &new.source).unwrap());
    }
}
