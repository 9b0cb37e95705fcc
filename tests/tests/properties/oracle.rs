//! What must hold after every operation, judged by the host alone: none of the code that plans has a
//! part in it.

use adapter_fake::world::desired::Wish;
use adapter_fake::world::files::SECRET;
use adapter_fake::world::services::{Phase, Service};
use adapter_fake::world::units::UnitBytes;
use adapter_fake::{Counts, FakeHost, World};
use companion_core::model::companion::CompanionName;
use companion_core::reconciler::{Convergence, Outcome, ReconcileError};

use crate::companions::{MOST, named};
use crate::stage::strangers;

/// Why a case fails, in words; the operation that it was found after comes first.
pub(crate) type Verdict = Result<(), String>;

/// Fails with `words` unless `holds`.
pub(crate) fn must(holds: bool, words: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(words()) }
}

/// What is on the host that is not ours; strangers' containers at our names are the violations'.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unmanaged {
    files: Vec<(CompanionName, UnitBytes)>,
    /// The run of the stranger's service, and the other's container.
    strangers: String,
}

impl Unmanaged {
    pub(crate) fn of(world: &World) -> Self {
        let [runs, stays] = strangers();
        let file = |at: usize| {
            let name = named(at);
            let file = world.slot(&name)?.file.now()?.clone();
            Some((name, file))
                .filter(|(_, file)| !matches!(file, UnitBytes::Ours(_) | UnitBytes::Empty))
        };
        let slots = [runs, stays].map(|name| {
            let slot = world.slot(&name).cloned().unwrap_or_default();
            let Service { phase, since, run, .. } = slot.service;
            (slot.file, phase, since, run, slot.container)
        });
        Self { files: (0..MOST).filter_map(file).collect(), strangers: format!("{slots:?}") }
    }
}

/// What never happened, whatever was done.
pub(crate) fn nothing_forbidden(host: &FakeHost) -> Verdict {
    let violations = host.violations();
    must(violations.is_empty(), || format!("forbidden: {violations:?}"))
}

/// What a pass said must be so: what it calls done is done, what it calls gone is gone, and what it
/// says holds no secret.
///
/// `sure` is whether the pass could know: it was neither misled nor overtaken.
pub(crate) fn pass_is_honest(
    pass: &Result<Convergence, ReconcileError>,
    host: &FakeHost,
    sure: bool,
) -> Verdict {
    let said = match pass {
        Ok(pass) => {
            let failed =
                pass.steps.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Failed { .. }));
            format!("{:?} {:?}", failed.collect::<Vec<_>>(), pass.last.plan.blocked)
        }
        Err(error) => error.chain(),
    };
    says_no_secret(&said)?;
    let Ok(pass) = pass else { return Ok(()) };
    let last = &pass.last;
    must(last.violations.is_empty(), || format!("a bad plan: {:?}", last.violations))?;
    if !sure {
        return Ok(());
    }
    let (world, specs) = (host.world(), host.specs());
    let wished = last.desired.companions.keys().chain(last.desired.removed.keys());
    for name in wished {
        let settled = last.plan.is_converged_for(name);
        let passed_on = world.slot(name).is_some_and(|slot| {
            !matches!(slot.file.now(), None | Some(UnitBytes::Ours(_) | UnitBytes::Empty))
        });
        if !settled || passed_on {
            continue;
        }
        let untruth = world.untruth_at(name, &specs);
        must(untruth.is_none(), || format!("`{name}` was reported as good: {untruth:?}"))?;
        if last.desired.removed.contains_key(name) {
            host.removal_finished(name);
        }
    }
    Ok(())
}

/// Nothing that is said holds what hooks render.
pub(crate) fn says_no_secret(said: &str) -> Verdict {
    must(!said.contains(SECRET), || "a secret was said".to_owned())
}

/// A pass on a host without trouble has a bounded number of effects (S6). That no reconcile reloads twice is a
/// rule that every plan is checked for; a pass may, for each companion that is ready for it later.
pub(crate) fn work_is_bounded((effects, reloads): (u32, u32)) -> Verdict {
    must(effects <= 10, || format!("{effects} effects for one companion in one pass"))?;
    let most = u32::try_from(2 * MOST + 1).unwrap_or(u32::MAX);
    must(reloads <= most, || format!("{reloads} reloads in one pass"))
}

/// Whether the services of all that is wished for run, and of nothing else of ours.
pub(crate) fn in_order(host: &FakeHost) -> Verdict {
    let untruth = host.untruth();
    must(untruth.is_none(), || format!("not as wished: {untruth:?}"))?;
    let world = host.world();
    for at in 0..MOST {
        let Some(slot) = world.slot(&named(at)) else { continue };
        let ours = slot.service.run.is_some_and(|run| run.revision.is_some());
        let runs = ours && matches!(slot.service.phase, Phase::Running { .. });
        let wished = matches!(slot.wish, Some(Wish::Exists { .. }));
        let orphan = slot.wish.is_none();
        must(runs == wished || orphan, || format!("`{}` runs: {runs}", named(at)))?;
    }
    Ok(())
}

/// Nothing was done: no write, no reload, no start or stop, no process, no contact.
pub(crate) fn nothing_done(before: Counts, after: Counts) -> Verdict {
    must(before == after, || format!("done without need: {:?}", after.since(before)))
}
