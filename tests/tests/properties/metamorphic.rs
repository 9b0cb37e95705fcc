//! Different cases with equal results.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};

use adapter_fake::world::units::Load;
use adapter_fake::{Counts, FakeHost, World};
use companion_core::model::companion::CompanionName;
use companion_core::reconciler::{Event, EventSink};
use companion_tests::faults::Fault;
use proptest::prelude::*;

use crate::case::{ALL, Case, SAME_INPUTS, case, config, run};
use crate::companions::{MOST, named};
use crate::differential::end;
use crate::operations::Operation;
use crate::simulation::Simulation;
use crate::steps::{Trust, converge, perform, perform_all};

/// The effects for each companion, in order, with their reasons; shared reloads are omitted.
#[derive(Default)]
struct Traces(Mutex<BTreeMap<CompanionName, Vec<String>>>);

impl EventSink for Traces {
    fn on_event(&self, event: &Event<'_>) {
        let Event::StepBegun(step) = event else { return };
        if let Some(name) = step.companion() {
            let words = format!("{}: {}", step.action.verb(), step.reason);
            self.0.lock().unwrap().entry(name.clone()).or_default().push(words);
        }
    }
}

impl Traces {
    fn of(&self, at: usize) -> Vec<String> {
        self.0.lock().unwrap().get(&named(at)).cloned().unwrap_or_default()
    }
}

/// The faults of one companion.
fn of_one() -> impl Iterator<Item = Fault> {
    Fault::simulated().filter(|fault| !fault.concerns_all())
}

/// Operations on one companion at a time, each followed by a converge.
fn in_peace() -> impl Strategy<Value = Vec<Operation>> {
    let repaired = of_one().filter(|fault| !fault.lasts());
    let repaired: Vec<_> = repaired.chain([Fault::RendererChanged]).collect();
    let one = (0..MOST - 1, 0..4_u8, prop::sample::select(repaired), 0..10_u8);
    let operation = one.prop_map(|(at, version, fault, kind)| match kind {
        0..4 => Operation::Install { at, version },
        4 => Operation::Remove { at },
        5 => Operation::Fault { at, fault: Fault::ContextChanged },
        6 => Operation::Fault { at, fault: Fault::CredentialsRotated },
        _ => Operation::Fault { at, fault },
    });
    prop::collection::vec(operation, 1..12)
}

/// Harmless changes to a running container: the companion, and the delay until the next observation of the daemon, if
/// any.
fn concurrent_faults() -> impl Strategy<Value = Vec<(Fault, usize, Option<u64>)>> {
    let harmless = prop::sample::select(vec![
        Fault::UnitExposed,
        Fault::UnitDeleted,
        Fault::ConfigReadable,
        Fault::LinkDeleted,
        Fault::ImageRemoved,
        Fault::ImageLeft,
        Fault::Reloaded,
        Fault::JobCancelled,
    ]);
    let looks = prop::option::of(prop::sample::select(vec![0, 1, 7, 30]));
    prop::collection::vec((harmless, 0..MOST, looks), 1..12)
}

/// Runs `operations` one by one and lets the host settle after each.
async fn peacefully(simulation: &mut Simulation, operations: &[Operation]) {
    let mut trust = Trust::default();
    for operation in [&Operation::Resync].into_iter().chain(operations) {
        let rest = [Operation::Resync, Operation::Sleep(1000), Operation::Resync];
        for operation in [operation].into_iter().chain(&rest) {
            perform(simulation, operation, &mut trust)
                .await
                .unwrap_or_else(|words| panic!("{words}"));
        }
    }
}

fn traced(case: &Case) -> (Simulation, Arc<Traces>) {
    let traces = Arc::new(Traces::default());
    (Simulation::with(case, |host| host, traces.clone()), traces)
}

/// All files and containers of the host, without intents and images.
fn tree(host: &FakeHost) -> Vec<String> {
    let world = host.world();
    let names = (0..MOST).map(named).chain(crate::simulation::unmanaged());
    let places = names.filter_map(|name| {
        let slot = world.slot(&name)?;
        let nothing = slot.file.now().is_none()
            && slot.load == Load::NotFound
            && slot.container.is_none()
            && slot.service.run.is_none();
        let shown = (slot.file.now(), &slot.load, slot.container, slot.service.run);
        (!nothing).then(|| format!("{name} {shown:?} since {:?}", slot.service.since))
    });
    let configs = (0..MOST).map(|at| {
        let output = crate::companions::output(at);
        format!("{output} {:?}", world.files.rendered_at(&output))
    });
    places.chain(configs).collect()
}

/// A digest of every call, its result, and the final host.
fn digest(case: &Case) -> u64 {
    run(async {
        let mut simulation = Simulation::of(case);
        let mut hasher = DefaultHasher::new();
        perform_all(&mut simulation, case).await.hash(&mut hasher);
        converge(&mut simulation, case.forgets).await.hash(&mut hasher);
        for entry in simulation.on.host.journal().entries() {
            format!("{entry:?}").hash(&mut hasher);
        }
        simulation.on.host.world().hash(&mut hasher);
        hasher.finish()
    })
}

/// The effects and the host before and after a second converge.
pub(crate) fn second_converge_changes(case: &Case) -> [(Counts, World); 2] {
    run(async {
        let mut simulation = Simulation::of(case);
        perform_all(&mut simulation, case).await.unwrap();
        simulation.on.host.clear_faults();
        drop(simulation.on.manager.converge().await);
        let seen = |host: &FakeHost| (Counts { processes: 0, ..host.counts() }, host.world());
        let before = seen(&simulation.on.host);
        drop(simulation.on.manager.converge().await);
        [before, seen(&simulation.on.host)]
    })
}

/// The final hosts after one converge, and after one that crashes and two others.
pub(crate) fn crash_equals_one_converge(
    case: &Case,
    happenings: &[Operation],
    after: u64,
) -> [Vec<String>; 2] {
    let crash = vec![Operation::Crash { after }, Operation::Sleep(100), Operation::Resync];
    [vec![Operation::Resync], crash].map(|last| {
        run(async {
            let mut simulation = Simulation::of(case);
            (0..MOST).for_each(|at| simulation.record(at, Some(0)));
            peacefully(&mut simulation, happenings).await;
            (0..MOST).for_each(|at| simulation.record(at, Some(3)));
            simulation.rotate();
            let mut trust = Trust::default();
            for operation in last.into_iter().chain([Operation::Resync]) {
                perform(&mut simulation, &operation, &mut trust).await.unwrap();
            }
            end(&simulation.on.host)
        })
    })
}

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn second_converge_has_nothing_to_do(case in case(ALL, 30)) {
        let [before, after] = second_converge_changes(&case);
        prop_assert_eq!(before, after);
    }

    /// The daemon observed all of it running, so nothing is unverified.
    #[test]
    fn harmless_changes_cause_no_start_stop_or_restart(
        case in case(SAME_INPUTS, 1),
        happenings in concurrent_faults(),
    ) {
        let (before, after) = run(async {
            let (mut simulation, _) = traced(&case);
            (0..MOST).for_each(|at| simulation.record(at, Some(0)));
            peacefully(&mut simulation, &[]).await;
            let before = simulation.on.host.counts();
            for (fault, at, looks) in &happenings {
                simulation.apply(*at, *fault).await.unwrap();
                if let Some(seconds) = looks {
                    simulation.sleep(*seconds).await;
                    drop(simulation.on.manager.converge().await.unwrap());
                }
            }
            peacefully(&mut simulation, &[]).await;
            crate::oracle::in_order(&simulation.on.host).unwrap();
            (before, simulation.on.host.counts())
        });
        let cost = after.since(before);
        prop_assert_eq!((cost.starts, cost.stops, cost.restarts), (0, 0, 0));
    }

    #[test]
    fn same_seed_gives_the_same_trace(case in case(ALL, 40)) {
        prop_assert_eq!(digest(&case), digest(&case));
    }

    #[test]
    fn order_of_intents_changes_only_the_order(
        case in case(SAME_INPUTS, 1),
        order in Just([0, 1, 2, 3]).prop_shuffle(),
        happenings in in_peace(),
    ) {
        let [one, other] = [[0, 1, 2, 3], order].map(|order| run(async {
            let (mut simulation, traces) = traced(&case);
            order.iter().for_each(|at| simulation.record(*at, Some(0)));
            peacefully(&mut simulation, &happenings).await;
            ([0, 1, 2, 3].map(|at| traces.of(at)), end(&simulation.on.host), simulation.on.host.counts())
        }));
        prop_assert_eq!(one, other);
    }

    #[test]
    fn companion_name_and_position_change_nothing(
        case in case(SAME_INPUTS, 1),
        turn in 1..MOST,
    ) {
        let turned = |at: usize| (at + turn) % MOST;
        let mut other = case.clone();
        (0..MOST).for_each(|at| other.profiles[turned(at)] = case.profiles[at]);
        let traces = [&case, &other].map(|case| run(async {
            let (mut simulation, traces) = traced(case);
            (0..MOST).for_each(|at| simulation.record(at, Some(0)));
            peacefully(&mut simulation, &[Operation::Fault { at: 0, fault: Fault::CredentialsRotated }]).await;
            traces
        }));
        for at in 0..MOST {
            prop_assert_eq!(traces[0].of(at), traces[1].of(turned(at)));
        }
    }

    #[test]
    fn fault_of_one_companion_changes_no_trace_of_another(
        case in case(SAME_INPUTS, 1),
        happenings in in_peace(),
        faults in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(of_one().collect::<Vec<_>>())), 1..6),
    ) {
        const LAST: usize = MOST - 1;
        let mut troubled = happenings.clone();
        for (place, fault) in faults {
            troubled.insert(place.index(troubled.len() + 1), Operation::Fault { at: LAST, fault });
        }
        let [alone, together] = [(happenings, 0..LAST), (troubled, 0..MOST)].map(|(happenings, all)| {
            run(async {
                let (mut simulation, traces) = traced(&case);
                all.for_each(|at| simulation.record(at, Some(0)));
                peacefully(&mut simulation, &happenings).await;
                [0, 1, 2].map(|at| traces.of(at))
            })
        });
        prop_assert_eq!(alone, together);
    }

    #[test]
    fn crash_and_two_converges_equal_one_converge(
        case in case(SAME_INPUTS, 1),
        happenings in in_peace(),
        after in 0..60_u64,
    ) {
        let [whole, cut] = crash_equals_one_converge(&case, &happenings, after);
        prop_assert_eq!(whole, cut);
    }

    #[test]
    fn install_and_removal_restore_the_host(
        case in case(SAME_INPUTS, 1),
        at in 0..MOST,
        versions in prop::collection::vec(0..4_u8, 1..4),
    ) {
        run(async {
            let (mut simulation, _) = traced(&case);
            let others = (0..MOST).filter(|other| *other != at);
            others.for_each(|other| simulation.record(other, Some(1)));
            peacefully(&mut simulation, &[]).await;
            let before = tree(&simulation.on.host);
            let installs = versions.iter().map(|version| Operation::Install { at, version: *version });
            let operations: Vec<_> = installs.collect();
            peacefully(&mut simulation, &operations).await;
            prop_assert_ne!(&before, &tree(&simulation.on.host), "the companion was installed in between");
            peacefully(&mut simulation, &[Operation::Remove { at }]).await;
            prop_assert_eq!(before, tree(&simulation.on.host));
            Ok(())
        })?;
    }
}
