//! Detects reloads that would lose units. A single unloadable unit file in the directory makes Podman's generator drop
//! every unit of that directory; systemd then no longer finds ours and does not restart them (observed with Podman
//! 5.4.2 and 5.8.6).
//!
//! Before each reload, a dry run of the generator therefore checks the directories that it would read. A reload that
//! would lose a managed unit is skipped, and running services keep running. A unit that is rejected by itself does not
//! prevent a reload, nor does a broken file that costs no managed unit. A file can still change between the check and
//! the reload.

use std::collections::BTreeSet;
use std::path::PathBuf;

use companion_core::model::companion::CompanionName;
use companion_core::ports::{PortError, PortErrorKind, PortResult, UnitStore as _};
use quadlet::PodmanVersion;

use crate::error::shown;
use crate::scope::Scope;
use crate::unit_store::QuadletDir;

pub(crate) mod outcome;

/// How many names or files an error lists.
const LISTED: usize = 5;

/// The files that the generator cannot load, and the companions whose units the next reload would lose.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnloadableUnits {
    /// The unloadable files, each of which drops all units of its directory.
    pub files: Vec<UnloadableFile>,
    /// The companions whose unit files exist but whose services systemd would no longer find. Empty if no file is at
    /// fault.
    pub lost: BTreeSet<CompanionName>,
    /// The files that the generator read and rejected, by name. Each has no service, and affects no other.
    pub refused: Vec<UnloadableFile>,
    /// The other files with the container name of a companion: each start replaces the other's container.
    pub same_container: Vec<SameContainer>,
}

/// A unit file with the container name of a companion, although its own name is another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SameContainer {
    /// Its path, without control characters.
    pub file: String,
    /// The companion.
    pub name: CompanionName,
}

/// A unit file that the generator cannot read or parse, or rejects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnloadableFile {
    /// Its path as the generator quotes it, without control characters.
    pub file: String,
    /// The generator's message, escaped, at most 2 KiB.
    pub why: String,
}

/// Runs the generator of `scope` over all unit files, as a reload would, without changing anything.
///
/// Takes at most about a minute: 30 s for the directory, 32 s for the generator.
/// [`SystemdManager::reload`](companion_core::ports::ServiceManager::reload) checks the same first, and fails with
/// `Conflict` while [`UnloadableUnits::lost`] is not empty.
///
/// # Errors
/// `Unavailable` if the generator is missing or broken, or the unit directory is unknown; `Transient` if the generator
/// exceeds its time limit; `Conflict`, `Denied` and `Transient` from reading the directory.
pub async fn unloadable_units(scope: Scope) -> PortResult<UnloadableUnits> {
    let units = units_of(scope)?;
    let (ours, endless) = tokio::join!(units.list(), units.endless_files());
    asked(&units, &ours?, endless?).await
}

/// Returns the unit store of `scope`'s own directory.
pub(crate) fn units_of(scope: Scope) -> PortResult<QuadletDir> {
    // The version affects the text of units, not their ownership.
    QuadletDir::new(scope, PodmanVersion::FLOOR).map_err(|error| {
        let text = "the unit directory is unknown";
        PortError::new(PortErrorKind::Unavailable, text).with_source(error)
    })
}

/// Fails if a reload would lose a managed unit.
///
/// Without a managed unit nothing can be lost and the check is skipped, so that a host without a generator can still
/// unload the last unit.
pub(crate) async fn hold_back_a_loss(units: &QuadletDir) -> PortResult<()> {
    // Concurrently: the reload that may follow has its own time limit.
    let (ours, endless) = tokio::join!(units.list(), units.endless_files());
    let ours = ours?;
    if ours.is_empty() {
        return Ok(());
    }
    let found = asked(units, &ours, endless?).await?;
    if found.lost.is_empty() {
        return Ok(());
    }
    Err(PortError::new(PortErrorKind::Conflict, held_back(&found)))
}

async fn asked(
    units: &QuadletDir,
    ours: &BTreeSet<CompanionName>,
    endless: Vec<PathBuf>,
) -> PortResult<UnloadableUnits> {
    // Skip both check and reload: the generator would block on the pipe, and systemd blocks on the generator.
    if !endless.is_empty() {
        let file = |path: PathBuf| UnloadableFile {
            file: shown(&path.to_string_lossy()),
            why: "it is a named pipe or a device, on which the generator would block".to_owned(),
        };
        return Ok(UnloadableUnits {
            files: endless.into_iter().map(file).collect(),
            lost: ours.clone(),
            ..UnloadableUnits::default()
        });
    }
    let found = async {
        let generator = units.files.form().find_generator().await?;
        let ended = generator.dry_run().await?;
        outcome::interpret(generator.program(), ours, &ended)
    };
    found.await.map_err(|error: PortError| {
        let attempt = "reload skipped: failed to check which units it would lose";
        PortError::new(error.kind(), attempt).with_source(error)
    })
}

fn held_back(found: &UnloadableUnits) -> String {
    let lost = listed(found.lost.iter().map(|name| format!("`{name}`")));
    let files = listed(found.files.iter().map(|found| format!("`{}`: {}", found.file, found.why)));
    let text = format!(
        "reload skipped, also for removed units, because it would lose the units of {lost}; \
         fix or move these files, which the generator cannot load: {files}"
    );
    shown(&text)
}

/// Joins the first few items and counts the rest.
fn listed(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    let mut text = items.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    if items.len() > LISTED {
        text.push_str(&format!(" and {} more", items.len() - LISTED));
    }
    text
}

#[cfg(test)]
mod tests;
