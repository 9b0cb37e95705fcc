//! A whole host in dictionaries: every port on a few `BTreeMap`s, and a companion that is reconciled on it to ready.
//!
//! Start here to bring companions to another host: replace the dictionaries by calls of yours, one port after the
//! other, and let `companion-conformance` check each. The contract of a port is its documentation in
//! `companion_core::ports`; this host keeps the parts of it that a reconciler cannot do without.
//!
//! `cargo run -p companion-core --example dictionary_host`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use companion_core::model::companion::{CompanionName, CompanionSpec};
use companion_core::model::container::ContainerSpec;
use companion_core::model::desired::*;
use companion_core::model::hook::{ConfigId, HookSpec, HookState, Rendered};
use companion_core::model::host::HostTraits;
use companion_core::model::image::*;
use companion_core::model::revision::Revision;
use companion_core::model::service::*;
use companion_core::model::unit::*;
use companion_core::ports::*;
use companion_core::reconciler::Reconciler;
use companion_core::status::{Health, status};
use tokio::time::Instant;

/// All that there is on the host.
#[derive(Default)]
struct Contents {
    /// What the companions are to be: the reconciler only reads it.
    desired: DesiredState,
    /// The units: a written one takes effect immediately.
    stored: BTreeMap<CompanionName, UnitSpec>,
    /// The processes: the revision that each was started with, and since when it runs.
    runs: BTreeMap<CompanionName, (Revision, Instant)>,
    images: BTreeMap<ImageRef, PresentImage>,
}

/// The host. Clones are the same host.
#[derive(Clone, Default)]
struct DictionaryHost(Arc<Mutex<Contents>>);

impl DictionaryHost {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer of a read: an entry for every name.
type Answer<T> = BTreeMap<CompanionName, PortResult<T>>;

fn location(name: &CompanionName) -> String {
    format!("dictionary:{name}")
}

#[async_trait]
impl UnitStore for DictionaryHost {
    async fn observe(&self, names: &BTreeMap<CompanionName, Option<UnitSpec>>) -> Answer<UnitFile> {
        let contents = self.contents();
        let read = |(name, wanted): (&CompanionName, &Option<UnitSpec>)| {
            // A unit that was restored differs from the one asked about in its restart epoch alone.
            let is_wanted = |stored: &UnitSpec| {
                wanted.as_ref().is_some_and(|wanted| {
                    let revision =
                        wanted.revision.with_restart_epoch(stored.revision.restart_epoch);
                    UnitSpec { revision, ..wanted.clone() } == *stored
                })
            };
            let state = match contents.stored.get(name) {
                None => UnitFileState::Absent,
                Some(stored) if is_wanted(stored) => {
                    UnitFileState::Current { revision: stored.revision }
                }
                Some(stored) => UnitFileState::Outdated { revision: stored.revision },
            };
            let location = location(name);
            (name.clone(), Ok(UnitFile { state, location, rendering: None, drop_ins: vec![] }))
        };
        names.iter().map(read).collect()
    }

    async fn list(&self) -> PortResult<BTreeSet<CompanionName>> {
        Ok(self.contents().stored.keys().cloned().collect())
    }

    async fn write(&self, unit: &UnitSpec) -> PortResult<()> {
        self.contents().stored.insert(unit.name.clone(), unit.clone());
        Ok(())
    }

    async fn remove(&self, name: &CompanionName) -> PortResult<()> {
        self.contents().stored.remove(name);
        Ok(())
    }
}

#[async_trait]
impl ServiceManager for DictionaryHost {
    async fn observe(&self, names: &BTreeSet<CompanionName>) -> Answer<ServiceState> {
        let contents = self.contents();
        let read = |name: &CompanionName| {
            let mut state = ServiceState::absent();
            if let Some(unit) = contents.stored.get(name) {
                state.unit = LoadedUnit::FromStore { revision: Some(unit.revision) };
            }
            if let Some((revision, since)) = contents.runs.get(name) {
                state.run = RunState::Up;
                state.running = Some(*revision);
                state.run_id = Some(format!("{since:?}"));
                state.up_for = since.elapsed();
            }
            (name.clone(), Ok(state))
        };
        names.iter().map(read).collect()
    }

    async fn begin(&self, name: &CompanionName, verb: Verb) -> PortResult<Job> {
        let contents = &mut *self.contents();
        if verb != Verb::Start {
            contents.runs.remove(name);
        }
        if verb != Verb::Stop {
            let message = format!("no unit of `{name}`");
            let not_loaded = || PortError::new(PortErrorKind::NotFound, message);
            let unit = contents.stored.get(name).ok_or_else(not_loaded)?;
            contents.runs.entry(name.clone()).or_insert((unit.revision, Instant::now()));
        }
        Ok(Job { id: verb.to_string(), companion: name.clone() })
    }

    async fn wait(&self, _job: Job) -> PortResult<()> {
        Ok(())
    }
}

#[async_trait]
impl ImageProvider for DictionaryHost {
    async fn observe(&self, sources: &BTreeMap<CompanionName, ImageSource>) -> Answer<ImageState> {
        let contents = self.contents();
        let read = |(name, source): (&CompanionName, &ImageSource)| {
            let pull = source.pull.as_ref();
            let present = pull.and_then(|pull| contents.images.get(&pull.reference).cloned());
            (
                name.clone(),
                Ok(ImageState { context: None, present, damaged: false, dangling: vec![] }),
            )
        };
        sources.iter().map(read).collect()
    }

    async fn ensure(&self, source: &ImageSource) -> PortResult<PresentImage> {
        let builds_none = || PortError::new(PortErrorKind::Invalid, "this host builds no images");
        let reference = source.pull.as_ref().ok_or_else(builds_none)?.reference.clone();
        let id = ImageId::new(&"0".repeat(64)).map_err(|error| {
            PortError::new(PortErrorKind::Invalid, "image id").with_source(error)
        })?;
        let image = PresentImage { reference, id, provenance: Provenance::External };
        self.contents().images.insert(image.reference.clone(), image.clone());
        Ok(image)
    }

    async fn prune(&self, _dangling: &[ImageId]) -> PortResult<()> {
        Ok(())
    }
}

fn no_hooks() -> PortError {
    PortError::new(PortErrorKind::Invalid, "this host renders no configuration")
}

#[async_trait]
impl HookRunner for DictionaryHost {
    async fn observe(&self, _hook: &HookSpec) -> PortResult<HookState> {
        Err(no_hooks())
    }

    async fn render(&self, _hook: &HookSpec) -> PortResult<Rendered> {
        Err(no_hooks())
    }

    async fn commit(
        &self,
        _hook: &HookSpec,
        _rendered: Rendered,
        _claimed: &[ConfigId],
    ) -> PortResult<ConfigId> {
        Err(no_hooks())
    }

    async fn sweep(&self, _hook: &HookSpec, _keep: ConfigId) -> PortResult<()> {
        Err(no_hooks())
    }

    async fn remove(&self, _hook: &HookSpec) -> PortResult<()> {
        Ok(())
    }
}

#[async_trait]
impl ContainerRuntime for DictionaryHost {
    async fn observe(&self, names: &BTreeSet<CompanionName>) -> Answer<ContainerState> {
        // A process of this host is its own container, and ends with it.
        names.iter().map(|name| (name.clone(), Ok(ContainerState::Absent))).collect()
    }

    async fn remove(&self, _name: &CompanionName) -> PortResult<()> {
        Ok(())
    }
}

#[async_trait]
impl DesiredStore for DictionaryHost {
    async fn load(&self) -> PortResult<DesiredState> {
        Ok(self.contents().desired.clone())
    }
}

#[async_trait]
impl Leadership for DictionaryHost {
    async fn acquire(&self) -> PortResult<Acquired> {
        // No other process knows these dictionaries. A host that several can reach takes a lock here.
        Ok(Acquired::Leading(Box::new(())))
    }
}

// The clock is paused: it moves on as soon as every task waits, so the 3 s for which a companion must stay up pass
// immediately.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn Error>> {
    let host = Arc::new(DictionaryHost::default());
    let reconciler = Reconciler::new(Host {
        units: host.clone(),
        services: host.clone(),
        images: host.clone(),
        hooks: host.clone(),
        containers: host.clone(),
        desired: host.clone(),
        leadership: host.clone(),
        traits: HostTraits::NONE,
    });

    let name: CompanionName = "web".parse()?;
    let reference = ImageRef::new("registry.example/team/web:1")?;
    let spec = CompanionSpec {
        name: name.clone(),
        description: "a page".to_owned(),
        image: ImageSource { build: None, pull: Some(PullSource { reference, verify_tls: true }) },
        container: ContainerSpec::default(),
        hook: None,
    };
    let companion = DesiredCompanion::new(spec, Generation(1));
    host.contents().desired.targets.insert(name.clone(), Target::Present(companion));
    assert_eq!(reconcile(&reconciler, "installed").await?, Some(Health::Ready));

    tokio::time::sleep(Duration::from_secs(30)).await;
    host.contents().stored.clear();
    assert_eq!(reconcile(&reconciler, "unit deleted").await?, Some(Health::Ready));

    tokio::time::sleep(Duration::from_secs(30)).await;
    host.contents().runs.clear();
    assert_eq!(reconcile(&reconciler, "process killed").await?, Some(Health::Ready));

    let removed = RemovedCompanion { generation: Generation(2), hook: None };
    host.contents().desired.targets.insert(name, Target::Removed(removed));
    assert_eq!(reconcile(&reconciler, "removed").await?, None);
    Ok(())
}

/// Reconciles until nothing is left to do, and prints the steps and what became of the companion.
async fn reconcile(reconciler: &Reconciler, event: &str) -> Result<Option<Health>, Box<dyn Error>> {
    let converged = reconciler.converge().await?;
    let steps: Vec<_> = converged.steps.iter().map(|(step, _outcome)| step.to_string()).collect();
    let health = status(&converged.last).first().map(|companion| companion.health);
    let result = health.map_or("removed".to_owned(), |health| health.to_string());
    println!("{event}:\n  {}\n  => {result}", steps.join("\n  "));
    Ok(health)
}
