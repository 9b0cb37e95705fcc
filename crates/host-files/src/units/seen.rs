//! What was read of each unit file, by the identity of the file.
//!
//! *Flow.* Each call takes the identity of a file, which is one `stat`, and reads the file only if it is not the one that was
//! read before. *Guarantees.* A change after a read is a change of the identity, whoever made it: only files that had been
//! unchanged for [`SETTLE`] are kept, so that two changes within one tick of the file system's clock differ. *Caveats.* A
//! file system that updates times late hides a change for that time. A file is read again before it is replaced or removed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use companion_core::model::companion::CompanionName;
use companion_core::ports::PortResult;
use durable_dir::FileIdentity;

use super::Found;

/// How long a file must have been unchanged: the coarsest clocks of file systems tick every 2 s (FAT).
const SETTLE: Duration = Duration::from_secs(2);

type Files = BTreeMap<CompanionName, (FileIdentity, Arc<Found>)>;

/// The unit files that were read and have not changed since.
#[derive(Debug)]
pub(super) struct Seen {
    files: Mutex<Files>,
    settle: Duration,
}

impl Default for Seen {
    fn default() -> Self {
        Self { files: Mutex::default(), settle: SETTLE }
    }
}

impl Seen {
    /// Returns what `read` found, or what an earlier call found at `name` in the file with the same `identity`.
    ///
    /// # Errors
    /// Of `identity` and `read`.
    pub(super) fn read_if_changed(
        &self,
        name: &CompanionName,
        identity: impl Fn() -> PortResult<Option<FileIdentity>>,
        read: impl FnOnce() -> PortResult<Found>,
    ) -> PortResult<Arc<Found>> {
        let before = identity()?;
        if let Some((file, found)) = self.files().get(name)
            && Some(file) == before.as_ref()
        {
            return Ok(Arc::clone(found));
        }
        let now = SystemTime::now();
        let found = Arc::new(read()?);
        // A change during the read is a later one than `before`, under which nothing is found then.
        if let Some(file) = before.filter(|file| file.was_settled(now, self.settle)) {
            self.files().insert(name.clone(), (file, Arc::clone(&found)));
        }
        Ok(found)
    }

    /// Forgets the files of all names but `names`.
    pub(super) fn keep_only(&self, names: &BTreeSet<CompanionName>) {
        self.files().retain(|name, _| names.contains(name));
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        // A panic leaves the old or the new entry.
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;
    use std::path::Path;

    use super::*;

    fn look(seen: &Seen, path: &Path, reads: &Cell<u32>) -> Arc<Found> {
        let name = CompanionName::new("web").unwrap();
        let read = || {
            reads.set(reads.get() + 1);
            let what = fs::read_to_string(path).unwrap_or_default();
            Ok(Found::Unmanaged { what })
        };
        seen.read_if_changed(&name, || Ok(FileIdentity::of(path)), read).unwrap()
    }

    fn found(what: &str) -> Arc<Found> {
        Arc::new(Found::Unmanaged { what: what.to_owned() })
    }

    #[test]
    fn an_unchanged_file_is_read_once_and_a_changed_one_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "one").unwrap();
        let (seen, reads) = (Seen { settle: Duration::ZERO, ..Seen::default() }, Cell::new(0));
        for _ in 0..3 {
            assert_eq!(look(&seen, file.path(), &reads), found("one"));
        }
        assert_eq!(reads.get(), 1);
        fs::write(file.path(), "three").unwrap();
        assert_eq!(look(&seen, file.path(), &reads), found("three"));
        fs::remove_file(file.path()).unwrap();
        assert_eq!(look(&seen, file.path(), &reads), found(""));
        seen.keep_only(&BTreeSet::new());
        assert!(seen.files().is_empty());
    }

    #[test]
    fn a_file_that_just_changed_is_read_each_time() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (seen, reads) = (Seen::default(), Cell::new(0));
        for _ in 0..3 {
            look(&seen, file.path(), &reads);
        }
        assert_eq!(reads.get(), 3);
    }

    #[test]
    fn a_file_that_changes_during_its_read_is_read_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let seen = Seen { settle: Duration::ZERO, ..Seen::default() };
        let name = CompanionName::new("web").unwrap();
        let read = || {
            fs::write(file.path(), "longer").unwrap();
            Ok(Found::Nothing)
        };
        seen.read_if_changed(&name, || Ok(FileIdentity::of(file.path())), read).unwrap();
        assert_eq!(look(&seen, file.path(), &Cell::new(0)), found("longer"));
    }
}
