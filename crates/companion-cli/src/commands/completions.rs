//! `companion completions`: shell completion scripts.

use clap::Args;
use clap_complete::Shell;

use crate::error::{CommandResult, Verdict};
use crate::output::Output;

/// Print the completion script of a shell
///
/// For bash: companion completions bash > ~/.local/share/bash-completion/completions/companion
///
/// Exit status: 0, or 2 for an unknown shell.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(
    arguments: &Arguments,
    mut command: clap::Command,
    output: &Output,
) -> CommandResult {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "companion", &mut script);
    output.bytes(&script);
    Ok(Verdict::Done)
}
