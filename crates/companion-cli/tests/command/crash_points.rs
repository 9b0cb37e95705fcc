//! Points of crashes belong to test builds alone.

const NAME: &[u8] = b"COMPANION_ABORT_AT";

fn has_crash_points() -> bool {
    let program = std::fs::read(env!("CARGO_BIN_EXE_companion")).unwrap();
    program.windows(NAME.len()).any(|bytes| bytes == NAME)
}

#[cfg(not(feature = "crash-points"))]
#[test]
fn the_program_cannot_be_told_to_crash() {
    assert!(!has_crash_points());
}

#[cfg(feature = "crash-points")]
#[test]
fn a_test_build_can_be_told_to_crash_and_lists_where() {
    use std::os::unix::process::ExitStatusExt as _;

    assert!(has_crash_points());
    let bench = crate::bench::Bench::new();
    let listed = bench.run(&["crash-points"]);
    assert!(listed.stdout.lines().count() >= 30, "{listed:?}");
    let mut install = bench.command(&["--host", "sim", "install", "lnd"]);
    let ended = install.env("COMPANION_ABORT_AT", "file.synced").output().unwrap().status;
    assert_eq!(ended.signal(), Some(6), "SIGABRT");
}
