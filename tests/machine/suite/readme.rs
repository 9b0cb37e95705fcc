//! The first five minutes: the exact commands of README and book on a new account, and `companion setup` on a configured
//! one.

use std::fs;
use std::time::Instant;

use serde_json::Value;

use crate::guest::{Ran, archy, property, root, systemctl, until};
use crate::http;
use crate::node::{self, COMPANION, USER_UNITS, companion};

const README: &str = include_str!("../../../README.md");
const INSTALLATION: &str = include_str!("../../../docs/book/src/install.md");
const FIRST: &str = include_str!("../../../docs/book/src/first-companion.md");
const BACKUP: &str = include_str!("../../../docs/book/src/backup.md");

/// The one line that cannot run here, because it downloads crates.
const INSTALL: &str = "cargo install --path crates/companion-cli";

/// Its replacement: the built program, at cargo's install path.
const INSTALL_BUILT: &str = "install -D ~/built/companion ~/.cargo/bin/companion";

/// The base image of the README. It is in the store of the new account, so it is not pulled.
const BASE_IMAGE: &str = "docker.io/library/nginx:1.29-alpine";

/// The shell blocks of a text, from a heading to the next one of its level.
fn blocks(text: &str, heading: &str) -> Vec<String> {
    let level = heading.split(' ').next().unwrap();
    let section = text.split(&format!("{heading}\n")).nth(1).unwrap();
    let section = section.split(&format!("\n{level} ")).next().unwrap();
    let block = |text: &str| text.split("\n```").next().unwrap().to_owned();
    section.split("```sh\n").skip(1).map(block).collect()
}

/// A new account; it is deleted with its processes on drop.
struct Newcomer {
    id: String,
}

impl Newcomer {
    /// Creates it as `adduser` does, and performs the README's root steps.
    fn arrive() -> Self {
        assert!(README.contains("`sudo loginctl enable-linger \"$USER\"`"));
        let script = r#"
            useradd --create-home --shell /bin/bash newcomer
            loginctl enable-linger newcomer
            install -D -o newcomer -g newcomer /home/archy/.local/bin/companion /home/newcomer/built/companion
            mkdir -p /home/newcomer/checkout/crates/archipelago
            cp -r /opt/archipelago/pristine /home/newcomer/checkout/crates/archipelago/companions
            chown -R newcomer:newcomer /home/newcomer
            id --user newcomer
        "#;
        let id = root(&["sh", "-ec", script]).good();
        let newcomer = Self { id };
        let bus = format!("/run/user/{}/bus", newcomer.id);
        until("the new account has a bus", 60, || fs::metadata(&bus).ok());
        archy(&["podman", "save", "--quiet", "--output=/tmp/base.tar", "localhost/companion-base"])
            .good();
        let load = format!(
            "podman load --quiet --input=/tmp/base.tar && podman tag localhost/companion-base {BASE_IMAGE}"
        );
        newcomer.run(&load).exits(0);
        newcomer
    }

    /// Runs a script in a login shell, in the checkout, up to the first command that fails.
    fn run(&self, script: &str) -> Ran {
        let script = format!("set -ex; cd ~/checkout\n{script}");
        let runtime = format!("XDG_RUNTIME_DIR=/run/user/{}", self.id);
        let login = ["runuser", "--login", "newcomer", "--whitelist-environment=XDG_RUNTIME_DIR"];
        root(&[&["env", &runtime], &login[..], &["--command", &script]].concat())
    }

    /// Runs a block of the README, in a shell with the `PATH` of the first one.
    fn follow(&self, block: &str) {
        let path = README.lines().find(|line| line.starts_with("export PATH=")).unwrap().to_owned();
        let ran = self.run(&format!("{path}\n{}", block.replace(INSTALL, INSTALL_BUILT)));
        println!("{}", ran.exits(0));
    }

    /// The names of the ready companions.
    fn ready(&self) -> Vec<String> {
        let ran = self.run("~/.cargo/bin/companion --json status").exits(0);
        let status: Value = serde_json::from_str(&ran.stdout).unwrap();
        let companions = status["companions"].as_array().unwrap().iter();
        let ready = companions.filter(|companion| companion["health"] == "ready");
        ready.map(|companion| companion["name"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        let script = r#"
            loginctl disable-linger newcomer
            systemctl stop "user@$1.service"
            pkill -KILL -u newcomer
            until userdel --remove newcomer || test ! -d /home/newcomer; do sleep 0.2; done
            rm -f /tmp/base.tar
        "#;
        let _removed = root(&["sh", "-c", script, "sh", &self.id]);
    }
}

#[test]
fn following_the_readme_ends_with_a_daemon_and_ready_companions() {
    node::clean();
    let [begin] = &blocks(README, "## Install")[..] else { panic!("one block") };
    assert_eq!(begin.lines().filter(|line| *line == INSTALL).count(), 1);
    let newcomer = Newcomer::arrive();

    let start = Instant::now();
    newcomer.follow(begin);
    println!("measured: README without the compilation in {:.1} s", start.elapsed().as_secs_f64());
    assert_eq!(newcomer.run("systemctl --user is-active companion").good(), "active");
    assert_eq!(newcomer.run("systemctl --user is-enabled companion").good(), "enabled");
    assert_eq!(newcomer.ready(), ["archy-electrs-ui", "archy-lnd-ui"]);
    for port in [18083, 18082] {
        assert_eq!(http::get(port, "/", &[]).unwrap().status, 200, "{port}");
    }
    let doctor = newcomer.run("~/.cargo/bin/companion doctor").exits(0);
    assert!(doctor.stdout.contains("ok      daemon: running, enabled"), "{doctor}");
}

#[test]
fn following_the_book_leads_from_the_source_to_an_empty_account_again() {
    node::clean();
    let newcomer = Newcomer::arrive();
    let source = blocks(INSTALLATION, "## From source");
    let first = blocks(FIRST, "# First companion");
    let [save, restore] = &blocks(BACKUP, "# Backup and restore")[..] else { panic!("two blocks") };
    let end = blocks(INSTALLATION, "## Remove everything");
    assert_eq!((source.len(), first.len(), end.len()), (1, 3, 1));

    for block in source.iter().chain(&first).chain([save]) {
        newcomer.follow(block);
    }
    assert_eq!(newcomer.ready(), ["archy-bitcoin-ui", "archy-electrs-ui", "archy-lnd-ui"]);
    assert_eq!(http::get(18081, "/", &[]).unwrap().status, 200);

    newcomer.follow(&end[0]);
    let left = "podman ps --all --quiet; ls ~/.config/containers/systemd ~/.config/systemd/user";
    let left = newcomer.run(left).stdout;
    assert!(!left.contains("archy-") && !left.contains("companion.service"), "{left}");
    assert_eq!(newcomer.run("systemctl --user is-active companion").status, Some(4));

    // As on another host: without any file of companion but the saved ones.
    assert_eq!(newcomer.run("ls ~/.local/state/companion").stdout, "", "no state is left");
    newcomer.run("rm -r ~/.config/companion").exits(0);
    newcomer.follow(restore);
    assert_eq!(newcomer.ready(), ["archy-bitcoin-ui", "archy-electrs-ui", "archy-lnd-ui"]);
    newcomer.follow(&end[0]);
}

/// Objects that a setup could change: the unit, the catalog, and the run of the daemon.
fn traces() -> String {
    let unit = format!("{USER_UNITS}/companion.service");
    let files = archy(&["stat", "--format=%n %i %Y %Z", &unit, node::CATALOG]).good();
    format!("{files}\n{}", property("companion.service", "InvocationID"))
}

/// A daemon of archy's, stopped and disabled on drop.
struct SetUp;

impl SetUp {
    fn new() -> Self {
        node::installed();
        let set_up = Self;
        companion(&["setup"]).exits(0);
        assert_eq!(property("companion.service", "ActiveState"), "active");
        set_up
    }
}

impl Drop for SetUp {
    fn drop(&mut self) {
        let _moved_back = fs::rename(format!("{COMPANION}.away"), COMPANION);
        let _stopped = systemctl(&["disable", "--now", "companion.service"]);
    }
}

#[test]
fn second_setup_and_dry_run_change_nothing() {
    let _set_up = SetUp::new();
    let before = traces();
    let ran = companion(&["setup"]).exits(0);
    assert!(ran.stdout.contains("\nnothing was changed\n"), "{ran}");
    assert_eq!(traces(), before);
    let unit = format!("{USER_UNITS}/companion.service");
    archy(&["sed", "-i", "s/^RestartSec=.*/RestartSec=7/", &unit]).good();
    let before = traces();
    let ran = companion(&["setup", "--dry-run"]).exits(0);
    assert!(ran.stdout.contains("planned    unit: replace "), "{ran}");
    assert_eq!(traces(), before);
    let ran = companion(&["setup"]).exits(0);
    assert!(ran.stdout.contains("service: restart, because its unit changed"), "{ran}");
    assert_ne!(traces(), before);
    assert!(companion(&["setup"]).exits(0).stdout.contains("\nnothing was changed\n"));
}

#[test]
fn setup_restarts_only_the_daemon_after_a_program_upgrade() {
    let _set_up = SetUp::new();
    let (before, containers) = (traces(), node::containers());
    // As an upgrade does: another file takes the name.
    let replace = r#"cp "$1" "$1.new" && mv "$1.new" "$1""#;
    archy(&["sh", "-ec", replace, "sh", COMPANION]).good();
    let doctor = companion(&["doctor"]).exits(0);
    assert!(doctor.stdout.contains("was replaced after the daemon started"), "{doctor}");
    let ran = companion(&["setup"]).exits(0);
    assert!(ran.stdout.contains("service: restart, because its program was replaced"), "{ran}");
    assert_ne!(traces(), before);
    assert_eq!(node::containers(), containers);
    let doctor = companion(&["doctor"]).exits(0);
    assert!(doctor.stdout.contains("ok      daemon: running"), "{doctor}");
}

#[test]
fn missing_daemon_program_is_an_error_that_setup_fixes() {
    let _set_up = SetUp::new();
    let away = format!("{COMPANION}.away");
    fs::rename(COMPANION, &away).unwrap();
    let _fails = systemctl(&["restart", "companion.service"]);
    until("systemd tries again and again", 60, || {
        (property("companion.service", "SubState") == "auto-restart").then_some(())
    });
    let ran = archy(&[&away, "doctor"]).exits(3);
    for line in ["error   daemon: crash-looping", "203/EXEC", "does not exist"] {
        assert!(ran.stdout.contains(line), "{line}: {ran}");
    }
    assert!(ran.stdout.contains("        fix: companion setup\n"), "{ran}");
    // From its current path: the unit is updated to it.
    archy(&[&away, "setup"]).exits(0);
    assert_eq!(archy(&[&away, "doctor"]).exits(0).stdout.matches("error ").count(), 0);
    fs::rename(&away, COMPANION).unwrap();
    companion(&["setup"]).exits(0);
}

#[test]
fn root_gets_a_system_service() {
    node::clean();
    let program = "/usr/local/bin/companion";
    let of_archy = root(&[COMPANION, "setup"]);
    assert_eq!(of_archy.status, Some(2), "archy could replace what root runs: {of_archy}");
    root(&["install", COMPANION, program]).good();
    let ran = root(&[program, "setup"]);
    let state = root(&["systemctl", "show", "--property=ActiveState,UnitFileState", "companion"]);
    let again = root(&[program, "setup"]);
    let removed = root(&[program, "setup", "--remove"]);
    let clean = "rm -rf /usr/local/bin/companion /etc/companion /var/lib/companion";
    root(&["sh", "-c", clean]).good();
    ran.exits(0);
    assert_eq!(state.good(), "ActiveState=active\nUnitFileState=enabled");
    assert!(again.exits(0).stdout.contains("\nnothing was changed\n"));
    removed.exits(0);
    assert!(!fs::exists("/etc/systemd/system/companion.service").unwrap());
}
