//! Entry points for the fuzz targets; not part of the public interface.
//!
//! Each function returns the texts that a person would see.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::time::Duration;

use companion_core::model::companion::CompanionName;
use durable_dir::{FileContents, FileKind, FileStatus};
use host_files::units::Found;
use quadlet::PodmanVersion;
use zbus::{OwnedVariant, Variant};

use crate::generator::verdict;
use crate::process::Ended;
use crate::processes::ProcessFacts;
use crate::reload_check::outcome;
use crate::scope::Scope;
use crate::states::{Properties, service_state, subject};
use crate::unit_store::QuadletForm;

/// Parses `bytes` as the unit file of `name`; returns whether the file is managed, and its displayed form.
pub fn unit_file(name: &CompanionName, bytes: &[u8]) -> (bool, String) {
    let uid = rustix::process::geteuid().as_raw();
    let status = FileStatus {
        kind: FileKind::Regular,
        mode: 0o644,
        uid,
        gid: uid,
        links: 1,
        size: bytes.len() as u64,
    };
    let mut form = QuadletForm::new(Scope::User, PodmanVersion::FLOOR);
    form.legacy = Some("Archipelago companion UI: ".to_owned());
    let found = Found::of(&form, name, FileContents { bytes: bytes.to_vec(), status });
    let is_managed = matches!(found, Found::Managed { .. });
    assert!(is_managed || !found.is_labelled(), "a file with the ownership label is managed");
    (is_managed, format!("{:?}", found.state(None)))
}

/// Parses `stdout` and `stderr` as the generator's output for the unit `name`, and for all units.
pub fn generator(
    name: &CompanionName,
    stdout: &[u8],
    stderr: &[u8],
    code: Option<i32>,
) -> Vec<String> {
    let ended = Ended { code, stdout: stdout.to_vec(), stderr: stderr.to_vec() };
    let program = Path::new("/usr/lib/systemd/user-generators/podman-user-generator");
    let mut shown = Vec::new();
    if let Err(error) = verdict::interpret(program, [name], &ended) {
        shown.push(error.to_string());
    }
    match outcome::interpret(program, &BTreeSet::from([name.clone()]), &ended) {
        Ok(found) => shown.extend(found.files.into_iter().flat_map(|file| [file.file, file.why])),
        Err(error) => shown.push(error.to_string()),
    }
    shown
}

/// The properties that determine a service's state, with the kind of their value.
const PROPERTIES: [(&str, u8); 17] = [
    ("LoadState", 0),
    ("ActiveState", 0),
    ("SubState", 0),
    ("SourcePath", 0),
    ("ActiveEnterTimestampMonotonic", 1),
    ("StateChangeTimestamp", 1),
    ("InvocationID", 2),
    ("LoadError", 3),
    ("Job", 4),
    ("Result", 0),
    ("NRestarts", 5),
    ("MainPID", 5),
    ("ControlGroup", 0),
    ("ExecMainCode", 6),
    ("ExecMainStatus", 6),
    ("Environment", 7),
    ("FragmentPath", 0),
];

/// Reads a service's state from properties whose types and values `bytes` chooses: a type, a length and that many bytes
/// for each. Properties that `bytes` omits have systemd's own type.
pub fn service(bytes: &[u8]) -> Vec<String> {
    let mut rest = bytes;
    let mut all = HashMap::new();
    for (name, usual) in PROPERTIES {
        let (kind, taken) = match rest {
            [kind, length, after @ ..] => {
                let (taken, after) = after.split_at(usize::from(*length).min(after.len()));
                rest = after;
                (*kind, taken)
            }
            _ => (0, &[][..]),
        };
        let kind = if kind & 0x80 == 0 { usual } else { kind & 7 };
        if let Some(value) = value(kind, taken) {
            all.insert(name.to_owned(), value);
        }
    }
    let all = Properties::from(all);
    let mut shown = Vec::new();
    let facts = ProcessFacts::default();
    let now = Duration::from_secs(90);
    match service_state(&all, &all, &facts, now, Some("/u/a.container")) {
        Ok(state) => shown.extend([state.unit.to_string(), state.message]),
        Err(error) => shown.push(error.to_string()),
    }
    if let Err(error) = subject(&all, &all) {
        shown.push(error.to_string());
    }
    shown
}

fn value(kind: u8, bytes: &[u8]) -> Option<OwnedVariant> {
    let text = || String::from_utf8_lossy(bytes).replace('\0', "");
    let number = bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let short = u32::from_be_bytes([0, 0, 0, bytes.first().copied().unwrap_or(0)]);
    let made: Variant<'_> = match kind {
        0 => text().into(),
        1 => number.into(),
        2 => bytes.to_vec().into(),
        3 => (text(), text()).into(),
        4 => (short, zbus::ObjectPath::from_static_str_unchecked("/")).into(),
        5 => short.into(),
        6 => short.cast_signed().into(),
        _ => text().split('\n').map(str::to_owned).collect::<Vec<_>>().into(),
    };
    made.try_into().ok()
}
