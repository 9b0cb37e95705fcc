//! The command with crash points lists them, and ends at the given one.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_companion-crash-points"))
}

#[test]
fn test_build_aborts_at_a_crash_point_and_lists_them() {
    let listed = program().arg("crash-points").output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.lines().count() >= 30, "{listed}");
    let home = tempfile::tempdir().unwrap();
    for point in ["file.synced", "units.write.after"] {
        assert!(listed.lines().any(|line| line == point), "{point}");
        let mut install = program();
        install.args(["--host", "sim", "install", "lnd"]).env_clear().env("HOME", home.path());
        let ended = install.env("COMPANION_ABORT_AT", point).output().unwrap().status;
        assert_eq!(ended.signal(), Some(6), "SIGABRT at {point}");
    }
}
