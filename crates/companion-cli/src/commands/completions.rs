//! `companion completions`: registers the completions of a shell. The shell then calls this program for the candidates.

use clap::Args;
use clap::builder::PossibleValuesParser;
use clap_complete::CompleteEnv;
use clap_complete::env::Shells;

use crate::error::{CommandError, CommandResult, Verdict};
use crate::output::Output;

/// The environment variable in which a shell asks this program for candidates.
const VARIABLE: &str = "COMPANION_COMPLETE";

/// Print the completion script of a shell
///
/// The script calls `companion` for each completion, so that it offers the apps and companions of the
/// catalog.
///
/// Exit status: 0, or 2 for an unknown shell.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  companion completions bash > ~/.local/share/bash-completion/completions/companion
  companion completions fish > ~/.config/fish/completions/companion.fish
  companion completions zsh > ~/.zfunc/_companion      with ~/.zfunc in fpath")]
pub(crate) struct Arguments {
    /// The shell
    #[arg(value_parser = PossibleValuesParser::new(Shells::builtins().names()))]
    shell: String,
}

/// Prints the script.
pub(crate) fn run(
    arguments: &Arguments,
    command: &clap::Command,
    output: &Output,
) -> CommandResult {
    let shells = Shells::builtins();
    let shell = shells.completer(&arguments.shell);
    let shell = shell.ok_or_else(|| CommandError::input("unknown shell"))?;
    let name = command.get_name();
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, name, name, name, &mut script).map_err(|error| {
        CommandError::failure(format!("failed to generate the script: {error}"))
    })?;
    output.bytes(&script);
    Ok(Verdict::Done)
}

/// Answers a shell that asks for candidates, and exits; does nothing for any other call of this program.
pub(crate) fn answer(command: impl Fn() -> clap::Command) {
    CompleteEnv::with_factory(command).var(VARIABLE).complete();
}
