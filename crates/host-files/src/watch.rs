//! Hints that files changed, from inotify(7).
//!
//! *Flow.* The caller names [`Place`]s and waits for [`Watch::changed`]; it names them again at each call, so that a
//! directory that was created or replaced meanwhile is watched from then on.
//! *Guarantees.* A change between two calls is reported by the second, and so is a place that the first did not watch; a
//! call that is dropped reports nothing, and the next one reports its changes. No call fails: without inotify, or on a file system that does not respond, it never returns, and the next call tries again.
//! *Caveats.* A hint may be lost or needless: the kernel drops events when a queue is full, and does not report changes
//! behind a link in the middle of a path or on the server of a network file system. The caller observes everything
//! regularly in any case.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::{CStr, OsStr, OsString};
use std::future::pending;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, io, mem};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use tokio::sync::Notify;
use tracing::{debug, warn};

use crate::blocking;

/// Time limit for adding the watches.
const LIMIT: Duration = Duration::from_secs(10);

/// Above this number, changed files are reported as [`Changes::Any`].
const CHANGES_LIMIT: usize = 256;

/// The stack of the thread in bytes; it reads a few events at a time.
const STACK: usize = 64 * 1024;

/// The names in a directory whose changes matter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    directory: PathBuf,
    names: Names,
    /// Whether the kernel writes the file itself, so that nobody closes it.
    by_kernel: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Names {
    One(OsString),
    StartingWith(OsString),
    Extension(&'static str),
}

impl Place {
    /// One file, link or directory, which may be missing; `None` for a path without a file name.
    pub fn file(path: &Path) -> Option<Self> {
        let (directory, name) = (path.parent()?.to_owned(), path.file_name()?.to_owned());
        Some(Self { directory, names: Names::One(name), by_kernel: false })
    }

    /// A file, and all others in its directory whose names start with its name; `None` for a path without a file name.
    pub fn starting_with(path: &Path) -> Option<Self> {
        let (directory, name) = (path.parent()?.to_owned(), path.file_name()?.to_owned());
        Some(Self { directory, names: Names::StartingWith(name), by_kernel: false })
    }

    /// One file that the kernel changes, such as `cgroup.events`; `None` for a path without a file name.
    pub fn kernel_file(path: &Path) -> Option<Self> {
        Some(Self { by_kernel: true, ..Self::file(path)? })
    }

    /// All names in `directory`.
    pub fn directory(directory: impl Into<PathBuf>) -> Self {
        let names = Names::StartingWith(OsString::new());
        Self { directory: directory.into(), names, by_kernel: false }
    }

    /// All names in `directory` with this extension, given without a dot.
    pub fn with_extension(directory: impl Into<PathBuf>, extension: &'static str) -> Self {
        Self { directory: directory.into(), names: Names::Extension(extension), by_kernel: false }
    }

    /// Returns the file, if this is only one.
    fn only_file(&self) -> Option<PathBuf> {
        match &self.names {
            Names::One(name) => Some(self.directory.join(name)),
            Names::StartingWith(_) | Names::Extension(_) => None,
        }
    }

    fn holds(&self, name: &[u8]) -> bool {
        match &self.names {
            Names::One(one) => one.as_bytes() == name,
            Names::StartingWith(prefix) => name.starts_with(prefix.as_bytes()),
            Names::Extension(extension) => {
                name.strip_suffix(extension.as_bytes()).is_some_and(|stem| stem.ends_with(b"."))
            }
        }
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

/// Watches files, in a thread of its own that ends with this value.
#[derive(Default)]
pub struct Watch {
    queue: Mutex<Option<Arc<Queue>>>,
    /// A directory that does not respond costs one thread.
    adding: blocking::Lock,
    warned: AtomicBool,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

/// The kernel's queue of events.
struct Queue {
    events: OwnedFd,
    /// Ends the thread.
    stop: OwnedFd,
    watched: Mutex<Watched>,
    /// What no call has reported yet.
    changes: Mutex<Changes>,
    changed: Notify,
    /// Whether the thread has ended, after an error of the kernel.
    has_ended: AtomicBool,
}

/// The places by the kernel's descriptor of their directory.
type Places = BTreeMap<i32, Vec<Place>>;

/// The places of the last call. Those of the call before it stay until the next one, because events of a directory that
/// was replaced may still be in the queue.
#[derive(Default)]
struct Watched {
    current: Places,
    former: Places,
}

impl Watched {
    fn at(&self, descriptor: i32) -> Option<impl Iterator<Item = &Place>> {
        let (current, former) = (self.current.get(&descriptor), self.former.get(&descriptor));
        (current.is_some() || former.is_some()).then(|| current.into_iter().chain(former).flatten())
    }
}

impl Watch {
    /// Waits until one of `places` changed since the last call, or is watched for the first time, and returns which.
    pub async fn changed(&self, places: Vec<Place>) -> Changes {
        match self.queue_of(places).await {
            Ok(queue) => {
                queue.changed.notified().await;
                mem::take(&mut *lock(&queue.changes))
            }
            Err(error) => {
                // Once: a file system that hangs fails each call.
                if !self.warned.swap(true, Ordering::Relaxed) {
                    warn!("failed to watch files; a change may wait for the resync: {error}");
                }
                pending().await
            }
        }
    }

    /// Returns the queue, in which `places` are watched.
    async fn queue_of(&self, places: Vec<Place>) -> io::Result<Arc<Queue>> {
        let queue = {
            let mut queue = lock(&self.queue);
            match &*queue {
                Some(queue) if !queue.has_ended.load(Ordering::Relaxed) => Arc::clone(queue),
                Some(_) | None => Arc::clone(queue.insert(Queue::open()?)),
            }
        };
        let (own, lock) = (Arc::clone(&queue), self.adding.clone());
        let added = blocking::within_locked(LIMIT, &lock, move || own.watch(places));
        added.await.map_err(io::Error::other)?;
        Ok(queue)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(queue) = lock(&self.queue).take() {
            // A thread that cannot be woken ends with the process.
            let _ = rustix::io::write(&queue.stop, &1_u64.to_ne_bytes());
        }
    }
}

impl Queue {
    fn new() -> io::Result<Self> {
        Ok(Self {
            events: inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?,
            stop: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            watched: Mutex::default(),
            changes: Mutex::default(),
            changed: Notify::new(),
            has_ended: AtomicBool::new(false),
        })
    }

    /// Starts the thread.
    fn open() -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self::new()?);
        let own = Arc::clone(&queue);
        let thread = std::thread::Builder::new().name("watch".to_owned()).stack_size(STACK);
        thread.spawn(move || {
            if let Err(error) = own.follow() {
                warn!("inotify failed; a change may wait for the resync: {error}");
                own.has_ended.store(true, Ordering::Relaxed);
            }
        })?;
        Ok(queue)
    }

    /// Reports relevant events until the watch is dropped.
    fn follow(&self) -> io::Result<()> {
        loop {
            let mut ready =
                [PollFd::new(&self.events, PollFlags::IN), PollFd::new(&self.stop, PollFlags::IN)];
            match poll(&mut ready, None) {
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
                Ok(_) if !ready[1].revents().is_empty() => return Ok(()),
                Ok(_) => {}
            }
            self.read()?;
        }
    }

    /// Reads all pending events and reports the relevant ones.
    fn read(&self) -> io::Result<()> {
        read(&self.events, &lock(&self.watched), |changed| self.report(changed))
    }

    fn report(&self, changed: Option<PathBuf>) {
        lock(&self.changes).add(changed);
        self.changed.notify_one();
    }

    /// Watches exactly `places`. One that was not watched before counts as changed, because its changes were not seen.
    fn watch(&self, places: Vec<Place>) {
        let added = added(&self.events, places);
        let watched = &mut *lock(&self.watched);
        let known: HashSet<&Place> = watched.current.values().flatten().collect();
        let new = added.values().flatten().filter(|place| !known.contains(place));
        new.for_each(|place| self.report(place.only_file()));
        let last = mem::replace(&mut watched.current, added);
        let former = mem::replace(&mut watched.former, last);
        for descriptor in former.keys().filter(|descriptor| watched.at(**descriptor).is_none()) {
            // The kernel has removed the watch of a removed directory already.
            let _ = inotify::remove_watch(&self.events, *descriptor);
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
                    watched.entry(descriptor).or_default().push(it);
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

/// Reads all pending events and reports the relevant ones.
fn read(events: &OwnedFd, watched: &Watched, report: impl Fn(Option<PathBuf>)) -> io::Result<()> {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(events, &mut buffer);
    loop {
        let event = match reader.next() {
            Ok(event) => event,
            Err(Errno::AGAIN) => return Ok(()),
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        match (watched.at(event.wd()), event.file_name().map(CStr::to_bytes)) {
            (None, _) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => report(None),
            // The event belongs to a former watch.
            (None, _) => {}
            // The directory itself: a change of its mode may open or close it.
            (Some(places), None) => places.for_each(|place| report(place.only_file())),
            (Some(mut places), Some(name)) => {
                if let Some(place) = places.find(|place| place.holds(name)) {
                    report(Some(place.directory.join(OsStr::from_bytes(name))));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
