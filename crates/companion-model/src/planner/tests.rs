//! What each finding leads to, one finding a test; every plan goes through the checker.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::*;
use crate::check::check;
use crate::model::companion::CompanionSpec;
use crate::model::container::{AbsolutePath, ContainerSpec};
use crate::model::desired::RemovedCompanion;
use crate::model::error::Problem;
use crate::model::hook::{
    ConfigFile, ConfigId, HookName, HookProgram, HookSpec, HookState, Link, Rendering,
};
use crate::model::host::HostTraits;
use crate::model::image::{
    BuildSource, ImageId, ImageRef, ImageSource, ImageState, PresentImage, Provenance,
};
use crate::model::observed::{Attempt, History, KnownRun};
use crate::model::revision::Revision;
use crate::model::service::{End, LoadedUnit, RunState, ServiceState};
use crate::model::unit::{ContainerState, UnitFile, UnitFileState, UnitSpec};
use crate::plan::{Condition, Need};

mod checker;
mod inputs;
mod properties;
mod removal;
mod rendering;
mod repair;
mod stages;
mod status;
mod unmanaged;

const NOW: Monotonic = Monotonic::from_origin(Duration::from_secs(1000));
const LOCATION: &str = "/units/web.container";

fn name() -> CompanionName {
    CompanionName::new("web").unwrap()
}

fn hook() -> HookSpec {
    HookSpec {
        program: HookProgram::Registered(HookName::new("conf").unwrap()),
        output: AbsolutePath::new("/conf/nginx.conf").unwrap(),
    }
}

fn spec() -> CompanionSpec {
    let build = BuildSource {
        reference: ImageRef::new("localhost/web:latest").unwrap(),
        contexts: vec![AbsolutePath::new("/contexts/web").unwrap()],
        arguments: BTreeMap::new(),
    };
    CompanionSpec {
        name: name(),
        description: "a page".to_owned(),
        image: ImageSource { build: Some(build), pull: None },
        container: ContainerSpec::default(),
        hook: Some(hook()),
    }
}

fn image() -> PresentImage {
    PresentImage {
        reference: ImageRef::new("localhost/web:latest").unwrap(),
        id: ImageId::new(&"1".repeat(64)).unwrap(),
        provenance: Provenance::Built { context: Fingerprint::of(b"context") },
    }
}

fn config() -> ConfigId {
    ConfigId { digest: Fingerprint::of(b"config"), epoch: 0 }
}

/// A hook that would render [`config`], whose file is as `file`.
fn rendered(file: ConfigFile) -> HookState {
    HookState {
        rendering: Rendering::Known(config().digest),
        files: [(config(), file)].into(),
        link: Link::To(config()),
    }
}

/// A hook that has to run to show what `input` gives, and that rendered [`config`] before.
fn outdated(input: &[u8]) -> HookState {
    let input = Fingerprint::of(input);
    HookState { rendering: Rendering::Outdated { input }, ..rendered(ConfigFile::Intact) }
}

/// A hook that never rendered.
fn unrendered() -> HookState {
    let rendering = Rendering::Known(config().digest);
    HookState { rendering, files: BTreeMap::new(), link: Link::Absent }
}

/// The words that the host's renderer has for the companion.
fn rendering() -> Option<Fingerprint> {
    Some(Fingerprint::of(b"rendering"))
}

fn file_of(state: UnitFileState) -> UnitFile {
    let location = LOCATION.to_owned();
    UnitFile { state, location, rendering: rendering(), drop_ins: Vec::new() }
}

fn known_run(up_since: Option<Monotonic>, verified: Option<Revision>) -> KnownRun {
    KnownRun { run_id: "first run".to_owned(), up_since, verified }
}

/// A companion and its host, converged unless a test changes it.
#[derive(Debug)]
struct Setup {
    desired: DesiredState,
    seen: ObservedCompanion,
    history: History,
    traits: HostTraits,
    now: Monotonic,
    revision: Revision,
}

impl Setup {
    fn converged() -> Self {
        let companion = DesiredCompanion::new(spec(), Generation(1));
        let revision = companion.revision(&image(), Some(config())).with_rendering(rendering());
        let service = ServiceState {
            unit: LoadedUnit::FromStore { revision: Some(revision) },
            run: RunState::Up,
            running: Some(revision),
            run_id: Some("first run".to_owned()),
            up_for: Duration::from_secs(3600),
            message: "active (running)".to_owned(),
            ..ServiceState::absent()
        };
        let image = ImageState {
            context: Some(Fingerprint::of(b"context")),
            present: Some(image()),
            damaged: false,
            dangling: Vec::new(),
        };
        let file = file_of(UnitFileState::Current { revision });
        Self {
            desired: DesiredState {
                latest: Generation(1),
                targets: [(name(), Target::Present(companion))].into(),
            },
            seen: ObservedCompanion {
                hook: Some(Observation::Known(rendered(ConfigFile::Intact))),
                image: Some(Observation::Known(image)),
                unit: Observation::Known(file),
                service: Observation::Known(service),
                container: None,
                log: None,
            },
            history: History {
                runs: [(name(), known_run(None, Some(revision)))].into(),
                ..History::default()
            },
            traits: HostTraits::ALL,
            now: NOW,
            revision,
        }
    }

    fn removed() -> Self {
        let mut setup = Self::converged();
        let removed = RemovedCompanion { generation: Generation(2), hook: Some(hook()) };
        setup.desired.targets.insert(name(), Target::Removed(removed));
        setup.seen.image = None;
        setup
    }

    fn service(&mut self) -> &mut ServiceState {
        match &mut self.seen.service {
            Observation::Known(service) => service,
            Observation::Unknown(_) => panic!("the setup's service is unknown"),
        }
    }

    /// The loaded unit has this revision.
    fn loaded(&mut self, revision: Option<Revision>) {
        self.service().unit = LoadedUnit::FromStore { revision };
    }

    /// The loaded unit comes from `place`.
    fn loaded_from(&mut self, place: &str) {
        self.service().unit = LoadedUnit::Elsewhere { place: place.to_owned() };
    }

    /// The operator holds the unit back.
    fn held(&mut self) {
        let message = "unit is masked".to_owned();
        self.service().unit = LoadedUnit::Held { message };
    }

    /// The service has no process.
    fn down(&mut self, run: RunState) {
        let service = self.service();
        service.run = run;
        service.running = None;
        service.up_for = Duration::ZERO;
        self.seen.container = Some(Observation::Known(ContainerState::Absent));
    }

    /// A container of another unit has the name.
    fn unmanaged_container(&mut self) {
        let what = "a container of image a/b, started by `other.service`".to_owned();
        self.seen.container = Some(Observation::Known(ContainerState::Unmanaged { what }));
    }

    fn hook(&mut self, state: HookState) {
        self.seen.hook = Some(Observation::Known(state));
    }

    fn file(&mut self, state: UnitFileState) {
        self.seen.unit = Observation::Known(file_of(state));
    }

    fn image(&mut self) -> &mut ImageState {
        match &mut self.seen.image {
            Some(Observation::Known(image)) => image,
            Some(Observation::Unknown(_)) | None => panic!("the setup's image is unknown"),
        }
    }

    fn observed(&self) -> ObservedState {
        ObservedState {
            companions: [(name(), self.seen.clone())].into(),
            traits: self.traits,
            listing_error: None,
            history: self.history.clone(),
        }
    }

    fn plan(&self) -> Plan {
        let observed = self.observed();
        let plan = plan(&self.desired, &observed, self.now);
        assert_eq!(check(&plan, &self.desired, &observed), []);
        plan
    }

    /// Returns after which time the next attempt is due.
    fn retries_in(&self) -> Option<Duration> {
        let retry_at = self.plan().blocked.iter().filter_map(|blocked| blocked.retry_at).min();
        retry_at.map(|at| self.now.until(at))
    }

    /// Returns the unit that the plan writes first.
    fn written(&self) -> UnitSpec {
        let plan = self.plan();
        let Action::WriteUnit(unit) = &plan.steps[0].action else { panic!("{plan:?}") };
        (**unit).clone()
    }

    /// Asserts the plan in words.
    #[track_caller]
    fn expect(&self, steps: &[&str], blocked: &[&str]) {
        let plan = self.plan();
        let seen: Vec<_> = plan.steps.iter().map(ToString::to_string).collect();
        assert_eq!(seen, steps, "steps");
        let seen: Vec<_> = plan.blocked.iter().map(|b| b.waiting_on.to_string()).collect();
        assert_eq!(seen, blocked, "blocked");
    }

    /// Asserts steps that all have one reason.
    #[track_caller]
    fn expect_for(&self, reason: &str, steps: &[&str]) {
        let steps: Vec<_> = steps.iter().map(|step| format!("{step}: {reason}")).collect();
        self.expect(&steps.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    }

    /// Has an intent for `spec` recorded.
    fn intend(&mut self, spec: CompanionSpec) {
        let companion = DesiredCompanion::new(spec, Generation(9));
        self.desired.targets.insert(name(), Target::Present(companion));
    }

    /// Has the planned step of `work` go on as work under way.
    fn begin(&mut self, work: Work) {
        let plan = self.plan();
        let step = plan.serving(&name()).find(|step| step.work == work).unwrap();
        let attempt = Attempt { generation: step.generation, input: step.serves[0].1 };
        self.history.running.entry(name()).or_default().insert(work, attempt);
    }

    /// Lets the only step of `work` in the present plan have failed just now.
    fn fail(&mut self, work: Work, kind: PortErrorKind, error: &str) {
        let plan = self.plan();
        let step = plan.steps.iter().find(|step| step.work == work).unwrap();
        let input = step.serves[0].1;
        let failures = self.history.failures.entry(name()).or_default();
        let before = failures.get(&work).filter(|failure| failure.input == input);
        let count = before.map_or(1, |failure| failure.count + 1);
        let retry_at = self.now.after(backoff::delay(count, 0));
        let failure = Failure { input, count, retry_at, problem: Problem::new(kind, error) };
        failures.insert(work, failure);
    }
}

#[test]
fn converged_reconcile_has_no_steps() {
    let setup = Setup::converged();
    assert!(setup.plan().is_converged());
    assert_eq!(setup.retries_in(), None);
}

#[test]
fn orphaned_units_are_reported_and_kept() {
    let mut setup = Setup::converged();
    setup.desired.targets.clear();
    setup.expect(&[], &["managed unit that is not in the desired state; adopt: `companion install APP`, delete: `companion remove APP`"]);
}

#[test]
fn unobserved_companions_are_not_changed() {
    let setup = Setup::converged();
    let plan = plan(&setup.desired, &ObservedState::default(), NOW);
    assert!(plan.steps.is_empty());
    assert_eq!(plan.blocked.len(), 1);
}

#[test]
fn one_companions_trouble_changes_nothing_for_another() {
    let mut broken = Setup::converged();
    broken.down(RunState::Down);
    broken.seen.hook = Some(Observation::Unknown("disk on fire".to_owned()));
    let other = CompanionName::new("other").unwrap();
    let mut spec = spec();
    spec.name = other.clone();
    let mut alone = Setup::converged();
    alone.down(RunState::Down);
    let wanted = alone.plan();
    let companion = DesiredCompanion::new(spec, Generation(1));
    broken.desired.targets.insert(other.clone(), Target::Present(companion));
    let mut observed = broken.observed();
    observed.companions.insert(other.clone(), alone.seen.clone());
    let plan = plan(&broken.desired, &observed, NOW);
    let verbs = |plan: &Plan, name: &CompanionName| {
        plan.serving(name).map(|step| step.action.verb()).collect::<Vec<_>>()
    };
    assert_eq!(verbs(&plan, &other), verbs(&wanted, &name()));
    assert_eq!(verbs(&plan, &name()), Vec::<&str>::new());
}
