//! [`Reader`]: file reads of one target, of which a hung one holds up its caller once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use host_files::blocking::{self, Lock, Stuck};

/// Reads one target, one read at a time. Clones share the target.
///
/// An unresponsive file system costs one thread per target, however often it is requested.
#[derive(Debug, Clone, Default)]
pub struct Reader {
    running: Lock,
    /// Whether the running read has timed out.
    overdue: Arc<AtomicBool>,
}

impl Reader {
    /// Runs `work` and returns its result.
    ///
    /// Waits for an earlier read first, because `work` must see the current state, but not for one that timed out.
    ///
    /// # Errors
    /// [`Stuck`] after `limit`, or immediately if an earlier read is overdue; also if `work` panics.
    pub async fn read<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Stuck> {
        if !self.is_running() {
            self.overdue.store(false, Ordering::SeqCst);
        } else if self.overdue.load(Ordering::SeqCst) {
            return Err(Stuck::Busy);
        }
        let read = blocking::within_locked(limit, &self.running, work).await;
        self.overdue.store(read.is_err(), Ordering::SeqCst);
        read
    }

    /// Returns whether a read is running, overdue or not.
    pub fn is_running(&self) -> bool {
        self.running.try_lock().is_err()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// Returns a read that hangs until the sender is dropped.
    fn hanging() -> (mpsc::Sender<()>, impl FnOnce() + Send + 'static) {
        let (release, wait) = mpsc::channel::<()>();
        let work = move || {
            let _released = wait.recv();
        };
        (release, work)
    }

    #[tokio::test]
    async fn a_read_that_hangs_is_waited_for_once_and_never_started_twice() {
        let reader = Reader::default();
        let (release, work) = hanging();
        assert!(reader.read(Duration::from_millis(10), work).await.is_err());
        assert!(reader.is_running());
        // With waiting, this would take a minute, and the second read would run concurrently.
        let second = reader.read(LONG, || -> u32 { panic!("it must not start") }).await;
        assert!(second.is_err());
        drop(release);
        while reader.is_running() {
            tokio::task::yield_now().await;
        }
        // The next one is waited for again.
        let (release, work) = hanging();
        let (first, second, ()) =
            tokio::join!(reader.read(LONG, work), reader.read(LONG, || 7), async {
                drop(release);
            });
        assert!(first.is_ok() && second.is_ok_and(|seven| seven == 7));
    }

    #[tokio::test]
    async fn a_read_that_runs_is_waited_for_and_then_made_again() {
        let reader = Reader::default();
        let (release, work) = hanging();
        let (first, second, ()) =
            tokio::join!(reader.read(LONG, work), reader.read(LONG, || 7), async {
                drop(release);
            });
        assert!(first.is_ok() && second.is_ok_and(|seven| seven == 7));
    }
}
