//! The subcommands, one file each, and their dispatch.

use std::sync::Arc;

use crate::arguments::{self, Arguments, Command};
use crate::backend::CommandBackend;
use crate::config::Config;
use crate::error::CommandResult;
use crate::output::Output;
use crate::runtime;

pub(crate) mod apply;
pub(crate) mod catalog;
pub(crate) mod causes;
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
    let in_virtual_time = match arguments.command {
        Command::Run(_) => false,
        #[cfg(feature = "demo")]
        Command::Demo(_) => true,
        _ => config.host.is_simulated(),
    };
    runtime::block_on(in_virtual_time, dispatch(arguments.command, &config, backends, output))
}

async fn dispatch(
    command: Command,
    config: &Config,
    backends: &[Arc<dyn CommandBackend>],
    output: &Output,
) -> CommandResult {
    let grammar = || arguments::command(backends);
    match command {
        Command::Install(arguments) => install::run(&arguments, config, output).await,
        Command::Remove(arguments) => remove::run(&arguments, config, output).await,
        Command::Export(_) => export::run(config, output).await,
        Command::Apply(arguments) => apply::run(&arguments, config, output).await,
        Command::Uninstall(arguments) => uninstall::run(&arguments, config, output).await,
        Command::Reconcile(_) => reconcile::run(config, output).await,
        Command::Plan(arguments) => plan::run(&arguments, config, output).await,
        Command::Run(arguments) => run::run(&arguments, config, output).await,
        Command::Status(arguments) => status::run(&arguments, config, output).await,
        Command::Wait(arguments) => wait::run(&arguments, config, output).await,
        Command::History(arguments) => history::run(&arguments, config, output).await,
        Command::Reload(_) => reload::run(config, output).await,
        Command::Render(arguments) => render::run(&arguments, config, output),
        Command::Catalog(arguments) => catalog::run(&arguments, config, output),
        Command::Logs(arguments) => logs::run(&arguments, config),
        Command::Setup(arguments) => setup::run(&arguments, config, output).await,
        Command::Doctor(_) => doctor::run(config, output).await,
        #[cfg(feature = "demo")]
        Command::Demo(_) => demo::run(output).await,
        Command::Completions(arguments) => completions::run(&arguments, &grammar(), output),
        Command::Man(arguments) => man::run(&arguments, grammar(), output),
    }
}
