//! Tests of the built program: exit status, stdout, stderr and the JSON format. They use no network, and
//! only the simulated host.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod bench;
mod catalogs;
mod converge;
mod daemon;
mod doctor;
mod everything;
mod hosts;
mod inspect;
mod mistakes;
mod session;
mod setup;
mod terminal;
mod texts;

/// Tests in a file without a `mod` line never run.
#[test]
fn every_test_file_is_listed() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/command");
    let main = std::fs::read_to_string(directory.join("main.rs")).unwrap();
    for entry in std::fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.trim_end_matches(".rs");
        assert!(module == "main" || main.contains(&format!("mod {module};")), "{name}");
    }
}
