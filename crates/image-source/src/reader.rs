//! [`Reader`]: file reads that may hang, with a time limit.
//!
//! Each read runs on a separate thread. An unresponsive file system costs one thread per read target, however often it
//! is requested, and neither blocks the runtime nor exhausts its blocking threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::{Mutex, oneshot};
use tokio::time::{Instant, timeout_at};

/// The read timed out, or an earlier read is overdue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoAnswer;

/// Reads one target, one read at a time. Clones share the target.
#[derive(Debug, Clone, Default)]
pub struct Reader {
    running: Arc<Mutex<()>>,
    /// Whether the running read has timed out.
    overdue: Arc<AtomicBool>,
}

impl Reader {
    /// Runs `work` and returns its result.
    ///
    /// Waits for an earlier read first, because `work` must see the current state, but not for one that timed out.
    ///
    /// # Errors
    /// [`NoAnswer`] after `limit`, or immediately if an earlier read is overdue; also if `work` panics or no thread can
    /// be started.
    pub async fn read<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        let deadline = Instant::now() + limit;
        let turn = match Arc::clone(&self.running).try_lock_owned() {
            Ok(turn) => turn,
            Err(_) if self.overdue.load(Ordering::SeqCst) => return Err(NoAnswer),
            Err(_) => {
                let turn = timeout_at(deadline, Arc::clone(&self.running).lock_owned()).await;
                turn.map_err(|_| self.give_up())?
            }
        };
        self.overdue.store(false, Ordering::SeqCst);
        let (sender, answer) = oneshot::channel();
        let run = move || {
            let result = work();
            drop(turn);
            // The caller may have timed out.
            let _ = sender.send(result);
        };
        thread::Builder::new()
            .name("companion-files".to_owned())
            .spawn(run)
            .map_err(|_| NoAnswer)?;
        match timeout_at(deadline, answer).await {
            Ok(answer) => answer.map_err(|_| NoAnswer),
            Err(_) => Err(self.give_up()),
        }
    }

    /// Returns whether a read is running, overdue or not.
    pub fn is_running(&self) -> bool {
        self.running.try_lock().is_err()
    }

    fn give_up(&self) -> NoAnswer {
        self.overdue.store(true, Ordering::SeqCst);
        NoAnswer
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
        assert_eq!(reader.read(Duration::from_millis(10), work).await, Err(NoAnswer));
        assert!(reader.is_running());
        // With waiting, this would take a minute, and the second read would run concurrently.
        let second = reader.read(LONG, || -> u32 { panic!("it must not start") }).await;
        assert_eq!(second, Err(NoAnswer));
        drop(release);
        while reader.is_running() {
            tokio::task::yield_now().await;
        }
        assert_eq!(reader.read(LONG, || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn a_read_that_runs_is_waited_for_and_then_made_again() {
        let reader = Reader::default();
        let (release, work) = hanging();
        let (first, second, ()) =
            tokio::join!(reader.read(LONG, work), reader.read(LONG, || 7), async {
                drop(release);
            });
        assert_eq!((first, second), (Ok(()), Ok(7)));
    }

    #[tokio::test]
    async fn a_dropped_call_leaves_its_read_running_and_the_next_one_gives_up() {
        let reader = Reader::default();
        let (release, work) = hanging();
        let dropped = tokio::time::timeout(Duration::from_millis(10), reader.read(LONG, work));
        assert!(dropped.await.is_err());
        let next = reader.read(Duration::from_millis(10), || 7).await;
        assert_eq!(next, Err(NoAnswer));
        drop(release);
        while reader.is_running() {
            tokio::task::yield_now().await;
        }
        assert_eq!(reader.read(LONG, || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn a_read_that_panics_fails_and_blocks_no_other_read() {
        let reader = Reader::default();
        let panicking = || -> u32 { panic!("expected panic") };
        assert_eq!(reader.read(LONG, panicking).await, Err(NoAnswer));
        assert_eq!(reader.read(LONG, || 7).await, Ok(7));
    }
}
