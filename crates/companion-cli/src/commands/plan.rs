//! `companion plan`: what a reconcile would do first. Does nothing.

use archipelago::StepReport;
use clap::Args;
use serde::Serialize;

use super::report::{BlockedRow, VERSION, plan_lines};
use crate::config::Config;
use crate::error::{CommandError, CommandResult, Verdict};
use crate::hosts::Opening;
use crate::output::Output;
use crate::runtime::block_on;

/// Print what a reconcile would do, and do nothing
///
/// It is the plan that the first step of `companion reconcile` would carry out without a daemon; later
/// steps act on what that brings about, such as the id of an image that is built. `companion status`
/// shows what the daemon holds back.
///
/// With --json: {"version": 1, "converged": bool, "steps": [{"companion", "action", "reason",
/// "why"}], "blocked": [{"companion", "waiting_on": {"on", …}, "why", "retry_in"}]}.
///
/// Exit status: 0 when it could be planned, whatever the plan, 3 when the host lacks something.
#[derive(Debug, Args)]
pub(crate) struct Arguments {}

#[derive(Serialize)]
struct PlanReport<'a> {
    version: u32,
    converged: bool,
    steps: Vec<StepReport>,
    blocked: Vec<BlockedRow<'a>>,
}

/// Plans.
pub(crate) fn run(_arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    block_on(config.host, async {
        let Some(session) = Opening::new(config, "companion plan").open_to_look(output).await?
        else {
            print_nothing(output);
            return Ok(Verdict::Done);
        };
        let reconcile = session.companions.reconciler().dry_run().await?;
        if let Some(violation) = reconcile.violations.first() {
            let message =
                format!("the plan breaks a rule of its own and is not followed: {violation}");
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
