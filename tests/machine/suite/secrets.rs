//! Locations of the RPC password, and its absence elsewhere.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::daemon::Daemon;
use crate::guest::{mallory, podman, root, systemctl, until};
use crate::node::{
    ALL, BITCOIN, CONFIG, PASSWORD, ask_the_node, companion, installed, rendered_file,
    rotate_password,
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
pub(crate) fn holds(bytes: &[u8], forms: &[String]) -> bool {
    forms.iter().any(|form| bytes.windows(form.len()).any(|part| part == form.as_bytes()))
}

/// The files of companions or archy that contain one of the forms.
pub(crate) fn files_with(forms: &[String]) -> BTreeSet<String> {
    let script = "grep -rlF --binary-files=text --devices=skip -f - \
                  /home /run /tmp /var /etc /opt /dev/shm 2>/dev/null; true";
    // From standard input: an argument would be visible in /proc.
    let ran = crate::guest::root_reading(&["sh", "-c", script], &forms.join("\n"));
    ran.good().lines().map(str::to_owned).collect()
}

#[test]
fn password_appears_only_in_its_file_and_the_configuration() {
    installed();
    let password = "canary-4f1d7c0a9b";
    let pair = STANDARD.encode(format!("archipelago:{password}"));
    let forms = [password.to_owned(), pair.trim_end_matches('=').to_owned()];
    let daemon = Daemon::resyncing(1);
    rotate_password(password);
    until("the new password is used", 60, || ask_the_node().filter(|status| *status == 200));
    // Exercise every possible leak: a restart, a failure, and all printed output.
    podman(&["kill", BITCOIN.name]).good();
    until("it is back", 60, || BITCOIN.is_up().then_some(()));

    for arguments in [
        &["-vvv", "install", "bitcoin-knots"][..],
        &["-vvv", "reconcile"],
        &["-vvv", "plan"],
        &["-vvv", "status"],
        &["--json", "status"],
        &["render", BITCOIN.name],
        &["logs", "--lines=1000", BITCOIN.name],
        &["doctor"],
        &["catalog"],
    ] {
        let ran = companion(arguments);
        assert!(!holds(ran.words().as_bytes(), &forms), "companion {arguments:?}");
    }
    let said = [
        systemctl(&["show", "*"]).words(),
        systemctl(&["cat", &BITCOIN.service()]).words(),
        podman(&["inspect", BITCOIN.name, "localhost/bitcoin-ui:latest"]).words(),
        root(&["journalctl", "--no-pager", "--all", "--output=export"]).words(),
    ];
    for (index, words) in said.iter().enumerate() {
        assert!(words.len() > 100 && !holds(words.as_bytes(), &forms), "place {index}");
    }
    let mut processes = 0;
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        for file in ["cmdline", "environ"] {
            // Entries other than processes, and processes that just ended, have none.
            let Ok(bytes) = fs::read(entry.path().join(file)) else { continue };
            processes += 1;
            assert!(!holds(&bytes, &forms), "{}/{file}", entry.path().display());
        }
    }
    assert!(processes > 20, "{processes} were read");
    drop(daemon);
    let rendered = rendered_file(CONFIG).unwrap();
    assert_eq!(files_with(&forms), [rendered, PASSWORD.to_owned()].into());
    assert!(ALL.into_iter().all(|one| !holds(one.unit_text().as_bytes(), &forms)));
    // The rendered file is removed with it.
    rotate_password("the-usual-password");
    companion(&["reconcile"]).exits(0);
    assert_eq!(files_with(&forms), BTreeSet::new());
}
