//! Quadlet's drop-ins: which files its generator merges into a unit (podman-systemd.unit(5)). They belong to the
//! operator: reported, never read and never changed. systemd does not list them, because the generated service already
//! includes them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use companion_core::model::companion::CompanionName;
use quadlet::PodmanVersion;

use crate::error::shown;

/// The first Podman with drop-ins for a single unit.
const FOR_A_UNIT: PodmanVersion = PodmanVersion::new(5, 0, 0);
/// The first Podman with drop-ins for several units.
const FOR_SEVERAL: PodmanVersion = PodmanVersion::new(5, 2, 0);
/// Far more than anyone needs; other files in a directory count too.
const ENTRY_LIMIT: usize = 1000;
/// Far more than the units of any host and their drop-ins.
const UNIT_LIMIT: usize = 20_000;
/// How many are reported.
const LISTED: usize = 32;

/// The directories with drop-ins that exist in one directory of the search path.
pub(super) struct Existing<'p> {
    place: &'p Path,
    /// Their names; `None` if the place cannot be listed, so that each name has to be tried.
    names: Option<BTreeSet<OsString>>,
}

/// Lists the directories of `search_path`, once for all units.
pub(super) fn existing(search_path: &[PathBuf]) -> Vec<Existing<'_>> {
    search_path.iter().map(|place| Existing { place, names: names_in(place) }).collect()
}

fn names_in(place: &Path) -> Option<BTreeSet<OsString>> {
    let entries = match fs::read_dir(place) {
        Ok(entries) => entries.take(UNIT_LIMIT).filter_map(Result::ok),
        Err(error) if error.kind() == ErrorKind::NotFound => return Some(BTreeSet::new()),
        Err(_) => return None,
    };
    let names = entries.map(|entry| entry.file_name());
    Some(names.filter(|name| name.as_encoded_bytes().ends_with(b"container.d")).collect())
}

/// Returns the drop-ins of the unit of `name`, by path, in merge order.
pub(super) fn of(
    existing: &[Existing<'_>],
    version: PodmanVersion,
    name: &CompanionName,
) -> Vec<String> {
    if version < FOR_A_UNIT {
        return Vec::new();
    }
    // Of several with one name, the first counts.
    let mut found: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for Existing { place, names } in existing {
        let exists = |directory: &String| {
            names.as_ref().is_none_or(|names| names.contains(OsStr::new(directory)))
        };
        for directory in directories(version, name.as_str()).into_iter().filter(exists) {
            for file in files(&place.join(directory)) {
                found.entry(file.file_name().unwrap_or_default().to_owned()).or_insert(file);
            }
        }
    }
    found.values().take(LISTED).map(|path| shown(&path.to_string_lossy())).collect()
}

/// Returns the directory names, most specific first: `a-b.container.d`, `a-.container.d`, `container.d`.
fn directories(version: PodmanVersion, name: &str) -> Vec<String> {
    let mut names = vec![format!("{name}.container.d")];
    if version >= FOR_SEVERAL {
        let cuts: Vec<usize> = name.match_indices('-').map(|(at, _)| at).collect();
        names.extend(cuts.iter().rev().map(|at| format!("{}.container.d", &name[..=*at])));
        names.push("container.d".to_owned());
    }
    names
}

/// Returns the drop-ins in one directory; none if it is not a readable directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let paths = entries.take(ENTRY_LIMIT).filter_map(Result::ok).map(|entry| entry.path());
    paths.filter(|path| path.extension() == Some(OsStr::new("conf"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(place: &Path, file: &str) -> PathBuf {
        let path = place.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "[Container]\n").unwrap();
        path
    }

    fn found(places: &[&Path], version: PodmanVersion) -> Vec<PathBuf> {
        let places: Vec<PathBuf> = places.iter().map(|place| place.to_path_buf()).collect();
        let name = CompanionName::new("archy-lnd-ui").unwrap();
        of(&existing(&places), version, &name).into_iter().map(PathBuf::from).collect()
    }

    #[test]
    fn every_directory_that_quadlet_merges_is_named_and_no_other() {
        let place = tempfile::tempdir().unwrap();
        let own = add(place.path(), "archy-lnd-ui.container.d/40.conf");
        let truncated = add(place.path(), "archy-lnd-.container.d/30.conf");
        let more = add(place.path(), "archy-.container.d/20.conf");
        let all = add(place.path(), "container.d/10.conf");
        for other in [
            "archy-lnd-ui.container.d/x.conf.bak",
            "archy-lnd.container.d/x.conf",
            "archy-lnd-ui.service.d/x.conf",
            "x.conf",
        ] {
            add(place.path(), other);
        }
        let newest = PodmanVersion::new(5, 4, 2);
        assert_eq!(found(&[place.path()], newest), [all, more, truncated, own.clone()]);
        assert_eq!(found(&[place.path()], PodmanVersion::new(5, 0, 0)), [own]);
        assert!(found(&[place.path()], PodmanVersion::new(4, 9, 0)).is_empty());
    }

    #[test]
    fn of_several_with_one_name_the_first_place_and_the_most_specific_counts() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let own = add(first.path(), "archy-lnd-ui.container.d/x.conf");
        add(first.path(), "container.d/x.conf");
        add(second.path(), "archy-lnd-ui.container.d/x.conf");
        let other = add(second.path(), "container.d/y.conf");
        let version = PodmanVersion::new(5, 4, 2);
        assert_eq!(found(&[first.path(), second.path()], version), [own, other]);
    }

    #[test]
    fn a_place_that_cannot_be_listed_is_tried_and_a_missing_one_has_none() {
        let place = tempfile::tempdir().unwrap();
        let own = add(place.path(), "archy-lnd-ui.container.d/x.conf");
        let name = CompanionName::new("archy-lnd-ui").unwrap();
        let unlisted = [Existing { place: place.path(), names: None }];
        let version = PodmanVersion::new(5, 4, 2);
        assert_eq!(of(&unlisted, version, &name), [own.to_str().unwrap()]);
        assert_eq!(names_in(&place.path().join("missing")), Some(BTreeSet::new()));
    }

    #[test]
    fn no_more_are_named_than_anyone_reads() {
        let place = tempfile::tempdir().unwrap();
        (0..40).for_each(|n| drop(add(place.path(), &format!("container.d/{n}.conf"))));
        assert_eq!(found(&[place.path()], PodmanVersion::new(5, 4, 2)).len(), LISTED);
    }
}
