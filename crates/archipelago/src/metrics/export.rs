//! Where the metrics go: a file that is replaced after each reconcile, and a Unix socket.

use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use companion_core::error_chain::chain;
use companion_core::ports::{PortError, PortErrorKind, PortResult};
use durable_dir::{Dir, Trust};
use host_files::blocking;
use host_files::errors::failed_to;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;
use tracing::warn;

use super::Metrics;

/// The most bytes of a request that are read, and the time for a request and its answer.
const REQUEST_LIMIT: u64 = 8 * 1024;
const CLIENT_LIMIT: Duration = Duration::from_secs(2);

/// A file that is replaced after each reconcile.
#[derive(Debug, Clone)]
pub struct MetricsFile {
    directory: PathBuf,
    name: String,
}

impl MetricsFile {
    /// The file at `path`. Its name must end with `.prom` for node-exporter.
    ///
    /// # Errors
    /// `Invalid` for a path that names no file.
    pub fn new(path: &Path) -> PortResult<Self> {
        let path = std::path::absolute(path).unwrap_or_default();
        let name = path.file_name().and_then(|name| name.to_str());
        match (path.parent(), name) {
            (Some(directory), Some(name)) => {
                Ok(Self { directory: directory.to_owned(), name: name.to_owned() })
            }
            _ => {
                let message = format!("`{}` is not the path of a file", path.display());
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
        let write = move || {
            let directory = Dir::open(directory, Trust::AnyOwner)?;
            // A leader that was killed may have left them; the file has one writer at a time.
            directory.sweep_temporary_files_of(|of| of == name)?;
            directory.write(&name, text.as_bytes(), 0o644)
        };
        blocking::run(attempt, move || write().map_err(failed_to(attempt))).await
    }

    /// Writes `metrics` after each reconcile, forever. The first of consecutive failures is logged.
    pub async fn keep(&self, metrics: &Metrics) {
        let mut has_failed = false;
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

/// A Unix socket that answers every HTTP request with the metrics. Its file stays, and the next process replaces it.
#[derive(Debug)]
pub struct MetricsSocket(UnixListener);

impl MetricsSocket {
    /// Listens on `path`. A socket on which nobody listens is replaced.
    ///
    /// # Errors
    /// `Transient` if another program listens there, another file is there, or no socket can be made.
    pub async fn bind(path: &Path) -> PortResult<Self> {
        let (place, attempt) = (path.to_owned(), format!("listen on `{}`", path.display()));
        let failed = |source: io::Error| {
            PortError::new(PortErrorKind::Transient, format!("failed to {attempt}"))
                .with_source(source)
        };
        let listener = blocking::run(&attempt, move || Ok(listen(&place))).await?;
        listener.and_then(UnixListener::from_std).map(Self).map_err(failed)
    }

    /// Answers requests one after the other, forever. A client that is slow is dropped.
    pub async fn serve(&self, metrics: &Metrics) {
        loop {
            match self.0.accept().await {
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

fn listen(path: &Path) -> io::Result<net::UnixListener> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let refuses = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if is_socket && net::UnixStream::connect(path).is_err_and(refuses) {
        fs::remove_file(path)?;
    }
    let listener = net::UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn answer(mut client: UnixStream, metrics: &Metrics) -> io::Result<()> {
    let (request, mut reply) = client.split();
    let mut lines = BufReader::new(request.take(REQUEST_LIMIT)).lines();
    while lines.next_line().await?.is_some_and(|line| !line.is_empty()) {}
    let text = metrics.text();
    let head = format!(
        "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\r\n",
        text.len()
    );
    reply.write_all(head.as_bytes()).await?;
    reply.write_all(text.as_bytes()).await?;
    reply.shutdown().await
}
