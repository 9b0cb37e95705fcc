//! The rpm, by Debian's `rpm`, whose database knows of no other package; so dependencies are not checked.

use std::fs;

use super::{
    PROGRAM, USER_UNIT, companion, daemon_runs_the_installed_program, fresh,
    restarts_daemons_and_no_companion, runs,
};
use crate::guest::{Ran, property, root};
use crate::node::{Companion, ELECTRS, LND};

const SPEC: &str = include_str!("../../../../packaging/companion.spec");
const DAEMONS: &str = include_str!("../../../../packaging/daemons.sh");

fn rpm(arguments: &[&str]) -> Ran {
    root(&[&["env", "LC_ALL=C.UTF-8", "rpm"], arguments].concat())
}

/// The built rpm.
fn built() -> String {
    root(&["sh", "-c", "ls /opt/packages/companion-*.rpm"]).good()
}

/// The same package with another version, and with lines at the start of its script after an installation.
fn rebuilt(version: &str, lines: &str) -> String {
    let rebuild = r#"
        rm -rf /tmp/repack/tree
        dpkg-deb --extract /opt/packages/companion_*.deb /tmp/repack/tree
        rpmbuild --quiet -bb /tmp/repack/companion.spec --define "_topdir /tmp/repack" --define "_rpmdir /tmp" \
            --define "_build_name_fmt repack-%%{VERSION}.rpm" --define "tree /tmp/repack/tree" \
            --define "version $1" --define "daemons /tmp/repack/daemons.sh"
    "#;
    fs::create_dir_all("/tmp/repack").unwrap();
    fs::write("/tmp/repack/daemons.sh", DAEMONS).unwrap();
    let spec = SPEC.replace("%post\n", &format!("%post\n{lines}\n"));
    fs::write("/tmp/repack/companion.spec", spec).unwrap();
    root(&["sh", "-ec", rebuild, "sh", version]).good();
    format!("/tmp/repack-{version}.rpm")
}

fn upgrade(package: &str) -> Ran {
    rpm(&["--upgrade", "--oldpackage", "--replacepkgs", "--nodeps", package])
}

/// archy with the package, its daemon, and two ready companions.
fn installed() {
    fresh();
    rpm(&["--install", "--nodeps", &built()]).exits(0);
    companion(&["setup"]).exits(0);
    companion(&["install", "lnd", "electrumx"]).exits(0);
    assert!([LND, ELECTRS].into_iter().all(Companion::is_up));
}

#[test]
fn rpm_gives_ready_companions_and_only_files_of_root() {
    installed();
    assert_eq!(property("companion.service", "FragmentPath"), USER_UNIT);
    let doctor = companion(&["doctor"]).exits(0);
    assert!(doctor.stdout.contains("ok      package: companion "), "{doctor}");
    assert_eq!(rpm(&["--verify", "--nodeps", "companion"]).exits(0).stdout, "");
    let insecure = "rpm --query --list companion | while read -r path; do find \"$path\" -maxdepth 0 \
                    \\( ! -user root -o -perm /022 \\); done";
    assert_eq!(root(&["sh", "-c", insecure]).good(), "");
}

#[test]
fn upgrade_and_downgrade_of_the_rpm_restart_daemons_and_no_companion() {
    installed();
    restarts_daemons_and_no_companion(&rebuilt("9.0.0", ""), &built(), upgrade);
}

#[test]
fn killed_upgrade_of_the_rpm_is_named_and_completed() {
    installed();
    let before = runs();
    let package = rebuilt("9.1.0", "test ! -e /run/packages/kill || kill -KILL $PPID");
    fs::write("/run/packages/kill", "").unwrap();
    assert_ne!(upgrade(&package).status, Some(0));
    fs::remove_file("/run/packages/kill").unwrap();
    assert_eq!(runs(), before);
    let doctor = companion(&["doctor"]).exits(3);
    assert!(doctor.stdout.contains("error   package: rpm did not complete"), "{doctor}");
    upgrade(&package).exits(0);
    let doctor = companion(&["doctor"]).exits(0);
    assert!(doctor.stdout.contains("package: companion 9.1.0-1"), "{doctor}");
    assert!(daemon_runs_the_installed_program());
    companion(&["reconcile"]).exits(0);
    assert_eq!(runs(), before);
}

#[test]
fn erased_rpm_leaves_no_file_and_keeps_companions() {
    installed();
    root(&[PROGRAM, "setup"]).exits(0);
    let before = runs();
    let files = rpm(&["--query", "--list", "companion"]).good();
    rpm(&["--erase", "companion"]).exits(0);
    assert_eq!(property("companion.service", "ActiveState"), "inactive");
    let left: Vec<_> = files.lines().filter(|path| fs::exists(path).unwrap()).collect();
    assert!(left.is_empty(), "{left:?}");
    for kept in ["/etc/companion", "/var/lib/companion"] {
        assert!(fs::exists(kept).unwrap(), "{kept}");
    }
    let find = "find /etc/systemd /usr -xdev -name '*companion*' \
                ! -path '*companion-machine*' 2>/dev/null || true";
    assert_eq!(root(&["sh", "-c", find]).good(), "", "root's daemon is disabled, too");
    assert_eq!(runs(), before);

    rpm(&["--install", "--nodeps", &built()]).exits(0);
    companion(&["setup"]).exits(0);
    companion(&["reconcile"]).exits(0);
    assert_eq!(runs(), before);
}
