//! Reads service states: one call lists all units, and two more calls read each loaded unit.

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

use super::{service_name, within};
use crate::bus::{Bus, Session};
use crate::dbus::{DESTINATION, SERVICE, UNIT, UnitRow};
use crate::error::BusError;
use crate::processes::{KernelFiles, ProcessFacts};
use crate::states::{Properties, PropertyError, Surroundings, service_state, subject};
use crate::unit_store::QuadletDir;

/// How many units are read concurrently: enough to hide the latency of the bus, and far below its limit on pending
/// replies (`max_replies_per_connection` of dbus-daemon(1), at least 128).
const CONCURRENCY: usize = 16;

/// How often a service is read if it starts or ends during the read.
const READINGS: usize = 3;

/// Reads the states of `names`: fails as a whole if the list cannot be read, and per unit otherwise.
pub(super) async fn service_states(
    bus: &Bus,
    files: &KernelFiles,
    units: &QuadletDir,
    names: &BTreeSet<CompanionName>,
    limit: Duration,
) -> Result<BTreeMap<CompanionName, Result<ServiceState, BusError>>, BusError> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let locations = locations(units, names, limit).await?;
    let session = bus.session().await?;
    let units: Vec<String> = names.iter().map(service_name).collect();
    let manager = session.manager().await?;
    let rows = within(limit, manager.list_units_by_names(&units)).await?;
    let rows: HashMap<&str, &UnitRow> = rows.iter().map(|row| (row.name.as_str(), row)).collect();

    let mut states = BTreeMap::new();
    let mut loaded = Vec::new();
    for (name, unit) in names.iter().zip(&units) {
        match rows.get(unit.as_str()) {
            Some(row) if is_nothing(row) => {
                states.insert(name.clone(), Ok(ServiceState::absent()));
            }
            Some(row) => loaded.push((name.clone(), row.path.clone())),
            // An alias: the list has the unit under its other name, so an unlisted unit is not necessarily absent.
            None => match within(limit, manager.load_unit(unit)).await {
                Ok(path) => loaded.push((name.clone(), path)),
                Err(error) => {
                    states.insert(name.clone(), Err(error));
                }
            },
        }
    }
    for few in loaded.chunks(CONCURRENCY) {
        let mut reads = JoinSet::new();
        for (name, path) in few.iter().cloned() {
            let session = session.clone();
            let files = files.clone();
            let location = locations.get(&name).cloned();
            reads.spawn(async move {
                let state = loaded_state(&session, files, &path, location, limit).await;
                (name, state)
            });
        }
        while let Some(read) = reads.join_next().await {
            // A read that panicked has no entry yet.
            if let Ok((name, state)) = read {
                states.insert(name, state);
            }
        }
    }
    for name in names {
        states.entry(name.clone()).or_insert(Err(BusError::Closed));
    }
    Ok(states)
}

/// Returns where the unit store has the unit of each name.
async fn locations(
    units: &QuadletDir,
    names: &BTreeSet<CompanionName>,
    limit: Duration,
) -> Result<BTreeMap<CompanionName, String>, BusError> {
    let (units, names) = (units.clone(), names.clone());
    let located = blocking::within(limit, move || units.locations(&names)).await;
    located.map_err(BusError::Directory)
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
) -> Result<ServiceState, BusError> {
    let mut readings = 1;
    loop {
        let (unit, service) = tokio::try_join!(
            properties(session, path, UNIT, limit),
            properties(session, path, SERVICE, limit),
        )?;
        let facts = match subject(&unit, &service)? {
            None => ProcessFacts::default(),
            // Reading another process's environment takes a lock of that process.
            Some(subject) => {
                let files = files.clone();
                let facts = blocking::within(limit, move || files.facts(&subject)).await;
                // A timeout is not a missing revision, which would cause a restart.
                facts.map_err(|_stuck| BusError::Unread)?
            }
        };
        if facts.overtaken && readings < READINGS {
            readings += 1;
            continue;
        }
        let now = clock_gettime(ClockId::Monotonic);
        let now = Duration::try_from(now).unwrap_or_default();
        let location = location.as_deref();
        let surroundings = Surroundings { facts: &facts, now, location };
        return Ok(service_state(&unit, &service, &surroundings)?);
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

impl From<PropertyError> for BusError {
    fn from(error: PropertyError) -> Self {
        Self::NotUnderstood(error.to_string())
    }
}
