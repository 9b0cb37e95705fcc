//! What every adapter needs to work on files of a host, on top of `durable-dir` and `companion-core`.
//!
//! An adapter with this crate decides only what its host is: how a unit is worded, and who validates it. The rules for
//! files are here once:
//!
//! | module | decides |
//! |---|---|
//! | [`blocking`] | where file work runs, how long its caller waits, and what runs one at a time |
//! | [`errors`] | which port error kind a file error has |
//! | [`units`] | a directory of unit files: [`UnitFiles`](units::UnitFiles) implements the port `UnitStore` |
//! | [`watch`] | which changes of files cause a hint |
//!
//! It starts no program and contacts no service manager.

pub mod blocking;
pub mod errors;
pub mod units;
pub mod watch;

// The tests use the form of the example.
#[cfg(test)]
extern crate self as host_files;
