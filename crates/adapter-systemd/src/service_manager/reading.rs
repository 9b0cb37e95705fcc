//! Reads service states: one call lists all units, and two more calls read each loaded unit of which nothing current is
//! known.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use companion_core::model::companion::CompanionName;
use companion_core::model::service::ServiceState;
use host_files::blocking;
use rustix::time::{ClockId, clock_gettime};
use tokio::task::JoinSet;
use zbus::OwnedObjectPath;
use zbus::fdo::PropertiesProxy;
use zbus::names::InterfaceName;
use zbus::proxy::CacheProperties;

use super::memory::{Known, Reading};
use super::{SystemdManager, service_name, within};
use crate::bus::Session;
use crate::dbus::{DESTINATION, SERVICE, UNIT, UnitRow};
use crate::error::BusError;
use crate::processes::{KernelFiles, ProcessFacts, Running};
use crate::states::{Properties, service_state, subject};
use crate::unit_store::QuadletDir;

/// How many units are read concurrently: enough to hide the latency of the bus, and far below its limit on pending
/// replies (`max_replies_per_connection` of dbus-daemon(1), at least 128).
const CONCURRENCY: usize = 16;

/// How often a service is read if it starts or ends during the read.
const READINGS: usize = 3;

type States = BTreeMap<CompanionName, Result<ServiceState, BusError>>;

/// Reads the states of `names`: fails as a whole if the list cannot be read, and per unit otherwise.
///
/// A single name is always read in full: it is what a caller asks about before it acts.
pub(super) async fn service_states(
    source: &SystemdManager,
    units: &QuadletDir,
    names: &BTreeSet<CompanionName>,
) -> Result<States, BusError> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let limit = source.limits.call;
    let session = source.bus.session().await?;
    let services: Vec<String> = names.iter().map(service_name).collect();
    let manager = session.manager().await?;
    let listed = async {
        // Sent first, so that a reload meanwhile makes the next call read all units.
        let (loaded_at, rows) = tokio::join!(
            biased;
            within(limit, manager.units_load_timestamp_monotonic()),
            within(limit, manager.list_units_by_names(&services)),
        );
        Ok((loaded_at.ok(), rows?))
    };
    let (locations, (loaded_at, rows)) = tokio::try_join!(locations(units, names, limit), listed)?;
    let rows: HashMap<&str, &UnitRow> = rows.iter().map(|row| (row.name.as_str(), row)).collect();
    source.memory().loaded(loaded_at);

    let mut states = BTreeMap::new();
    let (mut known, mut loaded) = (Vec::new(), Vec::new());
    for (name, unit) in names.iter().zip(&services) {
        let location = locations.get(name).map(String::as_str);
        if let Some(row) = rows.get(unit.as_str()) {
            source.bus.units().add(name, row.path.as_str());
        }
        match rows.get(unit.as_str()) {
            Some(row) if is_nothing(row) => {
                states.insert(name.clone(), Ok(ServiceState::absent()));
            }
            Some(row) => match source.memory().get(name, row, location) {
                Some(state) if names.len() > 1 => known.push((name.clone(), state)),
                Some(_) | None => loaded.push((name.clone(), row.path.clone())),
            },
            // An alias: the list has the unit under its other name, so an unlisted unit is not necessarily absent.
            None => match within(limit, manager.load_unit(unit)).await {
                Ok(path) => loaded.push((name.clone(), path)),
                Err(error) => {
                    states.insert(name.clone(), Err(error));
                }
            },
        }
    }
    for (name, state) in verified(source, known).await {
        match state {
            Some(state) => drop(states.insert(name, Ok(state))),
            None => {
                loaded.extend(
                    rows.get(service_name(&name).as_str()).map(|row| (name, row.path.clone())),
                );
            }
        }
    }
    for (name, reading) in read_in_full(&session, source, loaded, &locations).await {
        if let Ok(reading) = &reading
            && let Some(row) = rows.get(service_name(&name).as_str())
        {
            let location = locations.get(&name).cloned();
            source.memory().keep(&name, row, location, reading, (loaded_at, monotonic()));
        }
        states.insert(name, reading.map(|reading| reading.state));
    }
    for name in names {
        states.entry(name.clone()).or_insert(Err(BusError::Closed));
    }
    Ok(states)
}

/// Returns the state of each known service whose main process is still the same.
async fn verified(
    source: &SystemdManager,
    known: Vec<(CompanionName, Known)>,
) -> Vec<(CompanionName, Option<ServiceState>)> {
    if known.is_empty() {
        return Vec::new();
    }
    let names: Vec<_> = known.iter().map(|(name, _)| name.clone()).collect();
    let files = source.files.clone();
    let verify = move || {
        let now = monotonic();
        let state = |known: &Known| {
            let is_frozen = files.frozen_if_same(&known.processes)?;
            Some(known.state(is_frozen, now))
        };
        known.iter().map(|(name, known)| (name.clone(), state(known))).collect()
    };
    let verified = blocking::within(source.limits.call, verify).await;
    // Those that do not respond are found one by one.
    verified.unwrap_or_else(|_stuck| names.into_iter().map(|name| (name, None)).collect())
}

/// Reads the properties of units, a few at a time.
async fn read_in_full(
    session: &Arc<Session>,
    source: &SystemdManager,
    loaded: Vec<(CompanionName, OwnedObjectPath)>,
    locations: &BTreeMap<CompanionName, String>,
) -> Vec<(CompanionName, Result<Reading, BusError>)> {
    let mut readings = Vec::with_capacity(loaded.len());
    for few in loaded.chunks(CONCURRENCY) {
        let mut reads = JoinSet::new();
        for (name, path) in few.iter().cloned() {
            let (session, files, limit) =
                (session.clone(), source.files.clone(), source.limits.call);
            let location = locations.get(&name).cloned();
            reads.spawn(async move {
                let state = loaded_state(&session, files, &path, location, limit).await;
                (name, state)
            });
        }
        while let Some(read) = reads.join_next().await {
            // A read that panicked has no entry.
            readings.extend(read.ok());
        }
    }
    readings
}

/// Returns the time on the monotonic clock, which systemd's timestamps have.
fn monotonic() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
}

/// Returns where the unit store has the unit of each name.
async fn locations(
    units: &QuadletDir,
    names: &BTreeSet<CompanionName>,
    limit: Duration,
) -> Result<BTreeMap<CompanionName, String>, BusError> {
    let (units, names) = (units.clone(), names.clone());
    Ok(blocking::within(limit, move || units.files.locations(&names)).await?)
}

/// Returns whether a name refers to nothing: neither a unit nor remains of one.
fn is_nothing(row: &UnitRow) -> bool {
    row.load_state == "not-found" && row.active_state == "inactive" && row.job_id == 0
}

/// Reads a unit's state; repeats if the service started or ended during the read, so that revision and invocation
/// belong to the same run. Otherwise the revision is omitted.
async fn loaded_state(
    session: &Arc<Session>,
    files: KernelFiles,
    path: &OwnedObjectPath,
    location: Option<String>,
    limit: Duration,
) -> Result<Reading, BusError> {
    let mut readings = 1;
    loop {
        let (unit, service) = tokio::try_join!(
            properties(session, path, UNIT, limit),
            properties(session, path, SERVICE, limit),
        )?;
        let subject = subject(&unit, &service)?;
        let main_pid = subject.as_ref().map_or(0, |subject| subject.main_pid);
        let facts = match subject {
            None => ProcessFacts::default(),
            // Reading another process's environment takes a lock of that process.
            Some(subject) => {
                let files = files.clone();
                // A timeout is not a missing revision, which would cause a restart.
                blocking::within(limit, move || files.facts(&subject)).await?
            }
        };
        if facts.superseded && readings < READINGS {
            readings += 1;
            continue;
        }
        let state = service_state(&unit, &service, &facts, monotonic(), location.as_deref())?;
        let is_same = !facts.superseded && facts.running.is_some();
        let ProcessFacts { started, event_files, .. } = facts;
        let running = started.zip(event_files).filter(|_| is_same);
        let running = running
            .map(|(started, event_files)| Running { main: (main_pid, started), event_files });
        return Ok(Reading { state, running });
    }
}

/// Reads all properties of one interface of an object.
pub(crate) async fn properties(
    session: &Session,
    path: &OwnedObjectPath,
    interface: &'static str,
    limit: Duration,
) -> Result<Properties, BusError> {
    let proxy = PropertiesProxy::builder(session.connection())
        .destination(DESTINATION)
        .path(path)
        .cache_properties(CacheProperties::No)
        .build()
        .await?;
    let interface = InterfaceName::from_static_str(interface)?;
    let all = async { proxy.get_all(interface).await.map_err(zbus::Error::from) };
    Ok(Properties::from(within(limit, all).await?))
}
