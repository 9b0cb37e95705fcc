//! Work on files, which may never end: on threads that may block, and waited for a bounded time.

use std::time::Duration;

/// How long the file system is waited for. A local one needs milliseconds; a network's may never answer.
pub(crate) const FILE_LIMIT: Duration = Duration::from_secs(30);

/// Why the result of work on files is not known. The work itself may still go on to its end.
#[derive(Debug, thiserror::Error)]
pub enum Stuck {
    /// It was cut off: it panicked, or the runtime ends.
    #[error("the work was cut off")]
    CutOff(#[from] tokio::task::JoinError),
    /// It takes too long.
    #[error("the file system does not answer")]
    NoAnswer,
}

/// Does `work` on a thread that may block, and waits for it at most for `limit`. Nothing of it runs on the caller's thread.
///
/// What comes of work that is waited for no more is dropped on its own thread.
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
        assert_ne!(thread, std::thread::current().id(), "what came of it is dropped elsewhere");
    }

    #[tokio::test]
    async fn work_that_panics_is_an_error() {
        let cut_off = within(FILE_LIMIT, || panic!("it breaks")).await;
        assert!(matches!(cut_off, Err(Stuck::CutOff(_))));
    }
}
