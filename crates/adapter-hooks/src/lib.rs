//! `HookRunner` on files: templates, programs, and hooks written in Rust.
//!
//! ```text
//! HookSpec ─► config_hook.rs a closure of the host program, or a template (template.rs) ─┬─► bytes ─► output.rs
//!             command.rs     a program's standard output ────────────────────────────────┘
//!
//! /ui (0700)
//!     nginx.conf ─► nginx.conf.0123456789abcdef      the output, a link to the last committed file
//!     nginx.conf.0123456789abcdef (0600)             a rendered file, named by its content
//!     .nginx.conf.stamp (0600)                       what a program was run for
//! ```
//!
//! - **Named by content.** A rendered file is never overwritten with other bytes. Other bytes get another name, and
//!   bytes whose file was lost or modified get the next epoch. Replaced files are swept once no unit refers to them.
//! - **Observing has no effect.** Templates and Rust hooks are cheap and read-only, so [`observe`] renders them in
//!   memory. A program never runs for an observation: a stamp next to its output records the input of its last run.
//! - **Secrets do not leak.** Digests are keyed with [`HostKey`], rendered bytes are wiped after use, and neither
//!   errors nor logs quote a value, a line of a template or a program's output.
//! - **Nothing blocks the caller.** Files are read on blocking threads with a time limit, and programs are killed with
//!   their whole process group.
//!
//! [`observe`]: companion_core::ports::HookRunner::observe

mod command;
mod config_hook;
mod error;
mod hook_runner;
mod input;
mod key;
mod output;
pub mod template;

pub use config_hook::ConfigHook;
pub use error::HookError;
pub use hook_runner::{FileHooks, sweep};
pub use input::{read_secret, read_secret_bytes};
pub use key::HostKey;
