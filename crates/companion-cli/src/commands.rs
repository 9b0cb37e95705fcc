//! The subcommands, one file each, and their dispatch.

use std::sync::Arc;

use crate::arguments::{Arguments, Command, command};
use crate::backend::CommandBackend;
use crate::config::Config;
use crate::error::CommandResult;
use crate::output::Output;

pub(crate) mod apply;
pub(crate) mod catalog;
mod causes;
pub(crate) mod completions;
#[cfg(feature = "demo")]
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod export;
pub(crate) mod history;
pub(crate) mod install;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod plan;
pub(crate) mod reconcile;
pub(crate) mod reload;
pub(crate) mod remove;
pub(crate) mod render;
mod report;
pub(crate) mod run;
pub(crate) mod setup;
pub(crate) mod status;
pub(crate) mod uninstall;
pub(crate) mod wait;

/// Runs the subcommand.
pub(crate) fn run(
    arguments: Arguments,
    backends: &[Arc<dyn CommandBackend>],
    output: &Output,
) -> CommandResult {
    let config = Config::new(arguments.global, backends)?;
    match arguments.command {
        Command::Install(arguments) => install::run(&arguments, &config, output),
        Command::Remove(arguments) => remove::run(&arguments, &config, output),
        Command::Export(arguments) => export::run(&arguments, &config, output),
        Command::Apply(arguments) => apply::run(&arguments, &config, output),
        Command::Uninstall(arguments) => uninstall::run(&arguments, &config, output),
        Command::Reconcile(arguments) => reconcile::run(&arguments, &config, output),
        Command::Plan(arguments) => plan::run(&arguments, &config, output),
        Command::Run(arguments) => run::run(&arguments, &config, output),
        Command::Status(arguments) => status::run(&arguments, &config, output),
        Command::Wait(arguments) => wait::run(&arguments, &config, output),
        Command::History(arguments) => history::run(&arguments, &config, output),
        Command::Reload(arguments) => reload::run(&arguments, &config, output),
        Command::Render(arguments) => render::run(&arguments, &config, output),
        Command::Catalog(arguments) => catalog::run(&arguments, &config, output),
        Command::Logs(arguments) => logs::run(&arguments, &config),
        Command::Setup(arguments) => setup::run(&arguments, &config, output),
        Command::Doctor(arguments) => doctor::run(&arguments, &config, output),
        #[cfg(feature = "demo")]
        Command::Demo(arguments) => demo::run(&arguments, output),
        Command::Completions(arguments) => completions::run(&arguments, &command(backends), output),
        Command::Man(arguments) => man::run(&arguments, command(backends), output),
    }
}
