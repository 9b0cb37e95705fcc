//! Locations of the RPC password and the macaroon, and their absence elsewhere, after many failures.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::daemon::Daemon;
use crate::guest::{Ran, archy, mallory, podman, property, root, systemctl, until, write};
use crate::node::{
    BITCOIN, CATALOG, CONFIG, PASSWORD, USER_UNITS, ask_the_node, companion, edit_context,
    installed, rendered_file, rendered_files, restore_context, rotate_password, set_in_catalog,
};

#[test]
fn rendered_configuration_is_readable_by_its_owner_only() {
    installed();
    let directory = Path::new(CONFIG).parent().unwrap();
    let rendered = rendered_file(CONFIG).unwrap();
    let (file, above) = (fs::metadata(&rendered).unwrap(), fs::metadata(directory).unwrap());
    assert_eq!((file.permissions().mode() & 0o7777, file.uid()), (0o600, 1000));
    assert_eq!((above.permissions().mode() & 0o7777, above.uid()), (0o700, 1000));
    assert_eq!(fs::symlink_metadata(CONFIG).unwrap().uid(), 1000);
    for path in [CONFIG, &rendered] {
        assert_ne!(mallory(&["cat", path], "").status, Some(0));
    }
    assert_ne!(mallory(&["ls", directory.to_str().unwrap()], "").status, Some(0));
}

/// Whether this contains any form of the password.
fn holds(bytes: &[u8], forms: &[String]) -> bool {
    forms.iter().any(|form| bytes.windows(form.len()).any(|part| part == form.as_bytes()))
}

/// The files of companions or archy that contain one of the forms.
fn files_with(forms: &[String]) -> BTreeSet<String> {
    let script = "grep -rlF --binary-files=text --devices=skip -f - \
                  /home /run /tmp /var /etc /opt /dev/shm 2>/dev/null; true";
    // From standard input: an argument would be visible in /proc.
    let ran = crate::guest::root_reading(&["sh", "-c", script], &forms.join("\n"));
    ran.good().lines().map(str::to_owned).collect()
}

/// All places of this host that show one of the forms: what its tools print, its processes, and its files.
pub(crate) fn places_with(forms: &[String]) -> BTreeSet<String> {
    let mut found = files_with(forms);
    let images = ["history", "--no-trunc", "--format=json", "localhost/bitcoin-ui:latest"];
    for (place, ran) in [
        ("systemctl show", systemctl(&["show", "*"])),
        ("systemctl cat", systemctl(&["cat", &BITCOIN.service()])),
        ("podman inspect", podman(&["inspect", BITCOIN.name, "localhost/bitcoin-ui:latest"])),
        ("podman history", podman(&images)),
        ("podman events", podman(&["events", "--stream=false", "--since=1h", "--format=json"])),
        ("the journal", root(&["journalctl", "--no-pager", "--all", "--output=export"])),
    ] {
        assert!(ran.words().len() > 100, "{place} says something: {ran}");
        if holds(ran.words().as_bytes(), forms) {
            found.insert(place.to_owned());
        }
    }
    let mut processes = 0;
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        for file in ["cmdline", "environ"] {
            // Entries other than processes, and processes that just ended, have none.
            let Ok(bytes) = fs::read(entry.path().join(file)) else { continue };
            processes += 1;
            if holds(&bytes, forms) {
                found.insert(format!("{}/{file}", entry.path().display()));
            }
        }
    }
    assert!(processes > 20, "{processes} were read");
    found
}

const CANARY: &str = "canary-7b0e5d2c61";
const MACAROON_CANARY: &str = "canary-of-lnd-5e9a";
const MACAROON: &str = "/var/lib/archipelago/bitcoin/readonly.macaroon";
const LND_CONFIG: &str = "/var/lib/archipelago/lnd-ui/nginx.conf";

/// Every message source: a failing hook, build, start, write or removal, each under a daemon that resyncs.
fn storm(said: &mut Vec<Ran>) {
    let mut run = |arguments: &[&str]| said.push(companion(arguments));
    let sabotage: [(&str, &str); 9] = [
        ("chmod 0644 $CONFIG; chmod 0755 $(dirname $CONFIG)", "true"),
        ("rm -f $CONFIG; mkdir $CONFIG", "rmdir $CONFIG"),
        ("rm -rf $(dirname $CONFIG); ln -s /tmp $(dirname $CONFIG)", "rm -f $(dirname $CONFIG)"),
        // The next file cannot be put into use.
        ("chmod 0500 $UNITS; rm -f $(realpath $CONFIG)", "chmod 0700 $UNITS"),
        ("sed -i 's/^server {/# &/' $(realpath $CONFIG)", "true"),
        ("ln -sfn $PASSWORD $CONFIG; ln -s $PASSWORD $CONFIG.0123456789abcdef", "true"),
        (
            "printf '%s\\n\\001' $(cat $PASSWORD) >$PASSWORD.new; cp $PASSWORD $PASSWORD.old; cp $PASSWORD.new $PASSWORD",
            "cp $PASSWORD.old $PASSWORD; rm $PASSWORD.old $PASSWORD.new",
        ),
        ("chmod 0000 $PASSWORD", "chmod 0600 $PASSWORD"),
        ("mv $STATE/host-key $STATE/key; printf short >$STATE/host-key", "rm -f $STATE/key"),
    ];
    for (fault, repair) in sabotage {
        let script = |text: &str| {
            let places = format!(
                "CONFIG={CONFIG} PASSWORD={PASSWORD} UNITS=$HOME/.config/containers/systemd STATE=$HOME/.local/state/companion"
            );
            archy(&["sh", "-c", &format!("{places}; {text}")])
        };
        script(fault);
        run(&["-vvv", "reconcile"]);
        run(&["-vvv", "status"]);
        run(&["--json", "plan"]);
        script(repair);
        run(&["-vvv", "reconcile"]);
    }
    edit_context(
        "bitcoin-ui/Dockerfile",
        "FROM localhost/companion-base:latest\nRUN env; cat /proc/*/environ; exit 7\n",
    );
    run(&["-vvv", "reconcile"]);
    systemctl(&["mask", "--now", &BITCOIN.service()]);
    run(&["-vvv", "install", "bitcoin-knots"]);
    systemctl(&["unmask", &BITCOIN.service()]);
    podman(&["kill", BITCOIN.name]);
    for arguments in [
        &["-vvv", "doctor"][..],
        &["--json", "status"],
        &["render", BITCOIN.name],
        &["logs", "--lines=1000", BITCOIN.name],
        &["catalog"],
    ] {
        run(arguments);
    }
}

#[test]
fn failures_leak_the_password_nowhere() {
    installed();
    let pair = STANDARD.encode(format!("archipelago:{CANARY}"));
    let digits: String = MACAROON_CANARY.bytes().map(|byte| format!("{byte:02x}")).collect();
    let forms = [
        CANARY.to_owned(),
        pair.trim_end_matches('=').to_owned(),
        MACAROON_CANARY.to_owned(),
        digits.clone(),
    ];
    let catalog = fs::read_to_string(CATALOG).unwrap();
    write(MACAROON, MACAROON_CANARY);
    set_in_catalog(&format!("lnd = {{ macaroon_file = \"{MACAROON}\" }}"));
    // It prints everything it can.
    write(
        &format!("{USER_UNITS}/companion.service.d/log.conf"),
        "[Service]\nEnvironment=COMPANION_LOG=trace\n",
    );
    let mut said = Vec::new();
    {
        let daemon = Daemon::resyncing(1);
        rotate_password(CANARY);
        until("the canary is used", 60, || ask_the_node().filter(|status| *status == 200));
        let rendered = || rendered_file(LND_CONFIG).and_then(|file| fs::read(file).ok());
        until("the macaroon is used", 60, || {
            rendered().filter(|text| holds(text, std::slice::from_ref(&digits)))
        });
        storm(&mut said);
        for signal in ["-ABRT", "-SEGV", "-KILL"] {
            root(&["kill", signal, &daemon.pid().to_string()]).good();
            until("another daemon runs", 60, Daemon::find);
        }
    }
    for ran in &said {
        assert!(!holds(ran.words().as_bytes(), &forms), "a command said it");
    }
    restore_context(BITCOIN);
    until("all is repaired", 120, || {
        companion(&["reconcile"]).status.filter(|status| *status == 0)
    });
    let rendered = rendered_file(CONFIG).unwrap();
    assert!(holds(&fs::read(&rendered).unwrap(), &forms), "the canary is in use");
    assert_eq!(rendered_files(CONFIG), [rendered.clone()].into());
    let of_lnd = rendered_file(LND_CONFIG).unwrap();
    assert_eq!(fs::metadata(&of_lnd).unwrap().permissions().mode() & 0o7777, 0o600);
    let expected = [rendered, PASSWORD.to_owned(), of_lnd, MACAROON.to_owned()];
    assert_eq!(places_with(&forms), expected.into());
    assert_eq!(property("companion.service", "LimitCORE"), "0");
    rotate_password("the-usual-password");
    write(CATALOG, &catalog);
    fs::remove_file(MACAROON).unwrap();
    companion(&["reconcile"]).exits(0);
    // The rendered file goes with the password that it held.
    assert_eq!(files_with(&forms[..2]), BTreeSet::new());
    companion(&["remove", "lnd"]).exits(0);
    archy(&["rm", "-rf", &format!("{USER_UNITS}/companion.service.d")]).good();
    systemctl(&["daemon-reload"]).good();
}
