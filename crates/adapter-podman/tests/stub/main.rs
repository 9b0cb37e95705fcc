//! The adapter against a stub podman: real processes in real time, without a container.

#![expect(clippy::unwrap_used, reason = "a failed setup fails its test")]

mod command;
mod containers;
mod damage;
mod dangling;
mod facts;
mod hostile;
mod image_provider;
mod network;
mod podman_stub;
mod restore;
