//! `ImageProvider` and `ContainerRuntime` on the `podman` command.
//!
//! ```text
//!  PodmanImages ───┐  argv (pure) ─► Podman ─► one child process in a group of its own
//!  PodmanContainers┘                    │         bounded: time, output, environment
//!        ▲                              ▼
//!        └── listing (pure) ◄── JSON on stdout, the last lines of stderr as the cause
//! ```
//!
//! Quadlet itself runs the command, so the command is the one part of Podman that is there wherever
//! a companion is; the API socket is often switched off for users. What it said is kept in memory while
//! the files that it depends on are the same, so a look at a host where nothing changed starts no
//! process. What this crate never does: run a container, tag or remove what is not ours, switch off the
//! verification of a certificate for a build, or decide when something should be done.

pub mod command;
pub mod containers;
pub mod context;
pub mod error;
mod file_identity;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod image_provider;
mod reader;
mod store_index;

pub use command::{Limits, Podman};
pub use containers::PodmanContainers;
pub use error::PodmanError;
pub use image_provider::PodmanImages;
