//! Checks the Debian package of this program: whether dpkg has completed it.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::Finding;
use crate::service::unit::is_packaged;

/// The name of this check.
const CHECK: &str = "package";

/// The timeout for `dpkg-query`.
const LIMIT: Duration = Duration::from_secs(5);

/// Asks dpkg about the package `companion`, if this program is where it installs one.
pub(super) async fn finding() -> Option<Finding> {
    let own = std::env::current_exe().ok()?.canonicalize().ok()?;
    if !is_packaged(&own) {
        return None;
    }
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Status} ${Version}", "companion"]);
    query.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    // Without dpkg, or for a program that it did not install, there is nothing to check.
    let answer = tokio::time::timeout(LIMIT, query.output()).await.ok()?.ok()?;
    state(String::from_utf8_lossy(&answer.stdout).trim())
}

/// Reads a status of dpkg (dpkg(1)) and a version.
fn state(text: &str) -> Option<Finding> {
    let (status, version) = text.split_once(' ').unwrap_or((text, ""));
    let fix = match status {
        "installed" => return Some(Finding::ok(CHECK, format!("companion {version}"))),
        "" | "not-installed" | "config-files" => return None,
        "half-installed" => {
            "sudo apt-get install --reinstall companion, or dpkg --install the file again"
        }
        _ => "sudo dpkg --configure --pending",
    };
    let found = format!("dpkg did not complete companion {version} ({status})");
    Some(Finding::error(CHECK, found, fix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupted_upgrade_is_an_error_with_its_fix() {
        for (status, fix) in [
            ("half-installed", "--reinstall companion"),
            ("unpacked", "--configure"),
            ("half-configured", "--configure"),
        ] {
            let finding = state(&format!("{status} 0.2.0-1")).unwrap();
            assert!(finding.is_error() && finding.found.contains(status), "{finding:?}");
            assert!(finding.fix.unwrap().contains(fix), "{status}");
        }
        assert!(!state("installed 0.2.0-1").unwrap().is_error());
        assert_eq!(state("").or_else(|| state("config-files 0.1.0-1")), None);
    }
}
