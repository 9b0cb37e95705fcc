//! `companion man`: the manual pages, generated from the help texts.

use std::path::PathBuf;

use clap::Args;
use clap_mangen::Man;

use crate::error::{CommandError, CommandResult, Verdict};
use crate::output::Output;

/// Print the manual page, or write all pages to a directory
///
/// The pages are generated from the same text as `--help`. For a user: companion man
/// ~/.local/share/man/man1
///
/// Exit status: 0, 1 if a page cannot be written, 2 if DIR is not a directory.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Write `companion.1` and a page for each subcommand to this directory
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Prints or writes the pages.
pub(crate) fn run(arguments: &Arguments, command: clap::Command, output: &Output) -> CommandResult {
    let Some(directory) = &arguments.directory else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page).map_err(|error| {
            CommandError::failure(format!("failed to generate the page: {error}"))
        })?;
        output.bytes(&page);
        return Ok(Verdict::Done);
    };
    let shown = directory.display();
    if !directory.is_dir() {
        return Err(CommandError::input(format!("`{shown}` is not a directory")));
    }
    clap_mangen::generate_to(command, directory)
        .map_err(|error| CommandError::failure(format!("failed to write to `{shown}`: {error}")))?;
    Ok(Verdict::Done)
}
