//! The guest as seen by its users: commands with a timeout, files, and polling.
//!
//! The suite runs as the guest's root and becomes each user: `archy`, who owns the companions, or `mallory`, who has
//! no access to them.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The timeout of every command, in seconds; the test fails after it.
const LIMIT: &str = "180";

/// The result of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The command line, for messages.
    command: String,
    /// Its exit status; 124 after a timeout, `None` after a signal.
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Its standard output without the last line break; fails unless it exited with 0.
    pub(crate) fn good(self) -> String {
        self.exits(0).stdout.trim_end().to_owned()
    }

    /// Fails unless it exited with `status`.
    pub(crate) fn exits(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{self}");
        self
    }

    /// Its complete output.
    pub(crate) fn words(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { command, status, stdout, stderr } = self;
        write!(f, "`{command}` ended with {status:?}\n{stdout}{stderr}")
    }
}

/// Runs a command as root.
pub(crate) fn root(command: &[&str]) -> Ran {
    run(command.iter().copied(), "")
}

/// The same with standard input.
pub(crate) fn root_reading(command: &[&str], input: &str) -> Ran {
    run(command.iter().copied(), input)
}

/// Runs a command as the owner of the companions.
pub(crate) fn archy(command: &[&str]) -> Ran {
    archy_reading(command, "")
}

/// The same with standard input.
pub(crate) fn archy_reading(command: &[&str], input: &str) -> Ran {
    run(as_user("1000", "archy").chain(SESSION).chain(command.iter().copied()), input)
}

/// Starts a command as that user; the process is the command's own, and its holder kills it.
pub(crate) fn spawn_archy(command: &[&str]) -> Child {
    let words: Vec<_> =
        as_user("1000", "archy").chain(SESSION).chain(command.iter().copied()).collect();
    spawn_root(&words)
}

/// Starts a command as root.
pub(crate) fn spawn_root(words: &[&str]) -> Child {
    let (program, arguments) = words.split_first().unwrap();
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// The runtime directory of archy's manager and its bus.
const SESSION: [&str; 2] =
    ["XDG_RUNTIME_DIR=/run/user/1000", "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus"];

/// Runs a command as the other user.
pub(crate) fn mallory(command: &[&str], input: &str) -> Ran {
    run(as_user("1001", "mallory").chain(command.iter().copied()), input)
}

fn as_user<'a>(id: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let home: [&str; 5] = match name {
        "archy" => ["-C", "/home/archy", "HOME=/home/archy", "USER=archy", "LOGNAME=archy"],
        _ => ["-C", "/home/mallory", "HOME=/home/mallory", "USER=mallory", "LOGNAME=mallory"],
    };
    ["setpriv", "--reuid", id, "--regid", id, "--init-groups", "--inh-caps=-all", "env", "-i"]
        .into_iter()
        .chain(home)
        .chain(["PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "SHELL=/bin/bash"])
}

fn run<'a>(words: impl Iterator<Item = &'a str>, input: &str) -> Ran {
    let words: Vec<_> = words.collect();
    let mut child = Command::new("timeout")
        .args(["--kill-after=5", LIMIT])
        .args(&words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may have exited before.
    let _unread = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran {
        command: words.join(" "),
        status: output.status.code(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

/// `systemctl --user` of archy.
pub(crate) fn systemctl(arguments: &[&str]) -> Ran {
    archy(&[&["systemctl", "--user", "--quiet"], arguments].concat())
}

/// One property of a unit of archy's, or of the manager itself for an empty name.
pub(crate) fn property(unit: &str, property: &str) -> String {
    let mut words = vec!["show", "--value", "--property", property];
    words.extend(Some(unit).filter(|unit| !unit.is_empty()));
    systemctl(&words).good()
}

/// Archy's podman.
pub(crate) fn podman(arguments: &[&str]) -> Ran {
    archy(&[&["podman"], arguments].concat())
}

/// Writes a file as archy, and creates its parent directories.
pub(crate) fn write(path: &str, text: &str) {
    let script = r#"mkdir -p "$(dirname "$1")" && cat >"$1""#;
    archy_reading(&["sh", "-c", script, "sh", path], text).good();
}

/// Cleanup at the end of a test, however it ends: a script that root runs.
#[derive(Debug)]
pub(crate) struct Undo(String);

pub(crate) fn undo(script: impl AsRef<str>) -> Undo {
    Undo(script.as_ref().to_owned())
}

impl Drop for Undo {
    fn drop(&mut self) {
        // Each line runs, even if an earlier one failed.
        let _tried = try_by_root(&self.0);
    }
}

/// Runs a script as root, in which `archy` is a command that becomes that user; fails with it.
pub(crate) fn by_root(script: &str) {
    try_by_root(&format!("set -e\n{script}")).good();
}

/// The same, whatever its result.
pub(crate) fn try_by_root(script: &str) -> Ran {
    root_reading(&["sh"], &format!("{AS_ARCHY}{script}"))
}

const AS_ARCHY: &str =
    "archy() { setpriv --reuid 1000 --regid 1000 --init-groups env HOME=/home/archy \
    XDG_RUNTIME_DIR=/run/user/1000 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus \"$@\"; }
";

/// Polls until there is an answer; fails only if none comes.
pub(crate) fn until<T>(what: &str, seconds: u64, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < Duration::from_secs(seconds), "within {seconds} s: {what}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// Asserts that a condition stays true for a while.
pub(crate) fn throughout(what: &str, seconds: u64, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(seconds) {
        assert!(holds(), "after {:?}: {what}", started.elapsed());
        thread::sleep(Duration::from_millis(100));
    }
}

/// A number from an environment variable.
pub(crate) fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().unwrap())
}

/// Prints a measured duration.
pub(crate) fn measured(what: &str, since: Instant) {
    log_value(what, &format!("{:.2} s", since.elapsed().as_secs_f64()));
}

/// The same for a number that is no duration.
pub(crate) fn log_value(what: &str, value: &str) {
    println!("measured: {what}: {value}");
}
