//! Reads the ports and assembles the observed state. It changes and decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Limits;
use crate::model::companion::CompanionName;
use crate::model::desired::{DesiredState, Target};
use crate::model::hook::{HookSpec, HookState};
use crate::model::image::{ImageSource, ImageState};
use crate::model::observed::{History, Observation, ObservedCompanion, ObservedState, Work};
use crate::model::service::{RunState, ServiceState};
use crate::model::unit::UnitSpec;
use crate::ports::{Host, PortError, PortErrorKind, PortResult};

type ByName<T> = BTreeMap<CompanionName, Observation<T>>;

/// Reads the inputs of the planner for the companions of `desired`, and with `lists` for all managed ones. A failed read is
/// unknown, never absent.
pub(super) async fn observe(
    host: &Host,
    desired: &DesiredState,
    history: &History,
    limits: &Limits,
    lists: bool,
) -> ObservedState {
    let list = async {
        if lists { bounded(limits.read, host.units.list()).await } else { Ok(BTreeSet::new()) }
    };
    let limit = limits.read;
    let (mut hooks, mut images, listing) =
        tokio::join!(hooks(host, desired, limit), images(host, desired, limit), list);
    let (mut names, listing_error) = match listing {
        Ok(names) => (names, None),
        Err(error) => (BTreeSet::new(), Some(error.chain())),
    };
    names.extend(desired.targets.keys().cloned());
    let wanted = wanted_units(&names, desired, &hooks, &images);
    let (mut units, mut services) = tokio::join!(
        asked(wanted.keys(), limit, host.units.observe(&wanted)),
        asked(names.iter(), limit, host.services.observe(&names)),
    );
    let to_ask = names_to_ask_containers_of(desired, history, &services);
    let failed = failed_services(desired, history, &services);
    let (mut containers, mut logs) = tokio::join!(
        asked(to_ask.iter(), limit, host.containers.observe(&to_ask)),
        asked(failed.keys(), limit, host.services.log_tails(&failed)),
    );
    let companion = |name: CompanionName| {
        let seen = ObservedCompanion {
            hook: hooks.remove(&name),
            image: images.remove(&name),
            unit: units.remove(&name).unwrap_or_else(no_answer),
            service: services.remove(&name).unwrap_or_else(no_answer),
            container: containers.remove(&name),
            log: logs.remove(&name),
        };
        (name, seen)
    };
    let companions = names.into_iter().map(companion).collect();
    ObservedState { companions, traits: host.traits, listing_error, history: history.clone() }
}

/// Reads the current state of one service.
pub(super) async fn service_of(host: &Host, name: &CompanionName) -> PortResult<ServiceState> {
    let mut found = host.services.observe(&BTreeSet::from([name.clone()])).await;
    found.remove(name).unwrap_or_else(no_entry)
}

/// Limits a port call to `limit`, so that a reconcile always ends.
pub(super) async fn bounded<T>(
    limit: Duration,
    call: impl Future<Output = PortResult<T>>,
) -> PortResult<T> {
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| {
        let message = format!("no answer within {} s", limit.as_secs());
        Err(PortError::new(PortErrorKind::Transient, message))
    })
}

fn observation<T>(result: PortResult<T>) -> Observation<T> {
    match result {
        Ok(value) => Observation::Known(value),
        Err(error) => Observation::Unknown(error.chain()),
    }
}

/// The result for a name that the adapter's answer does not contain, which violates the contract.
fn no_entry<T>() -> PortResult<T> {
    Err(PortError::new(PortErrorKind::Unavailable, "the adapter returned no entry"))
}

fn no_answer<T>() -> Observation<T> {
    observation(no_entry())
}

/// Calls one port once for all `names`, unless there are none; the result has an entry for each.
async fn asked<T>(
    names: impl Iterator<Item = &CompanionName>,
    limit: Duration,
    call: impl Future<Output = BTreeMap<CompanionName, PortResult<T>>>,
) -> ByName<T> {
    let mut names = names.peekable();
    if names.peek().is_none() {
        return ByName::new();
    }
    let mut found = bounded(limit, async { Ok(call.await) }).await;
    let mut of_name = |name: &CompanionName| match &mut found {
        Ok(found) => found.remove(name).unwrap_or_else(no_entry),
        Err(error) => Err(error.clone()),
    };
    names.map(|name| (name.clone(), observation(of_name(name)))).collect()
}

async fn hooks(host: &Host, desired: &DesiredState, limit: Duration) -> ByName<HookState> {
    let hooks = desired.targets.iter().filter_map(|(name, target)| Some((name, target.hook()?)));
    let mut reads = tokio::task::JoinSet::new();
    let mut found = ByName::new();
    for (name, hook) in hooks {
        let (name, hook, host): (CompanionName, HookSpec, Host) =
            (name.clone(), hook.clone(), host.clone());
        found.insert(name.clone(), no_answer());
        reads.spawn(async move {
            let state = bounded(limit, host.hooks.observe(&hook)).await;
            (name, observation(state))
        });
    }
    while let Some(read) = reads.join_next().await {
        // A read that panicked has no entry.
        if let Ok((name, state)) = read {
            found.insert(name, state);
        }
    }
    found
}

async fn images(host: &Host, desired: &DesiredState, limit: Duration) -> ByName<ImageState> {
    let sources: BTreeMap<CompanionName, ImageSource> = desired
        .present()
        .map(|(name, companion)| (name.clone(), companion.spec().image.clone()))
        .collect();
    asked(sources.keys(), limit, host.images.observe(&sources)).await
}

/// The expected unit of each name, as far as its image and configuration are known.
fn wanted_units(
    names: &BTreeSet<CompanionName>,
    desired: &DesiredState,
    hooks: &ByName<HookState>,
    images: &ByName<ImageState>,
) -> BTreeMap<CompanionName, Option<UnitSpec>> {
    let unit = |name: &CompanionName| {
        let companion = desired.companion(name)?;
        let image = images.get(name)?.known()?.present.as_ref()?;
        let config = match hooks.get(name) {
            None => None,
            Some(state) => Some(state.known()?.usable(&[]).ok()?),
        };
        Some(companion.unit(&image.id, companion.revision(image, config)))
    };
    names.iter().map(|name| (name.clone(), unit(name))).collect()
}

/// The companions that are started or cleaned up now, or restarted by the service manager soon: only these need a
/// container read. A reconcile that finds everything in the desired state, or only waits, therefore starts no
/// process.
fn names_to_ask_containers_of(
    desired: &DesiredState,
    history: &History,
    services: &ByName<ServiceState>,
) -> BTreeSet<CompanionName> {
    let down = |name: &CompanionName| {
        let service = services.get(name).and_then(Observation::known);
        service.is_some_and(|service| service.is_down() || service.run == RunState::BetweenRestarts)
    };
    let removed = |name: &CompanionName| {
        history.removed.get(name).is_some_and(|removed| Some(*removed) == desired.generation(name))
    };
    let is_asked = |(name, target): &(&CompanionName, &Target)| {
        down(name) && (matches!(target, Target::Present(_)) || !removed(name))
    };
    let targets = desired.targets.iter().filter(is_asked);
    targets.map(|(name, _)| name.clone()).collect()
}

/// The companions whose last run or start failed: only their logs are read.
fn failed_services(
    desired: &DesiredState,
    history: &History,
    services: &ByName<ServiceState>,
) -> BTreeMap<CompanionName, ServiceState> {
    let held_back = |name: &CompanionName| {
        let failures = history.failures.get(name);
        failures.is_some_and(|failures| failures.contains_key(&Work::Service))
    };
    let failed = desired.present().filter_map(|(name, _)| {
        let service = services.get(name)?.known()?;
        let failed = service.has_failed() || (service.is_down() && held_back(name));
        failed.then(|| (name.clone(), service.clone()))
    });
    failed.collect()
}
