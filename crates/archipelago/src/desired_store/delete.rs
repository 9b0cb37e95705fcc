//! Deleting a state directory, when companions are no longer wanted on a host.

use std::path::{Path, PathBuf};

use companion_core::ports::{PortError, PortErrorKind, PortResult};
use durable_dir::{Dir, DirResult, FileKind, Trust};
use host_files::blocking;
use host_files::errors::failed_to;

use super::{LOCK_FILE, RECORD_FILE, RecordStore, lock};
use crate::inputs::LAST_GOOD_FILE;
use crate::published::{EDITED_DIR, EVENTS_FILE, STATUS_FILE};

/// The most files of a directory that are deleted.
const ENTRY_LIMIT: usize = 10_000;

/// The directories with nothing but files of ours.
const DIRECTORIES: [&str; 2] = ["images", EDITED_DIR];

/// The files in the order of their deletion: the desired state last, so that an interrupted deletion can be repeated.
const FILES: [&str; 6] =
    [LAST_GOOD_FILE, EVENTS_FILE, STATUS_FILE, "host-key", RECORD_FILE, LOCK_FILE];

impl RecordStore {
    /// Deletes the files of the state directory, and the directory if it is empty then. Returns the files of others, which
    /// are left.
    ///
    /// The caller knows that nobody leads, and that all companions were removed.
    ///
    /// # Errors
    /// `Conflict` if an app is recorded as installed, also one that was recorded meanwhile; as for files of the state
    /// directory. A repeated call continues.
    pub async fn delete(&self) -> PortResult<Vec<PathBuf>> {
        let lock = lock(self.dir()).await?;
        let path = self.dir().to_owned();
        let attempt = "delete the state directory";
        blocking::run(attempt, move || {
            let _until_done = lock;
            let record = super::read(&path)?.unwrap_or_default();
            if let Some(app) = record.installed().next() {
                let message = format!("the app {app} is recorded as installed");
                return Err(PortError::new(PortErrorKind::Conflict, message));
            }
            deleted(&path).map_err(failed_to(attempt))
        })
        .await
    }
}

fn deleted(path: &Path) -> DirResult<Vec<PathBuf>> {
    let dir = Dir::open(path, Trust::Owned)?;
    dir.sweep_temporary_files()?;
    for name in DIRECTORIES {
        if let Some(inner) = Dir::open_existing(path.join(name), Trust::Owned)? {
            empty(&inner)?;
            dir.remove_empty_directory(name)?;
        }
    }
    for name in FILES {
        dir.remove(name)?;
    }
    let left = dir.entries(ENTRY_LIMIT)?;
    let left: Vec<_> = left.iter().filter_map(|name| name.to_str()).collect();
    if left.is_empty()
        && let (Some(parent), Some(name)) =
            (path.parent(), path.file_name().and_then(|it| it.to_str()))
    {
        Dir::open(parent, Trust::Owned)?.remove_empty_directory(name)?;
    }
    Ok(left.into_iter().map(|name| path.join(name)).collect())
}

/// Removes the files and links of a directory.
fn empty(dir: &Dir) -> DirResult<()> {
    let entries = dir.entries(ENTRY_LIMIT)?;
    for name in entries.iter().filter_map(|name| name.to_str()) {
        let kind = dir.status(name)?.map(|status| status.kind);
        if kind.is_some_and(FileKind::is_file_or_link) {
            dir.remove(name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::catalog::Catalog;

    #[tokio::test]
    async fn deleted_state_directory_keeps_only_files_of_others() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("companion");
        let store = RecordStore::new(&dir, Arc::new(Catalog::builtin()));
        for attempt in 0..2 {
            store.update(|record, _| (true, record.touch())).await.unwrap();
            for file in ["images/a.json", "edited/web.container.1", "events.jsonl", "host-key"] {
                let file = dir.join(file);
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                std::fs::write(file, "x").unwrap();
            }
            let own = dir.join("notes.txt");
            if attempt == 0 {
                std::fs::write(&own, "mine").unwrap();
                assert_eq!(store.delete().await.unwrap(), std::slice::from_ref(&own));
                std::fs::remove_file(own).unwrap();
            } else {
                assert_eq!(store.delete().await.unwrap(), Vec::<PathBuf>::new());
            }
        }
        assert!(!dir.exists());
        assert_eq!(store.delete().await.unwrap(), Vec::<PathBuf>::new(), "it can be repeated");
        assert!(!dir.exists());
    }
}
