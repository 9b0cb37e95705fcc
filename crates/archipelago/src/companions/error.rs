//! The errors of a call, and the result of a reload.

use std::time::Duration;

use companion_core::ports::PortError;
use companion_core::reconciler::ReconcileError;

use crate::inputs::InputProblem;
use crate::leader::LeaderInfo;

/// The error of a call.
#[derive(Debug, thiserror::Error)]
pub enum CompanionsError {
    /// The intent could not be recorded, or read; nothing was done. A file system that did not answer in
    /// time may record the intent yet.
    #[error("failed to access the desired state")]
    Record(#[source] PortError),
    /// Nothing could be reconciled. What was recorded stays so, and the next reconcile carries it out.
    #[error("failed to reconcile")]
    Reconcile(#[source] ReconcileError),
    /// The leader's status could not be read. What was recorded stays so.
    #[error("failed to read what the leader published")]
    Status(#[source] PortError),
    /// The leader neither answers nor moves. What was recorded stays so.
    #[error("the leader {leader} hangs")]
    LeaderHangs {
        /// The leader.
        leader: String,
    },
    /// The leader did not come to an end with it. What was recorded stays so.
    #[error("the leader {leader} has not finished within {} min", .limit.as_secs() / 60)]
    LeaderIsSlow {
        /// The leader.
        leader: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// Another process leads, with another state directory or other options; nothing was recorded.
    #[error("{leader} leads with {difference}")]
    OtherLeader {
        /// The leader.
        leader: Box<LeaderInfo>,
        /// What is different, for people.
        difference: String,
    },
}

/// What became of the inputs that a leader was asked to read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reloaded {
    /// The leader uses them.
    InForce,
    /// They are invalid; the leader keeps using the last valid ones.
    Refused(InputProblem),
    /// No process leads.
    Nobody,
}
