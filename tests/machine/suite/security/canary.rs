//! A canary as password, another as macaroon, and many failures: afterwards each is in its two files, and nowhere else.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::daemon::Daemon;
use crate::guest::{Ran, archy, podman, root, systemctl, until, write};
use crate::node::{
    BITCOIN, CATALOG, CONFIG, PASSWORD, USER_UNITS, ask_the_node, companion, edit_context,
    installed, rendered_file, rendered_files, rotate_password,
};
use crate::secrets::{files_with, holds};

const CANARY: &str = "canary-7b0e5d2c61";
const MACAROON_CANARY: &str = "canary-of-lnd-5e9a";
const MACAROON: &str = "/var/lib/archipelago/bitcoin/readonly.macaroon";
const LND_CONFIG: &str = "/var/lib/archipelago/lnd-ui/nginx.conf";

/// Every message source: a failing hook, build, start, write or removal, each under a daemon that resyncs.
fn storm(said: &mut Vec<Ran>) {
    let mut tell = |arguments: &[&str]| said.push(companion(arguments));
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
    for (harm, mend) in sabotage {
        let script = |text: &str| {
            let places = format!(
                "CONFIG={CONFIG} PASSWORD={PASSWORD} UNITS=$HOME/.config/containers/systemd STATE=$HOME/.local/state/companion"
            );
            archy(&["sh", "-c", &format!("{places}; {text}")])
        };
        script(harm);
        tell(&["-vvv", "reconcile"]);
        tell(&["-vvv", "status"]);
        tell(&["--json", "plan"]);
        script(mend);
        tell(&["-vvv", "reconcile"]);
    }
    edit_context(
        "bitcoin-ui/Dockerfile",
        "FROM localhost/companion-base:latest\nRUN env; cat /proc/*/environ; exit 7\n",
    );
    tell(&["-vvv", "reconcile"]);
    systemctl(&["mask", "--now", &BITCOIN.service()]);
    tell(&["-vvv", "install", "bitcoin-knots"]);
    systemctl(&["unmask", &BITCOIN.service()]);
    podman(&["kill", BITCOIN.name]);
    tell(&["-vvv", "doctor"]);
}

/// Asserts that no tool, log or process of the host shows one of `forms`.
fn hidden_from_the_host(forms: &[String]) {
    let shown = [
        systemctl(&["show", "*"]).words(),
        podman(&["inspect", BITCOIN.name]).words(),
        podman(&["history", "--no-trunc", "--format=json", "localhost/bitcoin-ui:latest"]).words(),
        podman(&["events", "--stream=false", "--since=1h", "--format=json"]).words(),
        root(&["journalctl", "--no-pager", "--all", "--output=export"]).words(),
    ];
    for (index, words) in shown.iter().enumerate() {
        assert!(!holds(words.as_bytes(), forms), "place {index}");
    }
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        for file in ["cmdline", "environ"] {
            // Entries other than processes, and processes that just ended, have none.
            let Ok(bytes) = fs::read(entry.path().join(file)) else { continue };
            assert!(!holds(&bytes, forms), "{}/{file}", entry.path().display());
        }
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
    let lnd = format!("[node]\nlnd = {{ macaroon_file = \"{MACAROON}\" }}\n");
    write(CATALOG, &catalog.replace("[node]\n", &lnd));
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
            until("another daemon runs", 60, || {
                systemctl(&["is-active", "companion.service"]).status.filter(|status| *status == 0)
            });
        }
    }
    for ran in &said {
        assert!(!holds(ran.words().as_bytes(), &forms), "a command said it");
    }
    hidden_from_the_host(&forms);
    root(&["sh", "-ec", "cd /opt/archipelago; rm -rf docker; cp -a pristine docker"]).good();
    until("all is repaired", 120, || {
        companion(&["reconcile"]).status.filter(|status| *status == 0)
    });
    let rendered = rendered_file(CONFIG).unwrap();
    assert!(holds(&fs::read(&rendered).unwrap(), &forms), "the canary is in use");
    assert_eq!(rendered_files(CONFIG), [rendered.clone()].into());
    let of_lnd = rendered_file(LND_CONFIG).unwrap();
    assert_eq!(fs::metadata(&of_lnd).unwrap().permissions().mode() & 0o7777, 0o600);
    let expected = [rendered, PASSWORD.to_owned(), of_lnd, MACAROON.to_owned()];
    assert_eq!(files_with(&forms), expected.into());
    assert_eq!(
        systemctl(&["show", "--value", "--property=LimitCORE", "companion.service"]).good(),
        "0"
    );
    rotate_password("the-usual-password");
    write(CATALOG, &catalog);
    fs::remove_file(MACAROON).unwrap();
    companion(&["reconcile"]).exits(0);
    archy(&["rm", "-rf", &format!("{USER_UNITS}/companion.service.d")]).good();
    systemctl(&["daemon-reload"]).good();
}
