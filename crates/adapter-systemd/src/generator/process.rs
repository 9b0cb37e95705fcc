//! Runs the generator once, in a clean environment.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::GeneratorError;
use crate::process::{self, Ended, Unfinished};
use crate::scope::Scope;

/// More than the service generated from the largest unit.
const OUTPUT_LIMIT: u64 = 4 * 1024 * 1024;
/// The environment variables that the generator inherits: nothing of our own service (`NOTIFY_SOCKET`) and nothing that
/// redirects the generator (`PODMAN`).
const PASSED_ON: [&str; 4] = ["HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "TMPDIR"];

/// Runs `program` on the units in `stage`, or on all units in the directories of `scope`.
pub(super) async fn run(
    program: &Path,
    scope: Scope,
    stage: Option<PathBuf>,
    limit: Duration,
) -> Result<Ended, GeneratorError> {
    let mut command = Command::new(program);
    if scope == Scope::User {
        command.arg("--user");
    }
    command
        .args(["--dryrun", "--no-kmsg-log"])
        .env_clear()
        .envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .env("PATH", process::PATH)
        .env("LANG", "C.UTF-8")
        .envs(stage.map(|stage| ("QUADLET_UNIT_DIRS", stage)));
    let ran = process::run(command, OUTPUT_LIMIT, limit).await;
    ran.map_err(|unfinished| match unfinished {
        Unfinished::NotRun(source) => {
            GeneratorError::NotRun { program: program.to_owned(), source }
        }
        Unfinished::TimedOut => GeneratorError::TimedOut { program: program.to_owned(), limit },
    })
}
