//! The `companion` command, on the hosts of this package.

use std::process::ExitCode;

fn main() -> ExitCode {
    companion_cli::main_with(companion_cli::backends())
}
