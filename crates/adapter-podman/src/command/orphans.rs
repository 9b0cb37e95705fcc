//! Our long calls, such as builds, that outlived the process that started them.
//!
//! A killed process cannot stop its podman, and a hung `RUN` would hang forever. An orphan is a `podman build`, `pull`,
//! `save` or `load` of this user that leads its own process group, has our variable in its environment, and whose parent
//! is now the service manager. Podman's other processes (the pause process, the container monitors) are not touched.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, geteuid};

use super::tree::{self, Process, Tree};

/// The environment variable and value that identify our podman processes.
pub(super) const MARK: (&str, &str) = ("COMPANION_PODMAN", "1");

/// The long-running calls. Their first argument is the subcommand, as in [`super::argv`].
const LONG: [&[u8]; 4] = [b"build", b"pull", b"save", b"load"];

/// Returns the current orphans. Blocks on `/proc`.
pub(super) fn find() -> Vec<Tree> {
    let table = tree::table();
    let orphans = table.iter().filter(|process| is_orphan(process));
    orphans.filter_map(|process| Tree::with_leader(Pid::from_raw(process.pid)?)).collect()
}

fn is_orphan(process: &Process) -> bool {
    if process.pid != process.group || !is_service_manager(process.parent) {
        return false;
    }
    let directory = Path::new("/proc").join(process.pid.to_string());
    let read = |name| fs::read(directory.join(name)).unwrap_or_default();
    let owner = fs::metadata(&directory).map(|data| std::os::unix::fs::MetadataExt::uid(&data));
    owner.is_ok_and(|uid| uid == geteuid().as_raw())
        && is_long_call(&read("cmdline"))
        && carries_mark(&read("environ"))
}

/// Returns whether a process adopts orphans: PID 1 or the user's manager.
fn is_service_manager(pid: i32) -> bool {
    let name = || fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    pid == 1 || name().trim_end() == "systemd"
}

/// Returns whether these NUL-terminated arguments belong to a podman that builds or pulls. A script's arguments follow
/// those of its interpreter.
fn is_long_call(cmdline: &[u8]) -> bool {
    let words: Vec<&[u8]> = cmdline.split(|byte| *byte == 0).take(3).collect();
    let is_podman = |word: &[u8]| word == b"podman" || word.ends_with(b"/podman");
    words
        .windows(2)
        .any(|pair| matches!(pair, [program, verb] if is_podman(program) && LONG.contains(verb)))
}

fn carries_mark(environ: &[u8]) -> bool {
    let mark = format!("{}={}", MARK.0, MARK.1);
    environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_pulls_and_archives_are_long_calls_and_the_pause_process_is_none() {
        assert!(is_long_call(b"/usr/bin/podman\0build\0--pull=missing\0"));
        assert!(is_long_call(b"podman\0pull\0") && is_long_call(b"podman\0save\0"));
        assert!(is_long_call(b"/bin/sh\0/stub/podman\0pull\0"));
        assert!(!is_long_call(b"/usr/bin/podman\0"));
        assert!(!is_long_call(b"/usr/bin/podman\0run\0build\0"));
        assert!(!is_long_call(b"cat\0podman.log\0build\0"));
    }

    #[test]
    fn the_orphan_marker_is_a_whole_variable() {
        assert!(carries_mark(b"A=1\0COMPANION_PODMAN=1\0"));
        assert!(!carries_mark(b"XCOMPANION_PODMAN=1\0COMPANION_PODMAN=12\0"));
    }
}
