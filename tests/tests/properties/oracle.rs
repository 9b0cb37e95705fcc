//! Invariants after every operation, checked on the host alone, independent of the planner.

use adapter_fake::world::desired::Intent;
use adapter_fake::world::files::SECRET;
use adapter_fake::world::services::{Phase, Service};
use adapter_fake::world::units::UnitBytes;
use adapter_fake::{FakeHost, World};
use companion_core::model::companion::CompanionName;
use companion_core::reconciler::{Convergence, Outcome, ReconcileError};
use companion_tests::simulation::checks::{Verdict, as_desired, must, rules_kept};

use crate::companions::{MOST, named};
use crate::simulation::unmanaged;

/// The unmanaged objects on the host; unmanaged containers with our names are checked as violations.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unmanaged {
    files: Vec<(CompanionName, UnitBytes)>,
    /// The runs of the unmanaged service and the unmanaged container.
    unmanaged: String,
}

impl Unmanaged {
    pub(crate) fn of(world: &World) -> Self {
        let [runs, stays] = unmanaged();
        let file = |at: usize| {
            let name = named(at);
            let file = world.slot(&name)?.file.now()?.clone();
            (!file.is_ours()).then_some((name, file))
        };
        let slots = [runs, stays].map(|name| {
            let slot = world.slot(&name).cloned().unwrap_or_default();
            let Service { phase, since, run, .. } = slot.service;
            (slot.file, phase, since, run, slot.container)
        });
        Self { files: (0..MOST).filter_map(file).collect(), unmanaged: format!("{slots:?}") }
    }
}

/// Checks that the report of a converge is correct: completed steps are done, removed companions are absent, and the
/// report contains no secret.
///
/// `sure` is whether the report must be accurate: the converge had fresh reads and was not superseded.
pub(crate) fn convergence_is_honest(
    convergence: &Result<Convergence, ReconcileError>,
    host: &FakeHost,
    sure: bool,
) -> Verdict {
    let said = match convergence {
        Ok(convergence) => {
            let failed = convergence
                .steps
                .iter()
                .filter(|(_, outcome)| matches!(outcome, Outcome::Failed(_)));
            format!("{:?} {:?}", failed.collect::<Vec<_>>(), convergence.last.plan.blocked)
        }
        Err(error) => error.chain(),
    };
    says_no_secret(&said)?;
    let Ok(convergence) = convergence else { return Ok(()) };
    let last = &convergence.last;
    rules_kept(last)?;
    if !sure {
        return Ok(());
    }
    let (world, specs) = (host.world(), host.specs());
    let intended = last
        .desired
        .present()
        .map(|(name, _)| name)
        .chain(last.desired.removed().map(|(name, _)| name));
    for name in intended {
        let settled = last.plan.is_converged_for(name);
        let file = world.slot(name).and_then(|slot| slot.file.now());
        let passed_on = file.is_some_and(|file| !file.is_ours());
        if !settled || passed_on {
            continue;
        }
        let mismatch = world.mismatch_at(name, &specs);
        must(mismatch.is_none(), || format!("`{name}` was reported as ready: {mismatch:?}"))?;
        if last.desired.removal(name).is_some() {
            host.removal_finished(name);
        }
    }
    Ok(())
}

/// Checks that no report contains the output of a hook.
pub(crate) fn says_no_secret(said: &str) -> Verdict {
    must(!said.contains(SECRET), || "a secret was said".to_owned())
}

/// Checks that a converge on a host without faults has a bounded number of effects (S6). Every plan is checked for at
/// most one reload; a converge may reload once per companion that becomes ready later.
pub(crate) fn work_is_bounded((effects, reloads): (u32, u32)) -> Verdict {
    must(effects <= 10, || format!("{effects} effects for one companion in one converge"))?;
    let most = u32::try_from(2 * MOST + 1).unwrap_or(u32::MAX);
    must(reloads <= most, || format!("{reloads} reloads in one converge"))
}

/// Checks that exactly the services of the desired companions run.
pub(crate) fn in_order(host: &FakeHost) -> Verdict {
    as_desired(host)?;
    let world = host.world();
    for at in 0..MOST {
        let Some(slot) = world.slot(&named(at)) else { continue };
        let ours = slot.service.run.is_some_and(|run| run.revision.is_some());
        let runs = ours && matches!(slot.service.phase, Phase::Running { .. });
        let intended = matches!(slot.intent, Some(Intent::Exists { .. }));
        let orphan = slot.intent.is_none();
        must(runs == intended || orphan, || format!("`{}` runs: {runs}", named(at)))?;
    }
    Ok(())
}
