//! Prints the result of a command, as lines and as JSON.
//!
//! The JSON format is stable: fields may be added, and an incompatible change increments `version`.

use std::collections::BTreeSet;

use adapter_systemd::Scope;
use archipelago_companions::{Companions, CompanionsError, Concerned, Converged, failures_of};
use companion_core::model::companion::CompanionName;
use companion_core::model::desired::Generation;
use serde_json::json;

use super::causes::{self, Cause};
use crate::config::Config;
use crate::error::{CommandError, CommandResult, Verdict};
use crate::hosts::unless_interrupted;
use crate::output::{Output, Style, Table};

/// The version of the JSON format.
pub(super) const VERSION: u32 = 1;

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
    let interrupted = CommandError::failure("interrupted; the intent may not be recorded")
        .hinted("`companion status` shows the recorded companions");
    let (generation, concerned) = unless_interrupted(companions, interrupted, intent).await?;
    let interrupted = CommandError::failure("interrupted; the intent is recorded")
        .hinted("the daemon continues if it runs; otherwise run `companion reconcile`");
    let names = concerned.names();
    let work = companions.converge(generation, Some(&names));
    let result = unless_interrupted(companions, interrupted, work).await?;
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
    let concerned: BTreeSet<_> = match asked {
        Some(asked) => asked.removed.iter().collect(),
        // The removals of this call, not all earlier ones.
        None => steps.iter().filter_map(|step| step.companion.as_ref()).collect(),
    };
    let removed: Vec<_> = concerned.difference(&present).copied().collect();
    let unmet = asked.map_or_else(Vec::new, |asked| failures_of(companions, asked));
    let done = companions.iter().all(|status| status.health.is_healthy())
        && unmet.is_empty()
        && problems.is_empty();
    if output.is_json() {
        output.json(&json!({
            "version": VERSION,
            "done": done,
            "problems": problems,
            "steps": steps,
            "companions": companions,
            "removed": removed,
        }));
        return Verdict::of(done);
    }
    let mut table = Table::default();
    for status in companions {
        let health = Style::of(status.health).paint(&status.health.to_string());
        table.row([status.name.to_string(), health, String::new()]);
    }
    for name in &removed {
        table.row([name.to_string(), Style::Good.paint("removed"), String::new()]);
    }
    // An intent of another process may have made this one obsolete; its row is missing or looks healthy.
    let shown = |name: &CompanionName| {
        companions.iter().any(|status| status.name == *name && !status.health.is_healthy())
    };
    for error in unmet.iter().filter(|error| !shown(&error.companion)) {
        table.row([error.companion.to_string(), Style::Bad.paint("not done"), error.why.clone()]);
    }
    if companions.is_empty() && removed.is_empty() && unmet.is_empty() {
        output.line("nothing to do: no companions");
    }
    table.lines().iter().for_each(|line| output.line(line));
    causes::of(companions, scope).iter().flat_map(Cause::lines).for_each(|line| output.line(line));
    problems.iter().for_each(|problem| output.line(format!("problem: {problem}")));
    Verdict::of(done)
}

#[cfg(all(test, feature = "demo"))]
mod tests;
