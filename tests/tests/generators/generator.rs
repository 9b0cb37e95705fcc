//! Finds the downloaded generators and runs one over a directory of units.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use quadlet::PodmanVersion;

/// The generator of one version of Podman.
pub(crate) struct Generator {
    pub(crate) version: PodmanVersion,
    program: PathBuf,
}

/// The output of a generator.
pub(crate) struct Services {
    pub(crate) success: bool,
    by_name: BTreeMap<String, String>,
    log: String,
}

/// All downloaded generators, oldest first; at least two.
///
/// # Errors
///
/// If they are missing, with the command that downloads them.
pub(crate) fn all() -> Result<Vec<Generator>, String> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/generators");
    let directory = std::env::var_os("QUADLET_GENERATORS").map_or(default, PathBuf::from);
    let entries = std::fs::read_dir(&directory).into_iter().flatten().filter_map(Result::ok);
    let mut found: Vec<_> = entries
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            let program = entry.path().join("podman-user-generator");
            program.exists().then_some(Generator { version, program })
        })
        .collect();
    found.sort_by_key(|generator| generator.version);
    if found.len() < 2 {
        return Err(format!(
            "{} generators in `{}`: run tests/generators/fetch, or name their directory in QUADLET_GENERATORS",
            found.len(),
            directory.display()
        ));
    }
    Ok(found)
}

impl Generator {
    /// Runs the generator over the units; each is named by its number.
    pub(crate) fn run<'a>(
        &self,
        units: impl Iterator<Item = (usize, &'a str)>,
    ) -> Result<Services, String> {
        let output =
            self.output(units).map_err(|error| format!("{}: {error}", self.program.display()))?;
        let text = String::from_utf8(output.stdout).map_err(|error| error.to_string())?;
        let mut by_name = BTreeMap::new();
        let mut name = None;
        for line in text.split_inclusive('\n') {
            let header =
                line.trim_end().strip_prefix("---").and_then(|rest| rest.strip_suffix("---"));
            if let Some(header) = header.filter(|header| header.starts_with("unit-")) {
                name = Some(header.to_owned());
            } else if let Some(name) = &name {
                by_name.entry(name.clone()).or_insert_with(String::new).push_str(line);
            }
        }
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok(Services { success: output.status.success(), by_name, log })
    }

    /// Whether the generator makes `service` of the units of a user with this configuration directory.
    pub(crate) fn makes(&self, service: &str, config: &Path) -> io::Result<bool> {
        let mut command = Command::new(&self.program);
        let command = command.args(["--user", "--dryrun"]).env_clear();
        let output = command.env("XDG_CONFIG_HOME", config).output()?;
        let header = format!("---{service}---");
        Ok(String::from_utf8_lossy(&output.stdout).lines().any(|line| line == header))
    }

    fn output<'a>(&self, units: impl Iterator<Item = (usize, &'a str)>) -> io::Result<Output> {
        let directory = tempfile::tempdir()?;
        for (n, text) in units {
            std::fs::write(directory.path().join(format!("unit-{n}.container")), text)?;
        }
        Command::new(&self.program)
            .args(["--user", "--dryrun"])
            .env_clear()
            .env("QUADLET_UNIT_DIRS", directory.path())
            .output()
    }
}

impl Services {
    /// The service generated from the unit with this number.
    pub(crate) fn of(&self, n: usize) -> Option<&str> {
        self.by_name.get(&format!("unit-{n}.service")).map(String::as_str)
    }

    /// The messages about units that the generator could not parse.
    pub(crate) fn complaints(&self) -> impl Iterator<Item = &str> {
        let words = ["converting", "error", "unsupported escape", "unbalanced"];
        let lines = self.log.lines().filter(|line| !line.contains("Loading source unit file"));
        lines.filter(move |line| words.iter().any(|word| line.contains(word)))
    }
}
