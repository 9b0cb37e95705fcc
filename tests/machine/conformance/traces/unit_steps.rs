//! Steps on units, services and containers of two companions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use adapter_fake::world::images::image_id;
use companion_conformance::service_manager::ServiceWorld;
use companion_conformance::unit_store::{UnitStoreWorld, without_rendering};
use companion_core::model::companion::CompanionName;
use companion_core::model::image::{ImageId, ImageRef};
use companion_core::model::revision::Fingerprint;
use companion_core::model::service::{LoadedUnit, RunState, ServiceState, Verb as Request};
use companion_core::model::unit::{ContainerState, UnitFileState, UnitSpec};
use companion_core::ports::{ContainerRuntime, Job, PortResult};

use crate::containers::real_containers;
use crate::fake::Fake;
use crate::guest::{BASE, InOrder, RUNS, base_image, name, unit};
use crate::random::Random;
use crate::services::Services;
use crate::units::Units;

/// The possible steps on one of the companions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Write(u32),
    Remove,
    Reload,
    Service(Request),
    ResetFailed,
    RemoveContainer,
    Edit,
    Delete,
    Truncate,
    Expose,
    Garble,
    Refused,
    Kill,
    Pause,
    Unpause,
    Mask,
    Unmask,
}

/// The steps, weighted by repetition.
const VERBS: &[Verb] = &[
    Verb::Write(0),
    Verb::Write(0),
    Verb::Write(1),
    Verb::Write(2),
    Verb::Remove,
    Verb::Reload,
    Verb::Reload,
    Verb::Reload,
    Verb::Service(Request::Start),
    Verb::Service(Request::Start),
    Verb::Service(Request::Start),
    Verb::Service(Request::Stop),
    Verb::Service(Request::Restart),
    Verb::ResetFailed,
    Verb::RemoveContainer,
    Verb::Edit,
    Verb::Delete,
    Verb::Truncate,
    Verb::Expose,
    Verb::Garble,
    Verb::Refused,
    Verb::Kill,
    Verb::Kill,
    Verb::Pause,
    Verb::Unpause,
    Verb::Mask,
    Verb::Unmask,
];

/// A step on a companion.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    verb: Verb,
    number: u8,
}

impl Step {
    pub(super) fn random(random: &mut Random) -> Self {
        Self { verb: *random.one_of(VERBS), number: *random.one_of(&[0, 0, 1]) }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.verb, self.number)
    }
}

/// A host, through its worlds.
pub(super) struct Host {
    units: Box<dyn UnitStoreWorld>,
    services: Box<dyn ServiceWorld>,
    containers: Arc<dyn ContainerRuntime>,
    /// The image of its units: the same name, with another id on each host.
    image: ImageId,
    #[expect(dead_code, reason = "held for what its drop does, never read")]
    in_order: Option<InOrder>,
}

impl Host {
    pub(super) fn fake() -> Self {
        let fake = Fake::new();
        fake.host.put_image(&ImageRef::new(BASE).unwrap(), "base");
        let same = fake.clone();
        let containers = Arc::new(fake.host.clone());
        let (units, services) = (Box::new(fake), Box::new(same));
        let image = image_id(Fingerprint::of(b"base"));
        Self { units, services, containers, image, in_order: None }
    }

    pub(super) fn real() -> Self {
        let (units, services) = (Box::new(Units::here()), Box::new(Services::here()));
        let (containers, in_order) = (real_containers(), Some(InOrder::put()));
        Self { units, services, containers, image: base_image(), in_order }
    }

    /// The unit of a companion without a start limit, so that the speed of this host does not matter.
    fn wanted(&self, number: u8) -> UnitSpec {
        let mut unit = UnitSpec { image: self.image.clone(), ..unit(number, RUNS) };
        unit.container.restart_delay = Some(2);
        unit
    }
}

/// Runs `steps` and returns the visible state after each.
pub(super) async fn play(host: Host, steps: &[Step]) -> Vec<String> {
    let mut runs = BTreeMap::new();
    let mut shown = Vec::new();
    let mut containers = containers_of(&host).await;
    for step in steps {
        let name = name(step.number);
        let before = run_of(&host, &name).await;
        let outcome = take(&host, *step, containers[&name].as_deref()).await;
        let ends = matches!(step.verb, Verb::Kill | Verb::RemoveContainer);
        if ends && containers[&name].is_some() && outcome != "none" {
            await_end_of(&host, &name, before).await;
        }
        let states = settled(&host).await;
        containers = containers_of(&host).await;
        shown.push(outcome + &show(&host, &states, &containers, &mut runs).await);
    }
    shown
}

/// The current run.
async fn run_of(host: &Host, name: &CompanionName) -> Option<String> {
    let names = BTreeSet::from([name.clone()]);
    let mut states = host.services.services().observe(&names).await;
    let state = states.remove(name).unwrap().unwrap();
    state.run_id.filter(|_| state.run == RunState::Up)
}

/// Waits until the service manager has noticed the end of the process of `run`.
async fn await_end_of(host: &Host, name: &CompanionName, run: Option<String>) {
    for _ in 0..200 {
        if run.is_none() || run_of(host, name).await != run {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Performs `step` if it is possible: only a running container can be killed.
async fn take(host: &Host, step: Step, container: Option<&str>) -> String {
    let Step { verb, number } = step;
    let name = &name(number);
    let (store, services) = (host.units.store(), host.services.services());
    let file = file_of(host, number).await;
    let there = file != UnitFileState::Absent;
    match verb {
        Verb::Write(restart_epoch) => {
            let mut unit = host.wanted(number);
            unit.revision = unit.revision.with_restart_epoch(restart_epoch);
            return outcome_of(store.write(&unit).await);
        }
        Verb::Remove => return outcome_of(store.remove(name).await),
        Verb::Reload => return outcome_of(services.reload().await),
        Verb::Service(request) => return ended(host, services.begin(name, request).await).await,
        Verb::ResetFailed => return outcome_of(services.reset_failed(name).await),
        Verb::RemoveContainer => return outcome_of(host.containers.remove(name).await),
        Verb::Edit if is_whole(&file) => host.units.edit(name).await,
        Verb::Expose if is_whole(&file) => host.units.expose(name).await,
        Verb::Delete if there => host.services.delete(name).await,
        Verb::Truncate if there => host.units.truncate(name).await,
        Verb::Garble => host.units.put_garbage(name).await,
        Verb::Refused => host.services.write_refused(name).await,
        Verb::Kill if container == Some("running") => host.services.kill(name).await,
        Verb::Pause if container == Some("running") => host.services.freeze(name).await,
        Verb::Unpause if container == Some("paused") => host.services.thaw(name).await,
        Verb::Mask => host.services.hold(name).await.unwrap(),
        Verb::Unmask => host.services.release(name).await.unwrap(),
        Verb::Edit | Verb::Expose | Verb::Delete | Verb::Truncate => return "none".to_owned(),
        Verb::Kill | Verb::Pause | Verb::Unpause => return "none".to_owned(),
    }
    "happened".to_owned()
}

fn is_whole(file: &UnitFileState) -> bool {
    matches!(
        file,
        UnitFileState::Current { .. }
            | UnitFileState::WrongMode { .. }
            | UnitFileState::Outdated { .. }
            | UnitFileState::Drifted { revision: Some(_) }
    )
}

fn outcome_of<T>(result: PortResult<T>) -> String {
    match result {
        Ok(_) => "done".to_owned(),
        Err(error) => error.kind().to_string(),
    }
}

async fn ended(host: &Host, job: PortResult<Job>) -> String {
    match job {
        Ok(job) => match host.services.services().wait(job).await {
            Ok(()) => "job done".to_owned(),
            Err(error) => format!("job {}", error.kind()),
        },
        Err(error) => error.kind().to_string(),
    }
}

async fn file_of(host: &Host, number: u8) -> UnitFileState {
    let names = BTreeMap::from([(name(number), Some(host.wanted(number)))]);
    let mut files = host.units.store().observe(&names).await;
    files.remove(&name(number)).unwrap().unwrap().state
}

/// The state of each container, as Podman reports it.
async fn containers_of(host: &Host) -> BTreeMap<CompanionName, Option<String>> {
    let states = host.containers.observe(&[name(0), name(1)].into()).await;
    let word = |state| match state {
        ContainerState::Ours { status } => Some(status),
        ContainerState::Absent => None,
        ContainerState::Unmanaged { .. } => Some("unmanaged".to_owned()),
    };
    states.into_iter().map(|(name, state)| (name, word(state.unwrap()))).collect()
}

/// The states of both services after all transient states.
async fn settled(host: &Host) -> BTreeMap<CompanionName, ServiceState> {
    let names = BTreeSet::from([name(0), name(1)]);
    for _ in 0..300 {
        let states = host.services.services().observe(&names).await.into_iter();
        let states: BTreeMap<_, _> = states.map(|(name, state)| (name, state.unwrap())).collect();
        let passes = |state: &ServiceState| {
            let passes = [RunState::Starting, RunState::BetweenRestarts, RunState::Stopping];
            state.busy || passes.contains(&state.run)
        };
        if !states.values().any(passes) {
            for (name, _) in states.iter().filter(|(_, state)| state.is_up()) {
                host.services.ready(name).await;
            }
            return states;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it does not settle: {:?}", host.services.services().observe(&names).await);
}

/// The visible state without host-specific values: times, paths and ids.
async fn show(
    host: &Host,
    states: &BTreeMap<CompanionName, ServiceState>,
    containers: &BTreeMap<CompanionName, Option<String>>,
    runs: &mut BTreeMap<String, usize>,
) -> String {
    let mut text = format!("\nlist {:?}", host.units.store().list().await.unwrap());
    for number in [0, 1] {
        let name = name(number);
        let state = &states[&name];
        let unit = match &state.unit {
            LoadedUnit::Absent => "absent".to_owned(),
            LoadedUnit::FromStore { revision } => {
                format!("of epoch {:?}", revision.map(|revision| revision.restart_epoch))
            }
            LoadedUnit::Elsewhere { .. } => "from elsewhere".to_owned(),
            LoadedUnit::Held { .. } => "held".to_owned(),
            LoadedUnit::Unusable { .. } => "unusable".to_owned(),
        };
        // A run is identified by its index.
        let run = state.run_id.as_ref().filter(|_| state.is_up()).map(|run| {
            let next = runs.len();
            *runs.entry(run.clone()).or_insert(next)
        });
        let file = match file_of(host, number).await {
            UnitFileState::Unmanaged { .. } => "unmanaged".to_owned(),
            other => format!("{:?}", without_rendering(other)),
        };
        text.push_str(&format!(
            "\n{name}: file {file}; container {:?}; unit {unit} {:?} {} end {:?} restarts {} running {:?} \
             run {run:?} frozen {} since {}",
            containers[&name],
            state.run,
            state.message,
            state.last_end,
            state.restarts,
            state.running.map(|revision| revision.restart_epoch),
            state.frozen,
            // systemd invents a time for a service that never ran, at the second reload that finds it.
            state.is_up() && state.since.is_some(),
        ));
    }
    text
}
