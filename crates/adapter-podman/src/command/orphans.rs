//! Builds and pulls of ours that outlived the process which began them.
//!
//! A process that is killed cannot end its podman, and a `RUN` that hangs would hang forever. What is
//! taken for an orphan of ours: a `podman build` or `podman pull` of this user that leads its own
//! process group, has our variable in its environment, and whose parent is the service manager by now.
//! Whatever else podman left behind (the pause process, the monitors of containers) is left alone.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, geteuid};

use super::tree::{self, Process, Tree};

/// The name and value by which a podman that this program started is known.
pub(super) const MARK: (&str, &str) = ("COMPANION_PODMAN", "1");

/// The calls that may take long. Their first argument is the subcommand, as in [`super::argv`].
const LONG: [&[u8]; 2] = [b"build", b"pull"];

/// The orphans of ours that there are. Blocks on `/proc`.
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

/// Who inherits a process whose parent ended: PID 1, or the manager of its user.
fn is_service_manager(pid: i32) -> bool {
    let name = || fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    pid == 1 || name().trim_end() == "systemd"
}

/// Whether these words, each ended by a NUL, are of a podman that builds or pulls. A script's are those of
/// its interpreter, and then its own.
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
    fn builds_and_pulls_are_long_calls_and_the_pause_process_is_none() {
        assert!(is_long_call(b"/usr/bin/podman\0build\0--pull=missing\0"));
        assert!(is_long_call(b"podman\0pull\0"));
        assert!(is_long_call(b"/bin/sh\0/stub/podman\0pull\0"));
        assert!(!is_long_call(b"/usr/bin/podman\0"));
        assert!(!is_long_call(b"/usr/bin/podman\0run\0build\0"));
        assert!(!is_long_call(b"cat\0podman.log\0build\0"));
    }

    #[test]
    fn the_mark_is_a_whole_variable() {
        assert!(carries_mark(b"A=1\0COMPANION_PODMAN=1\0"));
        assert!(!carries_mark(b"XCOMPANION_PODMAN=1\0COMPANION_PODMAN=12\0"));
    }
}
