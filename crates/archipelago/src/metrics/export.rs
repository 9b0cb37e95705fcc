//! Where the metrics go: a file that is replaced after each reconcile, and a Unix socket.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use companion_core::error_chain::chain;
use companion_core::ports::{PortError, PortErrorKind, PortResult};
use durable_dir::{Dir, Trust};
use host_files::blocking::{self, FILE_LIMIT};
use host_files::errors::failed_to;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;
use tracing::warn;

use super::Metrics;

/// The most bytes of a request that are read, and the time for a request and its answer.
const REQUEST_LIMIT: usize = 8 * 1024;
const CLIENT_LIMIT: Duration = Duration::from_secs(2);

/// A file that is replaced after each reconcile.
#[derive(Debug, Clone)]
pub struct MetricsFile {
    directory: PathBuf,
    name: String,
}

impl MetricsFile {
    /// The file at `path`, which must be absolute. Its name must end with `.prom` for node-exporter.
    ///
    /// # Errors
    /// `Invalid` for another path.
    pub fn new(path: &Path) -> PortResult<Self> {
        let directory = path.parent().filter(|directory| directory.is_absolute());
        let name = path.file_name().and_then(|name| name.to_str());
        match (directory, name) {
            (Some(directory), Some(name)) => {
                Ok(Self { directory: directory.to_owned(), name: name.to_owned() })
            }
            _ => {
                let message = format!("`{}` is not an absolute path of a file", path.display());
                Err(PortError::new(PortErrorKind::Invalid, message))
            }
        }
    }

    /// Writes `metrics`, whole or not at all, with mode 0644.
    ///
    /// # Errors
    /// As for every file that cannot be written.
    pub async fn write(&self, metrics: &Metrics) -> PortResult<()> {
        let (Self { directory, name }, text) = (self.clone(), metrics.text());
        let attempt = "write metrics";
        let write =
            move || Dir::open(directory, Trust::AnyOwner)?.write(&name, text.as_bytes(), 0o644);
        blocking::run(attempt, move || write().map_err(failed_to(attempt))).await
    }

    /// Writes `metrics` after each reconcile, forever. The first of consecutive failures is logged.
    pub async fn keep(&self, metrics: &Metrics) {
        let mut has_failed = false;
        let Self { directory, name } = self.clone();
        // A leader that was killed may have left them; the file has one writer at a time.
        let sweep = move || {
            Dir::open(directory, Trust::AnyOwner)?.sweep_temporary_files_of(|of| of == name)
        };
        if let Ok(Err(error)) = blocking::within(FILE_LIMIT, sweep).await {
            warn!("{}", chain(&error));
        }
        loop {
            metrics.shared.changed.notified().await;
            let written = self.write(metrics).await;
            if let Some(error) = written.as_ref().err().filter(|_| !has_failed) {
                warn!("{}", chain(error));
            }
            has_failed = written.is_err();
        }
    }
}

/// A Unix socket that answers every HTTP request with the metrics; it is removed on drop.
#[derive(Debug)]
pub struct MetricsSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Its device and inode, because another process may have replaced it.
    identity: Option<(u64, u64)>,
}

impl MetricsSocket {
    /// Listens on `path`. A socket that a killed process left is replaced.
    ///
    /// # Errors
    /// `Conflict` if another program listens there or another file is there, `Denied` without permission, `Unavailable` on
    /// a read-only file system, `Transient` if the socket cannot be made for another reason.
    pub async fn bind(path: &Path) -> PortResult<Self> {
        let place = path.to_owned();
        let attempt = format!("listen on `{}`", path.display());
        blocking::run(&attempt, move || make_room(&place)).await?;
        let listener = UnixListener::bind(path).map_err(|source| listen(path, source))?;
        Ok(Self { listener, path: path.to_owned(), identity: identity(path) })
    }

    /// Answers requests one after the other, forever. A client that is slow is dropped.
    pub async fn serve(&self, metrics: &Metrics) {
        loop {
            match self.listener.accept().await {
                Ok((client, _)) => {
                    // A client that goes away misses its own answer only.
                    let _ = timeout(CLIENT_LIMIT, answer(client, metrics)).await;
                }
                Err(error) => {
                    warn!("failed to accept a connection for metrics: {error}");
                    tokio::time::sleep(CLIENT_LIMIT).await;
                }
            }
        }
    }
}

impl Drop for MetricsSocket {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // The next process replaces a socket that stays.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// Removes a socket on which nobody listens.
fn make_room(path: &Path) -> PortResult<()> {
    let in_use =
        || PortError::new(PortErrorKind::Conflict, format!("`{}` is in use", path.display()));
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => match net::UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path).map_err(|source| listen(path, source))
            }
            Ok(_) | Err(_) => Err(in_use()),
        },
        Ok(_) => Err(in_use()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(listen(path, error)),
    }
}

fn listen(path: &Path, source: io::Error) -> PortError {
    let message = format!("failed to listen on `{}`", path.display());
    let kind = match source.kind() {
        io::ErrorKind::PermissionDenied => PortErrorKind::Denied,
        io::ErrorKind::ReadOnlyFilesystem => PortErrorKind::Unavailable,
        _ => PortErrorKind::Transient,
    };
    PortError::new(kind, message).with_source(source)
}

async fn answer(mut client: UnixStream, metrics: &Metrics) -> io::Result<()> {
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < REQUEST_LIMIT {
        match client.read(&mut piece).await? {
            0 => break,
            read => request.extend_from_slice(piece.get(..read).unwrap_or_default()),
        }
    }
    let text = metrics.text();
    let head = format!(
        "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\r\n",
        text.len()
    );
    client.write_all(head.as_bytes()).await?;
    client.write_all(text.as_bytes()).await?;
    client.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_to_listen_has_the_kind_of_what_the_caller_can_do() {
        for (cause, kind) in [
            (io::ErrorKind::PermissionDenied, PortErrorKind::Denied),
            (io::ErrorKind::ReadOnlyFilesystem, PortErrorKind::Unavailable),
            (io::ErrorKind::NotFound, PortErrorKind::Transient),
        ] {
            assert_eq!(listen(Path::new("/run/m"), cause.into()).kind(), kind, "{cause}");
        }
    }
}
