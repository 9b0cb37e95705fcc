//! The adapter against a stand-in for podman: real processes, in real time, without a container.

mod command;
mod containers;
mod image_provider;
mod podman_stub;
