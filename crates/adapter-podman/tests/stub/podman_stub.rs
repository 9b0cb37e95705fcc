//! A `podman` stub that records its calls and runs a shell snippet for each subcommand.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use adapter_podman::{ImageRecords, Limits, Podman, PodmanImages};
use tempfile::TempDir;

/// One call is one line of arguments, each followed by a unit separator, appended by one write, because calls may run
/// concurrently; the answer is named after the subcommand, `image-rm` for `image rm`.
const SCRIPT: &str = r#"#!/bin/sh
dir=@DIR@
call=$(printf '%s\037' "$@")
printf '%s\n' "$call" >>$dir/calls
env >$dir/environment
verb=$1
[ "$1" != image ] || verb=$1-$2
cp $dir/environment $dir/environment-$verb
[ ! -f $dir/answers/$verb ] || . $dir/answers/$verb
"#;

pub(crate) struct PodmanStub {
    directory: TempDir,
}

impl PodmanStub {
    pub(crate) fn new() -> Self {
        let directory = TempDir::new().unwrap();
        fs::create_dir_all(directory.path().join("answers")).unwrap();
        let stub = Self { directory };
        stub.install();
        stub
    }

    pub(crate) fn install(&self) {
        let script = SCRIPT.replace("@DIR@", self.path().to_str().unwrap());
        // Renamed into place: a script that is open for writing cannot be executed.
        let new = self.path().join("new");
        fs::write(&new, script).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
        // A child forked by another test between open and close may hold it open for writing.
        let copied = Command::new("cp").arg(&new).arg(self.path().join("copy")).status();
        assert!(copied.unwrap().success());
        fs::rename(self.path().join("copy"), self.path().join("podman")).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Sets what `podman VERB` does; `$dir` is the stub's directory, `$@` the arguments.
    pub(crate) fn answer(&self, verb: &str, snippet: &str) {
        fs::write(self.path().join("answers").join(verb), snippet).unwrap();
    }

    pub(crate) fn environment(&self) -> Vec<(OsString, OsString)> {
        let path = format!("relative:{}:/usr/bin:/bin", self.path().display());
        vec![("PATH".into(), path.into()), ("HOME".into(), "/nowhere".into())]
    }

    pub(crate) fn podman(&self) -> Podman {
        Podman::with_environment(self.environment())
    }

    /// The images of `podman`, with records next to the stub.
    pub(crate) fn images(&self, podman: Podman) -> PodmanImages {
        PodmanImages::new(podman, ImageRecords::new(self.file("records"), || 1 << 30))
    }

    /// A podman with short time limits.
    pub(crate) fn hasty_podman(&self) -> Podman {
        self.podman().with_limits(Limits {
            query: Duration::from_secs(2),
            grace: Duration::from_secs(1),
            ..Limits::default()
        })
    }

    /// Returns the arguments of each call so far.
    pub(crate) fn calls(&self) -> Vec<Vec<String>> {
        let calls = fs::read_to_string(self.file("calls")).unwrap_or_default();
        let words = |line: &str| line.split_terminator('\u{1f}').map(str::to_owned).collect();
        calls.lines().map(words).collect()
    }

    /// Returns the subcommands of each call so far, joined by blanks.
    pub(crate) fn verbs(&self) -> String {
        let verb = |call: Vec<String>| match call.first().map(String::as_str) {
            Some("image") => format!("image-{}", call.get(1).unwrap()),
            Some(verb) => verb.to_owned(),
            None => String::new(),
        };
        self.calls().into_iter().map(verb).collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn forget_calls(&self) {
        fs::write(self.file("calls"), "").unwrap();
    }

    /// Creates a named pipe, and returns a future that waits until a snippet writes to it.
    pub(crate) fn signal(&self, name: &str) -> impl Future<Output = String> + use<> {
        let path = self.file(name);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let read = tokio::task::spawn_blocking(move || fs::read_to_string(path).unwrap());
        async move { read.await.unwrap().trim().to_owned() }
    }
}

/// Returns whether a process with this ID exists, including a zombie.
pub(crate) fn exists(pid: &str) -> bool {
    Path::new("/proc").join(pid.trim()).exists()
}

/// Waits until the process with this ID has ended, or is a zombie that another process must reap.
pub(crate) async fn removed(pid: &str) {
    let stat = Path::new("/proc").join(pid.trim()).join("stat");
    let ended = || fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
    let wait = async {
        while !ended() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap();
}
