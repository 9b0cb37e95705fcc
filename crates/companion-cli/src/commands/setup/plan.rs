//! Plans the changes of `setup` from the findings. Pure.

use std::path::PathBuf;

use serde::Serialize;

use crate::service::ServiceState;

/// The state of the unit file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FoundUnit {
    /// The file is missing.
    Absent,
    /// The unit that `setup` writes.
    Same,
    /// A unit that `setup` may replace.
    Outdated,
    /// The file is missing, but a package has a unit that runs this program.
    Packaged(PathBuf),
    /// An earlier `setup` wrote the file, and it hides the unit of the package that installed this program.
    HidesPackaged(PathBuf),
    /// A file that companion did not write.
    Unmanaged {
        /// The kind of file.
        why: String,
        /// The command that fixes it.
        fix: String,
    },
}

/// The findings.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) unit: FoundUnit,
    pub(super) unit_path: PathBuf,
    pub(super) state: ServiceState,
    /// Whether a running daemon runs this program.
    pub(super) is_current: bool,
    /// The `systemctl` command of the scope.
    pub(super) systemctl: &'static str,
}

/// A change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    WriteUnit,
    DeleteUnit,
    WriteCatalog,
    Reload,
    Enable,
    Disable,
    Start,
    Restart,
    Stop,
}

/// The outcome of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    Done,
    Unchanged,
    Planned,
    LeftAlone,
    Failed,
}

/// A step of the plan, and later of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    pub(super) step: &'static str,
    pub(super) outcome: Outcome,
    pub(super) text: String,
    pub(super) fix: Option<String>,
    /// What is to be done, if anything.
    #[serde(skip)]
    pub(super) change: Option<Change>,
}

impl Row {
    pub(super) fn planned(change: Change, text: impl Into<String>) -> Self {
        let step = match change {
            Change::WriteUnit | Change::DeleteUnit => "unit",
            Change::WriteCatalog => "catalog",
            Change::Reload => "systemd",
            Change::Enable | Change::Disable | Change::Start | Change::Restart | Change::Stop => {
                "service"
            }
        };
        let (outcome, text) = (Outcome::Planned, text.into());
        Self { step, outcome, text, fix: None, change: Some(change) }
    }

    pub(super) fn unchanged(step: &'static str, text: impl Into<String>) -> Self {
        Self { step, outcome: Outcome::Unchanged, text: text.into(), fix: None, change: None }
    }

    pub(super) fn left_alone(step: &'static str, text: String, fix: String) -> Self {
        Self { step, outcome: Outcome::LeftAlone, text, fix: Some(fix), change: None }
    }
}

/// Plans the setup of the service; with `start`, the daemon is started or restarted.
pub(super) fn setup(found: &Found, start: bool) -> Vec<Row> {
    let mut plan = Vec::new();
    let (path, state) = (found.unit_path.display(), &found.state);
    let (mut writes, mut enabled) = (false, state.is_enabled());
    match &found.unit {
        FoundUnit::Unmanaged { why, fix } => {
            return vec![Row::left_alone("unit", format!("{path} {why}"), fix.clone())];
        }
        FoundUnit::Absent | FoundUnit::Outdated => {
            let verb = if found.unit == FoundUnit::Absent { "write" } else { "replace" };
            plan.push(Row::planned(Change::WriteUnit, format!("{verb} {path}")));
            writes = true;
        }
        FoundUnit::Same => plan.push(Row::unchanged("unit", path.to_string())),
        FoundUnit::Packaged(path) => plan.push(Row::unchanged("unit", path.display().to_string())),
        FoundUnit::HidesPackaged(packaged) => {
            // Its symlinks go first: they name the file, so systemd would not replace them.
            plan.extend(enabled.then(|| Row::planned(Change::Disable, "disable")));
            plan.push(Row::planned(Change::DeleteUnit, format!("delete {path}")));
            plan.push(Row::unchanged("unit", packaged.display().to_string()));
            writes = true;
            enabled = false;
        }
    }
    plan.push(match enabled {
        true => Row::unchanged("service", "enabled"),
        false => Row::planned(Change::Enable, "enable"),
    });
    // Also after enabling: systemd loads the symlinks of a unit with the unit.
    if writes || state.needs_reload || state.load == "not-found" || !enabled {
        plan.push(Row::planned(Change::Reload, "reload"));
    }
    plan.push(run(found, start, writes || state.needs_reload));
    plan
}

fn run(found: &Found, start: bool, changed: bool) -> Row {
    let state = &found.state;
    let restart = |why| Row::planned(Change::Restart, format!("restart, because {why}"));
    match (state.is_running(), state.is_failing()) {
        _ if !start => Row::unchanged("service", "neither started nor restarted (--no-start)"),
        (false, false) => Row::planned(Change::Start, "start"),
        (false, true) => restart("it was failing"),
        (true, _) if changed => restart("its unit changed"),
        (true, _) if !found.is_current => restart("its program was replaced"),
        (true, _) => Row::unchanged("service", "running"),
    }
}

/// Plans the removal: the service, and the unit if companion wrote it.
pub(super) fn removal(found: &Found) -> Vec<Row> {
    let (path, state) = (found.unit_path.display(), &found.state);
    let mut plan = Vec::new();
    // A removal that was killed after it deleted the unit has not reloaded it.
    let mut reload = state.is_enabled() || state.needs_reload;
    let unit = match &found.unit {
        FoundUnit::Unmanaged { why, .. } => {
            let fix = format!("{} disable --now companion.service", found.systemctl);
            return vec![Row::left_alone("unit", format!("{path} {why}"), fix)];
        }
        FoundUnit::Same | FoundUnit::Outdated | FoundUnit::HidesPackaged(_) => {
            reload = true;
            Row::planned(Change::DeleteUnit, format!("delete {path}"))
        }
        FoundUnit::Packaged(path) => Row::unchanged("unit", path.display().to_string()),
        FoundUnit::Absent => Row::unchanged("unit", "not installed"),
    };
    if state.is_running() || state.is_failing() || state.active == "activating" {
        plan.push(Row::planned(Change::Stop, "stop"));
    }
    plan.extend(state.is_enabled().then(|| Row::planned(Change::Disable, "disable")));
    plan.push(unit);
    plan.extend(reload.then(|| Row::planned(Change::Reload, "reload")));
    plan
}

#[cfg(test)]
mod tests;
