//! Checks the seeded bugs against the current code: each patch applies, and its tests exist. `tests/seeded-bugs/run` checks
//! that the tests find them.

#![expect(clippy::unwrap_used, reason = "an unreadable patch fails the test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use companion_tests::sources::{root, sources};

/// The seeded bugs of the last measurement.
const FEWEST: usize = 64;

/// A patch: its name, its place, the fields of its header, and the files that it changes.
struct SeededBug {
    name: String,
    path: PathBuf,
    header: Vec<(String, String)>,
    files: Vec<String>,
}

impl SeededBug {
    fn read(path: PathBuf) -> Self {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let (header, _) = text.split_once("--- a/").unwrap();
        let header = header.lines().map(|line| line.split_once(": ").unwrap_or((line, "")));
        let header = header.map(|(field, value)| (field.to_owned(), value.to_owned())).collect();
        let files = text.lines().filter_map(|line| line.strip_prefix("+++ b/"));
        let files = files.map(str::to_owned).collect();
        Self { name, path, header, files }
    }

    fn field(&self, name: &str) -> Vec<&str> {
        let fields = self.header.iter().filter(|(field, _)| field == name);
        fields.map(|(_, value)| value.as_str()).collect()
    }
}

fn seeded_bugs() -> Vec<SeededBug> {
    let entries = fs::read_dir(root().join("tests/seeded-bugs")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let patches = paths.filter(|path| path.extension().is_some_and(|it| it == "patch"));
    patches.map(SeededBug::read).collect()
}

#[test]
fn every_seeded_bug_has_a_unique_number_and_a_complete_header() {
    let bugs = seeded_bugs();
    assert!(bugs.len() >= FEWEST, "{}", bugs.len());
    let numbers: BTreeSet<u32> =
        bugs.iter().map(|bug| bug.name.split('-').next().unwrap().parse().unwrap()).collect();
    assert_eq!(numbers.len(), bugs.len());
    for bug in bugs {
        let name = &bug.name;
        assert_eq!(bug.field("bug").len(), 1, "{name}");
        let [breaks] = bug.field("breaks").try_into().unwrap();
        for property in breaks.split(' ') {
            let (kind, number) = property.split_at(1);
            let last = match kind {
                "L" => 9,
                "S" => 12,
                other => panic!("{name}: unknown property kind {other}"),
            };
            assert!(number.parse().is_ok_and(|number| (1..=last).contains(&number)), "{name}");
        }
        assert!(!bug.field("kills-by").is_empty(), "{name}");
        assert!(bug.header.len() == 2 + bug.field("kills-by").len(), "{name}");
    }
}

#[test]
fn every_seeded_bug_applies_to_the_current_code() {
    for bug in seeded_bugs() {
        let mut apply = Command::new("git");
        let checked = apply.current_dir(root()).args(["apply", "--check"]).arg(&bug.path).output();
        let checked = checked.unwrap();
        let complaint = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{}: {complaint}", bug.name);
        for file in &bug.files {
            let is_code = file.starts_with("crates/") && file.contains("/src/");
            assert!(is_code && !file.contains("/tests"), "{}: {file}", bug.name);
        }
    }
}

#[test]
fn every_test_of_a_seeded_bug_exists() {
    let sources = sources();
    for bug in seeded_bugs() {
        for line in bug.field("kills-by") {
            let words: Vec<_> = line.split(' ').collect();
            let [flag, package, target @ .., test] = words.as_slice() else {
                panic!("{}: {line}", bug.name);
            };
            let known = matches!(target, ["--lib"] | ["--test", _]);
            assert!(*flag == "-p" && known, "{}: {line}", bug.name);
            let folder = match *package {
                "companion-tests" => "tests".to_owned(),
                "archipelago-companions" => "crates/archipelago".to_owned(),
                package => format!("crates/{package}"),
            };
            let function = format!("fn {}(", test.rsplit("::").next().unwrap());
            let inside = sources.iter().filter(|(path, _)| path.starts_with(&folder));
            let found = inside.filter(|(_, text)| text.contains(&function)).count();
            assert!(found > 0, "{}: {package} has no test {test}", bug.name);
        }
    }
}
