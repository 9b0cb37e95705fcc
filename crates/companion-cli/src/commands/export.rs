//! `companion export`: prints the desired state as a file for `companion apply`.

use clap::Args;

use crate::config::Config;
use crate::desired_file::DesiredFile;
use crate::error::{CommandResult, Verdict};
use crate::hosts::store;
use crate::output::Output;

/// Print the desired state as a file for `companion apply`
///
/// Prints the installed apps, as TOML. Settings are in the catalog file, which this does not contain: save both.
///
/// With --json: {"version": 1, "apps": [APP…]}; `companion apply` reads this, too.
///
/// Exit status: 0, or 1 if the desired state cannot be read.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  companion export > node.toml                   save the desired state
  companion export | ssh other companion apply -f -")]
pub(crate) struct Arguments {}

/// Prints the desired state.
pub(crate) async fn run(config: &Config, output: &Output) -> CommandResult {
    let file = DesiredFile::new(store(config).await?.installed().await?);
    if file.apps.is_empty() {
        output.note("no app is recorded as installed");
    }
    match output.is_json() {
        true => output.json(&file),
        false => output.bytes(file.to_toml()?.as_bytes()),
    }
    Ok(Verdict::Done)
}
