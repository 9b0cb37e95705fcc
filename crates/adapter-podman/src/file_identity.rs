//! Which file lies at a path at one moment, told by one `stat` and without opening it.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// One file at one moment: any replacement or change of it gives another identity.
///
/// Nobody but root can set the time of change back (inode(7)), so contents that were changed in
/// place and given their old times are told apart too. Two changes within one resync of the file
/// system's clock are not: see [`was_settled`](Self::was_settled).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileIdentity {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds since 1970, and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileIdentity {
    /// The file at `path`, behind links; `None` when there is none or it cannot be examined.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        Some(Self::from(&fs::metadata(path).ok()?))
    }

    /// The size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Whether it had stood unchanged for `margin` at `moment`.
    ///
    /// Whatever changes it later then carries a later time, however coarse the file system's clock
    /// is and even if the inode's number is used again. A time in the future tells nothing.
    pub(crate) fn was_settled(&self, moment: SystemTime, margin: Duration) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn contents_that_were_changed_in_place_and_given_their_old_times_are_another_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "one").unwrap();
        let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        file.as_file().set_modified(past).unwrap();
        let before = FileIdentity::of(file.path()).unwrap();
        let after = loop {
            fs::write(file.path(), "two").unwrap();
            file.as_file().set_modified(past).unwrap();
            let after = FileIdentity::of(file.path()).unwrap();
            // Within one resync of the clock the two cannot be told apart.
            if after.changed != before.changed {
                break after;
            }
        };
        assert_eq!((after.size, after.modified), (before.size, before.modified));
        assert_ne!(after, before);
    }
}
