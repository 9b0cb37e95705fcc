//! Interprets a dry run over all unit files. Pure.

use std::collections::BTreeSet;
use std::path::Path;

use companion_core::model::companion::CompanionName;
use companion_core::ports::{PortErrorKind, PortResult};

use super::{SameContainer, UnloadableFile, UnloadableUnits};
use crate::error::shown;
use crate::generator::bare;
use crate::process::Ended;

/// Prefix of the line that names an unreadable or unparsable file (`cmd/quadlet/main.go` of Podman 4.6 and newer; older
/// versions skip only that file).
const UNLOADABLE: &str = "error loading ";
/// Prefix of the line that names a unit which was read and rejected.
const REFUSED: &str = "converting ";

/// Evaluates a dry run that should generate services for all of `ours`.
///
/// A managed unit without a service is lost if a file could not be loaded, unless the generator rejected that very
/// unit. A service generated from another file of the same name counts. An older generator rejects silently, which
/// loses only that unit.
pub(crate) fn interpret(
    program: &Path,
    ours: &BTreeSet<CompanionName>,
    ended: &Ended,
) -> PortResult<UnloadableUnits> {
    let (stdout, stderr) =
        (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    let lines = || stderr.lines().map(bare);
    let made: BTreeSet<&str> = stdout.lines().filter_map(header).collect();
    let refused: Vec<UnloadableFile> = lines().filter_map(refused_file).collect();
    let files: Vec<UnloadableFile> = lines().filter_map(unloadable_file).collect();
    let same_container = same_container(ours, &stdout);
    let lost: BTreeSet<CompanionName> = ours
        .iter()
        .filter(|name| !made.contains(name.as_str()) && !refused.iter().any(|it| is_of(it, name)))
        .cloned()
        .collect();
    if files.is_empty() {
        // The generator itself is broken, and would be for systemd too: otherwise it exits with 0, or with 1 and a
        // message.
        let plain = ended.code == Some(0) || (ended.code == Some(1) && !refused.is_empty());
        return if !plain && !lost.is_empty() {
            Err(ended.failure(program, PortErrorKind::Unavailable))
        } else {
            Ok(UnloadableUnits { refused, same_container, ..UnloadableUnits::default() })
        };
    }
    Ok(UnloadableUnits { files, lost, refused, same_container })
}

/// Returns the name in the header of a service, `---NAME.service---`.
fn header(line: &str) -> Option<&str> {
    line.trim_end().strip_prefix("---")?.strip_suffix(".service---")
}

/// Returns the files of the services that start a container with the name of another service's companion.
fn same_container(ours: &BTreeSet<CompanionName>, stdout: &str) -> Vec<SameContainer> {
    let lines: Vec<&str> = stdout.lines().collect();
    let services = lines.chunk_by(|_, line| header(line).is_none());
    let taken = services.filter_map(|lines| {
        let service = header(lines.first()?)?;
        let value = |key| lines.iter().find_map(|line| line.strip_prefix(key));
        let container = container_name(value("ExecStart=")?)?;
        let name = ours.iter().find(|own| own.as_str() == container && container != service)?;
        let file = value("SourcePath=").unwrap_or(service);
        Some(SameContainer { file: shown(file), name: name.clone() })
    });
    taken.collect()
}

/// Returns the value of `--name` in a `podman run`: `--name=NAME` before Podman 5.3.
fn container_name(command: &str) -> Option<&str> {
    let mut words = command.split_whitespace();
    while let Some(word) = words.next() {
        match word.strip_prefix("--name") {
            Some("") => return words.next(),
            Some(value) if value.starts_with('=') => return value.get(1..),
            Some(_) | None => {}
        }
    }
    None
}

/// Returns the file name and the reason in `converting "NAME.container": why`.
fn refused_file(line: &str) -> Option<UnloadableFile> {
    let (file, rest) = quoted(line.strip_prefix(REFUSED)?)?;
    Some(UnloadableFile { file: shown(file), why: shown(rest.trim_start_matches([':', ' '])) })
}

/// Returns whether a rejected file is the unit of `name`.
fn is_of(refused: &UnloadableFile, name: &CompanionName) -> bool {
    refused.file.strip_suffix(".container") == Some(name.as_str())
}

/// Returns the file and the reason in `error loading "PATH", why`.
///
/// The generator uses the same message for an unloadable drop-in, which affects no other file.
fn unloadable_file(line: &str) -> Option<UnloadableFile> {
    let (file, rest) = quoted(line.strip_prefix(UNLOADABLE)?)?;
    let why = rest.trim_start_matches([',', ':', ' ']);
    (!file.ends_with(".conf")).then(|| UnloadableFile { file: shown(file), why: shown(why) })
}

/// Splits a Go-quoted string from the rest of the text; keeps escapes.
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
