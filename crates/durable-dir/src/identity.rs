//! The identity of a file at a point in time, from one `stat` without opening it.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::Stat;

use crate::status::widened;

/// A file at a point in time: any replacement or change gives another identity.
///
/// Only root can reset the change time (inode(7)), so contents modified in place with restored times are detected too.
/// Two changes within one tick of the file system's clock are not: see [`was_settled`](Self::was_settled). A file system that
/// does not update the times at once, as of memory-mapped pages or with cached attributes, may hide a change for that time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds since 1970, and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileIdentity {
    /// Returns the file at `path`, following links; `None` if it is missing or cannot be examined.
    pub fn of(path: &Path) -> Option<Self> {
        Some(Self::from(&fs::metadata(path).ok()?))
    }

    /// Returns the size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns whether `data` is of the same file, whatever changed in it.
    pub(crate) fn is_file_of(&self, data: &Metadata) -> bool {
        (self.device, self.inode) == (data.dev(), data.ino())
    }

    /// Returns whether the file had been unchanged for `margin` at `moment`.
    ///
    /// Any later change then has a later time, however coarse the file system's clock is and even if the inode number
    /// is reused. A time in the future is never settled.
    pub fn was_settled(&self, moment: SystemTime, margin: Duration) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let changed = u64::try_from(seconds).ok().zip(u32::try_from(nanoseconds).ok()).and_then(
            |(seconds, nanoseconds)| {
                SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds))
            },
        );
        changed
            .and_then(|changed| moment.duration_since(changed).ok())
            .is_some_and(|age| age >= margin)
    }
}

impl From<&Metadata> for FileIdentity {
    fn from(data: &Metadata) -> Self {
        Self {
            device: data.dev(),
            inode: data.ino(),
            size: data.size(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        }
    }
}

impl From<&Stat> for FileIdentity {
    fn from(stat: &Stat) -> Self {
        Self {
            device: widened(stat.st_dev),
            inode: widened(stat.st_ino),
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            modified: (signed(stat.st_mtime), signed(stat.st_mtime_nsec)),
            changed: (signed(stat.st_ctime), signed(stat.st_ctime_nsec)),
        }
    }
}

/// Seconds and nanoseconds are signed or unsigned and have 32 or 64 bits, depending on the architecture.
fn signed(time: impl TryInto<i64>) -> i64 {
    time.try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dir, Trust};

    #[test]
    fn a_file_is_settled_once_the_margin_has_passed_and_never_from_the_future() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let identity = FileIdentity::of(file.path()).unwrap();
        let (seconds, nanoseconds) = identity.changed;
        let changed = SystemTime::UNIX_EPOCH
            + Duration::new(seconds.try_into().unwrap(), nanoseconds.try_into().unwrap());
        let margin = Duration::from_secs(2);
        assert!(identity.was_settled(changed + margin, margin));
        assert!(!identity.was_settled(changed + margin - Duration::from_nanos(1), margin));
        assert!(!identity.was_settled(changed - Duration::from_nanos(1), Duration::ZERO));
    }

    #[test]
    fn the_same_file_has_one_identity_by_its_path_and_in_its_directory() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("file"), "one").unwrap();
        let dir = Dir::open(place.path(), Trust::Owned).unwrap();
        let identity = FileIdentity::of(&place.path().join("file"));
        assert_eq!(dir.identity("file").unwrap(), identity);
        assert_eq!(identity.unwrap().size(), 3);
        assert_eq!(dir.identity("missing").unwrap(), None);
    }

    #[test]
    fn an_in_place_change_with_restored_times_is_detected() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "one").unwrap();
        let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        file.as_file().set_modified(past).unwrap();
        let before = FileIdentity::of(file.path()).unwrap();
        let after = loop {
            fs::write(file.path(), "two").unwrap();
            file.as_file().set_modified(past).unwrap();
            let after = FileIdentity::of(file.path()).unwrap();
            // Within one tick of the clock the two are indistinguishable.
            if after.changed != before.changed {
                break after;
            }
        };
        assert_eq!((after.size, after.modified), (before.size, before.modified));
        assert_ne!(after, before);
    }
}
