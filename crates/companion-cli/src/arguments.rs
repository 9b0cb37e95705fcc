//! Command line options and subcommands.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::{
    PathBufValueParser, PossibleValue, PossibleValuesParser, TypedValueParser, ValueHint,
};
use clap::{Args, ColorChoice, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use companion_core::model::container::AbsolutePath;

use crate::backend::{AUTO, CommandBackend};
use crate::commands;

const EXAMPLES: &str = "\
Examples:
  companion doctor                               check this host
  companion setup                                install, enable and start the daemon
  companion install lnd                          start the companions of the app lnd
  companion status                               show all companions
  companion help status                          the help of one command";

const EXIT_STATUS: &str = "\
Exit status:
  0  done, and everything is as requested
  1  something failed, or a companion is not ready
  2  invalid options, arguments or catalog
  3  a prerequisite is missing; `companion doctor` lists it";

/// What the help of each subcommand says about the options that all have.
const GLOBAL_OPTIONS: &str =
    "Global options, such as --host, --json and --verbose: `companion --help`";

/// Keeps the companion containers of installed apps running as declared.
///
/// A companion is a small container that gives a headless backend a page in the browser. Each is a
/// systemd service that Podman generates from a Quadlet unit. This command records which apps are
/// installed, starts their companions, and repairs what differs from the desired state. Start with
/// `companion doctor` and `companion setup`. Data goes to stdout, progress and log to stderr.
#[derive(Debug, Parser)]
#[command(name = "companion", version, max_term_width = 100, after_help = EXIT_STATUS)]
#[command(after_long_help = format!("{EXAMPLES}\n\n{EXIT_STATUS}"))]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: GlobalArguments,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The options of every subcommand.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArguments {
    /// The host to work on
    // `command` adds the names of the hosts.
    #[arg(long, global = true, default_value = AUTO)]
    pub(crate) host: String,

    /// Read this catalog file; repeatable, a later file overrides an earlier one
    ///
    /// The default is `$XDG_CONFIG_HOME/companion/catalog.toml` (for the system
    /// `/etc/companion/catalog.toml`), if it exists. The daemon reads its own catalog files.
    #[arg(long, global = true, value_name = "FILE", value_parser = absolute_path())]
    pub(crate) catalog: Vec<PathBuf>,

    /// Look for build contexts in this directory first; repeatable
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath, value_parser = directory)]
    pub(crate) contexts: Vec<AbsolutePath>,

    /// Pass this argument to every image build; repeatable
    #[arg(long, global = true, value_name = "NAME=VALUE", value_parser = build_argument)]
    pub(crate) build_arg: Vec<(String, String)>,

    /// Keep the desired state, the lock and the key in this directory
    ///
    /// The default is `$XDG_STATE_HOME/companion`, else `~/.local/state/companion`; for the system
    /// `/var/lib/companion`.
    #[arg(long, global = true, value_name = "DIR", value_parser = absolute_path())]
    pub(crate) state_dir: Option<PathBuf>,

    /// Kill the leader process if it hangs, and take over leadership
    ///
    /// A leader that responds is left alone. Companions keep running: they belong to systemd.
    #[arg(long, global = true)]
    pub(crate) take_over: bool,

    /// Print JSON to stdout
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Log more to stderr: -v details of each step, -vv every decision, -vvv trace
    ///
    /// `COMPANION_LOG`, such as `info,adapter_podman=debug`, overrides it.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    /// When to use colours
    ///
    /// `auto` uses them on a terminal, unless `NO_COLOR` is set or `TERM` is unset or `dumb`.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    pub(crate) color: ColorChoice,

    /// The program and its subcommand, as whoever waits for this process names it.
    #[arg(skip)]
    pub(crate) program: String,
}

/// Returns the grammar of the command line, with the names of `backends` for `--host`.
pub(crate) fn command(backends: &[Arc<dyn CommandBackend>]) -> clap::Command {
    let mut automatic = backends.iter().filter(|backend| !backend.is_simulated());
    let auto = match automatic.all(|backend| matches!(backend.name(), "system" | "user")) {
        true => "`system` for root, `user` for others",
        false => "The first suitable host",
    };
    let mut values = vec![PossibleValue::new(AUTO).help(auto)];
    values.extend(
        backends
            .iter()
            .map(|backend| PossibleValue::new(backend.name()).help(backend.description())),
    );
    let command = Arguments::command()
        .mut_arg("host", |host| host.value_parser(PossibleValuesParser::new(values)));
    with_short_help(command)
}

/// Lists the global options in the help of `companion` only, and refers to it from that of each subcommand.
fn with_short_help(command: clap::Command) -> clap::Command {
    let global = command.get_arguments().filter(|argument| argument.is_global_set()).cloned();
    // clap adds each global option to a subcommand that has none with its id.
    let hidden: Vec<_> =
        global.map(|argument| argument.hide_short_help(true).hide_long_help(true)).collect();
    command.mut_subcommands(|subcommand| {
        let examples = subcommand.get_after_long_help().map(ToString::to_string);
        let long = examples.map(|examples| format!("{examples}\n\n{GLOBAL_OPTIONS}"));
        let long = long.unwrap_or_else(|| GLOBAL_OPTIONS.to_owned());
        subcommand.args(hidden.clone()).after_help(GLOBAL_OPTIONS).after_long_help(long)
    })
}

/// Parses the command line; prints an error or a requested help text and exits.
pub(crate) fn parse(
    line: impl IntoIterator<Item = OsString>,
    backends: &[Arc<dyn CommandBackend>],
) -> Arguments {
    let matches = command(backends).get_matches_from(line);
    let mut arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    arguments.global.program =
        format!("companion {}", matches.subcommand_name().unwrap_or_default());
    arguments
}

/// Parses a path, relative to the current directory.
pub(crate) fn absolute_path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(std::path::absolute)
}

/// Parses an existing directory.
fn directory(text: &str) -> Result<AbsolutePath, String> {
    let found = std::fs::canonicalize(text).map_err(|error| error.to_string())?;
    let text = found.to_str().ok_or("the path is not UTF-8")?;
    AbsolutePath::new(text).map_err(|error| error.to_string())
}

fn build_argument(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("must be of the form NAME=VALUE".to_owned()),
    }
}

/// The subcommands. Each takes its help from the doc comment of its `Arguments`; a comment here would hide it.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Setup(commands::setup::Arguments),
    Doctor(commands::doctor::Arguments),
    Install(commands::install::Arguments),
    Remove(commands::remove::Arguments),
    Export(commands::export::Arguments),
    Apply(commands::apply::Arguments),
    Reconcile(commands::reconcile::Arguments),
    Plan(commands::plan::Arguments),
    Run(commands::run::Arguments),
    Status(commands::status::Arguments),
    Wait(commands::wait::Arguments),
    History(commands::history::Arguments),
    Reload(commands::reload::Arguments),
    Logs(commands::logs::Arguments),
    Render(commands::render::Arguments),
    Catalog(commands::catalog::Arguments),
    #[cfg(feature = "demo")]
    Demo(commands::demo::Arguments),
    Uninstall(commands::uninstall::Arguments),
    Completions(commands::completions::Arguments),
    Man(commands::man::Arguments),
}

impl Command {
    /// Returns whether the command runs until it receives a signal.
    pub(crate) fn is_daemon(&self) -> bool {
        matches!(self, Self::Run(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::backends;

    #[test]
    fn the_arguments_are_consistent() {
        command(&backends()).debug_assert();
    }

    #[test]
    fn build_argument_is_split_at_the_first_equals_sign() {
        assert_eq!(build_argument("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert_eq!(build_argument("A="), Ok(("A".to_owned(), String::new())));
        assert!(build_argument("A").is_err() && build_argument("=b").is_err());
    }
}
