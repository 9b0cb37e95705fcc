//! Crash points exist only in test builds.

const NAME: &[u8] = b"COMPANION_ABORT_AT";

fn has_crash_points() -> bool {
    let program = std::fs::read(env!("CARGO_BIN_EXE_companion")).unwrap();
    program.windows(NAME.len()).any(|bytes| bytes == NAME)
}

#[cfg(not(feature = "crash-points"))]
#[test]
fn build_without_the_feature_has_no_crash_points() {
    assert!(!has_crash_points());
}

#[cfg(feature = "crash-points")]
#[test]
fn test_build_aborts_at_a_crash_point_and_lists_them() {
    use std::os::unix::process::ExitStatusExt as _;

    assert!(has_crash_points());
    let bench = crate::bench::Bench::new();
    let listed = bench.run(&["crash-points"]);
    assert!(listed.stdout.lines().count() >= 30, "{listed:?}");
    let mut install = bench.command(&["--host", "sim", "install", "lnd"]);
    let ended = install.env("COMPANION_ABORT_AT", "file.synced").output().unwrap().status;
    assert_eq!(ended.signal(), Some(6), "SIGABRT");
}
