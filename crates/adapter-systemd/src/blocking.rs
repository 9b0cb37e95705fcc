//! Runs file work that may block on a separate thread, with a time limit.

use std::time::Duration;

/// Time limit for file work. A local file system needs milliseconds; a network file system may hang.
pub(crate) const FILE_LIMIT: Duration = Duration::from_secs(30);

/// Why the result of file work is unknown. The work itself may still complete.
#[derive(Debug, thiserror::Error)]
pub enum Stuck {
    /// The work panicked, or the runtime is shutting down.
    #[error("the work was cut off")]
    CutOff(#[from] tokio::task::JoinError),
    /// The work exceeded its time limit.
    #[error("the file system does not respond")]
    NoAnswer,
}

/// Runs `work` on a blocking thread and waits at most `limit` for its result.
///
/// A result that arrives after the limit is dropped on the blocking thread.
pub(crate) async fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Stuck> {
    match tokio::time::timeout(limit, tokio::task::spawn_blocking(work)).await {
        Ok(done) => Ok(done?),
        Err(_elapsed) => Err(Stuck::NoAnswer),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

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
        let hung = within(Duration::from_millis(50), move || {
            let _until_released = held.recv();
            Left(dropped)
        });
        let beside = async {
            tokio::task::yield_now().await;
            "it goes on"
        };
        let (hung, beside) = tokio::join!(hung, beside);
        assert!(matches!(hung, Err(Stuck::NoAnswer)));
        assert_eq!(beside, "it goes on");
        drop(release);
        let thread = tokio::task::spawn_blocking(move || seen.recv().unwrap()).await.unwrap();
        assert_ne!(
            thread,
            std::thread::current().id(),
            "the late result is dropped on the blocking thread"
        );
    }

    #[tokio::test]
    async fn work_that_panics_is_an_error() {
        let cut_off = within(FILE_LIMIT, || panic!("it breaks")).await;
        assert!(matches!(cut_off, Err(Stuck::CutOff(_))));
    }
}
