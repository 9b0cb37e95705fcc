//! The stderr of a build or a pull, in an anonymous file that needs no reader.
//!
//! If this process died, a pipe would kill podman by SIGPIPE, which leaves a working container that cannot be
//! identified as ours. The file is in memory, is read while it grows, and what was read is freed, so it stays small.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{
    FallocateFlags, MemfdFlags, OFlags, fallocate, fcntl_getfl, fcntl_setfl, memfd_create,
};

use super::output::Stream;

/// How often the file is read while it grows.
const LOOK: Duration = Duration::from_millis(200);

/// Maximum size of one read in bytes; of a longer output only the end is read.
const LOOK_LIMIT: u64 = 64 * 1024;

/// The file.
#[derive(Debug)]
pub(crate) struct Spool {
    file: File,
    /// How much of it was read, in bytes.
    read: u64,
}

impl Spool {
    pub(crate) fn new() -> io::Result<Self> {
        let file = memfd_create("podman-complaints", MemfdFlags::CLOEXEC)?;
        // Podman and its children append, in any order.
        fcntl_setfl(&file, fcntl_getfl(&file)? | OFlags::APPEND)?;
        Ok(Self { file: File::from(file), read: 0 })
    }

    /// Returns the writing end for a child.
    pub(crate) fn writer(&self) -> io::Result<Stdio> {
        Ok(self.file.try_clone()?.into())
    }

    /// Reads into `stream` continuously until dropped.
    pub(crate) async fn follow(&mut self, stream: &Stream) -> Infallible {
        loop {
            tokio::time::sleep(LOOK).await;
            self.catch_up(stream);
        }
    }

    /// Reads new output into `stream`.
    ///
    /// An error ends the read like EOF: the exit status decides.
    pub(crate) fn catch_up(&mut self, stream: &Stream) {
        let Ok(end) = self.file.metadata().map(|data| data.len()) else { return };
        if end == self.read {
            return;
        }
        let begin = end.saturating_sub(LOOK_LIMIT);
        if self.read < begin {
            self.read = begin;
            stream.gap();
        }
        let mut chunk = [0_u8; 8192];
        while self.read < end {
            let Ok(length @ 1..) = self.file.read_at(&mut chunk, self.read) else { break };
            stream.push(chunk.get(..length).unwrap_or_default());
            self.read = self.read.saturating_add(length.try_into().unwrap_or(u64::MAX));
        }
        let give_back = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if let Err(error) = fallocate(&self.file, give_back, 0, self.read) {
            tracing::debug!(%error, "failed to free podman's output before it exits");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::MetadataExt as _;

    use super::super::output::Keep;
    use super::super::secrets::Secrets;
    use super::*;

    #[test]
    fn the_end_of_the_output_is_kept_and_the_rest_is_freed() {
        let (mut spool, stream) =
            (Spool::new().unwrap(), Stream::new(Keep::Tail(64), Secrets::default()));
        let mut writer = spool.file.try_clone().unwrap();
        for _ in 0..64 {
            writer.write_all(&[b'x'; 64 * 1024]).unwrap();
            spool.catch_up(&stream);
            let held = spool.file.metadata().unwrap().blocks() * 512;
            assert!(held <= 64 * 1024, "{held} bytes");
        }
        writer.write_all(b"the end").unwrap();
        spool.catch_up(&stream);
        spool.catch_up(&stream);
        assert!(stream.take().0.ends_with(b"xxthe end"));
    }

    #[test]
    fn more_than_is_read_at_one_look_loses_its_beginning() {
        let (mut spool, stream) =
            (Spool::new().unwrap(), Stream::new(Keep::Head(1024 * 1024), Secrets::default()));
        let mut writer = spool.file.try_clone().unwrap();
        writer.write_all(b"the beginning").unwrap();
        writer.write_all(&[b'x'; 64 * 1024]).unwrap();
        spool.catch_up(&stream);
        assert_eq!(stream.take().0, [b'x'; 64 * 1024]);
    }
}
