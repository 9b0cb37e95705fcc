//! `companion man`: the manual pages, generated from the help texts and the reference of catalog files.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;

use crate::error::{CommandError, CommandResult, Verdict};
use crate::output::{Output, words};

mod catalog;
mod page;

/// Print the manual page, or write all pages to a directory
///
/// The pages are generated from the same text as --help. Their date is that of `SOURCE_DATE_EPOCH` if it
/// is set, else today.
///
/// Exit status: 0, 1 if a page cannot be written, 2 if DIR is not a directory.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  companion man | man -l -                       read the page of the command
  companion man --catalog-page | man -l -        read catalog.toml(5)
  companion man ~/.local/share/man/man1          write the pages of section 1 for a user")]
pub(crate) struct Arguments {
    /// Write `companion.1` and a page for each subcommand to this directory
    #[arg(value_name = "DIR", conflicts_with = "catalog_page")]
    directory: Option<PathBuf>,
    /// Print the page catalog.toml(5)
    #[arg(long)]
    catalog_page: bool,
}

/// Prints or writes the pages.
pub(crate) fn run(arguments: &Arguments, command: clap::Command, output: &Output) -> CommandResult {
    let date = date(SystemTime::now(), std::env::var("SOURCE_DATE_EPOCH").ok().as_deref());
    if arguments.catalog_page {
        output.bytes(catalog::page(&date).as_bytes());
        return Ok(Verdict::Done);
    }
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let rendered = |command| {
        page::page(command, &date)
            .map_err(|error| CommandError::failure(format!("failed to generate the page: {error}")))
    };
    let Some(directory) = &arguments.directory else {
        output.bytes(&rendered(&command)?);
        return Ok(Verdict::Done);
    };
    if !directory.is_dir() {
        return Err(CommandError::input(format!("`{}` is not a directory", directory.display())));
    }
    for command in std::iter::once(&command).chain(command.get_subcommands()) {
        let path = directory.join(format!("{}.1", page::name(command)));
        std::fs::write(&path, rendered(command)?).map_err(|error| {
            CommandError::failure(format!("failed to write `{}`: {error}", path.display()))
        })?;
    }
    Ok(Verdict::Done)
}

/// Returns the day of `epoch` in seconds since 1970 (reproducible-builds.org), else of `now`.
fn date(now: SystemTime, epoch: Option<&str>) -> String {
    let given = epoch.and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let at = given.and_then(|since| UNIX_EPOCH.checked_add(since)).unwrap_or(now);
    words::timestamp(at).chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_a_page_is_reproducible() {
        assert_eq!(date(SystemTime::now(), Some("1764374400")), "2025-11-29");
        assert_eq!(date(UNIX_EPOCH, None), "1970-01-01");
        assert_eq!(date(UNIX_EPOCH, Some("yesterday")), "1970-01-01");
    }
}
