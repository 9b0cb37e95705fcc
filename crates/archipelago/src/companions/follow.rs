//! Waiting for the leader: an intent is recorded, and another process carries it out.

use std::collections::BTreeSet;
use std::time::Duration;

use companion_core::model::companion::CompanionName;
use companion_core::model::desired::Generation;
use companion_core::ports::PortErrorKind;
use companion_core::reconciler::{Limits, ReconcileError};
use tokio::time::Instant;

use super::{Companions, CompanionsError};
use crate::leader::{Answer, LeaderInfo, Settings, ask, leader};
use crate::published::{EventCursor, EventRecord, StatusReport, read_status};

/// How often the leader's status is read while it is waited for.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How often the leader is asked whether it works, which wakes it, too.
const ASK_INTERVAL: Duration = Duration::from_secs(2);

/// How many questions in a row may stay unanswered: each is waited for 5 s.
const UNANSWERED_LIMIT: u32 = 2;

impl Companions {
    /// Waits until the leader has observed the intent of `generation` and `names`, or all, have settled;
    /// or becomes the leader where there is none, or none any more. Returns what the leader published and did
    /// meanwhile, or `None` if this process leads.
    pub(super) async fn follow(
        &self,
        generation: Generation,
        names: Option<&BTreeSet<CompanionName>>,
    ) -> Result<Option<(StatusReport, Vec<EventRecord>)>, CompanionsError> {
        let limit = Limits::default().converge;
        let deadline = Instant::now() + limit;
        let dir = self.store.dir();
        let mut cursor = EventCursor::at_end(dir).await.unwrap_or_default();
        let mut events = Vec::new();
        let mut asked: Option<Instant> = None;
        let mut unanswered = 0;
        loop {
            let leader = match self.reconciler.lead().await {
                Ok(()) => return Ok(None),
                Err(ReconcileError::Led { by }) => by,
                Err(error) => return Err(CompanionsError::Reconcile(error)),
            };
            // An event that cannot be read is one line of progress less.
            for event in cursor.next(dir).await.unwrap_or_default() {
                self.publisher.show(&event);
                events.push(event);
            }
            if let Some(report) = self.published().await?
                && report.has_settled(generation, names)
            {
                return Ok(Some((report, events)));
            }
            if asked.is_none_or(|asked| asked.elapsed() >= ASK_INTERVAL)
                && let Some(place) = &self.leader_dir
            {
                unanswered = match ask(place).await {
                    Answer::Alive => 0,
                    Answer::NoEvents | Answer::Stuck { .. } => unanswered + 1,
                };
                asked = Some(Instant::now());
                if unanswered >= UNANSWERED_LIMIT {
                    return Err(CompanionsError::LeaderHangs { leader });
                }
            }
            if Instant::now() >= deadline {
                return Err(CompanionsError::LeaderIsSlow { leader, limit });
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// What the leader published. A file that a starting leader has not yet replaced may be damaged or of
    /// another version; it is replaced at its first reconcile.
    async fn published(&self) -> Result<Option<StatusReport>, CompanionsError> {
        match read_status(self.store.dir()).await {
            Ok(report) => Ok(report),
            Err(error) if error.kind() == PortErrorKind::Invalid => Ok(None),
            Err(error) => Err(CompanionsError::Status(error)),
        }
    }

    /// The leader, if it is another process.
    pub(super) async fn leader_if_other(&self) -> Result<Option<LeaderInfo>, CompanionsError> {
        let Some(dir) = &self.leader_dir else { return Ok(None) };
        let leader = leader(dir).await.map_err(CompanionsError::Status)?;
        Ok(leader.filter(|leader| leader.pid != std::process::id()))
    }

    /// Refuses to record an intent for a leader that would not see it, or would decide otherwise.
    pub(super) async fn refuse_other_leader(&self) -> Result<(), CompanionsError> {
        let Some(leader) = self.leader_if_other().await? else { return Ok(()) };
        let ours = self.store.inputs().settings();
        let difference = if leader.pid == 0 {
            return Ok(());
        } else if leader.state_dir != self.store.dir() {
            format!("the state directory {}", leader.state_dir.display())
        } else if *ours != Settings::default() && *ours != leader.settings {
            "other options (`--catalog`, `--contexts` or `--build-arg`)".to_owned()
        } else {
            return Ok(());
        };
        Err(CompanionsError::OtherLeader { leader: Box::new(leader), difference })
    }
}
