//! Runs the program with a separate home and a minimal environment.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A catalog with the companion `my-ui` of `my-app`.
pub(crate) const MINE: &str =
    "[[companion]]\nname = \"my-ui\"\napps = [\"my-app\"]\nimage = { base = \"my-ui\" }\n";

pub(crate) struct Bench {
    home: tempfile::TempDir,
    program: PathBuf,
    temporary: PathBuf,
}

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_companion"));
        let home = tempfile::tempdir().unwrap();
        let temporary = home.path().to_owned();
        Self { home, program, temporary }
    }

    /// A home with the program in `.cargo/bin`, where `cargo install` puts it.
    pub(crate) fn installed() -> Self {
        // Not in the temporary directory, which `setup` refuses.
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let program = home.path().join(".cargo/bin/companion");
        let temporary = home.path().join("tmp");
        let bench = Self { home, program, temporary };
        std::fs::create_dir_all(bench.program.parent().unwrap()).unwrap();
        let built = env!("CARGO_BIN_EXE_companion");
        if std::fs::hard_link(built, &bench.program).is_err() {
            std::fs::copy(built, &bench.program).unwrap();
        }
        bench
    }

    /// The path of the program.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Creates a shell script `name` in the `PATH` of each run.
    pub(crate) fn script(&self, name: &str, text: &str) {
        let script = self.file(&format!("programs/{name}"), &format!("#!/bin/sh\n{text}\n"));
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(script, mode).unwrap();
    }

    /// Puts a program of the system in the `PATH` of each run.
    pub(crate) fn system_program(&self, name: &str) {
        let path = ["/usr/bin", "/bin"].map(|dir| Path::new(dir).join(name));
        let path = path.iter().find(|path| path.exists()).unwrap();
        self.script(name, &format!("exec {} \"$@\"", path.display()));
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The program with a minimal environment: a home, and no session.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.home())
            .env("XDG_RUNTIME_DIR", self.home().join("no-session"))
            .env("PATH", self.home().join("programs"))
            .env("TMPDIR", &self.temporary)
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// Runs the program on the simulated host, with the state of the bench.
    pub(crate) fn sim(&self, arguments: &[&str]) -> Ran {
        let state = self.state();
        self.run(&[&["--host", "sim", "--state-dir", state.to_str().unwrap()], arguments].concat())
    }

    /// The state directory on the simulated host.
    pub(crate) fn state(&self) -> PathBuf {
        self.home().join("state")
    }

    /// The names of all entries of the home.
    pub(crate) fn contents(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.home()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            status: output.status.code().expect("it exited without a signal"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The text of the first stderr line with `label`.
    pub(crate) fn message(&self, label: &str) -> Option<&str> {
        self.stderr.lines().find_map(|line| line.strip_prefix(label)?.strip_prefix(": "))
    }
}
