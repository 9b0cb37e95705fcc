//! The adapter on a real Podman, inside the throwaway machine of `tests/machine` and nowhere else:
//! these tests build, pull and remove images of whoever runs them.
//!
//! ```text
//! cargo test -p adapter-podman --features machine --test machine --no-run
//! tests/machine/machine copy-in --user archy <the program> /home/archy/podman-tests
//! tests/machine/machine enter --user archy -- /home/archy/podman-tests
//! ```

#![expect(clippy::unwrap_used, reason = "what cannot be arranged fails its test")]

mod containers;
mod guest;
mod images;
mod interruption;
mod leftovers;
mod proxy;
mod registry;
mod store;
