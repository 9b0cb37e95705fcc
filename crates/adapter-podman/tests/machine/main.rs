//! The adapter on a real Podman, only in the throwaway machine of `tests/machine`: these tests build, pull and remove
//! images of the user that runs them.
//!
//! ```text
//! cargo test -p adapter-podman --features machine --test machine --no-run
//! tests/machine/machine copy-in --user archy <the program> /home/archy/podman-tests
//! tests/machine/machine enter --user archy -- /home/archy/podman-tests
//! ```

#![expect(clippy::unwrap_used, reason = "a failed setup fails its test")]

mod dangling;
mod guest;
mod images;
mod proxy;
