//! The companion command: wiring of `arguments`, `commands` and `output`.

mod arguments;
mod commands;
mod config;
#[cfg(feature = "crash-points")]
mod crash_points;
mod error;
mod hosts;
mod log;
mod output;
mod runtime;
mod service;

use std::process::ExitCode;

use clap::Parser as _;

use arguments::Arguments;
use output::Output;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let output = Output::new(arguments.global.json, arguments.global.color);
    log::init(&arguments.global, arguments.command.is_daemon());
    let outcome = commands::run(arguments, &output);
    output.finish(outcome)
}
