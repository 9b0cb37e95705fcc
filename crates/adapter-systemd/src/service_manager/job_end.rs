//! Waits for the end of a job: by a signal, or by polling if the signal was lost.

use companion_core::model::service::Verb;
use companion_core::ports::PortErrorKind;
use tokio::time::Instant;
use zbus::{ObjectPath, OwnedObjectPath};

use super::reading::properties;
use super::{Limits, within};
use crate::bus::{Bus, Session};
use crate::dbus::{JOB, UNIT};
use crate::error::BusError;
use crate::states::{inferred_result, run_state};

/// A queued job.
pub(super) struct AwaitedJob {
    pub(super) verb: Verb,
    /// The path of its object.
    pub(super) path: String,
    /// The unit of the job.
    pub(super) unit: String,
}

impl AwaitedJob {
    /// Waits for the end until `deadline`, and returns the job's result in systemd's terms.
    ///
    /// Reopens a connection that breaks in the meantime; its signals are lost, so the job is polled.
    pub(super) async fn end(
        &self,
        bus: &Bus,
        limits: Limits,
        deadline: Instant,
    ) -> Result<String, BusError> {
        let started = Instant::now();
        let watched = async {
            loop {
                let session = bus.session().await?;
                match self.watch(&session, limits).await {
                    Err(error) if error.is_disconnection() => {
                        tracing::debug!(unit = self.unit, %error, "polling a job again");
                        tokio::time::sleep(limits.poll).await;
                    }
                    ended => return ended,
                }
            }
        };
        match tokio::time::timeout_at(deadline, watched).await {
            Ok(ended) => ended,
            Err(_) => Err(BusError::TimedOut(deadline - started)),
        }
    }

    /// Waits on one connection, for the signal and by polling.
    async fn watch(&self, session: &Session, limits: Limits) -> Result<String, BusError> {
        let mut jobs = session.jobs();
        loop {
            let announced = jobs.wait_for(|log| log.result(&self.path, &self.unit).is_some());
            match tokio::time::timeout(limits.poll, announced).await {
                Ok(Ok(log)) => {
                    let word = log.result(&self.path, &self.unit).unwrap_or_default();
                    return Ok(word.to_owned());
                }
                Ok(Err(_)) => return Err(BusError::Closed),
                Err(_) => {}
            }
            if self.is_pending(session, limits).await? {
                continue;
            }
            // The signal may have arrived with the reply.
            if let Some(word) = jobs.borrow().result(&self.path, &self.unit) {
                return Ok(word.to_owned());
            }
            return self.inferred(session, limits).await;
        }
    }

    /// Returns whether the job still exists; a job with the same number may belong to a restarted manager.
    async fn is_pending(&self, session: &Session, limits: Limits) -> Result<bool, BusError> {
        let path = ObjectPath::try_from(self.path.as_str())?;
        let path = OwnedObjectPath::from(path);
        match properties(session, &path, JOB, limits.call).await {
            Ok(job) => Ok(job.job_unit()? == self.unit),
            Err(error) if error.kind() == PortErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn inferred(&self, session: &Session, limits: Limits) -> Result<String, BusError> {
        let manager = session.manager().await?;
        let path = within(limits.call, manager.load_unit(&self.unit)).await?;
        let unit = properties(session, &path, UNIT, limits.call).await?;
        let (active, sub) = unit.activity()?;
        Ok(inferred_result(self.verb, run_state(active, sub)).to_owned())
    }
}
