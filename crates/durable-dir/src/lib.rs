//! Atomic, durable file operations within one directory.
//!
//! A [`Dir`] is opened once by its path and then accessed by its descriptor, so that changes of the path cannot
//! redirect later calls. Guarantees:
//!
//! - **Trust.** The owner and mode of every directory and symbolic link on the path are checked before it is followed:
//!   see [`Trust`].
//! - **Atomic.** A reader, also after a power loss, sees the old file or the new one, never a mixture; a link points to
//!   the old target or to the new one. A completed write, link or removal is synced to disk.
//! - **Only regular files.** Other objects are neither read nor replaced, and a FIFO never blocks. A symbolic link may be
//!   removed, or replaced by another link; no method follows a link at a name.
//! - **The mode from the first byte.** Other users can never read a file temporarily, and the `umask` does not change
//!   the requested mode.
//!
//! The crate keeps no state but the descriptor, starts no thread, and is synchronous: asynchronous callers use a
//! blocking thread, because a network file system may hang.
//!
//! Not protected against: other processes of the same user, and root.
//!
//! ```
//! use durable_dir::{Dir, Trust};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let place = tempfile::tempdir()?;
//! # let path = place.path().join("state");
//! let dir = Dir::create(&path, 0o700, Trust::Owned)?;
//! dir.write("record.json", b"{}", 0o600)?;
//! let record = dir.read("record.json", 64 * 1024)?.ok_or("just written")?;
//! assert_eq!(record.bytes, b"{}");
//! assert!(dir.remove("record.json")?);
//! # Ok(())
//! # }
//! ```

mod crash_point;
mod dir;
mod entries;
mod error;
mod lock;
mod name;
mod read;
mod status;
mod sync;
mod temporary;
mod trust;
mod walk;
mod write;

#[cfg(feature = "crash-points")]
pub use crash_point::AT_POINT;
pub use dir::Dir;
pub use error::{DirError, DirResult};
pub use lock::LockFile;
pub use read::{FileContents, read_file, status_of};
pub use status::{FileIdentity, FileKind, FileStatus};
pub use temporary::temporary_for;
pub use trust::Trust;
pub use write::NewFile;

#[cfg(test)]
mod tests;
