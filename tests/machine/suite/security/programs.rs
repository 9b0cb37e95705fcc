//! Hook programs and templates that others could change.

use std::path::Path;

use crate::guest::{archy, root, undo, write};
use crate::node::{CATALOG, companion, extend_catalog, installed};

const PROGRAM: &str = "/home/archy/hook/render";
const RAN: &str = "/home/archy/hook/ran";

/// A companion whose configuration a program renders.
const ENTRY: &str = r#"
[[companion]]
name = "hooked-ui"
apps = ["hooked"]
image = { base = "lnd-ui" }
[companion.hook]
output = "/var/lib/archipelago/hooked-ui/nginx.conf"
program = { command = { argv = ["/home/archy/hook/render"] } }
"#;

#[test]
fn program_writable_by_others_is_not_run() {
    installed();
    extend_catalog(ENTRY);
    write(PROGRAM, &format!("#!/bin/sh\necho ran >{RAN}\necho '# rendered'\n"));
    for (spoil, repair, why) in [
        ("chmod 0777 $1", "chmod 0755 $1", "may write"),
        ("chmod 0775 $1; chgrp 1001 $1", "chgrp 1000 $1; chmod 0755 $1", "may write"),
        ("chown 1001 $1; chmod 0755 $1", "chown 1000 $1", "belongs to user 1001"),
        ("chmod 0777 $(dirname $1)", "chmod 0755 $(dirname $1)", "anyone may write"),
    ] {
        root(&["sh", "-ec", spoil, "sh", PROGRAM]).good();
        let ran = companion(&["install", "hooked"]).exits(1);
        assert!(ran.words().contains(why), "{spoil}: {ran}");
        assert!(!Path::new(RAN).exists(), "{spoil}");
        root(&["sh", "-ec", repair, "sh", PROGRAM]).good();
    }
    root(&["chmod", "0755", PROGRAM]).good();
    companion(&["install", "hooked"]);
    assert!(Path::new(RAN).exists(), "the same program is run when it is its owner's alone");
    companion(&["remove", "hooked"]).exits(0);
    archy(&["rm", "-rf", "/home/archy/hook"]).good();
}

#[test]
fn catalog_writable_by_others_is_not_read() {
    installed();
    for (spoil, repair) in [("chmod 0666 $1", "chmod 0644 $1"), ("chown 1001 $1", "chown 1000 $1")]
    {
        let restored = undo(repair.replace("$1", CATALOG));
        root(&["sh", "-ec", spoil, "sh", CATALOG]).good();
        let ran = companion(&["status"]).exits(1);
        assert!(ran.words().contains("using the last valid catalog"), "{ran}");
        let ran = companion(&["reconcile"]);
        assert_ne!(ran.status, Some(0), "{ran}");
        assert!(ran.words().contains("catalog.toml"), "{ran}");
        drop(restored);
        companion(&["status"]).exits(0);
    }
}
