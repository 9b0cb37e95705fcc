//! Plans the changes of `setup` from the findings. Pure.

use std::path::{Path, PathBuf};

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

/// The state of the catalog file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FoundCatalog {
    /// The file is missing.
    Absent,
    /// A catalog with all settings of the options.
    Present,
    /// A catalog that lacks a setting of the options.
    Lacks {
        /// The missing setting.
        what: String,
        /// The lines to add.
        fix: String,
    },
}

/// The findings.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) unit: FoundUnit,
    pub(super) unit_path: PathBuf,
    pub(super) catalog: FoundCatalog,
    pub(super) catalog_path: PathBuf,
    pub(super) state: ServiceState,
    /// Whether a running daemon runs this program.
    pub(super) is_current: bool,
    /// The `systemctl` command of the scope.
    pub(super) systemctl: &'static str,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    WriteUnit { path: PathBuf, replaces: bool },
    DeleteUnit { path: PathBuf },
    WriteCatalog { path: PathBuf },
    Reload,
    Enable,
    Disable,
    Start,
    Restart { why: &'static str },
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

impl Outcome {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unchanged => "unchanged",
            Self::Planned => "planned",
            Self::LeftAlone => "left alone",
            Self::Failed => "failed",
        }
    }

    pub(super) fn is_change(self) -> bool {
        self == Self::Done
    }

    pub(super) fn is_failure(self) -> bool {
        matches!(self, Self::LeftAlone | Self::Failed)
    }
}

/// A row of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    pub(super) step: &'static str,
    pub(super) outcome: Outcome,
    pub(super) text: String,
    pub(super) fix: Option<String>,
}

/// A part of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// Something to change.
    Change(Change),
    /// Something to report.
    Row(Row),
}

fn unchanged(step: &'static str, text: impl Into<String>) -> Entry {
    Entry::Row(Row { step, outcome: Outcome::Unchanged, text: text.into(), fix: None })
}

fn left_alone(step: &'static str, text: String, fix: &str) -> Entry {
    Entry::Row(Row { step, outcome: Outcome::LeftAlone, text, fix: Some(fix.to_owned()) })
}

/// Plans the setup; with `start`, the daemon is started or restarted.
pub(super) fn setup(found: &Found, start: bool) -> Vec<Entry> {
    let mut plan = vec![catalog(found)];
    let path = || found.unit_path.clone();
    let state = &found.state;
    let (mut writes, mut enabled) = (false, state.is_enabled());
    match &found.unit {
        FoundUnit::Unmanaged { why, fix } => {
            plan.push(left_alone("unit", format!("{} {why}", found.unit_path.display()), fix));
            return plan;
        }
        FoundUnit::Absent | FoundUnit::Outdated => {
            let replaces = found.unit == FoundUnit::Outdated;
            plan.push(Entry::Change(Change::WriteUnit { path: path(), replaces }));
            writes = true;
        }
        FoundUnit::Same => plan.push(unchanged("unit", shown(&found.unit_path))),
        FoundUnit::Packaged(path) => plan.push(unchanged("unit", shown(path))),
        FoundUnit::HidesPackaged(packaged) => {
            // Its symlinks go first: they name the file, so systemd would not replace them.
            plan.extend(state.is_enabled().then_some(Entry::Change(Change::Disable)));
            plan.push(Entry::Change(Change::DeleteUnit { path: path() }));
            plan.push(unchanged("unit", shown(packaged)));
            writes = true;
            enabled = false;
        }
    }
    plan.push(match enabled {
        true => unchanged("service", "enabled"),
        false => Entry::Change(Change::Enable),
    });
    // Also after enabling: systemd loads the symlinks of a unit with the unit.
    if writes || state.needs_reload || state.load == "not-found" || !enabled {
        plan.push(Entry::Change(Change::Reload));
    }
    plan.push(run(found, start, writes || state.needs_reload));
    plan
}

fn catalog(found: &Found) -> Entry {
    let path = &found.catalog_path;
    match &found.catalog {
        FoundCatalog::Absent => Entry::Change(Change::WriteCatalog { path: path.clone() }),
        FoundCatalog::Present => unchanged("catalog", shown(path)),
        FoundCatalog::Lacks { what, fix } => {
            left_alone("catalog", format!("{} {what}", path.display()), fix)
        }
    }
}

fn run(found: &Found, start: bool, changed: bool) -> Entry {
    let state = &found.state;
    if !start {
        return unchanged("service", "neither started nor restarted (--no-start)");
    }
    match (state.is_running(), state.is_failing()) {
        (false, false) => Entry::Change(Change::Start),
        (false, true) => Entry::Change(Change::Restart { why: "it was failing" }),
        (true, _) if changed => Entry::Change(Change::Restart { why: "its unit changed" }),
        (true, _) if !found.is_current => {
            Entry::Change(Change::Restart { why: "its program was replaced" })
        }
        (true, _) => unchanged("service", "running"),
    }
}

/// Plans the removal: the service, and the unit if companion wrote it.
pub(super) fn removal(found: &Found) -> Vec<Entry> {
    let state = &found.state;
    if let FoundUnit::Unmanaged { why, .. } = &found.unit {
        let text = format!("{} {why}", found.unit_path.display());
        let fix = format!("{} disable --now companion.service", found.systemctl);
        return vec![left_alone("unit", text, &fix)];
    }
    let mut plan = Vec::new();
    if state.is_running() || state.is_failing() || state.active == "activating" {
        plan.push(Entry::Change(Change::Stop));
    }
    if state.is_enabled() {
        plan.push(Entry::Change(Change::Disable));
    }
    // A removal that was killed after it deleted the unit has not reloaded it.
    let mut reload = state.is_enabled() || state.needs_reload;
    match &found.unit {
        FoundUnit::Same | FoundUnit::Outdated | FoundUnit::HidesPackaged(_) => {
            plan.push(Entry::Change(Change::DeleteUnit { path: found.unit_path.clone() }));
            reload = true;
        }
        FoundUnit::Packaged(path) => plan.push(unchanged("unit", shown(path))),
        FoundUnit::Absent | FoundUnit::Unmanaged { .. } => {
            plan.push(unchanged("unit", "not installed"));
        }
    }
    plan.extend(reload.then_some(Entry::Change(Change::Reload)));
    plan
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

impl Change {
    fn step(&self) -> &'static str {
        match self {
            Self::WriteUnit { .. } | Self::DeleteUnit { .. } => "unit",
            Self::WriteCatalog { .. } => "catalog",
            Self::Reload => "systemd",
            Self::Enable | Self::Disable | Self::Start | Self::Restart { .. } | Self::Stop => {
                "service"
            }
        }
    }

    /// Returns its description in the past tense and in the imperative.
    fn texts(&self) -> (String, String) {
        let of = |path: &Path, past: &str, command: &str| {
            (format!("{past} {}", path.display()), format!("{command} {}", path.display()))
        };
        let verbs = |past: &str, command: &str| (past.to_owned(), command.to_owned());
        match self {
            Self::WriteUnit { path, replaces: false } => of(path, "wrote", "write"),
            Self::WriteUnit { path, replaces: true } => of(path, "replaced", "replace"),
            Self::DeleteUnit { path } => of(path, "deleted", "delete"),
            Self::WriteCatalog { path } => of(path, "wrote", "write"),
            Self::Reload => verbs("reloaded", "reload"),
            Self::Enable => verbs("enabled", "enable"),
            Self::Disable => verbs("disabled", "disable"),
            Self::Start => verbs("started", "start"),
            Self::Stop => verbs("stopped", "stop"),
            Self::Restart { why } => {
                (format!("restarted, because {why}"), format!("restart, because {why}"))
            }
        }
    }

    pub(super) fn done(&self) -> Row {
        Row { step: self.step(), outcome: Outcome::Done, text: self.texts().0, fix: None }
    }

    pub(super) fn planned(&self) -> Row {
        Row { step: self.step(), outcome: Outcome::Planned, text: self.texts().1, fix: None }
    }

    pub(super) fn failed(&self, error: &str, fix: Option<String>) -> Row {
        let text = format!("{}: {error}", self.texts().1);
        Row { step: self.step(), outcome: Outcome::Failed, text, fix }
    }
}

#[cfg(test)]
mod tests;
