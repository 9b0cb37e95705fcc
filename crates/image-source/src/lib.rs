//! Everything of an [`ImageProvider`](companion_core::ports::ImageProvider) that is not the container engine.
//!
//! ```text
//!  observe ─► Contexts (digests) ──┐
//!             ImageEngine::list ───┼─► Listing (pure): present, current, dangling ─► state
//!             platforms, cached ───┤
//!             sync, once per image ┘
//!  ensure  ─► as observe ─► current? ─► ImageEngine::build, else pull ─► as observe: read back ─► record, save
//!             damaged? ─► ImageEngine::discard; missing? ─► ImageEngine::restore, from the archive
//!  prune   ─► ImageEngine::list: still dangling? ─► ImageEngine::remove
//! ```
//!
//! An adapter implements [`ImageEngine`], which decides nothing; [`Images`] makes a provider of it. An adapter
//! that starts programs finds here [`Reader`] for files that may hang, [`FileIdentity`] to detect changed files, and
//! [`text`] for what others wrote.
//!
//! # Guarantees
//! - Success is what the engine lists afterwards, never what it says about a build or pull.
//! - An image is reported as present only after its store was synced, so it survives a power loss.
//! - An image under a build's name is ours only if its ID is the [recorded](ImageRecords) one, and a lost image comes back
//!   from its archive without a build or a registry.
//! - A damaged image is removed and made again, if it was made for this reference only and no container uses it.
//! - One reference is provided by one task at a time; the next one finds the image present.
//! - An unreadable context or image affects only its own companions.
//! - Only a damaged image and nameless images with our labels are removed, by ID, and while no build may need them.
//!
//! # Assumptions
//! - Names of listed images are full, and an ID identifies the content.
//! - Nobody but this user writes to a build context; one that anyone can modify is refused.
//!
//! # Caveats
//! - The locks are those of one process. A second process may build the same image at the same time; the tag then
//!   points to one of two images of the same context.
//! - A tag is pulled once. A newer image under the same tag is not noticed.
//! - A record stays after its companion was removed: it is how an image that is still in the store is known again.

pub mod context;
mod engine;
mod image_provider;
mod listing;
mod reader;
mod records;
pub mod text;

pub use context::Context;
pub use durable_dir::FileIdentity;
pub use engine::{
    Build, CONTEXT_LABEL, EngineError, EngineResult, ImageEngine, SOURCE_LABEL, stage_of,
};
pub use image_provider::{Images, remove_built};
pub use listing::{ListedImage, Listing, Platform, UnreadableImage, full_name};
pub use reader::Reader;
pub use records::ImageRecords;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The guarded data is consistent after each statement, so a poisoned lock is harmless.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
