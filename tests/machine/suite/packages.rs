//! The packages on a Debian that never saw companion: installed, upgraded, downgraded, interrupted, removed and purged. Run by
//! `run --packages`, which puts them into `/opt/packages`; archy's store has the base image by its usual name.

use std::fs;
use std::time::Instant;

use crate::guest::{Ran, archy, property, root, root_reading, spawn_root, systemctl, undo, until};
use crate::http;
use crate::node::{BITCOIN, Companion, ELECTRS, LND, USER_UNITS};

mod rpm;

/// The program of the package.
const PROGRAM: &str = "/usr/bin/companion";
const USER_UNIT: &str = "/usr/lib/systemd/user/companion.service";

/// Ends everything that an earlier test left.
const FRESH: &str = "
rm -rf /run/packages /tmp/repack*
dpkg --configure --pending || true
dpkg --purge --force-remove-reinstreq companion || true
rpm --erase --allmatches companion || true
archy systemctl --user disable --now companion.service || true
for user in archy root; do
    units=/home/archy/.config/containers/systemd manager='archy systemctl --user' podman='archy podman'
    test $user = archy || units=/etc/containers/systemd manager=systemctl podman=podman
    $manager stop archy-lnd-ui.service archy-electrs-ui.service archy-bitcoin-ui.service || true
    rm -rf $units
    $manager daemon-reload
    $podman rm --force --all
done
rm -rf /home/archy/.config/systemd/user /home/archy/.config/companion /home/archy/.local/state/companion \
    /home/archy/.cargo /var/lib/companion /etc/companion
archy systemctl --user daemon-reload
mkdir /run/packages
";

fn fresh() {
    drop(undo(FRESH));
    assert!(!fs::exists(PROGRAM).unwrap());
}

/// The built deb.
fn deb() -> String {
    root(&["sh", "-c", "ls /opt/packages/companion_*.deb"]).good()
}

/// The same package with another version, and with lines at the start of one of its scripts.
fn repacked(version: &str, script: &str, lines: &str) -> String {
    let repack = r#"
        rm -rf /tmp/repack
        dpkg-deb --raw-extract /opt/packages/companion_*.deb /tmp/repack
        cd /tmp/repack/DEBIAN
        sed -i "s/^Version: .*/Version: $1/" control
        test -e "$2" || { printf '#!/bin/sh\n' >"$2"; chmod 755 "$2"; }
        sed -i "1r /dev/stdin" "$2"
        dpkg-deb --root-owner-group -Znone --build /tmp/repack "/tmp/repack-$1.deb"
    "#;
    root_reading(&["sh", "-ec", repack, "sh", version, script], lines).good();
    format!("/tmp/repack-{version}.deb")
}

fn dpkg(arguments: &[&str]) -> Ran {
    root(&[&["env", "LC_ALL=C.UTF-8", "dpkg"], arguments].concat())
}

/// Installs a deb with its documentation, which the machine's dpkg leaves out otherwise.
fn install(package: &str) -> Ran {
    dpkg(&["--path-include=*", "--install", package])
}

/// Runs the program of the package as archy.
fn companion(arguments: &[&str]) -> Ran {
    archy(&[&[PROGRAM], arguments].concat())
}

/// The runs of archy's companions and their containers.
fn runs() -> Vec<(String, Option<String>)> {
    let run = |one: Companion| (one.property("InvocationID"), one.container());
    [LND, ELECTRS].map(run).to_vec()
}

fn daemon() -> String {
    property("companion.service", "InvocationID")
}

/// Whether archy's daemon runs the installed program file, not a deleted one.
fn daemon_runs_the_installed_program() -> bool {
    let exe = format!("/proc/{}/exe", property("companion.service", "MainPID"));
    fs::read_link(exe).is_ok_and(|path| path.to_str() == Some(PROGRAM))
}

/// archy with the package, its daemon, and two ready companions.
fn installed() {
    fresh();
    let start = Instant::now();
    install(&deb()).exits(0);
    companion(&["setup"]).exits(0);
    companion(&["install", "lnd", "electrumx"]).exits(0);
    println!("measured: from the package to two pages in {:.1} s", start.elapsed().as_secs_f64());
    assert!([LND, ELECTRS].into_iter().all(Companion::is_up));
}

#[test]
fn package_gives_ready_companions_without_options() {
    installed();
    assert_eq!(property("companion.service", "FragmentPath"), USER_UNIT);
    assert_eq!(property("companion.service", "UnitFileState"), "enabled");
    assert!(!fs::exists(format!("{USER_UNITS}/companion.service")).unwrap());
    let again = companion(&["setup"]).exits(0);
    assert!(again.stdout.contains("\nnothing was changed\n"), "{again}");
    let doctor = companion(&["doctor"]).exits(0);
    for line in ["ok      package: companion ", "ok      daemon: running, enabled, /usr/lib/"] {
        assert!(doctor.stdout.contains(line), "{line}: {doctor}");
    }
    for file in [
        "man/man1/companion-setup.1.gz",
        "bash-completion/completions/companion",
        "doc/companion/examples/catalog.toml",
        "companion/companions/bitcoin-ui/Dockerfile",
    ] {
        assert!(fs::exists(format!("/usr/share/{file}")).unwrap(), "{file}");
    }
    // Every file belongs to root, and nobody else can change one.
    let insecure = "dpkg -L companion | while read -r path; do find \"$path\" -maxdepth 0 ! -type l \
                    \\( ! -user root -o -perm /022 \\); done";
    assert_eq!(root(&["sh", "-c", insecure]).good(), "");
    assert_eq!(dpkg(&["--verify", "companion"]).exits(0).stdout, "");
}

/// The commands of the book, by apt, which finds all dependencies here.
#[test]
fn following_the_book_installs_and_upgrades_the_package() {
    fresh();
    for (text, heading) in [
        (include_str!("../../../docs/book/src/install.md"), "## Debian and Ubuntu"),
        (include_str!("../../../docs/book/src/upgrade.md"), "# Upgrade"),
    ] {
        let block = text.split(&format!("{heading}\n")).nth(1).unwrap();
        let block = block.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
        for line in block.lines() {
            let ran = match line.strip_prefix("sudo ") {
                Some(line) => root(&["sh", "-ec", &format!("cd /opt/packages; {line}")]),
                None => archy(&["sh", "-ec", line]),
            };
            println!("{}", ran.exits(0));
        }
    }
    assert!(daemon_runs_the_installed_program());
}

#[test]
fn upgrade_and_downgrade_restart_daemons_and_no_companion() {
    installed();
    restarts_daemons_and_no_companion(&repacked("9.0.0-1", "postinst", ""), &deb(), install);
}

/// Upgrades to the package `newer` and back to `built`, with the daemon running, and upgrades again without it.
fn restarts_daemons_and_no_companion(newer: &str, built: &str, install: fn(&str) -> Ran) {
    let (before, mut last) = (runs(), daemon());
    for package in [newer, built] {
        install(package).exits(0);
        assert!(daemon_runs_the_installed_program(), "{package}");
        assert_ne!(daemon(), last, "{package}");
        companion(&["reconcile"]).exits(0);
        assert_eq!(runs(), before, "{package}");
        last = daemon();
    }
    systemctl(&["stop", "companion.service"]).good();
    install(newer).exits(0);
    assert_eq!(property("companion.service", "ActiveState"), "inactive", "only a running daemon");
    assert_eq!(runs(), before);
}

#[test]
fn removal_keeps_companions_and_purge_leaves_no_file() {
    installed();
    let before = runs();
    let files = root(&["dpkg", "-L", "companion"]).good();
    let files: Vec<_> = files.lines().filter(|path| path.contains("companion")).collect();
    assert!(files.len() > 30, "{files:?}");
    dpkg(&["--remove", "companion"]).exits(0);
    assert_eq!(property("companion.service", "ActiveState"), "inactive");
    assert_eq!(runs(), before);
    dpkg(&["--purge", "companion"]).exits(0);
    let left: Vec<_> = files.into_iter().filter(|path| fs::exists(path).unwrap()).collect();
    assert!(left.is_empty(), "{left:?}");
    let find = "find /etc /usr /var/lib/companion /var/lib/dpkg/info -xdev -name '*companion*' \
                ! -path '*companion-machine*' 2>/dev/null || true";
    assert_eq!(root(&["sh", "-c", find]).good(), "");
    assert_eq!(runs(), before);

    // Installed again, it takes them up where they are.
    install(&deb()).exits(0);
    companion(&["setup"]).exits(0);
    companion(&["reconcile"]).exits(0);
    assert_eq!(runs(), before);
    companion(&["remove", "lnd", "electrumx"]).exits(0);
    assert!(LND.container().is_none() && !fs::exists(LND.unit()).unwrap());
}

#[test]
fn killed_uninstall_is_completed_by_the_next_one() {
    // Over the removal of units, the daemon, images and the state.
    let mut kills = 0;
    for delay in ["0.05", "0.4", "0.8", "1.2", "1.5", "1.8"] {
        installed();
        let killed = archy(&["timeout", "--signal=KILL", delay, PROGRAM, "uninstall", "--yes"]);
        println!("after {delay} s: {killed}");
        kills += usize::from(matches!(killed.status, None | Some(137)));
        companion(&["uninstall", "--yes"]).exits(0);
        for one in [LND, ELECTRS] {
            assert!(one.container().is_none() && !fs::exists(one.unit()).unwrap(), "{delay}");
        }
        assert_eq!(property("companion.service", "UnitFileState"), "disabled", "{delay}");
        assert!(!fs::exists("/home/archy/.local/state/companion").unwrap(), "{delay}");
        let images = archy(&["podman", "images", "--quiet", "localhost/lnd-ui"]).good();
        assert_eq!(images, "", "{delay}");
    }
    assert!(kills > 0, "at least one was killed");
}

#[test]
fn base_image_can_be_pinned_by_its_digest() {
    fresh();
    let digest =
        ["podman", "image", "inspect", "--format", "{{.Digest}}", "localhost/companion-base"];
    let base = format!("BASE_IMAGE=localhost/companion-base@{}", archy(&digest).good());
    install(&deb()).exits(0);
    companion(&["setup", "--build-arg", &base]).exits(0);
    companion(&["install", "lnd"]).exits(0);
    let status = companion(&["status", "--output", "wide"]).exits(0);
    assert!(status.stdout.contains(" of CPU"), "what the service uses is shown: {status}");
}

#[test]
fn setup_after_a_hand_made_installation_uses_the_package() {
    fresh();
    let by_hand = "/home/archy/.cargo/bin/companion";
    let copy = r#"dpkg-deb --fsys-tarfile "$1" | tar -xO ./usr/bin/companion >"$2.new"
        install -D -o archy -g archy -m 755 "$2.new" "$2"; rm "$2.new"; chown -R archy:archy /home/archy/.cargo"#;
    root(&["mkdir", "-p", "/home/archy/.cargo/bin"]).good();
    root(&["sh", "-ec", copy, "sh", &deb(), by_hand]).good();
    archy(&["sh", "-ec", "mkdir ~/contexts"]).good();
    root(&["cp", "-r", "/opt/packages/contexts/.", "/home/archy/contexts"]).good();
    root(&["chown", "-R", "archy:archy", "/home/archy/contexts"]).good();
    archy(&[by_hand, "setup", "--contexts", "/home/archy/contexts"]).exits(0);
    archy(&[by_hand, "install", "lnd", "electrumx"]).exits(0);
    let before = runs();
    let own_unit = format!("{USER_UNITS}/companion.service");
    assert!(fs::exists(&own_unit).unwrap());

    install(&deb()).exits(0);
    assert_eq!(runs(), before);
    let doctor = companion(&["doctor"]).exits(0);
    let named = format!("its unit executes `{by_hand}`");
    assert!(doctor.stdout.contains(&named) && doctor.stdout.contains(PROGRAM), "{doctor}");
    let ran = companion(&["setup"]).exits(0);
    assert!(ran.stdout.contains(&format!("done       unit: delete {own_unit}")), "{ran}");
    assert!(ran.stdout.contains(&format!("unchanged  unit: {USER_UNIT}")), "{ran}");
    assert_eq!(property("companion.service", "FragmentPath"), USER_UNIT);
    assert_eq!(property("companion.service", "UnitFileState"), "enabled");
    assert!(daemon_runs_the_installed_program());
    assert!(companion(&["setup"]).exits(0).stdout.contains("\nnothing was changed\n"));
    companion(&["reconcile"]).exits(0);
    assert_eq!(runs(), before);
    assert!(fs::exists(by_hand).unwrap(), "the other program belongs to the user");
    let doctor = companion(&["doctor"]).exits(0);
    assert!(!doctor.stdout.contains(by_hand), "{doctor}");
    root(&["rm", "-rf", "/home/archy/contexts"]).good();
}

#[test]
fn killed_upgrade_is_named_and_completed() {
    installed();
    let before = runs();
    let kill = "test ! -e /run/packages/kill || kill -KILL $PPID\n";
    for (script, version, status, completion) in [
        ("preinst", "9.1.0-1", "half-installed", "--install"),
        ("postinst", "9.2.0-1", "half-configured", "--configure"),
    ] {
        let package = repacked(version, script, kill);
        fs::write("/run/packages/kill", "").unwrap();
        assert_ne!(install(&package).status, Some(0), "{script}");
        fs::remove_file("/run/packages/kill").unwrap();
        assert_eq!(runs(), before, "{script}");
        let doctor = companion(&["doctor"]).exits(3);
        assert!(doctor.stdout.contains("error   package: dpkg did not complete"), "{doctor}");
        assert!(doctor.stdout.contains(status), "{doctor}");
        let argument = if completion == "--install" { &package } else { "--pending" };
        dpkg(&["--path-include=*", completion, argument]).exits(0);
        let doctor = companion(&["doctor"]).exits(0);
        assert!(doctor.stdout.contains(&format!("package: companion {version}")), "{doctor}");
        assert!(daemon_runs_the_installed_program(), "{script}");
        companion(&["reconcile"]).exits(0);
        assert_eq!(runs(), before, "{script}");
    }
}

#[test]
fn locked_dpkg_is_named_and_changes_nothing() {
    installed();
    let (before, daemon_before) = (runs(), daemon());
    let wait =
        "test ! -e /run/packages/go || { : >/run/packages/holds; read -r _ </run/packages/go; }\n";
    let holder = repacked("9.3.0-1", "preinst", wait);
    root(&["mkfifo", "/run/packages/go"]).good();
    let mut holds = spawn_root(&["dpkg", "--install", &holder]);
    until("the first dpkg holds the lock", 60, || {
        fs::exists("/run/packages/holds").ok().filter(|it| *it)
    });
    let second = install(&deb());
    let (after, daemon_after) = (runs(), daemon());
    fs::write("/run/packages/go", "go\n").unwrap();
    assert!(holds.wait().unwrap().success());
    assert_eq!(second.status, Some(2), "{second}");
    assert!(second.stderr.contains("lock was locked by "), "{second}");
    assert_eq!((after, daemon_after), (before.clone(), daemon_before));
    assert_eq!(runs(), before);
}

#[test]
fn root_runs_the_hardened_unit_and_purge_keeps_what_companions_need() {
    fresh();
    let show = |name: &str| {
        root(&["systemctl", "show", "--value", "--property", name, "companion.service"]).good()
    };
    let run = || {
        let unit =
            ["systemctl", "show", "--value", "--property=InvocationID,ActiveState", "archy-lnd-ui"];
        root(&unit).good()
    };
    install(&deb()).exits(0);
    root(&[PROGRAM, "setup"]).exits(0);
    assert_eq!(show("FragmentPath"), "/usr/lib/systemd/system/companion.service");
    assert_eq!((show("NoNewPrivileges").as_str(), show("ProtectSystem").as_str()), ("yes", "yes"));
    // The daemon builds the image, and renders the configuration below its own directory.
    let password = "printf 'secret\\n' | install -m 600 /dev/stdin /etc/companion/rpc-password
        printf '[node.bitcoin]\\npassword_file = \"/etc/companion/rpc-password\"\\n' >>/etc/companion/catalog.toml";
    root(&["sh", "-ec", password]).good();
    root(&[PROGRAM, "install", "lnd", "bitcoin-knots"]).exits(0);
    assert!(fs::exists("/var/lib/companion/data/bitcoin-ui/nginx.conf").unwrap());
    assert_eq!(http::get(BITCOIN.port, "/", &[]).unwrap().status, 200);
    let before = run();
    assert!(before.starts_with("active"), "{before}");
    assert_eq!(http::get(LND.port, "/", &[]).unwrap().status, 200);
    install(&repacked("9.4.0-1", "postinst", "")).exits(0);
    root(&[PROGRAM, "reconcile"]).exits(0);
    assert_eq!(run(), before);

    let purged = dpkg(&["--purge", "companion"]).exits(0);
    assert!(purged.stderr.contains("companions of root exist"), "{purged}");
    assert!(fs::exists("/var/lib/companion/desired.json").unwrap());
    assert_eq!(run(), before);
    install(&deb()).exits(0);
    root(&[PROGRAM, "remove", "lnd", "bitcoin-knots"]).exits(0);
    dpkg(&["--purge", "companion"]).exits(0);
    let left = "ls -d /var/lib/companion /etc/companion /etc/systemd/system/*/companion.service";
    assert_eq!(root(&["sh", "-c", left]).stdout, "");
}
