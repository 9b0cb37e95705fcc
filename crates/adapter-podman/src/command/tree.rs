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

use image_source::Reader;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open,
    pidfd_send_signal, waitid,
};
use tokio::time::{Instant, sleep};

/// How often a terminating process is checked.
const LOOK: Duration = Duration::from_millis(20);

/// Number of steps of a grace period.
const STEPS: u32 = 5;

/// How long descendants may outlive their ancestor.
const ORPHAN_GRACE: Duration = Duration::from_secs(1);

/// Time limit of reading the process table.
const TABLE_LIMIT: Duration = Duration::from_secs(5);

/// An entry of the process table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) group: i32,
}

/// A descendant of the leader, by pidfd, because a process ID may be reused.
struct Member {
    process: Process,
    handle: OwnedFd,
    asked: bool,
}

/// A process that leads its own group, with all its descendants.
pub(crate) struct Tree {
    leader: Pid,
    /// The pidfd of a leader that is not our child: we cannot wait for it, and its ID may be reused after its end. Our
    /// child keeps its ID until we wait for it.
    leader_handle: Option<OwnedFd>,
    members: Vec<Member>,
}

impl Tree {
    /// Reads the tree below `leader` on another thread; only the leader if reading the process table times out.
    pub(crate) async fn of(leader: Pid) -> Self {
        let read = Reader::default().read(TABLE_LIMIT, move || Self::below(leader)).await;
        read.unwrap_or(Self { leader, leader_handle: None, members: Vec::new() })
    }

    /// Reads the tree below `leader`. Blocks on `/proc`.
    pub(crate) fn below(leader: Pid) -> Self {
        let open = |process: Process| {
            let handle = pidfd_open(Pid::from_raw(process.pid)?, PidfdFlags::empty()).ok()?;
            Some(Member { process, handle, asked: false })
        };
        let below = descendants(&table(), leader.as_raw_nonzero().get());
        Self { leader, leader_handle: None, members: below.into_iter().filter_map(open).collect() }
    }

    /// Reads the tree of a leader that is not our child; `None` if it has ended. Blocks on `/proc`.
    pub(super) fn with_leader(leader: Pid) -> Option<Self> {
        let handle = pidfd_open(leader, PidfdFlags::empty()).ok()?;
        Some(Self { leader_handle: Some(handle), ..Self::below(leader) })
    }

    /// Sends SIGTERM to the innermost processes of the group that have not received it yet; to the leader, if it is
    /// alone. The outer processes are signalled only after the inner ones have ended.
    pub(crate) fn ask(&mut self) {
        let group = self.leader.as_raw_nonzero().get();
        let alive = self.members.iter().filter(|member| alive(&member.handle));
        let alive: Vec<Process> = alive.map(|member| member.process).collect();
        let innermost = innermost(&alive, group);
        if innermost.is_empty() {
            self.ask_all();
        }
        for member in &mut self.members {
            if !member.asked && innermost.contains(&member.process) {
                member.asked = true;
                signal(&member.handle, Signal::TERM);
            }
        }
    }

    fn ask_all(&self) {
        if self.leader_handle.as_ref().is_some_and(|leader| !alive(leader)) {
            return;
        }
        // The leader has not been reaped yet, so its ID still denotes its group. An error means that the group has
        // already ended.
        let _ = kill_process_group(self.leader, Signal::TERM);
    }

    /// Terminates the tree within about `grace`, and returns when the leader can be reaped.
    ///
    /// Half of the grace period is for SIGTERM from the inside out, in steps that give the outer processes time to
    /// clean up.
    pub(crate) async fn end(mut self, grace: Duration) {
        let softly = Instant::now() + grace / 2;
        self.ask();
        while !self.leader_ended_within(grace / STEPS).await && Instant::now() < softly {
            self.ask();
        }
        if !self.leader_ended_within(Duration::ZERO).await {
            self.ask_all();
            if !self.leader_ended_within(grace / 2).await {
                // As in `ask_all`.
                let _ = kill_process_group(self.leader, Signal::KILL);
            }
        }
        self.members_ended().await;
        for orphan in &self.members {
            signal(&orphan.handle, Signal::KILL);
        }
        self.members_ended().await;
    }

    /// Waits until all descendants have ended, for at most a second.
    async fn members_ended(&self) {
        let deadline = Instant::now() + ORPHAN_GRACE;
        let any_alive = || self.members.iter().any(|member| alive(&member.handle));
        while any_alive() && Instant::now() < deadline {
            sleep(LOOK).await;
        }
    }

    /// Polls without reaping the leader: its ID must stay reserved while it is signalled.
    async fn leader_ended_within(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if let Some(leader) = &self.leader_handle {
            while alive(leader) && Instant::now() < deadline {
                sleep(LOOK).await;
            }
            return !alive(leader);
        }
        loop {
            match waitid(WaitId::Pid(self.leader), look) {
                Ok(None) if Instant::now() < deadline => sleep(LOOK).await,
                Ok(None) => return false,
                Ok(Some(_)) | Err(_) => return true,
            }
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

/// Returns all descendants of `leader`, parents before children.
fn descendants(table: &[Process], leader: i32) -> Vec<Process> {
    let mut children: BTreeMap<i32, Vec<Process>> = BTreeMap::new();
    for process in table {
        children.entry(process.parent).or_default().push(*process);
    }
    let mut found: Vec<Process> = Vec::new();
    let mut parents = vec![leader];
    while let Some(parent) = parents.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            parents.push(child.pid);
            found.push(child);
        }
    }
    found
}

/// Returns the members of the group without descendants in the group.
fn innermost(descendants: &[Process], group: i32) -> Vec<Process> {
    let members = || descendants.iter().filter(|p| p.group == group);
    let parents: BTreeSet<i32> = members().map(|p| p.parent).collect();
    members().filter(|p| !parents.contains(&p.pid)).copied().collect()
}

#[cfg(test)]
mod tests {
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
        let below = descendants(&table, 10);
        assert_eq!(below.iter().map(|p| p.pid).collect::<Vec<_>>(), [11, 12, 13]);
        assert_eq!(innermost(&below, 10), [process(12, 11, 10)]);
    }

    #[test]
    fn a_leader_alone_has_nothing_innermost() {
        assert!(innermost(&descendants(&[process(10, 5, 10)], 10), 10).is_empty());
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
