//! Which host is worked on, and what is said when it lacks something.

use crate::bench::{Bench, Ran};

#[test]
fn without_a_bus_nothing_is_recorded_and_the_exit_status_says_the_host_lacks_something() {
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
        assert!(ran.told("error").unwrap().starts_with("the user's systemd cannot be reached"));
        assert!(ran.told("hint").unwrap().contains("companion doctor"));
        assert!(bench.contents().is_empty(), "{command:?}: {:?}", bench.contents());
    }
}

#[test]
fn auto_is_never_the_embedded_host() {
    let bench = Bench::new();
    let mut command = bench.command(&["install", "lnd"]);
    // Root's bus, should there be one on this machine, is not to be found either.
    command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere/bus");
    let ran = Ran::of(command.output().unwrap());
    assert_eq!(ran.status, 3, "{ran:?}");
    assert!(!ran.stderr.contains("simulated host: it starts"), "{ran:?}");
}

#[test]
fn the_embedded_host_says_what_it_is() {
    let ran = Bench::new().sim(&["status"]);
    assert_eq!(
        (ran.status, ran.stdout.as_str()),
        (0, "no companions: no app is recorded as installed\n")
    );
    assert!(ran.told("note").unwrap().contains("simulated host"), "{ran:?}");
}
