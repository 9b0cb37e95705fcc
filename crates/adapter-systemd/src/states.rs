//! Interprets systemd's properties (org.freedesktop.systemd1(5)). Pure.

use std::collections::HashMap;
use std::time::Duration;

use companion_core::model::revision::Revision;
use companion_core::model::service::{End, LoadedUnit, RunState, ServiceState, Verb};
use zbus::{OwnedVariant, Variant};

use crate::error::{BusError, shown};
use crate::processes::{ProcessFacts, Subject};
use crate::unit_text::REVISION_VARIABLE;

/// The properties of one interface of one object.
#[derive(Debug, Default)]
pub(crate) struct Properties(HashMap<String, OwnedVariant>);

impl From<HashMap<String, OwnedVariant>> for Properties {
    fn from(map: HashMap<String, OwnedVariant>) -> Self {
        Self(map)
    }
}

fn missing(name: &str) -> BusError {
    BusError::NotUnderstood(format!("the property `{name}` is missing"))
}

/// The error for a property whose type differs from systemd's documentation, as with an incompatible systemd.
fn wrong_type(name: &str) -> BusError {
    BusError::NotUnderstood(format!("the property `{name}` is of another type than expected"))
}

impl Properties {
    fn get<'a, T>(&'a self, name: &'static str) -> Result<T, BusError>
    where
        T: TryFrom<&'a OwnedVariant>,
    {
        let value = self.0.get(name).ok_or_else(|| missing(name))?;
        T::try_from(value).map_err(|_| wrong_type(name))
    }

    /// Returns a text; `None` if empty.
    pub(crate) fn text(&self, name: &'static str) -> Result<Option<&str>, BusError> {
        Ok(Some(self.get::<&str>(name)?).filter(|text| !text.is_empty()))
    }

    fn list<T>(&self, name: &'static str) -> Result<Vec<T>, BusError>
    where
        Vec<T>: TryFrom<OwnedVariant>,
    {
        let value = self.0.get(name).ok_or_else(|| missing(name))?;
        let owned = value.try_clone().map_err(|_| wrong_type(name))?;
        owned.try_into().map_err(|_| wrong_type(name))
    }

    pub(crate) fn texts(&self, name: &'static str) -> Result<Vec<String>, BusError> {
        self.list(name)
    }

    /// Returns the fields of a structure of two.
    fn pair(&self, name: &'static str) -> Result<[&Variant<'_>; 2], BusError> {
        match self.0.get(name).map(|value| &**value) {
            Some(Variant::Structure(structure)) => match structure.fields() {
                [first, second] => Ok([first, second]),
                _ => Err(wrong_type(name)),
            },
            Some(_) => Err(wrong_type(name)),
            None => Err(missing(name)),
        }
    }

    /// Returns `ActiveState` and `SubState` of a unit.
    pub(crate) fn activity(&self) -> Result<(&str, &str), BusError> {
        Ok((self.get("ActiveState")?, self.get("SubState")?))
    }

    /// Returns the name of a job's unit.
    pub(crate) fn job_unit(&self) -> Result<&str, BusError> {
        match self.pair("Unit")? {
            [Variant::Str(name), _] => Ok(name.as_str()),
            _ => Err(wrong_type("Unit")),
        }
    }
}

/// Returns the processes to inspect; `None` if nothing runs.
pub(crate) fn subject(
    unit: &Properties,
    service: &Properties,
) -> Result<Option<Subject>, BusError> {
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

/// Builds a service's state from the properties of its unit and what its processes show, at `now` on the monotonic clock.
/// `location` is the path of the unit in the unit store, as `SourcePath=` reports it.
pub(crate) fn service_state(
    unit: &Properties,
    service: &Properties,
    facts: &ProcessFacts,
    now: Duration,
    location: Option<&str>,
) -> Result<ServiceState, BusError> {
    let (active, sub) = unit.activity()?;
    let run = run_state(active, sub);
    let busy = match unit.pair("Job")? {
        [Variant::U32(id), _] => *id != 0,
        _ => return Err(wrong_type("Job")),
    };
    let entered = Duration::from_micros(unit.get("ActiveEnterTimestampMonotonic")?);
    let since: u64 = unit.get("StateChangeTimestamp")?;
    let is_up = run == RunState::Up && !entered.is_zero();
    Ok(ServiceState {
        unit: loaded_unit(unit, service, location)?,
        run,
        busy,
        running: facts.running,
        run_id: invocation(unit)?,
        frozen: facts.frozen,
        up_for: if is_up { now.saturating_sub(entered) } else { Duration::ZERO },
        restarts: service.get("NRestarts")?,
        last_end: last_end(service)?,
        since: (since != 0).then_some(since / 1_000_000),
        message: shown(&format!("{active} ({sub})")),
        drop_ins: drop_ins(unit)?,
    })
}

/// Interprets `ActiveState` and `SubState`. A service that exited passes `failed` or `inactive` on its way to its
/// restart (systemd 254); only the substate shows that.
pub(crate) fn run_state(active: &str, sub: &str) -> RunState {
    match (active, sub) {
        (
            _,
            "auto-restart"
            | "auto-restart-queued"
            | "failed-before-auto-restart"
            | "dead-before-auto-restart",
        ) => RunState::BetweenRestarts,
        ("active" | "reloading" | "refreshing", _) => RunState::Up,
        ("inactive", _) => RunState::Down,
        ("failed", _) => RunState::Failed,
        ("activating", _) => RunState::Starting,
        ("deactivating", _) => RunState::Stopping,
        _ => RunState::Other,
    }
}

/// Interprets `LoadState`, and `SourcePath` compared with the store's `location`.
fn loaded_unit(
    unit: &Properties,
    service: &Properties,
    location: Option<&str>,
) -> Result<LoadedUnit, BusError> {
    let load: &str = unit.get("LoadState")?;
    let environment = service.texts("Environment")?;
    let revision = revision_in(environment.iter().map(String::as_bytes));
    let source = unit.text("SourcePath")?;
    let is_elsewhere = source != location && (source.is_some() || load == "loaded");
    Ok(match load {
        "not-found" => LoadedUnit::Absent,
        "masked" => LoadedUnit::Held { message: "unit is masked".to_owned() },
        _ if is_elsewhere => {
            let place = source.or(unit.text("FragmentPath")?);
            LoadedUnit::Elsewhere { place: shown(place.unwrap_or("a transient unit")) }
        }
        "loaded" => LoadedUnit::FromStore { revision },
        other => {
            let error = load_error(unit)?;
            let message = error.unwrap_or_else(|| shown(&format!("load state `{other}`")));
            LoadedUnit::Unusable { message, revision }
        }
    })
}

/// Interprets `Result` and the end of the main process; `None` while it runs and before its first end. The result may
/// be that of another process, such as `ExecStopPost=`.
fn last_end(service: &Properties) -> Result<Option<End>, BusError> {
    // sigaction(2).
    const EXITED: i32 = 1;
    const KILLED: i32 = 2;
    const DUMPED: i32 = 3;
    let code: i32 = service.get("ExecMainCode")?;
    let status: i32 = service.get("ExecMainStatus")?;
    Ok(Some(match service.get::<&str>("Result")? {
        "success" if code == 0 => return Ok(None),
        "success" => End::Success,
        "exit-code" if code == EXITED && status != 0 => End::Exit(status),
        "signal" | "core-dump" if matches!(code, KILLED | DUMPED) => End::Signal(status),
        "timeout" => End::TimedOut,
        "oom-kill" => End::OutOfMemory,
        "start-limit-hit" => End::StartLimit,
        other => End::Other(shown(other)),
    }))
}

/// Returns the ID of the current run, in the form of `$INVOCATION_ID`. systemd 257 keeps the ID of a run that ended
/// until the next start, or until it unloads the unit.
fn invocation(unit: &Properties) -> Result<Option<String>, BusError> {
    let id: String =
        unit.list::<u8>("InvocationID")?.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Some(id).filter(|id| !id.is_empty()))
}

/// Returns systemd's load error of the unit, if any.
fn load_error(unit: &Properties) -> Result<Option<String>, BusError> {
    match unit.pair("LoadError")? {
        [Variant::Str(name), Variant::Str(text)] => {
            let message = if text.is_empty() { name } else { text };
            Ok(Some(shown(message.as_str())).filter(|message| !message.is_empty()))
        }
        _ => Err(wrong_type("LoadError")),
    }
}

/// Returns the unit's drop-ins as systemd lists them, without Quadlet's.
fn drop_ins(unit: &Properties) -> Result<Vec<String>, BusError> {
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

/// Infers the result of a job whose end was not announced from the unit's state; an ambiguous state is not a success.
pub(crate) fn inferred_result(verb: Verb, run: RunState) -> &'static str {
    match (verb, run) {
        (Verb::Start | Verb::Restart, RunState::Up)
        | (Verb::Stop, RunState::Down | RunState::Failed) => "done",
        (Verb::Start | Verb::Restart, RunState::Failed | RunState::BetweenRestarts) => "failed",
        _ => "unknown",
    }
}

#[cfg(test)]
pub(crate) mod tests;
