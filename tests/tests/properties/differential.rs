//! The same wishes without any trouble lead to the same end, and trouble costs no more effects than
//! there was trouble.

use std::collections::BTreeMap;

use adapter_fake::journal::Outcome;
use adapter_fake::world::desired::Wish;
use adapter_fake::world::units::UnitBytes;
use adapter_fake::{Counts, FakeHost, Method};
use proptest::prelude::*;

use crate::case::{ALL, Case, case, config, run};
use crate::companions::{MOST, named, output};
use crate::operations::Operation;
use crate::oracle::{Verdict, must};
use crate::play::{converge, play};
use crate::stage::Stage;
use crate::tamperings::Tampering;

/// What a host came to: of every companion that is wished for, the unit, what is loaded, what runs
/// and its configuration, in all but the incarnation; and which are gone.
pub(crate) fn end(host: &FakeHost) -> Vec<String> {
    let world = host.world();
    let of = |at: usize| {
        let slot = world.slot(&named(at))?;
        if !matches!(slot.wish, Some(Wish::Exists { .. })) {
            return slot.wish.map(|_| format!("{} is gone", named(at)));
        }
        let file = match slot.file.now() {
            Some(UnitBytes::Ours(text)) => {
                let revision = text.revision.with_incarnation(0);
                format!("{} {revision} {} {:?}", text.contents, text.image, text.damage)
            }
            other => format!("{other:?}"),
        };
        let run = slot.service.run.map(|run| {
            let revision = run.revision.map(|revision| revision.with_incarnation(0));
            (revision, run.contents, run.tampered, run.image, run.config)
        });
        let config = world.files.rendered(&output(at));
        Some(format!("{} {file} {run:?} {config:?}", named(at)))
    };
    (0..MOST).filter_map(of).collect()
}

/// What a run cost.
struct Cost {
    counts: Counts,
    restarts: BTreeMap<usize, u32>,
    end: Vec<String>,
    recorded: Vec<bool>,
}

async fn cost_of(case: &Case) -> Result<Cost, String> {
    let mut stage = Stage::of(case);
    play(&mut stage, case).await?;
    converge(&mut stage, case.forgets).await?;
    let journal = stage.host.journal();
    let restarts = (0..MOST).map(|at| {
        let of_it = journal.entries().filter(|entry| {
            entry.call.method == Method::Restart
                && entry.call.companion.as_ref() == Some(&named(at))
                && entry.outcome == Outcome::Done
        });
        (at, u32::try_from(of_it.count()).unwrap_or(u32::MAX))
    });
    let restarts = restarts.collect();
    let (counts, recorded) = (stage.host.counts(), stage.recorded.clone());
    Ok(Cost { counts, restarts, end: end(&stage.host), recorded })
}

/// The same case as it would have been without trouble: what was recorded, what hooks and builds
/// read, and the passes.
fn untroubled(case: &Case, recorded: &[bool]) -> Case {
    let operations = case.operations.iter().zip(recorded);
    let kept = operations.filter_map(|(operation, recorded)| match operation {
        Operation::Install { at, version }
        | Operation::Together { at, version: Some(version), .. } => {
            recorded.then_some(Operation::Install { at: *at, version: *version })
        }
        Operation::Remove { at } | Operation::Together { at, version: None, .. } => {
            recorded.then_some(Operation::Remove { at: *at })
        }
        Operation::Wish { .. } if !recorded => None,
        Operation::Crash { .. } | Operation::PowerLoss { .. } => Some(Operation::Tick),
        Operation::Wish { .. }
        | Operation::Tick
        | Operation::Sleep(_)
        | Operation::Rotate
        | Operation::ChangeContext { .. } => Some(operation.clone()),
        Operation::Tamper { .. }
        | Operation::Condition(_)
        | Operation::Fault(_)
        | Operation::Reboot
        | Operation::JumpWall(_)
        | Operation::Events(_)
        | Operation::Heal => None,
    });
    Case { operations: kept.collect(), ..case.clone() }
}

/// How much trouble there was: for each companion alone, and for all.
#[derive(Debug, Default)]
struct Trouble {
    touching: BTreeMap<usize, u32>,
    all: u32,
}

impl Trouble {
    /// What goes on doing harm counts once for each attempt that a pass may make under it: at once,
    /// and after the first two back-offs while others are still at work.
    fn of(case: &Case) -> Self {
        let mut trouble = Self::default();
        let mut lasting = false;
        for operation in &case.operations {
            match operation {
                Operation::Tamper { with: Tampering::ReloadByOthers, .. } => trouble.all += 1,
                Operation::Tamper { at, with } => {
                    *trouble.touching.entry(*at).or_default() += 1;
                    lasting |= with.lasts();
                }
                Operation::Condition(_) => {
                    trouble.all += 1;
                    lasting = true;
                }
                Operation::Fault(fault) => {
                    trouble.all += fault.times;
                    lasting = true;
                }
                Operation::Heal => lasting = false,
                Operation::Crash { .. }
                | Operation::PowerLoss { .. }
                | Operation::Reboot
                | Operation::Together { .. } => trouble.all += 1,
                Operation::Install { .. }
                | Operation::Tick
                | Operation::Remove { .. }
                | Operation::Wish { .. }
                | Operation::Sleep(_)
                | Operation::Rotate
                | Operation::ChangeContext { .. }
                | Operation::JumpWall(_)
                | Operation::Events(_) => {}
            }
            let passes = matches!(
                operation,
                Operation::Tick
                    | Operation::Install { .. }
                    | Operation::Remove { .. }
                    | Operation::Crash { .. }
                    | Operation::PowerLoss { .. }
                    | Operation::Together { .. }
            );
            trouble.all += u32::from(lasting && passes) * 3;
        }
        trouble
    }

    /// The most writes that it may cost: one for each companion that it touches.
    fn total(&self) -> u32 {
        let companions = u32::try_from(MOST).unwrap_or(u32::MAX);
        self.all * companions + self.touching.values().sum::<u32>()
    }
}

/// Compares `case` with itself without trouble.
pub(crate) fn compared(case: &Case) -> Verdict {
    let troubled = run(cost_of(case))?;
    let plain = untroubled(case, &troubled.recorded);
    let reference = run(cost_of(&plain)).map_err(|words| format!("without trouble: {words}"))?;
    must(troubled.end == reference.end, || {
        format!("another end: {:#?}, not {:#?}", troubled.end, reference.end)
    })?;
    let trouble = Trouble::of(case);
    let most = trouble.total();
    let (had, meant) = (troubled.counts, reference.counts);
    for (what, had, most) in [
        ("unit writes", had.unit_writes, meant.unit_writes + most),
        ("config writes", had.config_writes, meant.config_writes + most),
        ("reloads", had.reloads, meant.reloads + 2 * most),
    ] {
        must(had <= most, || format!("{had} {what}, at most {most}; {trouble:?}"))?;
    }
    for (at, had) in &troubled.restarts {
        let touching = trouble.touching.get(at).copied().unwrap_or(0) + trouble.all;
        let most = reference.restarts.get(at).copied().unwrap_or(0) + touching;
        must(*had <= most, || format!("{had} restarts of `{}`, at most {most}", named(*at)))?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(config(120))]

    #[test]
    fn trouble_changes_no_end_and_costs_no_more_than_it_is(case in case(ALL, 40)) {
        let verdict = compared(&case);
        prop_assert!(verdict.is_ok(), "{}", verdict.unwrap_err());
    }
}
