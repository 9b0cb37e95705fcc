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

mod diff;

use diff::FileDiff;

/// Print the plan of a reconcile, without executing it
///
/// This is the plan that `companion reconcile` would execute first without a daemon; later plans depend
/// on its results, such as the id of a built image. `companion status` shows the back-offs of the
/// daemon.
///
/// With --diff, also the change of each unit file as a unified diff. The contents of rendered configuration
/// are not shown, because they may hold a password.
///
/// With --json: {"version": 1, "converged": bool, "steps": [{"companion", "action", "reason",
/// "why"}], "blocked": [{"companion", "waiting_on": {"on", …}, "why", "retry_in"}], "diffs":
/// [{"companion", "file", "diff"}]}; "diffs" only with --diff, a "diff" of configuration is null.
///
/// Exit status: 0 with any plan, 1 if planning failed, 3 if a prerequisite is missing.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  companion plan                                 what would be done, and why
  companion plan --diff                          with the changes of unit files
  companion plan --json | jq .converged          for a script")]
pub(crate) struct Arguments {
    /// Show the changes of unit files
    #[arg(long)]
    diff: bool,
}

#[derive(Serialize)]
struct PlanReport<'a> {
    version: u32,
    converged: bool,
    steps: Vec<StepReport>,
    blocked: Vec<BlockedRow<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diffs: Option<Vec<FileDiff>>,
}

/// Prints the plan.
pub(crate) fn run(arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    block_on(config, async {
        let Some(companions) = Opening::new(config, "companion plan").open_to_look(output).await?
        else {
            print_nothing(arguments.diff, output);
            return Ok(Verdict::Done);
        };
        let reconcile = companions.reconciler().dry_run().await?;
        if let Some(violation) = reconcile.violations.first() {
            let message = format!("the plan violates an invariant and is rejected: {violation}");
            return Err(CommandError::failure(message));
        }
        let plan = &reconcile.plan;
        let diffs = match arguments.diff {
            true => Some(diff::of(plan, config).await?),
            false => None,
        };
        if output.is_json() {
            output.json(&PlanReport {
                version: VERSION,
                converged: plan.is_converged(),
                steps: plan.steps.iter().map(StepReport::planned).collect(),
                blocked: plan.blocked.iter().map(|b| BlockedRow::of(b, &reconcile)).collect(),
                diffs,
            });
        } else {
            plan_lines(plan, &reconcile, output);
            diffs.iter().flatten().for_each(|diff| diff.print(output));
        }
        Ok(Verdict::Done)
    })
}

fn print_nothing(with_diffs: bool, output: &Output) {
    if output.is_json() {
        let (steps, blocked) = (Vec::new(), Vec::new());
        let diffs = with_diffs.then(Vec::new);
        output.json(&PlanReport { version: VERSION, converged: true, steps, blocked, diffs });
    } else {
        output.line("nothing to do");
    }
}
