use std::path::Path;

/// Writes a shell script, by another process: executing a file fails with ETXTBSY if a concurrent test forks while it is
/// open for writing.
pub(crate) fn write_program(program: &Path, body: &str) {
    let status = std::process::Command::new("/bin/sh")
        .args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$1\" >\"$2\" && chmod 755 \"$2\"", "sh", body])
        .arg(program)
        .status()
        .unwrap();
    assert!(status.success());
}
