//! `companion setup`: installs, enables and starts the daemon's service, and writes its catalog.

use std::path::PathBuf;
use std::sync::Arc;

use adapter_systemd::Scope;
use clap::Args;
use companion_core::error_chain::chain;
use durable_dir::DirError;
use serde_json::json;

use super::doctor::{self, Finding};
use super::report::VERSION;
use crate::arguments::GlobalArguments;
use crate::backend::CommandBackend;
use crate::config::Config;
use crate::error::{CommandError, CommandResult, Verdict};
use crate::output::{Output, Style};
use crate::service::{Systemctl, UNIT, unit};

mod catalog;
mod plan;
mod program;
mod unit_file;

use catalog::NewCatalog;
use plan::{Change, Found, Outcome, Row};
use unit_file::UnitFile;

/// Install, enable and start the daemon of this program
///
/// Writes the unit companion.service, which runs this program, and a commented catalog.toml if none
/// exists; reloads systemd; enables and starts the service. Restarts the daemon if its unit changed or
/// its program was replaced. Prints what it changed, what was unchanged, and which steps remain for you.
/// A second run changes nothing. The unit is written to ~/.config/systemd/user, or to
/// /etc/systemd/system for root. The program of a package uses the unit of the package, and deletes
/// one that an earlier setup wrote.
///
/// --contexts and --build-arg are written to the new catalog. An existing catalog is never changed, and
/// a unit that companion did not write only with --force.
///
/// With --json: {"version": 1, "changed": bool, "steps": [{"step", "outcome": "done" | "unchanged" |
/// "planned" | "left-alone" | "failed", "text", "fix"}], "remaining": [{"check", "state", "found",
/// "fix"}]}; "fix" is null if there is nothing to fix.
///
/// Exit status: 0 if the daemon is set up, 1 if a step failed or a file was left alone, 2 for invalid
/// options, 3 if a prerequisite is missing.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  companion setup                                install, enable and start the daemon
  companion setup --dry-run                      print what that would change
  companion setup --contexts \"$PWD/contexts\"     build images from these directories
  sudo companion setup                           for the Podman of root
  companion setup --remove                       stop the daemon and delete its unit")]
pub(crate) struct Arguments {
    /// Print the changes without making them
    #[arg(long)]
    dry_run: bool,
    /// Enable the daemon, but do not start or restart it now
    #[arg(long)]
    no_start: bool,
    /// Replace a unit that companion did not write; accept a program in a build or temporary directory
    #[arg(long)]
    force: bool,
    /// Stop and disable the daemon, and delete its unit
    #[arg(long, conflicts_with_all = ["no_start", "force"])]
    remove: bool,
}

/// Sets up or removes the daemon.
pub(crate) async fn run(arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    let Some(scope) = config.host.daemon_scope() else {
        let host = match config.host.is_simulated() {
            true => "the simulated host".to_owned(),
            false => format!("the host `{}`", config.host.name()),
        };
        return Err(CommandError::input(format!("{host} has no daemon to set up")));
    };
    let GlobalArguments { catalog, state_dir, .. } = &config.global;
    let given = [("--catalog", !catalog.is_empty()), ("--state-dir", state_dir.is_some())];
    if let Some((option, _)) = given.iter().find(|(_, given)| *given) {
        let message = format!("`setup` does not accept `{option}`: the daemon would not use it");
        return Err(CommandError::input(message)
            .hinted("the daemon reads the default catalog and the default state directory"));
    }
    let program = match arguments.remove {
        true => program::own()?,
        false => program::own_installed(arguments.force)?,
    };
    let (setup, found) = Setup::find(scope, program, arguments.force, config).await?;
    let plan = match arguments.remove {
        true => plan::removal(&found),
        false => [vec![setup.catalog.row()?], plan::setup(&found, !arguments.no_start)].concat(),
    };
    let rows = setup.carry_out(plan, arguments.dry_run, output).await;
    let failed = has_failed(&rows);
    let mut remaining = Vec::new();
    if arguments.remove {
        note_what_stays(config, output);
    } else if !failed {
        remaining = doctor::examine(config).await;
        remaining.retain(Finding::is_left_to_do);
    }
    print_end(&rows, &remaining, output);
    Ok(match remaining.iter().any(Finding::is_error) {
        _ if failed => Verdict::NotDone,
        true => Verdict::Missing,
        false => Verdict::Done,
    })
}

/// Stops and disables the daemon, and deletes its unit, as `setup --remove` does.
pub(super) async fn remove_daemon(config: &Config, output: &Output) -> CommandResult {
    let Some(scope) = config.host.daemon_scope() else { return Ok(Verdict::Done) };
    let (setup, found) = Setup::find(scope, program::own()?, false, config).await?;
    let rows = setup.carry_out(plan::removal(&found), false, output).await;
    Ok(Verdict::of(!has_failed(&rows)))
}

fn has_failed(rows: &[Row]) -> bool {
    rows.iter().any(|row| matches!(row.outcome, Outcome::LeftAlone | Outcome::Failed))
}

/// What the changes are made with.
struct Setup {
    host: Arc<dyn CommandBackend>,
    systemctl: Systemctl,
    unit: UnitFile,
    catalog: NewCatalog,
}

impl Setup {
    /// Inspects the host without changing it.
    async fn find(
        scope: Scope,
        program: PathBuf,
        force: bool,
        config: &Config,
    ) -> CommandResult<(Self, Found)> {
        let text = unit::text(&program, scope).ok_or_else(|| {
            let message = format!("a unit file cannot contain the path `{}`", program.display());
            CommandError::input(message)
                .hinted("move the program to a path without spaces and special characters")
        })?;
        let systemctl = Systemctl::new(scope);
        let state = systemctl.state().await.map_err(hinted)?;
        let directory = systemctl.unit_directory().await.map_err(hinted)?;
        let unit = UnitFile { directory, text };
        let found = Found {
            unit: unit.find(&state, &program, scope, force)?,
            unit_path: unit.path(),
            is_current: state.runs(&program).unwrap_or(true),
            state,
            systemctl: systemctl.shown(),
        };
        let catalog = NewCatalog::of(scope, config)?;
        Ok((Self { host: Arc::clone(&config.host), systemctl, unit, catalog }, found))
    }

    /// Makes and prints the changes in order, up to the first failure.
    async fn carry_out(&self, plan: Vec<Row>, dry_run: bool, output: &Output) -> Vec<Row> {
        let mut rows = Vec::new();
        for mut row in plan {
            if let Some(change) = row.change.filter(|_| !dry_run) {
                row.outcome = Outcome::Done;
                if let Err(error) = self.make(change).await {
                    row.outcome = Outcome::Failed;
                    row.text = format!("{}: {error}", row.text);
                    row.fix = error.hints.first().cloned();
                }
            }
            if !output.is_json() {
                print_row(&row, output);
            }
            let failed = row.outcome == Outcome::Failed;
            rows.push(row);
            if failed {
                break;
            }
        }
        rows
    }

    async fn make(&self, change: Change) -> CommandResult<()> {
        let unusable = |error: DirError| CommandError::failure(chain(&error));
        match change {
            Change::WriteUnit => self.unit.write().map_err(unusable),
            Change::DeleteUnit => self.unit.delete().map_err(unusable),
            Change::WriteCatalog => self.catalog.write().map_err(unusable),
            Change::Reload => self.reload().await,
            Change::Enable => self.systemctl.change(&["enable", "--no-reload", UNIT]).await,
            Change::Disable => self.systemctl.change(&["disable", "--no-reload", UNIT]).await,
            Change::Stop => self.systemctl.change(&["stop", UNIT]).await,
            Change::Start => self.start("start").await,
            Change::Restart => self.start("restart").await,
        }
    }

    async fn start(&self, verb: &str) -> CommandResult<()> {
        let log = self.systemctl.log_command();
        let started = self.systemctl.change(&[verb, UNIT]).await;
        started.map_err(|error| error.hinted(log.clone()))?;
        // Detect a daemon that exited right after it was ready.
        let state = self.systemctl.state().await?;
        if state.is_running() {
            return Ok(());
        }
        let (active, sub) = (state.active, state.sub);
        Err(CommandError::failure(format!("{UNIT} is {active} ({sub})")).hinted(log))
    }

    /// Reloads systemd, unless the reload would drop the units of companions.
    async fn reload(&self) -> CommandResult<()> {
        let unloadable = self.host.unloadable().await?;
        if !unloadable.lost.is_empty() {
            let files: Vec<_> = unloadable.files.iter().map(|found| &*found.file).collect();
            let message = format!(
                "a reload would drop the units of {} companion(s), because Podman's generator \
                 cannot load {}",
                unloadable.lost.len(),
                files.join(", ")
            );
            return Err(CommandError::failure(message).hinted("fix or move these files"));
        }
        self.systemctl.change(&["daemon-reload"]).await
    }
}

/// Adds a hint for a service manager that does not respond.
fn hinted(error: CommandError) -> CommandError {
    error.hinted("`companion doctor` lists what is missing, and the commands that fix it")
}

fn print_row(row: &Row, output: &Output) {
    let (word, style) = match row.outcome {
        Outcome::Done => ("done", Style::Good),
        Outcome::Unchanged => ("unchanged", Style::Faint),
        Outcome::Planned => ("planned", Style::Busy),
        Outcome::LeftAlone => ("left alone", Style::Bad),
        Outcome::Failed => ("failed", Style::Bad),
    };
    let word = style.paint(&format!("{word:<10}"));
    output.line(format!("{word} {}: {}", row.step, row.text));
    if let Some(fix) = &row.fix {
        output.line(format!("           fix: {fix}"));
    }
}

fn note_what_stays(config: &Config, output: &Output) {
    let places = [config.host.default_catalog(), config.state_dir().ok()];
    let places = places.into_iter().flatten().filter(|path| path.exists());
    let stays: Vec<_> = places.map(|path| path.display().to_string()).collect();
    output.note(format!(
        "companions keep running without the daemon; `companion remove APP` removes those of an app. \
         These remain: images, and {}",
        if stays.is_empty() { "nothing else".to_owned() } else { stays.join(" and ") }
    ));
}

/// Prints the report as JSON, or what follows its rows.
fn print_end(rows: &[Row], remaining: &[Finding], output: &Output) {
    let has = |outcome| rows.iter().any(|row| row.outcome == outcome);
    let changed = has(Outcome::Done);
    if output.is_json() {
        return output.json(&json!({
            "version": VERSION,
            "changed": changed,
            "steps": rows,
            "remaining": remaining,
        }));
    }
    if !changed {
        let dry_run = if has(Outcome::Planned) { "dry run: " } else { "" };
        output.line(format!("{dry_run}nothing was changed"));
    }
    if !remaining.is_empty() {
        output.line("remaining steps:");
        remaining.iter().for_each(|finding| finding.print(output));
    }
}
