//! Runs file work on a blocking thread and waits a bounded time, because a network file system may hang.
//!
//! - The work itself completes, also if the caller was cancelled or the time limit passed.
//! - A result that arrives too late is dropped on the blocking thread.
//! - Work that hangs occupies a thread. The error says how much work is waiting, and beyond [`RUNNING_LIMIT`] new work is
//!   refused immediately, so that a file system that hangs for hours does not take all threads of the process.
//! - Serialised work holds its lock until it completes, so that earlier work never takes effect after later work.

use std::sync::Arc;
use std::time::Duration;

use companion_core::ports::{PortError, PortErrorKind, PortResult};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinError;
use tokio::time::{Instant, timeout_at};

/// Time limit for file work. A local file system needs milliseconds.
pub const FILE_LIMIT: Duration = Duration::from_secs(30);

/// Maximum amount of file work of this process at the same time. Tokio has 512 blocking threads by default.
pub const RUNNING_LIMIT: usize = 256;

/// One permit for each further work of this process.
static PERMITS: Semaphore = Semaphore::const_new(RUNNING_LIMIT);

/// Serialises file work: see [`within_locked`]. Clones are the same lock.
pub type Lock = Arc<Mutex<()>>;

/// Why the result of file work is unknown. The work itself may still complete.
#[derive(Debug, thiserror::Error)]
pub enum Stuck {
    /// The work panicked, or the runtime is shutting down. The source quotes the message of the panic.
    #[error("the work was cut off")]
    CutOff(#[from] JoinError),
    /// The work exceeded its time limit, or did not start, because [`RUNNING_LIMIT`] calls have not ended.
    #[error("the file system does not respond; {running} call(s) are waiting for it")]
    NoAnswer {
        /// The file work of this process that has not ended.
        running: usize,
    },
    /// Earlier work held the lock until the time limit; this work did not start.
    #[error("an earlier change is still in progress")]
    Busy,
}

impl Stuck {
    /// Returns the port error for `attempt`, a verb phrase that follows "failed to".
    pub fn during(self, attempt: &str) -> PortError {
        let message = format!("failed to {attempt}");
        PortError::new(PortErrorKind::Transient, message).with_source(self)
    }
}

/// Runs `work` and waits at most `limit` for its result.
///
/// # Errors
/// [`Stuck::CutOff`] and [`Stuck::NoAnswer`].
pub async fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Stuck> {
    until(&PERMITS, Instant::now() + limit, work).await
}

/// Runs `work` when no other work holds `lock`, and waits at most `limit` for the lock and the result.
///
/// # Errors
/// [`Stuck`].
pub async fn within_locked<T: Send + 'static>(
    limit: Duration,
    lock: &Lock,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Stuck> {
    let deadline = Instant::now() + limit;
    let turn = timeout_at(deadline, Arc::clone(lock).lock_owned());
    let guard = turn.await.map_err(|_elapsed| Stuck::Busy)?;
    let locked = move || {
        let _until_done = guard;
        work()
    };
    until(&PERMITS, deadline, locked).await
}

async fn until<T: Send + 'static>(
    permits: &'static Semaphore,
    deadline: Instant,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Stuck> {
    let no_answer = || {
        let running = RUNNING_LIMIT.saturating_sub(permits.available_permits());
        Stuck::NoAnswer { running }
    };
    let permit = permits.try_acquire().map_err(|_none_left| no_answer())?;
    let counted = move || {
        let _until_done = permit;
        work()
    };
    let done = timeout_at(deadline, tokio::task::spawn_blocking(counted)).await;
    Ok(done.map_err(|_elapsed| no_answer())??)
}

/// Runs the `work` of a port within [`FILE_LIMIT`]; `attempt` is a verb phrase that follows "failed to".
///
/// # Errors
/// The error of `work`, or `Transient` if its result is unknown.
pub async fn run<T: Send + 'static>(
    attempt: &str,
    work: impl FnOnce() -> PortResult<T> + Send + 'static,
) -> PortResult<T> {
    within(FILE_LIMIT, work).await.unwrap_or_else(|stuck| Err(stuck.during(attempt)))
}

/// Runs the `work` of a port as [`run`] does, when no other work holds `lock`.
///
/// # Errors
/// As [`run`].
pub async fn run_locked<T: Send + 'static>(
    attempt: &str,
    lock: &Lock,
    work: impl FnOnce() -> PortResult<T> + Send + 'static,
) -> PortResult<T> {
    let done = within_locked(FILE_LIMIT, lock, work).await;
    done.unwrap_or_else(|stuck| Err(stuck.during(attempt)))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn work_that_hangs_holds_up_neither_its_caller_nor_the_loop() {
        let (release, held) = mpsc::channel::<()>();
        let (dropped, seen) = mpsc::channel();
        struct Left(mpsc::Sender<std::thread::ThreadId>);
        impl Drop for Left {
            fn drop(&mut self) {
                self.0.send(std::thread::current().id()).unwrap();
            }
        }
        let hung = within(SHORT, move || {
            let _until_released = held.recv();
            Left(dropped)
        });
        let concurrent = async {
            tokio::task::yield_now().await;
            "it goes on"
        };
        let (hung, concurrent) = tokio::join!(hung, concurrent);
        let Err(hung @ Stuck::NoAnswer { running: 1.. }) = hung else { panic!("it did not hang") };
        assert!(hung.to_string().contains("call(s) are waiting"), "{hung}");
        assert_eq!(concurrent, "it goes on");
        drop(release);
        let thread = tokio::task::spawn_blocking(move || seen.recv().unwrap()).await.unwrap();
        assert_ne!(
            thread,
            std::thread::current().id(),
            "the late result is dropped on the blocking thread"
        );
    }

    #[tokio::test]
    async fn work_beyond_the_limit_is_refused_until_earlier_work_ends() {
        static PERMITS: Semaphore = Semaphore::const_new(1);
        let (release, held) = mpsc::channel::<()>();
        let hung = until(&PERMITS, Instant::now() + SHORT, move || held.recv().unwrap_or(())).await;
        let refused = until(&PERMITS, Instant::now() + FILE_LIMIT, || ()).await;
        for result in [hung, refused] {
            assert!(matches!(result, Err(Stuck::NoAnswer { .. })), "{result:?}");
        }
        drop(release);
        drop(PERMITS.acquire().await);
        until(&PERMITS, Instant::now() + FILE_LIMIT, || ()).await.unwrap();
    }

    #[tokio::test]
    async fn work_that_panics_is_an_error() {
        let cut_off = within(FILE_LIMIT, || panic!("it breaks")).await;
        assert!(matches!(cut_off, Err(Stuck::CutOff(_))));
    }

    #[tokio::test]
    async fn work_of_a_cancelled_caller_holds_the_lock_until_it_completes() {
        let lock = Lock::default();
        let (started, has_started) = mpsc::channel();
        let (release, held) = mpsc::channel::<()>();
        let work = move || {
            started.send(()).unwrap();
            let _until_released = held.recv();
            Ok(())
        };
        let other = Arc::clone(&lock);
        let caller = tokio::spawn(async move { run_locked("write", &other, work).await });
        tokio::task::spawn_blocking(move || has_started.recv().unwrap()).await.unwrap();
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        let error = within_locked(SHORT, &lock, || ()).await.unwrap_err();
        assert!(matches!(error, Stuck::Busy), "{error}");
        let error = error.during("remove the unit");
        assert_eq!(error.kind(), PortErrorKind::Transient);
        let chain = "failed to remove the unit: an earlier change is still in progress";
        assert_eq!(error.chain(), chain);
        drop(release);
        run_locked("remove", &lock, || Ok(())).await.unwrap();
    }
}
