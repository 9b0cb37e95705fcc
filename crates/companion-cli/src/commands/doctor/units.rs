//! The unit files that are there: a stranger's at one of our names, and those that the generator
//! does not take.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use adapter_systemd::Scope;
use archipelago::host::{PODMAN_FLOOR, units};
use companion_core::model::unit::UnitFileState;
use companion_core::ports::UnitStore as _;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::Finding;
use crate::config::Config;
use crate::error::{CommandResult, chain};

/// How long the generator may take for all units of the host.
const LIMIT: Duration = Duration::from_secs(20);
/// The most that is read of what it says, in bytes.
const WORDS_LIMIT: u64 = 256 * 1024;
/// The most lines of it that are shown.
const LINES_LIMIT: usize = 10;
/// What the generator needs to find a user's units.
const PASSED_ON: [&str; 3] = ["HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"];

/// Looks for what is not ours at the catalog's names.
pub(super) async fn foreign(scope: Scope, config: &Config) -> CommandResult<Vec<Finding>> {
    let catalog = config.catalog()?;
    let names = catalog.companions().map(|spec| (spec.name.clone(), None)).collect();
    // The version matters for what units say, not for whose they are.
    let units = match units(scope, PODMAN_FLOOR) {
        Ok(units) => units,
        // The unit directory has a finding of its own.
        Err(_no_directory) => return Ok(Vec::new()),
    };
    let directory = units.path().to_owned();
    let found = units.observe(&names).await;
    let findings = found.into_iter().filter_map(|(name, file)| {
        let path = directory.join(format!("{name}.container"));
        match file.map(|file| file.state) {
            Ok(UnitFileState::Foreign { .. }) => Some(Finding::lacking(
                "units",
                format!("`{}` is not ours, so `{name}` cannot be installed", path.display()),
                format!("mv {0} {0}.bak, unless somebody needs it", path.display()),
            )),
            Ok(_) => None,
            Err(error) => Some(Finding::lacking(
                "units",
                chain(&error),
                format!("look at {}", path.display()),
            )),
        }
    });
    Ok(findings.collect())
}

/// Has the generator read all units there are, and make nothing of them.
///
/// A file that it cannot parse makes it drop every unit, not only that one.
pub(super) async fn accepted(scope: Scope, generator: &Path) -> Finding {
    match dry_run(scope, generator).await {
        Ok(words) => {
            let complaints = complaints(&words);
            if complaints.is_empty() {
                return Finding::fine("generated units", "the generator takes every unit file");
            }
            let mend = "mend or move the file that is named, then `systemctl --user daemon-reload`";
            Finding::lacking("generated units", complaints.join("; "), mend)
        }
        Err(error) => {
            let found = format!("`{}` cannot be tried: {error}", generator.display());
            Finding::lacking("generated units", found, "reinstall the package `podman`")
        }
    }
}

async fn dry_run(scope: Scope, generator: &Path) -> std::io::Result<String> {
    let mut command = Command::new(generator);
    if scope == Scope::User {
        command.arg("--user");
    }
    let mut child = command
        .args(["--dryrun", "--no-kmsg-log"])
        .env_clear()
        .envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut words = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        tokio::time::timeout(LIMIT, stderr.take(WORDS_LIMIT).read_to_end(&mut words)).await??;
    }
    // Its status says no more than its words, and in some versions less.
    let _status = tokio::time::timeout(LIMIT, child.wait()).await??;
    Ok(String::from_utf8_lossy(&words).into_owned())
}

/// The lines that name a file which is not taken, without the program's name and number.
fn complaints(words: &str) -> Vec<String> {
    let marks = ["converting \"", "error loading \"", "unsupported ", "unbalanced"];
    let complaints = words
        .lines()
        .filter(|line| marks.iter().any(|mark| line.contains(mark)))
        .map(|line| line.split_once("]: ").map_or(line, |(_, words)| words))
        .map(|line| line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(400).collect());
    complaints.take(LINES_LIMIT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_taken_is_named() {
        let words = "quadlet-generator[7]: Loading source unit file /x/a.container\n\
                     quadlet-generator[7]: error loading \"/x/a.container\", line 3: not a key\n\
                     quadlet-generator[7]: converting \"b.container\": unsupported key 'Pulll'\n";
        let found = complaints(words);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("error loading") && found[0].contains("a.container"));
    }

    #[test]
    fn a_generator_that_says_nothing_complains_of_nothing() {
        assert!(complaints("").is_empty());
        assert!(
            complaints("quadlet-generator[7]: Loading source unit file /x/a.container").is_empty()
        );
    }
}
