//! The real program, run as a person or another program runs it: exit status, what goes to stdout
//! and what to stderr, and the JSON shapes. No network, and no host but the embedded one.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what a test cannot go on without ends it"
)]

mod bench;
mod catalogs;
mod crash_points;
mod daemon;
mod doctor;
mod hosts;
mod look;
mod passes;
mod setup;
mod terminal;
mod texts;

/// A file that nobody lists is a test that never runs.
#[test]
fn no_file_of_tests_is_forgotten() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/command");
    let main = std::fs::read_to_string(directory.join("main.rs")).unwrap();
    for entry in std::fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.trim_end_matches(".rs");
        assert!(module == "main" || main.contains(&format!("mod {module};")), "{name}");
    }
}
