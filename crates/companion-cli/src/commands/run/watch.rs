//! Watches the files that trigger a reconcile: units, the desired state, and catalogs.
//!
//! The watch is best-effort: the kernel may drop events and directories may be replaced; the resync
//! detects every change.

use std::ffi::{CStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use tokio::sync::Notify;

/// The stack of the watching thread; it reads a few events at a time.
const STACK: usize = 64 * 1024;

/// A directory, and the relevant names in it.
#[derive(Debug)]
pub(super) struct Watched {
    directory: PathBuf,
    names: Names,
}

/// The relevant names in a directory.
#[derive(Debug)]
enum Names {
    /// The names of units.
    Units,
    /// This name.
    One(OsString),
}

impl Names {
    fn hold(&self, name: &[u8]) -> bool {
        match self {
            Self::Units => name.ends_with(b".container"),
            Self::One(one) => one.as_bytes() == name,
        }
    }
}

impl Watched {
    /// The directory of units.
    pub(super) fn units(directory: PathBuf) -> Self {
        Self { directory, names: Names::Units }
    }

    /// The desired state in a state directory, where other files change with every reconcile.
    pub(super) fn desired_state(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), names: Names::One("desired.json".into()) }
    }

    /// One file, which may be missing; `None` for a path without a file name.
    pub(super) fn file(path: &Path) -> Option<Self> {
        let (directory, name) = (path.parent()?.to_owned(), path.file_name()?.to_owned());
        Some(Self { directory, names: Names::One(name) })
    }
}

/// Notifies `wake` at each change. A directory created later is added at the next resync.
///
/// Runs in a separate thread until the process exits.
///
/// # Errors
/// Fails if the kernel has no free inotify instance.
pub(super) fn spawn(watched: Vec<Watched>, wake: Arc<Notify>, resync: Duration) -> io::Result<()> {
    let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    let resync = Timespec { tv_sec: resync.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: 0 };
    let follow = move || {
        loop {
            // Watch again each time, in case a directory was replaced.
            let descriptors = add(&events, &watched);
            let mut waited_for = [PollFd::new(&events, PollFlags::IN)];
            match poll(&mut waited_for, Some(&resync)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => {
                    return tracing::warn!("inotify failed; relying on the resync: {error}");
                }
            }
            match read(&events, &watched, &descriptors) {
                Ok(true) => wake.notify_one(),
                Ok(false) => {}
                Err(error) => {
                    return tracing::warn!("inotify failed; relying on the resync: {error}");
                }
            }
        }
    };
    std::thread::Builder::new().name("watch".to_owned()).stack_size(STACK).spawn(follow)?;
    Ok(())
}

/// Watches each existing directory; a repeated watch has no effect.
fn add(events: &OwnedFd, watched: &[Watched]) -> Vec<Option<i32>> {
    let what = WatchFlags::MOVED_TO
        | WatchFlags::MOVED_FROM
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::DELETE
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR;
    let add = |one: &Watched| inotify::add_watch(events, &one.directory, what).ok();
    watched.iter().map(add).collect()
}

/// Reads all pending events, and returns whether one of them is relevant.
fn read(
    events: &OwnedFd,
    watched: &[Watched],
    descriptors: &[Option<i32>],
) -> rustix::io::Result<bool> {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(events, &mut buffer);
    let mut matters = false;
    loop {
        let event = match reader.next() {
            Ok(event) => event,
            Err(rustix::io::Errno::AGAIN) => return Ok(matters),
            Err(error) => return Err(error),
        };
        // One directory may be watched for several names.
        let of = |descriptor: &Option<i32>| *descriptor == Some(event.wd());
        let mut of = descriptors.iter().zip(watched).filter(|(it, _)| of(it)).peekable();
        matters |= match (of.peek(), event.file_name().map(CStr::to_bytes)) {
            // The queue overflowed (without a descriptor), or a directory was removed.
            (None, _) => event.events().contains(ReadFlags::QUEUE_OVERFLOW),
            (Some(_), None) => true,
            (Some(_), Some(name)) => of.any(|(_, watched)| watched.names.hold(name)),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Returns whether the changes of `act` wake the daemon.
    fn wakes(act: impl FnOnce(&Path)) -> bool {
        let place = tempfile::tempdir().unwrap();
        let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        let (units, state) = (place.path().join("units"), place.path().join("state"));
        let watched = [Watched::units(units), Watched::desired_state(state)];
        for one in &watched {
            fs::create_dir(&one.directory).unwrap();
        }
        let descriptors = add(&events, &watched);
        act(place.path());
        read(&events, &watched, &descriptors).unwrap()
    }

    #[test]
    fn written_replaced_or_deleted_unit_wakes_the_daemon() {
        assert!(wakes(|at| fs::write(at.join("units/a.container"), "x").unwrap()));
        assert!(wakes(|at| {
            fs::write(at.join("new"), "x").unwrap();
            fs::rename(at.join("new"), at.join("units/a.container")).unwrap();
        }));
        assert!(wakes(|at| fs::remove_dir(at.join("units")).unwrap()));
    }

    #[test]
    fn desired_state_wakes_the_daemon_and_lock_files_do_not() {
        assert!(wakes(|at| fs::write(at.join("state/desired.json"), "x").unwrap()));
        assert!(!wakes(|at| fs::write(at.join("state/lock"), "").unwrap()));
        assert!(!wakes(|at| fs::write(at.join("units/.a.container.X1"), "").unwrap()));
    }

    #[test]
    fn each_of_several_files_in_one_directory_wakes() {
        let place = tempfile::tempdir().unwrap();
        let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        let files = ["one.toml", "two.toml"].map(|name| place.path().join(name));
        let watched: Vec<_> = files.iter().filter_map(|file| Watched::file(file)).collect();
        let descriptors = add(&events, &watched);
        for file in &files {
            fs::write(file, "x").unwrap();
            assert!(read(&events, &watched, &descriptors).unwrap(), "{}", file.display());
        }
        fs::write(place.path().join("three.toml"), "x").unwrap();
        assert!(!read(&events, &watched, &descriptors).unwrap());
    }

    #[test]
    fn reads_do_not_wake_the_daemon() {
        assert!(!wakes(|at| {
            assert!(fs::read(at.join("units/a.container")).is_err());
            assert_eq!(fs::read_dir(at.join("units")).unwrap().count(), 0);
        }));
    }
}
