//! End-to-end tests on a real systemd and Podman: the release `companion` command and its daemon.
//!
//! The suite changes units, containers and mounts, so it runs only as root of the throwaway machine, one test at a
//! time; `../run` builds, copies and starts it. Printed times are measured, never asserted.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the helpers of these tests fail by panicking, too, and print what they measure"
)]

mod daemon;
mod guest;
mod http;
mod node;
mod random;

mod backends;
mod bench;
mod causes;
mod chaos;
mod converged;
mod crashes;
mod doctor;
mod drop_in;
mod faults;
mod images;
mod images_built;
mod images_kept;
mod inputs;
mod install;
mod leader;
mod packages;
mod power_cuts;
mod readme;
mod reboot;
mod removal;
mod repair;
mod secrets;
mod security;
mod supervision;
mod trouble;
