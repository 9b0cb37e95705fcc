//! Checks the package of this program: whether dpkg or rpm has completed it.

use std::env::consts::ARCH;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::Finding;
use crate::service::unit::is_packaged;

/// The name of this check.
const CHECK: &str = "package";

/// The timeout of a query.
const LIMIT: Duration = Duration::from_secs(5);

/// Asks dpkg and rpm about the package `companion`, if this program is where it installs one.
pub(super) async fn finding() -> Option<Finding> {
    let own = std::env::current_exe().ok()?.canonicalize().ok()?;
    if !is_packaged(&own) {
        return None;
    }
    let form = "--showformat=${db:Status-Status} ${Version}";
    if let Some(answer) = ask("dpkg-query", &["--show", form, "companion"]).await
        && let Some(found) = of_dpkg(answer.trim())
    {
        return Some(found);
    }
    let form = "--queryformat=%{INSTALLTIME} %{VERSION}-%{RELEASE}\n";
    of_rpm(&ask("rpm", &["--query", form, "companion"]).await?)
}

/// Returns the answer of a package manager; `None` without it, or for a program that it did not install.
async fn ask(program: &str, words: &[&str]) -> Option<String> {
    let mut query = Command::new(program);
    query.args(words).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let answer = tokio::time::timeout(LIMIT, query.output()).await.ok()?.ok()?;
    answer.status.success().then(|| String::from_utf8_lossy(&answer.stdout).into_owned())
}

/// Reads a status of dpkg (dpkg(1)) and a version.
fn of_dpkg(text: &str) -> Option<Finding> {
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

/// Reads the times and versions that rpm has recorded: an upgrade that did not complete leaves two.
fn of_rpm(text: &str) -> Option<Finding> {
    let mut recorded: Vec<_> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    recorded.sort_by_key(|(time, _)| time.parse::<u64>().unwrap_or_default());
    let (_, last) = recorded.last()?;
    if recorded.len() == 1 {
        return Some(Finding::ok(CHECK, format!("companion {last}")));
    }
    let versions: Vec<_> = recorded.iter().map(|(_, version)| *version).collect();
    let found = format!("rpm did not complete an upgrade: companion {}", versions.join(", "));
    // Also completes a downgrade.
    let fix = format!("sudo rpm --upgrade --oldpackage --replacepkgs companion-{last}.{ARCH}.rpm");
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
            let finding = of_dpkg(&format!("{status} 0.2.0-1")).unwrap();
            assert!(finding.is_error() && finding.found.contains(status), "{finding:?}");
            assert!(finding.fix.unwrap().contains(fix), "{status}");
        }
        assert!(!of_dpkg("installed 0.2.0-1").unwrap().is_error());
        assert_eq!(of_dpkg("").or_else(|| of_dpkg("config-files 0.1.0-1")), None);
    }

    #[test]
    fn two_recorded_versions_are_an_upgrade_that_rpm_did_not_complete() {
        assert!(!of_rpm("9 0.1.0-1\n").unwrap().is_error());
        let finding = of_rpm("10 0.2.0-1\n9 0.1.0-1\n").unwrap();
        assert!(finding.is_error() && finding.found.ends_with("0.1.0-1, 0.2.0-1"), "{finding:?}");
        let file = format!(" companion-0.2.0-1.{ARCH}.rpm");
        assert!(finding.fix.unwrap().ends_with(&file), "the version that was installed last");
        assert_eq!(of_rpm(""), None);
    }
}
