//! Checks the seeded bugs against the current code: each patch applies, and its tests exist. `tests/seeded-bugs/run` checks
//! that the tests find them.

#![expect(clippy::unwrap_used, reason = "an unreadable patch fails the test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use companion_tests::sources::{root, sources};

/// The seeded bugs of the last measurement.
const FEWEST: usize = 64;

/// A patch: its header, and its hunks by file.
struct SeededBug {
    name: String,
    header: Vec<(String, String)>,
    hunks: Vec<(String, Hunk)>,
}

/// One place of a file, before and after.
#[derive(Default)]
struct Hunk {
    before: String,
    after: String,
}

impl SeededBug {
    fn parse(name: &str, text: &str) -> Self {
        let mut bug = Self { name: name.to_owned(), header: Vec::new(), hunks: Vec::new() };
        let mut file = String::new();
        for line in text.lines() {
            if let Some(path) = line.strip_prefix("+++ b/") {
                file = path.to_owned();
            } else if line.starts_with("--- a/") {
                file.clear();
            } else if line.starts_with("@@ ") {
                bug.hunks.push((file.clone(), Hunk::default()));
            } else if let Some((_, hunk)) = bug.hunks.last_mut().filter(|_| !file.is_empty()) {
                let (sign, text) = line.split_at(line.len().min(1));
                if sign != "+" {
                    hunk.before.push_str(&format!("{text}\n"));
                }
                if sign != "-" {
                    hunk.after.push_str(&format!("{text}\n"));
                }
            } else {
                let (field, value) = line.split_once(": ").unwrap_or((line, ""));
                bug.header.push((field.to_owned(), value.to_owned()));
            }
        }
        bug
    }

    fn field(&self, name: &str) -> Vec<&str> {
        let fields = self.header.iter().filter(|(field, _)| field == name);
        fields.map(|(_, value)| value.as_str()).collect()
    }
}

fn seeded_bugs() -> Vec<SeededBug> {
    let entries = fs::read_dir(root().join("tests/seeded-bugs")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let patches = paths.into_iter().filter(|path| path.extension().is_some_and(|it| it == "patch"));
    let parse = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap();
        SeededBug::parse(name, &fs::read_to_string(&path).unwrap())
    };
    patches.map(parse).collect()
}

#[test]
fn there_are_enough_defects_with_unique_numbers() {
    let bugs = seeded_bugs();
    assert!(bugs.len() >= FEWEST, "{}", bugs.len());
    let numbers: BTreeSet<_> = bugs.iter().map(|bug| bug.name.split('-').next().unwrap()).collect();
    assert_eq!(numbers.len(), bugs.len());
    assert!(numbers.iter().all(|number| number.parse::<u32>().is_ok()), "{numbers:?}");
}

#[test]
fn every_defect_has_a_complete_header() {
    for bug in seeded_bugs() {
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
fn every_defect_applies_to_the_current_code() {
    for bug in seeded_bugs() {
        assert!(!bug.hunks.is_empty(), "{}", bug.name);
        for (file, Hunk { before, after }) in &bug.hunks {
            let text = fs::read_to_string(root().join(file)).unwrap();
            let places = text.matches(before.as_str()).count();
            assert_eq!(
                places, 1,
                "{}: {places} matches instead of one in {file}:\n{before}",
                bug.name
            );
            assert_ne!(before, after, "{}", bug.name);
            let is_code = file.starts_with("crates/") && file.contains("/src/");
            assert!(is_code && !file.contains("/tests"), "{}: {file}", bug.name);
        }
    }
}

#[test]
fn every_test_of_a_defect_exists() {
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
