//! Taking the leadership from a process that hangs: only when somebody asks for it.

use std::path::Path;

use companion_core::ports::PortError;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::info::started;
use super::{Answer, LeaderInfo, ask, leader};

/// Why a leader was not ended.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// Who leads could not be found out.
    #[error("failed to find the leader")]
    Unknown(#[source] PortError),
    /// The leader works.
    #[error("the leader {leader} responds; wait for it, or stop it")]
    Alive {
        /// The leader.
        leader: LeaderInfo,
    },
    /// The process that leads could not be identified.
    #[error("the process of the leader {leader} was not found")]
    NotFound {
        /// The leader.
        leader: LeaderInfo,
    },
    /// The process could not be killed.
    #[error("failed to kill {leader}")]
    Kill {
        /// The leader.
        leader: LeaderInfo,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
}

/// Kills the leader in `dir` if it hangs, so that the lock becomes free; returns who it was, or `None`
/// when nobody leads. Companions run on: they belong to the service manager.
///
/// # Errors
/// [`TakeOverError::Alive`] for a leader that answers and moves: it is left alone.
pub async fn take_over(dir: &Path) -> Result<Option<LeaderInfo>, TakeOverError> {
    let Some(leader) = leader(dir).await.map_err(TakeOverError::Unknown)? else {
        return Ok(None);
    };
    if ask(dir).await == Answer::Alive {
        return Err(TakeOverError::Alive { leader });
    }
    let pid = i32::try_from(leader.pid).ok().and_then(Pid::from_raw);
    let process = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    // The number is looked at after the descriptor was opened: from then on it stays this process.
    let same = started(leader.pid) == Some(leader.started);
    let Some(process) = process.filter(|_| same) else {
        return Err(TakeOverError::NotFound { leader });
    };
    match pidfd_send_signal(&process, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(Some(leader)),
        Err(cause) => Err(TakeOverError::Kill { leader, cause: cause.into() }),
    }
}
