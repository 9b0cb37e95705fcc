//! The selection of the host, and missing prerequisites.

use crate::bench::Bench;

#[test]
fn commands_without_a_bus_record_nothing_and_exit_with_status_3() {
    for command in [
        &["install", "lnd"][..],
        &["remove", "lnd"],
        &["reconcile"],
        &["plan"],
        &["status"],
        &["run"],
    ] {
        let bench = Bench::new();
        let ran = bench.run(&[&["--host", "user"], command].concat());
        assert_eq!(ran.status, 3, "{command:?}: {ran:?}");
        assert_eq!(ran.stdout, "", "{command:?}");
        assert!(ran.message("error").unwrap().starts_with("the user's systemd cannot be reached"));
        let hint = "loginctl enable-linger, or log in; `companion doctor` lists what is missing";
        assert_eq!(ran.message("hint"), Some(hint), "{command:?}");
        assert!(bench.contents().is_empty(), "{command:?}: {:?}", bench.contents());
    }
}

#[test]
fn simulated_host_is_announced() {
    let ran = Bench::new().sim(&["status"]);
    assert_eq!(
        (ran.status, ran.stdout.as_str()),
        (0, "no companions: no app is recorded as installed\n")
    );
    assert!(ran.message("note").unwrap().contains("simulated host"), "{ran:?}");
}

#[test]
fn the_program_has_no_crash_points() {
    let name = b"COMPANION_ABORT_AT";
    let program = std::fs::read(Bench::new().program()).unwrap();
    assert!(!program.windows(name.len()).any(|bytes| bytes == name));
}
