//! The `companion` command as a library, for a program with its own hosts.
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     // Push an `Arc` of your own `CommandBackend`: `--host` takes its name.
//!     let backends = companion_cli::backends();
//!     companion_cli::main_with(backends)
//! }
//! ```

mod arguments;
mod backend;
mod commands;
mod config;
mod desired_file;
mod error;
mod hosts;
mod log;
mod names;
mod output;
mod runtime;
mod scopes;
mod service;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

// The types in the signatures of `CommandBackend`.
pub use adapter_systemd::{RenderedUnit, Scope, UnloadableUnits};
pub use backend::{CommandBackend, LogQuery, backends};
pub use commands::doctor::Finding;
pub use error::CommandError;
use output::Output;
pub use quadlet::PodmanVersion;

/// Runs the command of this process's arguments on one of `backends`, and returns its exit status.
///
/// Call it once, as all of `main`: it sets up the log, and exits the process after an error in the arguments.
pub fn main_with(backends: Vec<Arc<dyn CommandBackend>>) -> ExitCode {
    commands::completions::answer(|| arguments::command(&backends));
    run(std::env::args_os(), backends)
}

/// Same as [`main_with`], for the command line `line`, which begins with the name of the program.
pub fn run(
    line: impl IntoIterator<Item = OsString>,
    backends: Vec<Arc<dyn CommandBackend>>,
) -> ExitCode {
    let arguments = arguments::parse(line, &backends);
    let output = Output::new(arguments.global.json, arguments.global.color);
    log::init(&arguments.global, arguments.command.is_daemon());
    let outcome = commands::run(arguments, &backends, &output);
    output.finish(outcome)
}
