//! Ending a podman and everything below it, softly first.
//!
//! A podman that is killed may leave its store damaged, so it is asked to end. Asked how? While a
//! `RUN` of a build goes on, SIGTERM makes podman itself exit at once, and what the `RUN` started
//! lives on as an orphan: it is the first process of its pid namespace, which no default action of
//! a signal ends, and the build's working container stays in the store. SIGTERM to the child that
//! supervises the `RUN` makes it kill the container and the build fail in good order. Hence the
//! order here (seen with Podman 5.4.2): the innermost processes of the group first, the rest after.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open,
    pidfd_send_signal, waitid,
};
use tokio::time::{Instant, sleep};

use crate::reader::Reader;

/// How often an ending process is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Into how many steps a grace is cut.
const STEPS: u32 = 5;

/// How long descendants may outlive the process that they belonged to.
const ORPHAN_GRACE: Duration = Duration::from_secs(1);

/// How long a look at the process table may take.
const TABLE_LIMIT: Duration = Duration::from_secs(5);

/// A line of the process table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) group: i32,
}

/// A process below the leader, by a handle: a number may be another process's when it is used.
struct Member {
    process: Process,
    handle: OwnedFd,
    asked: bool,
}

/// A process that leads a group of its own, with all below it.
pub(crate) struct Tree {
    leader: Pid,
    /// The handle of a leader that is not our child: it cannot be waited for, and its number is its own
    /// only as long as it lives. One of ours keeps its number until we wait for it.
    stranger: Option<OwnedFd>,
    members: Vec<Member>,
}

impl Tree {
    /// The tree below `leader`, read on another thread; the leader alone when the table does not answer.
    pub(crate) async fn of(leader: Pid) -> Self {
        let read = Reader::default().read(TABLE_LIMIT, move || Self::below(leader)).await;
        read.unwrap_or(Self { leader, stranger: None, members: Vec::new() })
    }

    /// Reads the tree below `leader`. Blocks on `/proc`.
    pub(crate) fn below(leader: Pid) -> Self {
        let open = |process: Process| {
            let handle = pidfd_open(Pid::from_raw(process.pid)?, PidfdFlags::empty()).ok()?;
            Some(Member { process, handle, asked: false })
        };
        let below = descendants(&table(), leader.as_raw_nonzero().get());
        Self { leader, stranger: None, members: below.into_iter().filter_map(open).collect() }
    }

    /// Reads the tree of a leader that is not our child; `None` when it has ended. Blocks on `/proc`.
    pub(super) fn with_leader(leader: Pid) -> Option<Self> {
        let handle = pidfd_open(leader, PidfdFlags::empty()).ok()?;
        Some(Self { stranger: Some(handle), ..Self::below(leader) })
    }

    /// Asks the innermost processes of the group to end that have not been asked; the leader, when
    /// it is alone. What is asked may take its time: those around it are not asked before it is gone.
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
        if self.stranger.as_ref().is_some_and(|leader| !alive(leader)) {
            return;
        }
        // The leader is not waited for yet, so its number is still its group's. An error says that
        // nobody is left, which is what was wanted.
        let _ = kill_process_group(self.leader, Signal::TERM);
    }

    /// Ends the tree within about `grace`, and returns when the leader can be waited for.
    ///
    /// Half of the grace goes to asking from the inside out, in steps that leave those around time
    /// to clean up after who ended.
    pub(crate) async fn end(mut self, grace: Duration) {
        let softly = Instant::now() + grace / 2;
        self.ask();
        while !self.leader_ended_within(grace / STEPS).await && Instant::now() < softly {
            self.ask();
        }
        if !self.leader_ended_within(Duration::ZERO).await {
            self.ask_all();
            if !self.leader_ended_within(grace / 2).await {
                // As with `ask_all`.
                let _ = kill_process_group(self.leader, Signal::KILL);
            }
        }
        self.members_ended().await;
        for orphan in &self.members {
            signal(&orphan.handle, Signal::KILL);
        }
        self.members_ended().await;
    }

    /// Waits until nobody below is left, for a second at most.
    async fn members_ended(&self) {
        let deadline = Instant::now() + ORPHAN_GRACE;
        let any_alive = || self.members.iter().any(|member| alive(&member.handle));
        while any_alive() && Instant::now() < deadline {
            sleep(LOOK).await;
        }
    }

    /// Looks without waiting *for* the leader: its number must stay taken while it is signalled.
    async fn leader_ended_within(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if let Some(leader) = &self.stranger {
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
    // An error says that it has ended, or that it is another user's.
    let _ = pidfd_send_signal(process, signal);
}

/// Whether a process has not ended yet: one that ended and was not waited for is not alive.
fn alive(process: &OwnedFd) -> bool {
    // pidfd_open(2): readable once the process has ended. A signal would tell, too, and do something.
    let mut handles = [PollFd::new(process, PollFlags::IN)];
    let immediately = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut handles, Some(&immediately)).is_ok_and(|ended| ended == 0)
}

/// When the process `pid` started, in clock resyncs since the boot; `None` when there is none.
/// Blocks on `/proc`.
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

/// The fields of `/proc/<pid>/stat` after the name (proc_pid_stat(5)), which stands in parentheses and
/// may hold anything.
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

/// Everything below `leader`, parents before children.
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

/// Those of the group that have nobody of the group below them.
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
    fn the_supervisor_of_a_run_is_asked_first_and_the_run_is_found_in_its_own_session() {
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
