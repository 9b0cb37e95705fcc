//! The checks of all simulations, by name. They look at the host alone, independent of the planner.

use std::time::Duration;

use adapter_fake::{Counts, FakeHost, World};
use companion_core::model::companion::CompanionName;
use companion_core::reconciler::Reconcile;

use crate::node::running_since;

/// The message of a failed check.
pub type Verdict = Result<(), String>;

/// Fails with `words` unless `holds`.
///
/// # Errors
/// Unless `holds`.
pub fn must(holds: bool, words: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(words()) }
}

/// Checks that no invariant was ever violated: the fake host records each violation.
///
/// # Errors
/// The violations.
pub fn no_violations(host: &FakeHost) -> Verdict {
    let violations = host.violations();
    must(violations.is_empty(), || format!("violations: {violations:?}"))
}

/// Checks that the host matches the desired state.
///
/// # Errors
/// The first difference.
pub fn as_desired(host: &FakeHost) -> Verdict {
    let mismatch = host.mismatch();
    must(mismatch.is_none(), || format!("differs from the desired state: {mismatch:?}"))
}

/// Checks that nothing was done: no write, reload, start, stop, process or network access.
///
/// # Errors
/// What was done.
pub fn nothing_done(before: Counts, after: Counts) -> Verdict {
    must(before == after, || format!("effects on a converged host: {:?}", after.since(before)))
}

/// Checks that a plan keeps all rules.
///
/// # Errors
/// The rules that it breaks.
pub fn rules_kept(reconcile: &Reconcile) -> Verdict {
    let broken = &reconcile.violations;
    must(broken.is_empty(), || format!("a plan breaks {broken:?}"))
}

/// Checks that the run of a companion continued from `before` until `now`.
///
/// # Errors
/// If it ended.
pub fn kept_running(name: &CompanionName, before: Option<Duration>, now: &World) -> Verdict {
    let now = running_since(now, name);
    must(before.is_none() || before == now, || {
        format!("`{name}` restarted: was up since {before:?}, now since {now:?}")
    })
}
