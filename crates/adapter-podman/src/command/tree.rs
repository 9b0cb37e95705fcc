//! Terminates a podman and its descendants, gracefully first.
//!
//! SIGKILL may damage the store, so podman gets SIGTERM. During a `RUN` of a build, SIGTERM makes podman itself exit
//! immediately: the `RUN` continues as an orphan, because it is the init process of its PID namespace, which ignores
//! signals with a default action, and the working container stays in the store. SIGTERM to the child that supervises
//! the `RUN` makes it kill the container, and the build fails cleanly. Hence the order (observed with Podman 5.4.2):
//! the innermost processes of the group first, the others after them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};
use tokio::time::{Instant, sleep};

/// How often a terminating process is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How long descendants may outlive their ancestor.
const ORPHAN_GRACE: Duration = Duration::from_secs(1);

/// An entry of the process table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) group: i32,
}

/// A process by its pidfd, because a process ID may be reused.
struct Member {
    process: Process,
    handle: OwnedFd,
}

/// A process that leads its own group, and all its descendants, the leader first.
pub(crate) struct Tree(Vec<Member>);

impl Tree {
    /// Reads the tree below `leader`. Blocks on `/proc`.
    pub(crate) fn of(leader: Pid) -> Self {
        let open = |process: Process| {
            let handle = pidfd_open(Pid::from_raw(process.pid)?, PidfdFlags::empty()).ok()?;
            Some(Member { process, handle })
        };
        let all = with_descendants(&table(), leader.as_raw_nonzero().get());
        Self(all.into_iter().filter_map(open).collect())
    }

    /// Sends SIGTERM to the innermost processes of the group: the outer ones then fail, and clean up.
    pub(crate) fn ask(&self) {
        let alive = || self.0.iter().filter(|member| alive(&member.handle));
        let innermost = innermost(&alive().map(|member| member.process).collect::<Vec<_>>());
        for member in alive().filter(|member| innermost.contains(&member.process)) {
            signal(&member.handle, Signal::TERM);
        }
    }

    /// Signals the whole group, unless its leader has ended.
    fn signal_group(&self, signal: Signal) {
        if let Some(leader) = self.0.first().filter(|leader| alive(&leader.handle))
            && let Some(group) = Pid::from_raw(leader.process.pid)
        {
            // An error means that the group has already ended.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Terminates the tree within about `grace`, and returns when the leader can be reaped.
    ///
    /// Half of the grace period is for the outer processes to clean up after the innermost ones have ended.
    pub(crate) async fn end(self, grace: Duration) {
        self.ask();
        self.first_ended(1, grace / 2).await;
        self.signal_group(Signal::TERM);
        self.first_ended(1, grace / 2).await;
        self.signal_group(Signal::KILL);
        self.first_ended(self.0.len(), ORPHAN_GRACE).await;
        for orphan in &self.0 {
            signal(&orphan.handle, Signal::KILL);
        }
        self.first_ended(self.0.len(), ORPHAN_GRACE).await;
    }

    /// Waits until the first `count` processes have ended, for at most `limit`. Reaps none.
    async fn first_ended(&self, count: usize, limit: Duration) {
        let deadline = Instant::now() + limit;
        let any_alive = || self.0.iter().take(count).any(|member| alive(&member.handle));
        while any_alive() && Instant::now() < deadline {
            sleep(POLL_INTERVAL).await;
        }
    }
}

fn signal(process: &OwnedFd, signal: Signal) {
    // An error means that the process has ended or belongs to another user.
    let _ = pidfd_send_signal(process, signal);
}

/// Returns whether a process has not ended yet; a zombie has ended.
fn alive(process: &OwnedFd) -> bool {
    // pidfd_open(2): readable once the process has ended.
    let mut handles = [PollFd::new(process, PollFlags::IN)];
    let immediately = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut handles, Some(&immediately)).is_ok_and(|ended| ended == 0)
}

/// Returns the start time of process `pid` in clock ticks since boot; `None` if it does not exist. Blocks on `/proc`.
pub(super) fn started(pid: Pid) -> Option<u64> {
    let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let stat = fs::read_to_string(path).ok()?;
    // The 22nd field is the 20th after the name.
    fields(&stat)?.nth(19)?.parse().ok()
}

pub(super) fn table() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            parse_stat(pid, &stat)
        })
        .collect()
}

/// Returns the fields of `/proc/<pid>/stat` after the name (proc_pid_stat(5)), which is in parentheses and may contain
/// anything.
fn fields(stat: &str) -> Option<impl Iterator<Item = &str>> {
    Some(stat.rsplit_once(')')?.1.split_ascii_whitespace())
}

/// Reads parent and group from `/proc/<pid>/stat`.
fn parse_stat(pid: i32, stat: &str) -> Option<Process> {
    let mut fields = fields(stat)?.skip(1);
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    Some(Process { pid, parent, group })
}

/// Returns `leader` and all its descendants, parents before children.
fn with_descendants(table: &[Process], leader: i32) -> Vec<Process> {
    let mut children: BTreeMap<i32, Vec<Process>> = BTreeMap::new();
    for process in table {
        children.entry(process.parent).or_default().push(*process);
    }
    let mut found: Vec<_> = table.iter().filter(|process| process.pid == leader).copied().collect();
    let mut next = 0;
    while let Some(parent) = found.get(next) {
        found.extend(children.remove(&parent.pid).unwrap_or_default());
        next += 1;
    }
    found
}

/// Returns the members of the first one's group that have no child in it.
fn innermost(alive: &[Process]) -> Vec<Process> {
    let group = alive.first().map(|first| first.group);
    let members = || alive.iter().filter(|process| Some(process.group) == group);
    let parents: BTreeSet<i32> = members().map(|process| process.parent).collect();
    members().filter(|process| !parents.contains(&process.pid)).copied().collect()
}

#[cfg(test)]
mod tests {
    use rustix::process::{WaitId, WaitIdOptions, waitid};

    use super::*;

    const fn process(pid: i32, parent: i32, group: i32) -> Process {
        Process { pid, parent, group }
    }

    #[test]
    fn the_supervisor_of_a_run_is_terminated_first() {
        // podman 10, the process in its user namespace 11, the supervisor 12, the RUN 13.
        let table = [
            process(13, 12, 13),
            process(1, 0, 1),
            process(12, 11, 10),
            process(10, 5, 10),
            process(11, 10, 10),
            process(99, 1, 99),
        ];
        let all = with_descendants(&table, 10);
        assert_eq!(all.iter().map(|p| p.pid).collect::<Vec<_>>(), [10, 11, 12, 13]);
        assert_eq!(innermost(&all), [process(12, 11, 10)]);
        assert_eq!(innermost(&all[..1]), [process(10, 5, 10)], "alone");
    }

    #[test]
    fn a_look_at_a_process_does_not_wake_it() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = Pid::from_child(&child);
        let state = || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
            fields(&stat).unwrap().next().unwrap().to_owned()
        };
        rustix::process::kill_process(pid, Signal::STOP).unwrap();
        while state() != "T" {
            std::thread::yield_now();
        }
        let handle = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        assert!(alive(&handle) && started(pid).is_some());
        let continued = WaitIdOptions::CONTINUED | WaitIdOptions::NOHANG;
        assert!(waitid(WaitId::Pid(pid), continued).unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!alive(&handle));
        assert_eq!(started(pid), None);
    }

    #[test]
    fn a_process_that_ended_and_was_not_waited_for_is_not_alive() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let handle = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        waitid(WaitId::Pid(Pid::from_child(&child)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
            .unwrap();
        assert!(!alive(&handle));
        child.wait().unwrap();
    }

    #[test]
    fn a_process_s_name_may_hold_parentheses() {
        assert_eq!(parse_stat(7, "7 (a) S 1 (b)) S 5 6 7 0"), Some(process(7, 5, 6)));
        assert_eq!(parse_stat(7, "7 (a"), None);
    }
}
