//! A program with the calls of Archipelago's `companion.rs`: `crates/archipelago/examples/drop_in.rs`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Instant;

use crate::guest::{
    Undo, archy, by_root, measured, podman, property, systemctl, throughout, undo, until, write,
};
use crate::http;
use crate::node::{ALL, APPS, CONFIG, Companion, LND, Moment, clean, containers, rendered_file};

const PROGRAM: &str = "/usr/local/lib/companion-machine/drop-in";
/// The service of the program, as Archipelago has one.
const SERVICE: &str = "drop-in.service";

/// The units and the configuration that `companion.rs` left: no label, a file that others may read.
fn previous_manager() {
    for one in ALL {
        let unit = format!(
            "[Unit]\nDescription=Archipelago companion UI: {}\n[Container]\nImage={}\nContainerName={}\n",
            one.name,
            one.tag(),
            one.name
        );
        write(&one.unit(), &unit);
    }
    write(CONFIG, "server { listen 18081; }\n");
    archy(&["chmod", "0644", CONFIG]).good();
    systemctl(&["daemon-reload"]).good();
}

/// The program with its loop of 30 s, as a service of archy's manager.
fn running() -> Undo {
    let stopped = undo(format!("archy systemctl --user --quiet stop {SERVICE}"));
    let run = ["systemd-run", "--user", "--quiet", "--collect", "--unit", SERVICE, PROGRAM, "run"];
    archy(&[&run[..], &APPS].concat()).good();
    stopped
}

fn all_up() -> Option<()> {
    ALL.into_iter().all(Companion::is_up).then_some(())
}

#[test]
fn old_calls_take_over_units_and_configuration_of_the_previous_manager() {
    clean();
    previous_manager();
    let started = Instant::now();
    archy(&[&[PROGRAM, "install"], &APPS[..]].concat()).exits(0);
    measured("takeover of three companions", started);
    for one in ALL {
        assert!(one.unit_text().contains("[X-Companion]"), "{}", one.unit_text());
        assert_eq!(http::get(one.port, "/", &[]).unwrap().status, 200, "{}", one.name);
    }
    let rendered = rendered_file(CONFIG).expect("a link to the rendered file");
    assert_eq!(fs::metadata(&rendered).unwrap().permissions().mode() & 0o777, 0o600);
    for unknown in ["nextcloud", "../lnd", ""] {
        archy(&[PROGRAM, "install", unknown]).exits(0);
        archy(&[PROGRAM, "uninstall", unknown]).exits(0);
    }
}

/// The regression that must never come back, by the program's own loop.
#[test]
fn companions_outlive_the_program_and_lost_units_are_back_within_a_tick() {
    clean();
    let _running = running();
    until("all are up", 120, all_up);
    let (before, since) = (containers(), Moment::now());
    systemctl(&["kill", "--signal=KILL", SERVICE]).good();
    until("the program ended", 10, || (property(SERVICE, "ActiveState") != "active").then_some(()));
    let _again = running();
    throughout("all stay up", 5, || all_up().is_some());
    let started = Instant::now();
    for one in ALL {
        fs::remove_file(one.unit()).unwrap();
    }
    until("all units are back", 35, || {
        ALL.into_iter().all(|one| fs::exists(one.unit()).unwrap()).then_some(())
    });
    measured("three units back after they were deleted", started);
    until("all are up", 30, all_up);
    assert_eq!(containers(), before);
    assert_eq!(ALL.map(|one| one.starts(&since)), [0; 3]);
}

/// The list of the loop still has the app for a while.
#[test]
fn app_is_uninstalled_before_its_container_and_stays_uninstalled() {
    clean();
    let _running = running();
    until("all are up", 120, all_up);
    let _removed = undo("archy podman rm --force --ignore lnd");
    podman(&["run", "--detach", "--name=lnd", "--network=none", "localhost/companion-base:latest"])
        .good();
    archy(&[PROGRAM, "uninstall", "lnd"]).exits(0);
    assert!(!fs::exists(LND.unit()).unwrap() && LND.container().is_none());
    podman(&["rm", "--force", "lnd"]).good();
    throughout("no tick brings it back", 35, || {
        !fs::exists(LND.unit()).unwrap() && LND.container().is_none()
    });
    archy(&[PROGRAM, "install", "lnd"]).exits(0);
    assert!(LND.is_up());
}

#[test]
fn nothing_is_done_without_a_user_manager() {
    clean();
    by_root(&format!("archy env -u XDG_RUNTIME_DIR {PROGRAM} install lnd"));
    by_root(&format!("archy env -u XDG_RUNTIME_DIR {PROGRAM} uninstall lnd"));
    assert!(!fs::exists(LND.unit()).unwrap());
}
