//! Files of one directory, written whole or not at all, whatever others do to the path.
//!
//! A [`Dir`] is opened once by its path and used by its descriptor from then on, so nobody can turn
//! the path to another place between two calls. What it promises:
//!
//! - **Trust.** Every directory and symbolic link on the way is judged by its owner and its mode
//!   before anything behind it is used: see [`Trust`].
//! - **Whole or not at all.** A reader, and a machine that lost power, finds the old file or the new
//!   one, never a part of either; a link points to the old target or to the new one. What was reported
//!   as written, linked or removed has reached the disk.
//! - **No surprise at the name.** What is not a regular file is neither read, replaced nor removed, and
//!   a FIFO cannot hold anyone up. The methods for links also replace and remove symbolic links, and no
//!   method follows one at a name.
//! - **The mode from the first byte.** No file is readable by others for a moment first, and no
//!   `umask` changes what was asked for.
//!
//! It keeps no state besides the descriptor, starts no thread, and is synchronous: callers with an
//! asynchronous runtime run it where blocking is allowed, since a network file system may hang.
//!
//! Not guarded against: other processes of the same user and root, which can do all that we can.
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

mod append;
#[cfg(feature = "crash-points")]
pub mod crash_point;
#[cfg(not(feature = "crash-points"))]
mod crash_point;
mod dir;
mod entries;
mod error;
mod link;
mod lock;
mod name;
mod read;
mod status;
mod sync;
mod temporary;
mod trust;
mod walk;
mod write;

pub use dir::Dir;
pub use entries::Entry;
pub use error::{DirError, DirResult};
pub use lock::LockFile;
pub use read::{FileContents, read_file, status_of};
pub use status::{FileKind, FileStatus};
pub use trust::Trust;

#[cfg(test)]
mod tests;
