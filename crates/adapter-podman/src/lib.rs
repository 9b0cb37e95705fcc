//! `ImageProvider` and `ContainerRuntime` on the `podman` command.
//!
//! ```text
//!  image-source ─► PodmanImages ───┐  argv (pure) ─► Podman ─► one child process in a separate process group
//!                  PodmanContainers┘                    │         bounded: time, output, environment
//!                        ▲                              ▼
//!                        └── listing (pure) ◄── JSON on stdout, the last lines of stderr as the cause
//! ```
//!
//! What is built, pulled and removed, and when, is decided by [`image_source`]; [`Podman`] is its engine.
//!
//! Quadlet itself runs the command, so it is present on every host with a companion, whereas the API socket is often
//! disabled for users. Answers are cached while the files that they depend on are unchanged, so observing an unchanged
//! host starts no process. This crate never runs a container, tags or removes an unmanaged object, disables certificate
//! verification for a build, or decides when to act.

pub mod command;
pub mod containers;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod image_provider;
mod store_index;

pub use command::{Limits, Podman};
pub use containers::PodmanContainers;
pub use image_provider::PodmanImages;
pub use image_source::{EngineError, ImageRecords, remove_built};
