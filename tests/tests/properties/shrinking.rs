//! Tests of the properties: they detect reconcilers with a defective port, and the counterexample shrinks to a few
//! operations.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::unit::{UnitFile, UnitFileState, UnitSpec};
use companion_core::ports::{Acquired, Host, Leadership, PortResult, UnitStore};
use companion_core::reconciler::NoEvents;
use companion_tests::simulation::checks::Verdict;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::case::{ALL, Case, INTENTS_AND_LEADERS, case, run};
use crate::simulation::{Between, Simulation};
use crate::steps::{converge, perform_all};

/// A leadership that admits every process.
struct Unrefused(Arc<dyn Leadership>);

#[async_trait]
impl Leadership for Unrefused {
    async fn acquire(&self) -> PortResult<Acquired> {
        Ok(Acquired::Leading(match self.0.acquire().await? {
            Acquired::Leading(lease) => lease,
            Acquired::Led { .. } => Box::new(()),
        }))
    }
}

/// A unit store that treats no unit as unmanaged, and loses removals.
struct Careless {
    inner: Arc<dyn UnitStore>,
    sees_unmanaged: bool,
    removes: bool,
}

#[async_trait]
impl UnitStore for Careless {
    async fn observe(
        &self,
        names: &BTreeMap<CompanionName, Option<UnitSpec>>,
    ) -> BTreeMap<CompanionName, PortResult<UnitFile>> {
        let mut files = self.inner.observe(names).await;
        for file in files.values_mut().flatten() {
            if !self.sees_unmanaged && matches!(file.state, UnitFileState::Unmanaged { .. }) {
                file.state = UnitFileState::Absent;
            }
        }
        files
    }

    async fn list(&self) -> PortResult<BTreeSet<CompanionName>> {
        self.inner.list().await
    }

    async fn write(&self, unit: &UnitSpec) -> PortResult<()> {
        self.inner.write(unit).await
    }

    async fn remove(&self, name: &CompanionName) -> PortResult<()> {
        if self.removes { self.inner.remove(name).await } else { Ok(()) }
    }
}

fn careless(host: Host, sees_unmanaged: bool, removes: bool) -> Host {
    let inner = Arc::clone(&host.units);
    Host { units: Arc::new(Careless { inner, sees_unmanaged, removes }), ..host }
}

fn simulated(case: &Case, between: Between) -> Simulation {
    Simulation::with(case, between, Arc::new(NoEvents))
}

/// A simulation without a known leader.
fn without_leader(case: &Case) -> Simulation {
    let simulation = simulated(case, unrefused);
    simulation.on.host.require_leader(false);
    simulation
}

fn verdict_on(case: &Case, simulation: impl FnOnce() -> Simulation) -> Verdict {
    run(async {
        let mut simulation = simulation();
        perform_all(&mut simulation, case).await?;
        converge(&mut simulation, case.forgets).await
    })
}

/// The smallest failing case of operations of the kinds in `kinds`.
fn smallest(kinds: u32, verdict: impl Fn(&Case) -> Verdict) -> (String, Case) {
    let config = Config {
        cases: 500,
        max_shrink_iters: 10_000,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let outcome = runner.run(&case(kinds, 60), |case| verdict(&case).map_err(TestCaseError::fail));
    match outcome {
        Err(TestError::Fail(reason, case)) => (reason.message().to_owned(), case),
        other => panic!("the defect was not found: {other:?}"),
    }
}

#[track_caller]
fn is_found(between: Between, words: &str, most: usize) {
    let (reason, case) = smallest(ALL, |case| verdict_on(case, || simulated(case, between)));
    is_shown(&reason, words, &case, most);
}

/// Whether `case` is small, fails because of `words`, and passes without the defect.
#[track_caller]
fn is_shown(reason: &str, words: &str, case: &Case, most: usize) {
    assert!(reason.contains(words), "{reason}");
    let operations = &case.operations;
    assert!(operations.len() <= most, "{} operations: {operations:#?}", operations.len());
    assert_eq!(
        verdict_on(case, || simulated(case, |host| host)),
        Ok(()),
        "the case passes without the defect"
    );
}

fn unrefused(host: Host) -> Host {
    Host { leadership: Arc::new(Unrefused(host.leadership.clone())), ..host }
}

#[test]
fn leadership_without_exclusion_is_found_in_a_few_operations() {
    is_found(unrefused, "EffectWithoutLeader", 6);
}

/// Without a known leader, the units reveal two processes with other inputs.
#[test]
fn two_leaders_with_other_inputs_are_found_by_their_writes() {
    let simulation = |case: &Case| {
        let mut simulation = without_leader(case);
        simulation.ledger = Some(Arc::default());
        simulation
    };
    let verdict = |case: &Case| verdict_on(case, || simulation(case));
    let (reason, case) = smallest(INTENTS_AND_LEADERS, verdict);
    is_shown(&reason, "without an intent", &case, 3);
}

/// The same, detected by the converge after the last intent, which has nothing to do.
#[test]
fn two_leaders_with_other_inputs_are_found_by_a_host_never_idle() {
    let verdict = |case: &Case| verdict_on(case, || without_leader(case));
    let (reason, case) = smallest(INTENTS_AND_LEADERS, verdict);
    is_shown(&reason, "effects on a converged host", &case, 3);
}

#[test]
fn store_blind_to_unmanaged_units_is_found_in_a_few_operations() {
    is_found(|host| careless(host, false, true), "UnmanagedUnitTouched", 6);
}

#[test]
fn removal_without_effect_is_found_in_a_few_operations() {
    is_found(|host| careless(host, true, false), "LeftBehind", 6);
}
