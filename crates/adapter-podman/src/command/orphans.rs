//! Our long calls, such as builds, that outlived the process that started them, and processes that outlived their call.
//!
//! A killed process cannot stop its podman, and a hung `RUN` would hang forever. An orphan is a `podman build`, `pull`,
//! `save` or `load` of this user that leads its own process group, has our variable in its environment, and whose parent
//! is now the service manager. Podman's other processes (the pause process, the container monitors) are not touched.
//!
//! A killed podman leaves its helpers: the copier of a `COPY` writes to the working container while it is removed, and
//! the process of a `RUN` runs on, or waits forever for its start. They are recognised by the temporary directory of
//! their call: as `TMPDIR` in their environment, or by the name of the container, which is that of a directory in it.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, geteuid, pidfd_open, pidfd_send_signal};

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

/// Kills the processes of an ended call, and waits until they have ended, for at most a second each. Blocks on `/proc`.
pub(super) fn kill_rest(temporary: &Path) {
    let containers: Vec<String> = fs::read_dir(temporary)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("buildah"))
        .map(|name| format!("buildah-{name}"))
        .collect();
    for Process { pid, .. } in tree::table() {
        // A handle first, because the process that is looked at is the one to be killed.
        let handle = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        let Some(handle) = handle.filter(|_| belongs_to(pid, temporary, &containers)) else {
            continue;
        };
        tracing::info!(pid, "killing a process that a killed podman left");
        // An error means that it has ended, or belongs to a subordinate user.
        let _ = pidfd_send_signal(&handle, Signal::KILL);
        let second = Timespec { tv_sec: 1, tv_nsec: 0 };
        let _ = poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&second));
    }
}

fn belongs_to(pid: i32, temporary: &Path, containers: &[String]) -> bool {
    let directory = Path::new("/proc").join(pid.to_string());
    let read = |name| fs::read(directory.join(name)).unwrap_or_default();
    let cgroup = String::from_utf8_lossy(&read("cgroup")).into_owned();
    // The first podman after a start of the host may be ours, and all later ones need its pause process.
    if cgroup.contains("podman-pause") || read("cmdline") == b"podman\0" {
        return false;
    }
    let variable = [b"TMPDIR=", temporary.as_os_str().as_bytes()].concat();
    is_of_a_container(&cgroup, containers)
        || read("environ").split(|byte| *byte == 0).any(|it| it == variable)
}

/// Returns whether a process with these lines of `/proc/<pid>/cgroup` is in one of `containers`, whose cgroup is named
/// `<container>`, or `<runtime>-<container>.scope` if systemd made it.
fn is_of_a_container(cgroup: &str, containers: &[String]) -> bool {
    let mut parts = cgroup.lines().flat_map(|line| line.split('/'));
    parts.any(|part| {
        let part = part.strip_suffix(".scope").unwrap_or(part);
        containers.iter().any(|container| {
            part.strip_suffix(container.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('-'))
        })
    })
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
    fn processes_of_a_call_are_killed_by_their_temporary_directory() {
        let start = |directory: &Path| {
            let mut sleep = std::process::Command::new("sleep");
            sleep.arg("1000").env("TMPDIR", directory).spawn().unwrap()
        };
        let (ours, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mut rest, mut foreign) = (start(ours.path()), start(other.path()));
        kill_rest(ours.path());
        assert!(!rest.wait().unwrap().success());
        assert!(foreign.try_wait().unwrap().is_none());
        foreign.kill().unwrap();
        foreign.wait().unwrap();
    }

    #[test]
    fn a_container_is_recognised_by_the_whole_name_of_its_cgroup() {
        let containers = ["buildah-buildah12".to_owned()];
        for (cgroup, expected) in [
            (
                "0::/user.slice/user@1000.service/user.slice/crun-buildah-buildah12.scope/container",
                true,
            ),
            ("9:name=systemd:/\n0::/machine.slice/buildah-buildah12\n", true),
            ("0::/user.slice/crun-buildah-buildah123.scope", false),
            ("0::/user.slice/crun-buildah-buildah1.scope", false),
            ("0::/user.slice/podman-12.scope", false),
            ("", false),
        ] {
            assert_eq!(is_of_a_container(cgroup, &containers), expected, "{cgroup}");
        }
        assert!(!is_of_a_container("0::/crun-buildah-buildah12.scope", &[]));
    }

    #[test]
    fn the_orphan_marker_is_a_whole_variable() {
        assert!(carries_mark(b"A=1\0COMPANION_PODMAN=1\0"));
        assert!(!carries_mark(b"XCOMPANION_PODMAN=1\0COMPANION_PODMAN=12\0"));
    }
}
