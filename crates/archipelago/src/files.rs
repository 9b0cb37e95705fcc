//! Files of the state directory and of the leader: where blocking is allowed, and for a bounded time.

use std::time::Duration;

use companion_core::ports::{PortError, PortErrorKind, PortResult};
use durable_dir::DirError;

/// How long the file system may take for one thing; a local one takes milliseconds.
const FILE_LIMIT: Duration = Duration::from_secs(30);

/// The port's error for one of a directory.
pub(crate) fn port(error: DirError, attempt: &str) -> PortError {
    let kind = match &error {
        DirError::Denied { .. } | DirError::Untrusted { .. } => PortErrorKind::Denied,
        DirError::ReadOnly { .. } => PortErrorKind::Unavailable,
        DirError::NotARegularFile { .. } | DirError::NotADirectory { .. } => {
            PortErrorKind::Conflict
        }
        DirError::TooLarge { .. } | DirError::InvalidName { .. } => PortErrorKind::Invalid,
        DirError::NotFound { .. } | DirError::Full { .. } | DirError::Io { .. } => {
            PortErrorKind::Transient
        }
    };
    PortError::new(kind, format!("failed to {attempt}")).with_source(error)
}

/// Does `work` where blocking is allowed, and waits for it a bounded time: a network file system may
/// hang. The work itself goes on to its end.
pub(crate) async fn blocking<T: Send + 'static>(
    attempt: &str,
    work: impl FnOnce() -> PortResult<T> + Send + 'static,
) -> PortResult<T> {
    let stuck =
        |why| PortError::new(PortErrorKind::Transient, format!("failed to {attempt}, {why}"));
    match tokio::time::timeout(FILE_LIMIT, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(done)) => done,
        Ok(Err(cause)) => Err(stuck("the task was aborted").with_source(cause)),
        Err(_) => Err(stuck("the file system does not answer")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn file_system_that_does_not_answer_is_an_error() {
        let (end, may_end) = std::sync::mpsc::channel::<()>();
        let hangs = blocking("read", move || {
            let _ended = may_end.recv();
            Ok(())
        });
        let waiting = tokio::spawn(hangs);
        tokio::task::yield_now().await;
        tokio::time::advance(FILE_LIMIT + Duration::from_secs(1)).await;
        let error = waiting.await.unwrap().unwrap_err();
        assert!(error.to_string().contains("does not answer"), "{error}");
        drop(end);
    }
}
