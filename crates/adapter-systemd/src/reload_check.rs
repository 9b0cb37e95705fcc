//! What a reload would lose: one unit file that cannot be loaded, whoever put it there, makes Podman's generator drop every unit of
//! its directory, and systemd then no longer finds ours, nor starts them again when they end (seen with Podman 5.4.2 and 5.8.6).
//!
//! So the generator is asked before each reload, by a dry run over the directories that it would read, and the reload that would lose a
//! unit of ours is held back. What runs then runs on as it is. A unit that is refused by itself holds nothing back, and neither
//! does a broken file that costs none of ours. Between the check and the reload a file can still change.

use std::collections::BTreeSet;
use std::path::PathBuf;

use companion_core::model::companion::CompanionName;
use companion_core::ports::{PortError, PortErrorKind, PortResult, UnitStore as _};
use quadlet::PodmanVersion;

use crate::error::shown;
use crate::generator::GeneratorError;
use crate::scope::{Scope, ScopeError};
use crate::unit_store::QuadletDir;

pub(crate) mod outcome;

/// How many names or files an error lists.
const LISTED: usize = 5;

/// What the generator cannot load, and which companions lose their units for it at the next reload.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnloadableUnits {
    /// The files, each of which takes the units of its whole directory with it.
    pub files: Vec<UnloadableFile>,
    /// The companions whose unit files are there, and whose services systemd would no longer find. Empty when no file is at fault.
    pub lost: BTreeSet<CompanionName>,
    /// The files that it read and refused, by their names. Each has no service, and costs no other its own.
    pub refused: Vec<UnloadableFile>,
}

/// A unit file that the generator cannot read or parse, or refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnloadableFile {
    /// Its path, as the generator quotes it: without control characters.
    pub file: String,
    /// Why, in the generator's own words, escaped, 2 KiB at most.
    pub why: String,
}

/// Asks the generator of `scope` about all unit files there are, as a reload would, and changes nothing.
///
/// Takes about a minute at most: 30 s for the directory, 32 s for the generator. [`SystemdManager::reload`](companion_core::ports::ServiceManager::reload) asks the same first, and is refused with
/// `Conflict` while [`UnloadableUnits::lost`] is not empty.
///
/// # Errors
/// `Unavailable` when there is no generator, or it breaks, or the directory of units is not known; `Transient` when it does not end in
/// time; `Conflict`, `Denied` and `Transient` from reading the directory.
pub async fn unloadable_units(scope: Scope) -> PortResult<UnloadableUnits> {
    let units = units_of(scope).map_err(unknown_directory)?;
    let (ours, endless) = tokio::join!(units.list(), units.endless_files());
    asked(&units, &ours?, endless?).await
}

/// The units of `scope` in its own directory.
pub(crate) fn units_of(scope: Scope) -> Result<QuadletDir, ScopeError> {
    // The version matters for what units say, not for whose they are.
    QuadletDir::new(scope, PodmanVersion::new(4, 4, 0))
}

/// Refuses a reload that would lose a unit of ours.
///
/// Where none lies, nothing can be lost and nobody is asked: on a host without a generator the last unit can still be forgotten.
pub(crate) async fn hold_back_a_loss(units: &Result<QuadletDir, ScopeError>) -> PortResult<()> {
    let units = units.as_ref().map_err(|error| unknown_directory(error.clone()))?;
    // At once, for a reload that may come after has its own time to take.
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
    // Neither asked nor reloaded for: systemd would answer nobody while it waits for the generator, and that waits at a pipe.
    if !endless.is_empty() {
        let file = |path: PathBuf| UnloadableFile {
            file: shown(&path.to_string_lossy()),
            why: "it is a named pipe or a device, at which the generator would wait for ever"
                .to_owned(),
        };
        return Ok(UnloadableUnits {
            files: endless.into_iter().map(file).collect(),
            lost: ours.clone(),
            refused: Vec::new(),
        });
    }
    let found = async {
        let generator = units.find_generator().await?;
        let ended = generator.dry_run().await?;
        outcome::judge(generator.program(), ours, &ended)
    };
    found.await.map_err(|error: GeneratorError| {
        let attempt = "it cannot be told which units a reload would lose, so none is made";
        PortError::new(error.kind(), attempt).with_source(error)
    })
}

fn unknown_directory(error: ScopeError) -> PortError {
    let text = "the directory of units is not known, nor what a reload would lose";
    PortError::new(PortErrorKind::Unavailable, text).with_source(error)
}

fn held_back(found: &UnloadableUnits) -> String {
    let lost = listed(found.lost.iter().map(|name| format!("`{name}`")));
    let files = listed(found.files.iter().map(|found| format!("`{}`: {}", found.file, found.why)));
    let text = format!(
        "a reload would lose the units of {lost}, so it is held back, also for units that were removed, until these files are mended or \
         moved away, which the generator cannot load: {files}"
    );
    shown(&text)
}

/// The first few, and how many there are besides.
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
