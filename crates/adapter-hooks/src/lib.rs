//! `HookRunner` on files: templates, programs, and hooks written in Rust.
//!
//! ```text
//! HookSpec ─► template.rs    a file with values, filled by minijinja ──┐
//!             command.rs     a program's standard output ──────────────┼─► bytes ─► output.rs  the file, 0600 in 0700
//!             config_hook.rs a closure of the host program ────────────┘             stamp.rs   what a program was run for
//! ```
//!
//! - **Asking is free.** Templates and Rust hooks are cheap and only read, so [`observe`] computes what
//!   they would render and compares bytes. A program is never started to ask: what it was last run for
//!   is kept in a stamp beside its output.
//! - **Secrets stay in.** Digests are keyed with [`HostKey`], rendered bytes are wiped after use, and
//!   neither errors nor logs quote a value, a line of a template or what a program printed.
//! - **Nothing hangs the caller.** Files are read on blocking threads with a time limit, and programs
//!   are ended with their whole process group.
//!
//! [`observe`]: companion_core::ports::HookRunner::observe

mod command;
mod config_hook;
mod error;
mod hook_runner;
mod input;
mod key;
mod output;
mod stamp;
pub mod template;

pub use command::CommandError;
pub use config_hook::{ConfigHook, Readiness};
pub use error::HookError;
pub use hook_runner::{FileHooks, sweep};
pub use input::read_secret;
pub use key::HostKey;
