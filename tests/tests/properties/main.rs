//! Properties over the real reconciler, supervisor and command on the fake host: from every state,
//! however it was reached, nothing forbidden happens, and all becomes true again.
//!
//! A case is a list of operations, drawn from a random subset of their kinds. It is played on a host;
//! the host alone is asked what is right. One that fails is printed with its kinds, shrunk, and kept
//! under `proptest-regressions` with a test of its own in `regressions.rs`. `PROPTEST_CASES=n` makes
//! each property as deep as wanted.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a case that cannot be arranged has failed")]

mod case;
mod companions;
mod convergence;
mod differential;
mod metamorphic;
mod operations;
mod oracle;
mod play;
mod regressions;
mod shrinking;
mod stage;
mod supervised;
mod tamperings;
mod watch;

#[test]
fn every_file_of_this_folder_is_compiled() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/properties");
    let main = include_str!("main.rs");
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        if let Some(module) = file.strip_suffix(".rs").filter(|module| *module != "main") {
            assert!(main.contains(&format!("mod {module};")), "{file} is in no module");
        }
    }
}
