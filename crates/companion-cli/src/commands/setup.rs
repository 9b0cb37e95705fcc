//! `companion setup`: installs, enables and starts the daemon's service, and writes its catalog.

use std::sync::Arc;

use adapter_systemd::Scope;
use clap::Args;
use companion_core::error_chain::chain;
use durable_dir::DirError;
use serde_json::json;

use super::doctor;
use super::report::VERSION;
use crate::backend::CommandBackend;
use crate::config::Config;
use crate::error::{CommandError, CommandResult, Verdict};
use crate::output::{Output, Style};
use crate::runtime::block_on_in_real_time;
use crate::service::{Systemctl, UNIT, unit};

mod catalog;
mod files;
mod plan;
mod program;

use files::{CatalogPlace, UnitPlace};
use plan::{Change, Entry, Found, Row};

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
pub(crate) fn run(arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    let Some(scope) = config.host.daemon_scope() else {
        let host = match config.host.is_simulated() {
            true => "the simulated host".to_owned(),
            false => format!("the host `{}`", config.host.name()),
        };
        return Err(CommandError::input(format!("{host} has no daemon to set up")));
    };
    if let Some(option) = config.option_of_one_command() {
        let message = format!("`setup` does not accept `{option}`: the daemon would not use it");
        return Err(CommandError::input(message)
            .hinted("the daemon reads the default catalog and the default state directory"));
    }
    block_on_in_real_time(async {
        let setup = Setup::find(scope, arguments, config).await?;
        let entries = match arguments.remove {
            true => plan::removal(&setup.found),
            false => plan::setup(&setup.found, !arguments.no_start),
        };
        let mut report = Report::new(output);
        setup.carry_out(entries, arguments.dry_run, &mut report).await;
        if arguments.remove {
            report.note_what_stays(config);
        } else if !report.failed {
            report.remaining = doctor::examine(config).await;
            report.remaining.retain(doctor::Finding::is_left_to_do);
        }
        Ok(report.finish())
    })
}

/// Stops and disables the daemon, and deletes its unit, as `setup --remove` does.
pub(super) async fn remove_daemon(config: &Config, output: &Output) -> CommandResult<Verdict> {
    let Some(scope) = config.host.daemon_scope() else { return Ok(Verdict::Done) };
    let arguments = Arguments { dry_run: false, no_start: false, force: false, remove: true };
    let setup = Setup::find(scope, &arguments, config).await?;
    let mut report = Report::new(output);
    setup.carry_out(plan::removal(&setup.found), false, &mut report).await;
    Ok(Verdict::of(!report.failed))
}

/// The findings, and the files to write.
struct Setup {
    host: Arc<dyn CommandBackend>,
    systemctl: Systemctl,
    unit: UnitPlace,
    catalog: CatalogPlace,
    found: Found,
}

impl Setup {
    /// Inspects the host without changing it.
    async fn find(scope: Scope, arguments: &Arguments, config: &Config) -> CommandResult<Self> {
        let program = match arguments.remove {
            true => program::own()?,
            false => program::own_installed(arguments.force)?,
        };
        let text = unit::text(&program, scope).ok_or_else(|| {
            let message = format!("a unit file cannot contain the path `{}`", program.display());
            CommandError::input(message)
                .hinted("move the program to a path without spaces and special characters")
        })?;
        let systemctl = Systemctl::new(scope);
        let state = systemctl.state().await.map_err(hinted)?;
        let unit = UnitPlace::new(systemctl.unit_directory().await.map_err(hinted)?, text, scope);
        let catalog = CatalogPlace::new(scope, config)?;
        let found = Found {
            unit: unit.find(&state, &program, arguments.force)?,
            unit_path: unit.path(),
            catalog: catalog.find()?,
            catalog_path: catalog.path(),
            is_current: state.runs(&program).unwrap_or(true),
            state,
            systemctl: systemctl.shown(),
        };
        Ok(Self { host: Arc::clone(&config.host), systemctl, unit, catalog, found })
    }

    /// Makes the changes in order, up to the first failure.
    async fn carry_out(&self, entries: Vec<Entry>, dry_run: bool, report: &mut Report<'_>) {
        for entry in entries {
            let change = match entry {
                Entry::Row(row) => {
                    report.add(row);
                    continue;
                }
                Entry::Change(change) => change,
            };
            if dry_run {
                report.add(change.planned());
                continue;
            }
            match self.make(&change).await {
                Ok(()) => report.add(change.done()),
                Err(error) => {
                    let fix = error.hints().first().cloned();
                    report.add(change.failed(&error.to_string(), fix));
                    return;
                }
            }
        }
    }

    async fn make(&self, change: &Change) -> CommandResult<()> {
        let unusable = |error: DirError| CommandError::failure(chain(&error));
        match change {
            Change::WriteUnit { .. } => self.unit.write().map_err(unusable),
            Change::DeleteUnit { .. } => self.unit.delete().map_err(unusable),
            Change::WriteCatalog { .. } => self.catalog.write().map_err(unusable),
            Change::Reload => self.reload().await,
            Change::Enable => self.systemctl.change(&["enable", "--no-reload", UNIT]).await,
            Change::Disable => self.systemctl.change(&["disable", "--no-reload", UNIT]).await,
            Change::Stop => self.systemctl.change(&["stop", UNIT]).await,
            Change::Start => self.start("start").await,
            Change::Restart { .. } => self.start("restart").await,
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

/// The report of the command.
struct Report<'o> {
    output: &'o Output,
    rows: Vec<Row>,
    remaining: Vec<doctor::Finding>,
    failed: bool,
}

impl<'o> Report<'o> {
    fn new(output: &'o Output) -> Self {
        Self { output, rows: Vec::new(), remaining: Vec::new(), failed: false }
    }

    fn add(&mut self, row: Row) {
        self.failed |= row.outcome.is_failure();
        if !self.output.is_json() {
            let style = match row.outcome {
                plan::Outcome::Done => Style::Good,
                plan::Outcome::Unchanged => Style::Faint,
                plan::Outcome::Planned => Style::Busy,
                plan::Outcome::LeftAlone | plan::Outcome::Failed => Style::Bad,
            };
            let word = self.output.styled(style, &format!("{:<10}", row.outcome.word()));
            self.output.line(format!("{word} {}: {}", row.step, row.text));
            if let Some(fix) = &row.fix {
                self.output.line(format!("           fix: {fix}"));
            }
        }
        self.rows.push(row);
    }

    fn note_what_stays(&self, config: &Config) {
        let places = [config.host.default_catalog(), config.state_dir().ok()];
        let places = places.into_iter().flatten().filter(|path| path.exists());
        let stays: Vec<_> = places.map(|path| path.display().to_string()).collect();
        self.output.note(format!(
            "companions keep running without the daemon; `companion remove APP` removes those of an app. \
             These remain: images, and {}",
            if stays.is_empty() { "nothing else".to_owned() } else { stays.join(" and ") }
        ));
    }

    fn finish(&self) -> Verdict {
        let changed = self.rows.iter().any(|row| row.outcome.is_change());
        if self.output.is_json() {
            self.output.json(&json!({
                "version": VERSION,
                "changed": changed,
                "steps": self.rows,
                "remaining": self.remaining,
            }));
        } else {
            let planned = self.rows.iter().any(|row| row.outcome == plan::Outcome::Planned);
            match (changed, planned) {
                (false, true) => self.output.line("dry run: nothing was changed"),
                (false, false) => self.output.line("nothing was changed"),
                (true, _) => {}
            }
            if !self.remaining.is_empty() {
                self.output.line("remaining steps:");
                self.remaining.iter().for_each(|finding| finding.print(self.output));
            }
        }
        match self.remaining.iter().any(doctor::Finding::is_error) {
            _ if self.failed => Verdict::NotDone,
            true => Verdict::Missing,
            false => Verdict::Done,
        }
    }
}
