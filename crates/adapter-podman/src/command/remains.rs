//! Processes and mounts that a call left: an orphan, whose maker was killed, or what remains of a killed podman. The copier
//! of a `COPY` writes to the working container while it is removed, and the process of a `RUN` runs on, or waits forever
//! for its start.
//!
//! They are recognised by the temporary directory of their call: as `TMPDIR` in their environment, or by the name of the
//! container, which is that of a directory in it. Processes of subordinate users cannot be killed.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use image_source::text::path_shown;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, PidfdFlags, Signal, geteuid, pidfd_open, pidfd_send_signal};

use super::temporary;
use super::tree::{self, Process, Tree};

/// Number of scans for processes: one that is killed may have started another meanwhile.
const SCANS: usize = 3;

/// How long the processes found by one scan may take to end.
const GRACE: Duration = Duration::from_secs(2);

/// Processes that our call may have started for all calls of the user: parts of their environment or cgroup.
const SHARED: [&str; 4] = ["_PODMAN_PAUSE=", "podman-pause", "rootless-netns", "aardvark-dns"];

/// Returns the calls of this user that outlived the process that made them. Blocks on `/proc`.
pub(super) fn orphans() -> Vec<Tree> {
    let is_orphan = |process: &Process| {
        let directory = Path::new("/proc").join(process.pid.to_string());
        let read = |name| fs::read(directory.join(name)).unwrap_or_default();
        let is_own = || fs::metadata(&directory).is_ok_and(|it| it.uid() == geteuid().as_raw());
        let (cgroup, environ) = (read("cgroup"), read("environ"));
        let call = temporary_of(&environ).and_then(temporary::call_of);
        process.pid == process.group
            && call.is_some_and(|call| !call.has_owner())
            && read("comm") == b"podman\n"
            && !is_shared(&String::from_utf8_lossy(&cgroup), &environ)
            && is_own()
    };
    let orphans = tree::table().into_iter().filter(is_orphan);
    orphans.filter_map(|orphan| Some(Tree::of(Pid::from_raw(orphan.pid)?))).collect()
}

/// Ends what is left of the call with the directory `temporary`, and returns whether the directory can be removed: no
/// file system is mounted in it. Blocks on `/proc`.
pub(super) fn end(temporary: &Path) -> bool {
    kill_processes(temporary);
    for mount_point in mounts_below(temporary) {
        // Without a name, the mount is invisible to others.
        let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
        if let Err(error) = unmount(&mount_point, flags) {
            let mount_point = path_shown(&mount_point);
            tracing::warn!(mount_point, reason = %error, "failed to unmount what a build left");
        }
    }
    mounts_below(temporary).is_empty()
}

fn kill_processes(temporary: &Path) {
    let entries = fs::read_dir(temporary).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let containers: Vec<String> = names
        .filter(|name| name.starts_with("buildah"))
        .map(|name| format!("buildah-{name}"))
        .collect();
    for _ in 0..SCANS {
        let found: Vec<OwnedFd> = tree::table()
            .into_iter()
            .filter_map(|Process { pid, .. }| {
                // A handle first, because the process that is looked at is the one to be killed.
                let handle = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
                belongs_to(pid, temporary, &containers).then_some(handle)
            })
            .collect();
        // An error means that it has ended, or belongs to a subordinate user.
        let killed: Vec<_> = found
            .iter()
            .filter(|process| pidfd_send_signal(process, Signal::KILL).is_ok())
            .collect();
        if killed.is_empty() {
            return;
        }
        tracing::info!(count = killed.len(), "killing processes that a killed podman left");
        let deadline = Instant::now() + GRACE;
        for process in killed {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).unwrap_or_default();
            let _ = poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&left));
        }
    }
}

fn belongs_to(pid: i32, temporary: &Path, containers: &[String]) -> bool {
    let directory = Path::new("/proc").join(pid.to_string());
    let read = |name| fs::read(directory.join(name)).unwrap_or_default();
    let (cgroup, environ) = (read("cgroup"), read("environ"));
    is_of_the_call(&String::from_utf8_lossy(&cgroup), &environ, temporary, containers)
}

/// Classifies a process by `/proc/<pid>/cgroup` and `/proc/<pid>/environ`.
fn is_of_the_call(cgroup: &str, environ: &[u8], temporary: &Path, containers: &[String]) -> bool {
    !is_shared(cgroup, environ)
        && (is_of_a_container(cgroup, containers) || temporary_of(environ) == Some(temporary))
}

fn is_shared(cgroup: &str, environ: &[u8]) -> bool {
    let has_variable = |start: &str| {
        environ.split(|byte| *byte == 0).any(|variable| variable.starts_with(start.as_bytes()))
    };
    SHARED.iter().any(|shared| cgroup.contains(shared) || has_variable(shared))
}

fn temporary_of(environ: &[u8]) -> Option<&Path> {
    let value = environ.split(|byte| *byte == 0).find_map(|it| it.strip_prefix(b"TMPDIR="))?;
    Some(Path::new(OsStr::from_bytes(value)))
}

/// Returns whether a process is in one of `containers`, whose cgroup is named `<container>`, or
/// `<runtime>-<container>.scope` if systemd made it.
fn is_of_a_container(cgroup: &str, containers: &[String]) -> bool {
    let mut parts = cgroup.lines().flat_map(|line| line.split('/'));
    parts.any(|part| {
        let part = part.strip_suffix(".scope").unwrap_or(part);
        containers.iter().any(|container| {
            let rest = part.strip_suffix(container.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('-'))
        })
    })
}

/// Returns the mount points below `directory`, the innermost first. A podman of root mounts directories of a build
/// context there, and a removal would delete the files of the context.
fn mounts_below(directory: &Path) -> Vec<PathBuf> {
    let text = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let mut found: Vec<_> = mount_points(&text)
        .filter(|mount_point| mount_point.starts_with(directory) && mount_point != directory)
        .collect();
    found.reverse();
    found
}

/// Returns the mount points in `/proc/<pid>/mountinfo` (proc_pid_mountinfo(5)), in the order in which they were mounted.
fn mount_points(text: &[u8]) -> impl Iterator<Item = PathBuf> {
    let lines = text.split(|byte| *byte == b'\n');
    let escaped = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    escaped.map(|escaped| PathBuf::from(OsString::from_vec(unescaped(escaped))))
}

/// Replaces `\040` and the like by their byte.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let octal = after.get(..3).filter(|_| *first == b'\\');
        let octal = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[3..] } else { after };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_of_a_call_are_killed_by_their_temporary_directory() {
        let start = |directory: &Path| {
            let mut sleep = std::process::Command::new("sleep");
            let sleep = sleep.arg("1000").env("TMPDIR", directory).spawn().unwrap();
            // The kernel sets the environment of a started program after its parent continues.
            let pid = i32::try_from(sleep.id()).unwrap();
            while !belongs_to(pid, directory, &[]) {
                std::thread::yield_now();
            }
            sleep
        };
        let (ours, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mut rest, mut other) = (start(ours.path()), start(other.path()));
        assert!(end(ours.path()));
        assert!(!rest.wait().unwrap().success());
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn a_process_that_all_calls_share_is_not_of_the_call() {
        let temporary = Path::new("/var/tmp/companion-podman-1-2-3");
        let containers = ["buildah-buildah12".to_owned()];
        let environ = b"HOME=/home/archy\0TMPDIR=/var/tmp/companion-podman-1-2-3\0";
        let pause = b"TMPDIR=/var/tmp/companion-podman-1-2-3\0_PODMAN_PAUSE=1\0";
        let session = "0::/user.slice/user@1000.service/user.slice";
        let scope = |name: &str| format!("{session}/{name}.scope");
        for (cgroup, environ, expected) in [
            (scope("podman-12"), &environ[..], true),
            (scope("crun-buildah-buildah12"), b"PATH=/bin\0", true),
            (scope("podman-12"), pause, false),
            (scope("podman-pause-118c976d"), environ, false),
            (scope("rootless-netns-1a2b"), environ, false),
            (scope("podman-12"), b"TMPDIR=/var/tmp/companion-podman-1-2-33\0", false),
            (scope("podman-12"), b"XTMPDIR=/var/tmp/companion-podman-1-2-3\0", false),
        ] {
            let found = is_of_the_call(&cgroup, environ, temporary, &containers);
            assert_eq!(found, expected, "{cgroup} {}", String::from_utf8_lossy(environ));
        }
    }

    #[test]
    fn a_container_is_recognised_by_the_whole_name_of_its_cgroup() {
        let containers = ["buildah-buildah12".to_owned()];
        for (cgroup, expected) in [
            ("0::/user@1000.service/user.slice/crun-buildah-buildah12.scope/container", true),
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
    fn mount_points_are_unescaped() {
        let text = b"36 35 98:0 / /var/tmp/a\\040b\\134 rw shared:1 - ext4 /dev/x rw\n37 35 0:5 / /proc rw - proc proc rw\nx\n";
        let found: Vec<_> = mount_points(text).collect();
        assert_eq!(found, [Path::new("/var/tmp/a b\\"), Path::new("/proc")]);
    }
}
