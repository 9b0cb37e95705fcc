//! Hints that files changed, from inotify(7).
//!
//! *Flow.* The caller names [`Place`]s and waits for [`Watch::changed`]; it names them again at each call, so that a
//! directory that was created or replaced meanwhile is watched from then on.
//! *Guarantees.* A change between two calls is reported by the second, and so is a place that the first did not watch; a
//! call that is dropped reports nothing, and the next one reports its changes. No call fails: without inotify, or on a file system that does not respond, it never returns, and the next call tries again.
//! *Caveats.* A hint may be lost or needless: the kernel drops events when a queue is full, and does not report changes
//! behind a link in the middle of a path or on the server of a network file system. The caller observes everything
//! regularly in any case.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::future::pending;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, mem};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tracing::{debug, warn};

use crate::blocking;

/// Time limit for adding the watches.
const LIMIT: Duration = Duration::from_secs(10);

/// Above this number, changed files are reported as [`Changes::Any`].
const CHANGES_LIMIT: usize = 256;

/// The names in a directory whose changes matter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    directory: PathBuf,
    name: OsString,
    /// Whether all names that start with it matter.
    is_prefix: bool,
    /// Whether the kernel writes the file itself, so that nobody closes it.
    by_kernel: bool,
}

impl Place {
    /// One file, link or directory, which may be missing; `None` for a path without a file name.
    pub fn file(path: &Path) -> Option<Self> {
        let (directory, name) = (path.parent()?.to_owned(), path.file_name()?.to_owned());
        Some(Self { directory, name, is_prefix: false, by_kernel: false })
    }

    /// A file, and all others in its directory whose names start with its name; `None` for a path without a file name.
    pub fn starting_with(path: &Path) -> Option<Self> {
        Some(Self { is_prefix: true, ..Self::file(path)? })
    }

    /// One file that the kernel changes, such as `cgroup.events`; `None` for a path without a file name.
    pub fn kernel_file(path: &Path) -> Option<Self> {
        Some(Self { by_kernel: true, ..Self::file(path)? })
    }

    /// All names in `directory`.
    pub fn directory(directory: impl Into<PathBuf>) -> Self {
        let (directory, name) = (directory.into(), OsString::new());
        Self { directory, name, is_prefix: true, by_kernel: false }
    }

    /// Returns the file, if this is only one.
    fn only_file(&self) -> Option<PathBuf> {
        (!self.is_prefix).then(|| self.directory.join(&self.name))
    }

    fn holds(&self, name: &OsStr) -> bool {
        name == self.name || self.is_prefix && name.as_bytes().starts_with(self.name.as_bytes())
    }
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// These files, by the directory of their [`Place`]; of a missing directory, the nearest part of its path.
    Files(BTreeSet<PathBuf>),
    /// Any of the watched files.
    Any,
}

impl Default for Changes {
    fn default() -> Self {
        Self::Files(BTreeSet::new())
    }
}

impl Changes {
    /// Adds a file, or any file.
    fn add(&mut self, changed: Option<PathBuf>) {
        match (&mut *self, changed) {
            (Self::Files(files), Some(file)) if files.len() < CHANGES_LIMIT => {
                files.insert(file);
            }
            _ => *self = Self::Any,
        }
    }
}

/// Watches files. Its calls need a Tokio runtime with I/O.
#[derive(Debug, Default)]
pub struct Watch {
    queue: Mutex<Option<Arc<Queue>>>,
    /// A directory that does not respond costs one thread.
    adding: blocking::Lock,
    warned: AtomicBool,
}

/// The kernel's queue of events.
#[derive(Debug)]
struct Queue {
    events: AsyncFd<OwnedFd>,
    seen: Mutex<Seen>,
}

/// The places by the kernel's descriptor of their directory.
type Places = BTreeMap<i32, BTreeSet<Place>>;

#[derive(Debug, Default)]
struct Seen {
    /// The places of the last call.
    places: Places,
    /// What no call has reported yet.
    changes: Changes,
}

impl Watch {
    /// Waits until one of `places` changed since the last call, or is watched for the first time, and returns which.
    pub async fn changed(&self, places: Vec<Place>) -> Changes {
        match self.wait(places).await {
            Ok(changes) => changes,
            Err(error) => {
                // The next call opens another queue.
                *lock(&self.queue) = None;
                // Once: a file system that hangs fails each call.
                if !self.warned.swap(true, Ordering::Relaxed) {
                    warn!("failed to watch files; a change may wait for the resync: {error}");
                }
                pending().await
            }
        }
    }

    async fn wait(&self, places: Vec<Place>) -> io::Result<Changes> {
        let queue = {
            let mut queue = lock(&self.queue);
            match &*queue {
                Some(queue) => Arc::clone(queue),
                None => Arc::clone(queue.insert(Arc::new(Queue::open()?))),
            }
        };
        let own = Arc::clone(&queue);
        let added = blocking::within_locked(LIMIT, &self.adding, move || own.watch(places));
        added.await.map_err(io::Error::other)?;
        loop {
            let changes = queue.read()?;
            if changes != Changes::default() {
                return Ok(changes);
            }
            queue.events.readable().await?.clear_ready();
        }
    }
}

impl Queue {
    #[expect(
        deprecated,
        reason = "its replacement is unsafe; an `OwnedFd` stays open as long as it"
    )]
    fn open() -> io::Result<Self> {
        let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        Ok(Self { events: AsyncFd::new(events)?, seen: Mutex::default() })
    }

    /// Watches exactly `places`. One that was not watched before in this directory counts as changed, because its changes
    /// were not seen.
    fn watch(&self, places: Vec<Place>) {
        let added = added(self.events.get_ref(), places);
        let Seen { places, changes } = &mut *lock(&self.seen);
        for (descriptor, added) in &added {
            let known = places.get(descriptor);
            let new = added.iter().filter(|place| known.is_none_or(|known| !known.contains(place)));
            new.for_each(|place| changes.add(place.only_file()));
        }
        let former = mem::replace(places, added);
        for descriptor in former.keys().filter(|descriptor| !places.contains_key(descriptor)) {
            // The kernel has removed the watch of a removed directory already.
            let _ = inotify::remove_watch(self.events.get_ref(), *descriptor);
        }
    }

    /// Reads all pending events, and returns what no call has reported yet.
    fn read(&self) -> io::Result<Changes> {
        let Seen { places, changes } = &mut *lock(&self.seen);
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(self.events.get_ref(), &mut buffer);
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::AGAIN) => return Ok(mem::take(changes)),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            match (places.get(&event.wd()), event.file_name()) {
                (None, _) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => {
                    changes.add(None)
                }
                // The event belongs to a former watch.
                (None, _) => {}
                // The directory itself: a change of its mode may open or close it.
                (Some(places), None) => {
                    places.iter().for_each(|place| changes.add(place.only_file()));
                }
                (Some(places), Some(name)) => {
                    let name = OsStr::from_bytes(name.to_bytes());
                    if let Some(place) = places.iter().find(|place| place.holds(name)) {
                        changes.add(Some(place.directory.join(name)));
                    }
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Watches the directory of each place; a repeated watch has no effect. Of a missing directory the nearest existing
/// one above it is watched for its next component.
fn added(events: &OwnedFd, places: Vec<Place>) -> Places {
    let what = WatchFlags::MOVED_TO
        | WatchFlags::MOVED_FROM
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::CREATE
        | WatchFlags::ATTRIB
        | WatchFlags::DELETE
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR;
    let mut watched = Places::new();
    for place in places {
        // Only here, because it is reported for every write in the directory.
        let what = if place.by_kernel { what | WatchFlags::MODIFY } else { what };
        let mut place = Some(place);
        while let Some(it) = place {
            match inotify::add_watch(events, &it.directory, what) {
                Ok(descriptor) => {
                    watched.entry(descriptor).or_default().insert(it);
                    break;
                }
                Err(Errno::NOENT | Errno::NOTDIR) => place = Place::file(&it.directory),
                Err(error) => {
                    debug!("failed to watch `{}`: {error}", it.directory.display());
                    break;
                }
            }
        }
    }
    watched
}

#[cfg(test)]
mod tests;
