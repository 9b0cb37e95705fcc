//! `companion plan`: prints the plan of the next reconcile without executing it.

use archipelago_companions::StepReport;
use clap::Args;
use serde::Serialize;

use super::report::{BlockedRow, VERSION, plan_lines};
use crate::config::Config;
use crate::error::{CommandError, CommandResult, Verdict};
use crate::hosts::Opening;
use crate::output::Output;
use crate::runtime::block_on;

/// Print the plan of a reconcile, without executing it
///
/// This is the plan that `companion reconcile` would execute first without a daemon; later plans depend
/// on its results, such as the id of a built image. `companion status` shows the back-offs of the
/// daemon.
///
/// With --json: {"version": 1, "converged": bool, "steps": [{"companion", "action", "reason",
/// "why"}], "blocked": [{"companion", "waiting_on": {"on", …}, "why", "retry_in"}]}.
///
/// Exit status: 0 with any plan, 1 if planning failed, 3 if a prerequisite is missing.
#[derive(Debug, Args)]
pub(crate) struct Arguments {}

#[derive(Serialize)]
struct PlanReport<'a> {
    version: u32,
    converged: bool,
    steps: Vec<StepReport>,
    blocked: Vec<BlockedRow<'a>>,
}

/// Prints the plan.
pub(crate) fn run(_arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    block_on(config, async {
        let Some(session) = Opening::new(config, "companion plan").open_to_look(output).await?
        else {
            print_nothing(output);
            return Ok(Verdict::Done);
        };
        let reconcile = session.companions.reconciler().dry_run().await?;
        if let Some(violation) = reconcile.violations.first() {
            let message = format!("the plan violates an invariant and is rejected: {violation}");
            return Err(CommandError::failure(message));
        }
        let plan = &reconcile.plan;
        if output.is_json() {
            output.json(&PlanReport {
                version: VERSION,
                converged: plan.is_converged(),
                steps: plan.steps.iter().map(StepReport::planned).collect(),
                blocked: plan.blocked.iter().map(|b| BlockedRow::of(b, &reconcile)).collect(),
            });
        } else {
            plan_lines(plan, &reconcile, output);
        }
        Ok(Verdict::Done)
    })
}

fn print_nothing(output: &Output) {
    if output.is_json() {
        let (steps, blocked) = (Vec::new(), Vec::new());
        output.json(&PlanReport { version: VERSION, converged: true, steps, blocked });
    } else {
        output.line("nothing to do");
    }
}
