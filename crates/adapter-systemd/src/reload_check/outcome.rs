//! What a dry run over all units says of those that are ours. Pure.

use std::collections::BTreeSet;
use std::path::Path;

use companion_core::model::companion::CompanionName;

use super::{UnloadableFile, UnloadableUnits};
use crate::error::shown;
use crate::generator::{GeneratorError, bare};
use crate::process::Ended;

/// How the line begins that names a file which cannot be read or parsed (`cmd/quadlet/main.go` of Podman 4.6 and newer; older ones skip
/// such a file and no other).
const UNLOADABLE: &str = "error loading ";
/// How the line begins that names a unit which was read and refused.
const REFUSED: &str = "converting ";

/// Judges how a dry run ended of which services for all of `ours` are expected.
///
/// A unit of ours that has no service is lost when a file could not be loaded, unless the generator refused that very unit. It has one
/// too when it is made from another file of the same name. An older generator refuses in silence, which loses that unit alone.
pub(crate) fn judge(
    program: &Path,
    ours: &BTreeSet<CompanionName>,
    ended: &Ended,
) -> Result<UnloadableUnits, GeneratorError> {
    let (stdout, stderr) =
        (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    let lines = || stderr.lines().map(bare);
    let made: BTreeSet<&str> = stdout.lines().filter_map(header).collect();
    let refused: Vec<UnloadableFile> = lines().filter_map(refused_file).collect();
    let files: Vec<UnloadableFile> = lines().filter_map(unloadable_file).collect();
    let lost: BTreeSet<CompanionName> = ours
        .iter()
        .filter(|name| !made.contains(name.as_str()) && !refused.iter().any(|it| is_of(it, name)))
        .cloned()
        .collect();
    if files.is_empty() {
        // Broken for another reason than any unit, and so it would be for systemd: by itself it exits with 0, or with 1 and a word.
        let plain = ended.code == Some(0) || (ended.code == Some(1) && !refused.is_empty());
        return if !plain && !lost.is_empty() {
            Err(GeneratorError::Failed {
                program: program.to_owned(),
                status: ended.status(),
                words: shown(&stderr),
            })
        } else {
            Ok(UnloadableUnits { refused, ..UnloadableUnits::default() })
        };
    }
    Ok(UnloadableUnits { files, lost, refused })
}

/// The name in the line that a service begins with, `---NAME.service---`.
fn header(line: &str) -> Option<&str> {
    line.trim_end().strip_prefix("---")?.strip_suffix(".service---")
}

/// The file's name and the reason in `converting "NAME.container": why`.
fn refused_file(line: &str) -> Option<UnloadableFile> {
    let (file, rest) = quoted(line.strip_prefix(REFUSED)?)?;
    Some(UnloadableFile { file: shown(file), why: shown(rest.trim_start_matches([':', ' '])) })
}

/// Whether a refused file is the unit of `name`.
fn is_of(refused: &UnloadableFile, name: &CompanionName) -> bool {
    refused.file.strip_suffix(".container") == Some(name.as_str())
}

/// The file and the reason in `error loading "PATH", why`.
///
/// A drop-in that cannot be loaded is said in the same words, and costs nothing but itself.
fn unloadable_file(line: &str) -> Option<UnloadableFile> {
    let (file, rest) = quoted(line.strip_prefix(UNLOADABLE)?)?;
    let why = rest.trim_start_matches([',', ':', ' ']);
    (!file.ends_with(".conf")).then(|| UnloadableFile { file: shown(file), why: shown(why) })
}

/// Parts what stands in Go's double quotes from what follows them; escapes are left as they are.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut escaped = false;
    let end = inner.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    Some((&inner[..end], &inner[end + 1..]))
}

#[cfg(test)]
mod tests;
