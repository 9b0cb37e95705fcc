//! Interprets systemd's properties (org.freedesktop.systemd1(5)). Pure.

use std::collections::HashMap;
use std::time::Duration;

use companion_core::model::revision::Revision;
use companion_core::model::unit::{
    ActiveState, JobResult, LoadState, ServiceResult, ServiceState, SubState,
};
use zbus::{OwnedVariant, Variant};

use crate::error::shown;
use crate::processes::{ProcessFacts, Subject};
use crate::unit_text::REVISION_VARIABLE;

/// The properties of one interface of one object.
#[derive(Debug, Default)]
pub(crate) struct Properties(HashMap<String, OwnedVariant>);

/// A property whose type differs from systemd's documentation, as with an incompatible systemd.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PropertyError {
    #[error("the property `{0}` is missing")]
    Missing(&'static str),
    #[error("the property `{0}` is of another type than expected")]
    WrongType(&'static str),
}

impl From<HashMap<String, OwnedVariant>> for Properties {
    fn from(map: HashMap<String, OwnedVariant>) -> Self {
        Self(map)
    }
}

impl Properties {
    fn get<'a, T>(&'a self, name: &'static str) -> Result<T, PropertyError>
    where
        T: TryFrom<&'a OwnedVariant>,
    {
        let value = self.0.get(name).ok_or(PropertyError::Missing(name))?;
        T::try_from(value).map_err(|_| PropertyError::WrongType(name))
    }

    /// Returns a text; `None` if empty.
    pub(crate) fn text(&self, name: &'static str) -> Result<Option<&str>, PropertyError> {
        Ok(Some(self.get::<&str>(name)?).filter(|text| !text.is_empty()))
    }

    fn bytes(&self, name: &'static str) -> Result<Vec<u8>, PropertyError> {
        let value = self.0.get(name).ok_or(PropertyError::Missing(name))?;
        let owned = value.try_clone();
        owned.and_then(Vec::<u8>::try_from).map_err(|_| PropertyError::WrongType(name))
    }

    pub(crate) fn texts(&self, name: &'static str) -> Result<Vec<String>, PropertyError> {
        let value = self.0.get(name).ok_or(PropertyError::Missing(name))?;
        let owned = value.try_clone();
        owned.and_then(Vec::<String>::try_from).map_err(|_| PropertyError::WrongType(name))
    }

    /// Returns the fields of a structure of two.
    fn pair(&self, name: &'static str) -> Result<[&Variant<'_>; 2], PropertyError> {
        match self.0.get(name).map(|value| &**value) {
            Some(Variant::Structure(structure)) => match structure.fields() {
                [first, second] => Ok([first, second]),
                _ => Err(PropertyError::WrongType(name)),
            },
            Some(_) => Err(PropertyError::WrongType(name)),
            None => Err(PropertyError::Missing(name)),
        }
    }

    /// Returns `ActiveState` and `SubState` of a unit.
    pub(crate) fn activity(&self) -> Result<(ActiveState, SubState), PropertyError> {
        let active = ActiveState::from_word(self.get("ActiveState")?);
        Ok((active, SubState::from_word(self.get("SubState")?)))
    }

    /// Returns the name of a job's unit.
    pub(crate) fn job_unit(&self) -> Result<&str, PropertyError> {
        match self.pair("Unit")? {
            [Variant::Str(name), _] => Ok(name.as_str()),
            _ => Err(PropertyError::WrongType("Unit")),
        }
    }
}

/// Returns the processes to inspect; `None` if nothing runs.
pub(crate) fn subject(
    unit: &Properties,
    service: &Properties,
) -> Result<Option<Subject>, PropertyError> {
    let main_pid: u32 = service.get("MainPID")?;
    let control_group = service.text("ControlGroup")?;
    if main_pid == 0 && control_group.is_none() {
        return Ok(None);
    }
    Ok(Some(Subject {
        main_pid,
        control_group: control_group.map(str::to_owned),
        invocation: invocation(unit)?.unwrap_or_default(),
    }))
}

/// Builds a service's state at `now`, on the monotonic clock.
pub(crate) fn service_state(
    unit: &Properties,
    service: &Properties,
    facts: &ProcessFacts,
    now: Duration,
) -> Result<ServiceState, PropertyError> {
    let (active, sub) = unit.activity()?;
    let job_pending = match unit.pair("Job")? {
        [Variant::U32(id), _] => *id != 0,
        _ => return Err(PropertyError::WrongType("Job")),
    };
    let entered = Duration::from_micros(unit.get("ActiveEnterTimestampMonotonic")?);
    let since: u64 = unit.get("StateChangeTimestamp")?;
    let ended = service.get::<i32>("ExecMainCode")? != 0;
    let exit_status: i32 = service.get("ExecMainStatus")?;
    let environment = service.texts("Environment")?;
    let mut state = ServiceState {
        load: LoadState::from_word(unit.get("LoadState")?),
        active,
        sub,
        result: ServiceResult::from_word(service.get("Result")?),
        job_pending,
        restarts: service.get("NRestarts")?,
        source: unit.text("SourcePath")?.map(str::to_owned),
        loaded: revision_in(environment.iter().map(String::as_bytes)),
        running: facts.running,
        invocation: invocation(unit)?,
        paused: facts.paused,
        active_for: Duration::ZERO,
        exit_status: ended.then_some(exit_status),
        since: (since != 0).then_some(since / 1_000_000),
        load_error: load_error(unit)?,
        drop_ins: drop_ins(unit)?,
    };
    if state.is_running() && !entered.is_zero() {
        state.active_for = now.saturating_sub(entered);
    }
    Ok(state)
}

/// Returns the ID of the current run, in the form of `$INVOCATION_ID`. systemd 257 keeps the ID of a run that ended
/// until the next start, or until it unloads the unit.
fn invocation(unit: &Properties) -> Result<Option<String>, PropertyError> {
    let id: String = unit.bytes("InvocationID")?.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Some(id).filter(|id| !id.is_empty()))
}

/// Returns systemd's load error of the unit, if any.
fn load_error(unit: &Properties) -> Result<Option<String>, PropertyError> {
    match unit.pair("LoadError")? {
        [Variant::Str(name), Variant::Str(text)] => {
            let message = if text.is_empty() { name } else { text };
            Ok(Some(shown(message.as_str())).filter(|message| !message.is_empty()))
        }
        _ => Err(PropertyError::WrongType("LoadError")),
    }
}

/// Returns the unit's drop-ins as systemd lists them, without Quadlet's.
fn drop_ins(unit: &Properties) -> Result<Vec<String>, PropertyError> {
    /// Far more than any unit has.
    const LISTED: usize = 32;
    let paths = unit.texts("DropInPaths")?;
    Ok(paths.iter().take(LISTED).map(|path| shown(path)).collect())
}

/// Returns the valid revision in an environment, if any.
pub(crate) fn revision_in<'a>(environment: impl Iterator<Item = &'a [u8]>) -> Option<Revision> {
    let value = variable_in(environment, REVISION_VARIABLE)?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Returns the value of a variable; the last one counts, as in systemd.
pub(crate) fn variable_in<'a>(
    environment: impl Iterator<Item = &'a [u8]>,
    name: &str,
) -> Option<&'a [u8]> {
    let value = |entry: &'a [u8]| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=");
    environment.filter_map(value).last()
}

/// The type of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobKind {
    Start,
    Stop,
    Restart,
}

impl JobKind {
    /// All types.
    pub(crate) const ALL: [Self; 3] = [Self::Start, Self::Stop, Self::Restart];

    /// The verb.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }

    /// Infers the result of a job whose end was not announced from the unit's state; an ambiguous state is not a
    /// success.
    pub(crate) fn inferred(self, active: &ActiveState, sub: &SubState) -> JobResult {
        let runs = matches!(
            active,
            ActiveState::Active | ActiveState::Reloading | ActiveState::Refreshing
        );
        let down = matches!(active, ActiveState::Inactive | ActiveState::Failed);
        match self {
            Self::Start | Self::Restart if runs => JobResult::Done,
            Self::Start | Self::Restart
                if *active == ActiveState::Failed || sub.awaits_restart() =>
            {
                JobResult::Failed
            }
            Self::Stop if down && !sub.awaits_restart() => JobResult::Done,
            Self::Start | Self::Restart | Self::Stop => JobResult::Other,
        }
    }
}

#[cfg(test)]
mod tests;
