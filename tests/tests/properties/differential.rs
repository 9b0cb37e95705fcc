//! The same intents with and without faults lead to the same final state, and the cost of faults is bounded.

use std::collections::{BTreeMap, BTreeSet};

use adapter_fake::world::desired::Intent;
use adapter_fake::world::units::UnitBytes;
use adapter_fake::{FakeHost, Method, Port};
use companion_core::model::revision::Revision;
use companion_tests::faults::Fault;
use companion_tests::simulation::checks::{Verdict, must};
use proptest::prelude::*;

use crate::case::{Case, SAME_INPUTS, case, config, run};
use crate::companions::{MOST, named, output};
use crate::operations::Operation;
use crate::simulation::Simulation;
use crate::steps::{converge, lasts, perform_all};

/// The final host: for every desired companion the unit, the loaded unit, the container and its configuration,
/// without the epochs; and the removed companions.
pub(crate) fn end(host: &FakeHost) -> Vec<String> {
    let world = host.world();
    let of = |at: usize| {
        let slot = world.slot(&named(at))?;
        if !matches!(slot.intent, Some(Intent::Exists { .. })) {
            return slot.intent.map(|_| format!("{} is removed", named(at)));
        }
        let file = match slot.file.now() {
            Some(UnitBytes::Ours(text)) => {
                let revision = first(text.revision);
                format!("{} {revision} {} {:?}", text.contents, text.image, text.damage)
            }
            other => format!("{other:?}"),
        };
        let run = slot.service.run.map(|run| {
            let revision = run.revision.map(first);
            (revision, run.contents, run.tampered, run.image, run.config)
        });
        let config = world.files.rendered(&output(at));
        Some(format!("{} {file} {run:?} {config:?}", named(at)))
    };
    (0..MOST).filter_map(of).collect()
}

fn first(revision: Revision) -> Revision {
    revision.with_restart_epoch(0).with_config_epoch(0)
}

/// An effect that is counted per companion.
struct Effect {
    what: &'static str,
    /// How many more of it each fault may cause.
    more: u32,
    calls: &'static [(Port, Method)],
}

const fn effect(what: &'static str, more: u32, calls: &'static [(Port, Method)]) -> Effect {
    Effect { what, more, calls }
}

/// The counted effects.
const EFFECTS: [Effect; 11] = [
    effect("writes of the unit", 1, &[(Port::Units, Method::Write)]),
    effect("removals of the unit", 1, &[(Port::Units, Method::Remove)]),
    effect("restarts", 1, &[(Port::Services, Method::Restart)]),
    effect(
        "starts and restarts",
        1,
        &[(Port::Services, Method::Start), (Port::Services, Method::Restart)],
    ),
    effect("stops", 1, &[(Port::Services, Method::Stop)]),
    effect("builds and pulls", 1, &[(Port::Images, Method::Ensure)]),
    effect("renderings", 1, &[(Port::Hooks, Method::Render)]),
    effect("writes of the configuration", 1, &[(Port::Hooks, Method::Commit)]),
    effect("sweeps of the configuration", 1, &[(Port::Hooks, Method::Sweep)]),
    effect("removals of the configuration", 1, &[(Port::Hooks, Method::Remove)]),
    effect("removals of the container", 1, &[(Port::Containers, Method::Remove)]),
];

/// The cost of a run.
struct Cost {
    reloads: u32,
    /// How often each of [`EFFECTS`] was started, by companion.
    effects: BTreeMap<(usize, usize), u32>,
    end: Vec<String>,
    recorded: Vec<bool>,
}

async fn cost_of(case: &Case) -> Result<Cost, String> {
    let mut simulation = Simulation::of(case);
    perform_all(&mut simulation, case).await?;
    converge(&mut simulation, case.forgets).await?;
    let names: Vec<_> = (0..MOST).map(named).collect();
    let mut effects: BTreeMap<(usize, usize), u32> = BTreeMap::new();
    for entry in simulation.on.host.journal().entries() {
        let call = &entry.call;
        let at = names.iter().position(|name| call.companion.as_ref() == Some(name));
        let Some(at) = at else { continue };
        for (kind, effect) in EFFECTS.iter().enumerate() {
            let counts = effect.calls.contains(&(call.port, call.method));
            *effects.entry((at, kind)).or_default() += u32::from(counts);
        }
    }
    let (reloads, recorded) = (simulation.on.host.counts().reloads, simulation.recorded.clone());
    Ok(Cost { reloads, effects, end: end(&simulation.on.host), recorded })
}

/// The same case without faults: its intents, changed inputs of hooks and builds, renderer versions, and converges.
fn without_faults(case: &Case, recorded: &[bool]) -> Case {
    let operations = case.operations.iter().zip(recorded);
    let kept = operations.filter_map(|(operation, recorded)| match operation {
        Operation::Install { at, version }
        | Operation::Together { at, version: Some(version), .. } => {
            recorded.then_some(Operation::Install { at: *at, version: *version })
        }
        Operation::Remove { at } | Operation::Together { at, version: None, .. } => {
            recorded.then_some(Operation::Remove { at: *at })
        }
        Operation::Intent { .. } if !recorded => None,
        Operation::CommandDies { at, version: Some(version), .. } => {
            recorded.then_some(Operation::Install { at: *at, version: *version })
        }
        Operation::CommandDies { at, version: None, .. } => {
            recorded.then_some(Operation::Remove { at: *at })
        }
        Operation::Crash { .. } | Operation::PowerLoss { .. } | Operation::HandOver { .. } => {
            Some(Operation::Resync)
        }
        Operation::Intent { .. }
        | Operation::Resync
        | Operation::Sleep(_)
        | Operation::Fault {
            fault: Fault::CredentialsRotated | Fault::ContextChanged | Fault::RendererChanged,
            ..
        } => Some(operation.clone()),
        Operation::Fault { .. }
        | Operation::CallsFail(_)
        | Operation::Events(_)
        | Operation::Heal => None,
    });
    Case { operations: kept.collect(), ..case.clone() }
}

/// The number of faults: for each companion, and for all.
#[derive(Debug, Default)]
struct FaultCount {
    touching: BTreeMap<usize, u32>,
    all: u32,
}

impl FaultCount {
    /// A persistent fault counts once for each attempt that a converge may make during it: immediately, and after the
    /// first two back-offs while other companions are in progress. It counts for its companion, or for all.
    fn of(case: &Case) -> Self {
        let mut faults = Self::default();
        let mut lasting = false;
        let mut lasting_of = BTreeSet::new();
        for operation in &case.operations {
            match operation {
                Operation::Fault {
                    fault: Fault::CredentialsRotated | Fault::ContextChanged,
                    ..
                } => {}
                Operation::Fault { fault, .. } if fault.concerns_all() => {
                    faults.all += 1;
                    lasting |= lasts(*fault);
                }
                Operation::Fault { at, fault } => {
                    *faults.touching.entry(*at).or_default() += 1;
                    lasting_of.extend(fault.lasts().then_some(*at));
                }
                Operation::CallsFail(calls) => {
                    faults.all += calls.times;
                    lasting = true;
                }
                Operation::Heal => {
                    lasting = false;
                    lasting_of.clear();
                }
                Operation::Crash { .. }
                | Operation::PowerLoss { .. }
                | Operation::HandOver { .. }
                | Operation::CommandDies { .. }
                | Operation::Together { .. } => faults.all += 1,
                Operation::Install { .. }
                | Operation::Resync
                | Operation::Remove { .. }
                | Operation::Intent { .. }
                | Operation::Sleep(_)
                | Operation::Events(_) => {}
            }
            let passes = matches!(
                operation,
                Operation::Resync
                    | Operation::Install { .. }
                    | Operation::Remove { .. }
                    | Operation::Crash { .. }
                    | Operation::PowerLoss { .. }
                    | Operation::HandOver { .. }
                    | Operation::CommandDies { .. }
                    | Operation::Together { .. }
            );
            if passes {
                faults.all += u32::from(lasting) * 3;
                for at in &lasting_of {
                    *faults.touching.entry(*at).or_default() += 3;
                }
            }
        }
        faults
    }

    /// The maximum cost for the companion at `at`.
    fn at(&self, at: usize) -> u32 {
        self.all + self.touching.get(&at).copied().unwrap_or(0)
    }
}

/// Compares `case` with the same case without faults.
pub(crate) fn compared(case: &Case) -> Verdict {
    let with_faults = run(cost_of(case))?;
    let plain = without_faults(case, &with_faults.recorded);
    let reference = run(cost_of(&plain)).map_err(|words| format!("without faults: {words}"))?;
    must(with_faults.end == reference.end, || {
        format!("final state {:#?} instead of {:#?}", with_faults.end, reference.end)
    })?;
    let faults = FaultCount::of(case);
    for ((at, kind), had) in &with_faults.effects {
        let usual = reference.effects.get(&(*at, *kind)).copied().unwrap_or(0);
        let Effect { what, more, .. } = EFFECTS[*kind];
        let most = usual + more * faults.at(*at);
        must(*had <= most, || format!("{had} {what} of `{}`, at most {most}", named(*at)))?;
    }
    let (had, all) = (with_faults.reloads, (0..MOST).map(|at| faults.at(at)).sum::<u32>());
    let most = reference.reloads + 2 * all;
    must(had <= most, || format!("{had} reloads, at most {most}; {faults:?}"))?;
    Ok(())
}

proptest! {
    #![proptest_config(config(120))]

    #[test]
    fn faults_do_not_change_the_final_state_and_cost_is_bounded(case in case(SAME_INPUTS, 40)) {
        let verdict = compared(&case);
        prop_assert!(verdict.is_ok(), "{}", verdict.unwrap_err());
    }
}
