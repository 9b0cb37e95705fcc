//! Hostile names: all are refused, and no file is created outside the directory.

use std::collections::BTreeSet;
use std::path::Path;

use archipelago_companions::AppId;
use companion_core::model::companion::CompanionName;
use companion_core::model::hook::HookName;
use durable_dir::{Dir, LockFile, Trust};

/// A thousand names that are a path, an option, a unit of another type, an unmanaged unit or invalid text.
pub(crate) fn hostile_names() -> BTreeSet<String> {
    let paths = " . .. ../x ../../.ssh/id_ed25519 a/b /etc/passwd a\\b ~ ~root 1x _x x_ x.y .x x..";
    let units = "a@b a@ @ x.service x.container x.timer -x --help x- X xY";
    let special = "é \u{430}rchy ａrchy x%h x$HOME x;y x'y x\"y x=y x#y [x] {x} x* x? x:y x,y";
    let reserved = "podman dbus docker init systemd companion systemd-logind systemd-x dbus-broker podman-restart";
    let blanks = ["x y", "x\ty", "x\ny", "x\ry", "x\0y", "x\u{200b}", "x\u{202e}y"];
    let words = [paths, units, special, reserved].map(|words| words.split(' '));
    let stems = words.into_iter().flatten().chain(blanks);
    let before = ["", "../", "a/", ".", "-", "/", "./", "\u{feff}", " "].map(|before| (before, ""));
    let after =
        ["/", "/..", "\0", "\n", ".", ".container", "@", " ", "\u{2028}"].map(|after| ("", after));
    let around = || before.into_iter().chain(after);
    let made = stems
        .flat_map(|stem| around().map(move |(before, after)| format!("{before}{stem}{after}")));
    let long = (64..320).map(|length| "x".repeat(length));
    made.chain(long).filter(|name| !name.is_empty()).chain([String::new()]).collect()
}

/// The paths below a directory.
fn tree(place: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(place).unwrap().map(Result::unwrap) {
        found.insert(entry.path().display().to_string());
        if entry.file_type().unwrap().is_dir() {
            found.extend(tree(&entry.path()));
        }
    }
    found
}

#[test]
fn thousand_hostile_names_are_refused() {
    let names = hostile_names();
    assert!(names.len() >= 1000, "{}", names.len());
    for name in &names {
        assert!(CompanionName::new(name.as_str()).is_err(), "{name:?}");
        let json = serde_json::to_string(name).unwrap();
        assert!(serde_json::from_str::<CompanionName>(&json).is_err(), "{name:?}");
        let is_word = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        // Apps and hooks are keys of a map and never paths, so service names are accepted.
        assert!(AppId::new(name.as_str()).is_err() || is_word(name), "{name:?}");
        assert!(HookName::new(name.as_str()).is_err() || is_word(name), "{name:?}");
    }
}

#[test]
fn thousand_hostile_names_change_no_file_outside() {
    let place = tempfile::tempdir().unwrap();
    let victim = place.path().join("x");
    std::fs::write(&victim, "mine").unwrap();
    let dir = Dir::create(place.path().join("units"), 0o700, Trust::Owned).unwrap();
    let outside = |all: BTreeSet<String>| -> BTreeSet<String> {
        let inside = dir.path().display().to_string();
        all.into_iter().filter(|path| !path.starts_with(&format!("{inside}/"))).collect()
    };
    let before = outside(tree(place.path()));
    let mut refused = 0;
    let climbs = |name: &str| name.contains(['/', '\0']) || ["", ".", ".."].contains(&name);
    for (index, name) in hostile_names().into_iter().enumerate() {
        // File names are written to the disk, which is slow: every eighth of those.
        if !climbs(&name) && name.len() < 230 && index % 8 != 0 {
            continue;
        }
        let results = [
            dir.write(&name, b"hostile", 0o600).is_err(),
            dir.write_new(&name, b"hostile", 0o600).is_err(),
            dir.read(&name, 100).is_err(),
            LockFile::try_lock(&dir, &name, 0o600).is_err(),
            dir.remove(&name).is_err(),
        ];
        assert!(!climbs(&name) || results.iter().all(|refused| *refused), "{name:?}: {results:?}");
        refused += usize::from(results[0]);
    }
    assert!(refused >= 300, "{refused}");
    assert_eq!(outside(tree(place.path())), before);
    assert_eq!(std::fs::read_to_string(victim).unwrap(), "mine");
}
