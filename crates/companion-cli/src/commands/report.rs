//! Prints the result of a command and a plan, as lines and as JSON.
//!
//! The JSON format is stable: fields may be added, and an incompatible change increments `version`.

use std::collections::BTreeSet;

use adapter_systemd::Scope;
use archipelago_companions::{
    Companions, CompanionsError, Concerned, Converged, StepReport, failures_of,
};
use companion_core::model::companion::CompanionName;
use companion_core::model::desired::Generation;
use companion_core::plan::{Blocked, Plan, WaitingOn};
use companion_core::reconciler::Reconcile;
use companion_core::status::CompanionStatus;
use serde::Serialize;

use super::causes::{self, Cause};
use crate::config::Config;
use crate::error::{CommandResult, Verdict};
use crate::hosts::{IntentIs, unless_interrupted};
use crate::output::{Output, Style, Table};

/// The version of the JSON format.
pub(super) const VERSION: u32 = 1;

/// A blocked companion, as JSON.
#[derive(Debug, Serialize)]
pub(super) struct BlockedRow<'a> {
    companion: &'a CompanionName,
    waiting_on: &'a WaitingOn,
    why: String,
    /// Seconds until the next attempt, apart from the regular resync.
    retry_in: Option<u64>,
}

impl<'a> BlockedRow<'a> {
    pub(super) fn of(blocked: &'a Blocked, reconcile: &Reconcile) -> Self {
        Self {
            companion: &blocked.companion,
            waiting_on: &blocked.waiting_on,
            why: blocked.waiting_on.to_string(),
            retry_in: blocked.retry_at.map(|at| reconcile.at.until(at).as_secs()),
        }
    }
}

#[derive(Serialize)]
struct ConvergedReport<'a> {
    version: u32,
    done: bool,
    problems: &'a [String],
    steps: &'a [StepReport],
    companions: &'a [CompanionStatus],
    removed: Vec<&'a CompanionName>,
}

/// Records an intent, reconciles until it is carried out, and prints the result; returns what the intent concerns.
///
/// # Errors
/// The error of the record or of the work, or the interruption.
pub(super) async fn carry_out(
    companions: &Companions,
    intent: impl Future<Output = Result<(Generation, Concerned), CompanionsError>>,
    config: &Config,
    output: &Output,
) -> CommandResult<(Verdict, Concerned)> {
    let intent = async { Ok(intent.await?) };
    let (generation, concerned) = unless_interrupted(companions, IntentIs::Pending, intent).await?;
    let work = async { Ok(companions.converge(generation, Some(&concerned.names())).await?) };
    let result = unless_interrupted(companions, IntentIs::Recorded, work).await?;
    let scope = config.host.daemon_scope();
    Ok((converged(&result, Some(&concerned), scope, output), concerned))
}

/// Prints the result of a call for the requested companions, or for all.
pub(super) fn converged(
    converged: &Converged,
    asked: Option<&Concerned>,
    scope: Option<Scope>,
    output: &Output,
) -> Verdict {
    let Converged { steps, companions, problems } = converged;
    let present: BTreeSet<_> = companions.iter().map(|status| &status.name).collect();
    // Without names, report the removals of this call, not all earlier ones.
    let touched = || steps.iter().filter_map(|step| step.companion.as_ref()).collect();
    let concerned: BTreeSet<_> = match asked {
        Some(asked) => asked.removed.iter().collect(),
        None => touched(),
    };
    let removed: Vec<_> = concerned.difference(&present).copied().collect();
    let unmet = asked.map_or_else(Vec::new, |asked| failures_of(companions, asked));
    let done = companions.iter().all(|status| status.health.is_healthy())
        && unmet.is_empty()
        && problems.is_empty();
    if output.is_json() {
        let version = VERSION;
        output.json(&ConvergedReport { version, done, problems, steps, companions, removed });
        return Verdict::of(done);
    }
    let mut table = Table::default();
    for status in companions {
        let health = output.styled(Style::of(status.health), &status.health.to_string());
        table.row([status.name.to_string(), health, String::new()]);
    }
    for name in &removed {
        table.row([name.to_string(), output.styled(Style::Good, "removed"), String::new()]);
    }
    // An intent of another process may have made this one obsolete; its row is missing or looks healthy.
    let shown = |name: &CompanionName| {
        companions.iter().any(|status| status.name == *name && !status.health.is_healthy())
    };
    for error in unmet.iter().filter(|error| !shown(&error.companion)) {
        table.row([
            error.companion.to_string(),
            output.styled(Style::Bad, "not done"),
            error.why.clone(),
        ]);
    }
    if companions.is_empty() && removed.is_empty() && unmet.is_empty() {
        output.line("nothing to do: no companions");
    }
    table.lines().iter().for_each(|line| output.line(line));
    causes::of(companions, scope).iter().flat_map(Cause::lines).for_each(|line| output.line(line));
    problems.iter().for_each(|problem| output.line(format!("problem: {problem}")));
    Verdict::of(done)
}

/// Prints the steps and the blocked companions of a plan.
pub(super) fn plan_lines(plan: &Plan, reconcile: &Reconcile, output: &Output) {
    for step in &plan.steps {
        output.line(step.to_string());
    }
    for blocked in &plan.blocked {
        let row = BlockedRow::of(blocked, reconcile);
        let waits = output.styled(Style::Busy, "blocked");
        let again = row.retry_in.map(|seconds| format!(" (next attempt in {seconds} s)"));
        let (name, why) = (&blocked.companion, &row.why);
        output.line(format!("{waits} {name}: {why}{}", again.unwrap_or_default()));
    }
    if plan.is_converged() {
        output.line("nothing to do");
    }
}
