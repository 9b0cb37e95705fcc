//! Taking the leadership from a process that hangs: only when somebody asks for it.

use std::path::Path;

use companion_core::ports::{PortError, PortErrorKind, PortResult};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::info::started;
use super::{Answer, LeaderInfo, ask, leader};

/// Kills the leader in `dir` if it hangs, so that the lock becomes free; returns who it was, or `None`
/// when nobody leads. Companions run on: they belong to the service manager.
///
/// # Errors
/// `Conflict` for a leader that answers and moves: it is left alone. `NotFound` if its process is not found, `Denied` if it
/// belongs to another user, and those of [`leader`].
pub async fn take_over(dir: &Path) -> PortResult<Option<LeaderInfo>> {
    let Some(leader) = leader(dir).await? else { return Ok(None) };
    if ask(dir).await == Answer::Alive {
        let message = format!("the leader {leader} responds; wait for it, or stop it");
        return Err(PortError::new(PortErrorKind::Conflict, message));
    }
    let pid = i32::try_from(leader.pid).ok().and_then(Pid::from_raw);
    let process = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    // The number is looked at after the descriptor was opened: from then on it stays this process.
    let same = started(leader.pid) == Some(leader.started);
    let Some(process) = process.filter(|_| same) else {
        let message = format!("the process of the leader {leader} was not found");
        return Err(PortError::new(PortErrorKind::NotFound, message));
    };
    match pidfd_send_signal(&process, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(Some(leader)),
        Err(cause) => {
            let error = PortError::new(PortErrorKind::Denied, format!("failed to kill {leader}"));
            Err(error.with_source(std::io::Error::from(cause)))
        }
    }
}
