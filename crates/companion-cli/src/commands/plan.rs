//! `companion plan`: prints the plan of the next reconcile without executing it.

use archipelago_companions::StepReport;
use clap::Args;
use companion_core::plan::{Blocked, Plan};
use serde_json::json;

use super::report::VERSION;
use crate::config::Config;
use crate::error::{CommandError, CommandResult, Verdict};
use crate::hosts::open_to_look;
use crate::output::{Output, Style};

mod diff;

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

/// Prints the plan.
pub(crate) async fn run(arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    let (mut plan, mut now) = (Plan::default(), None);
    if let Some(companions) = open_to_look(config, output).await? {
        let reconcile = companions.reconciler().dry_run().await?;
        if let Some(violation) = reconcile.violations.first() {
            let message = format!("the plan violates an invariant and is rejected: {violation}");
            return Err(CommandError::failure(message));
        }
        (plan, now) = (reconcile.plan, Some(reconcile.at));
    }
    let diffs = match arguments.diff {
        true => diff::of(&plan, config).await?,
        false => Vec::new(),
    };
    // Seconds until the next attempt, apart from the regular resync.
    let retry_in = |blocked: &Blocked| Some(now?.until(blocked.retry_at?).as_secs());
    if output.is_json() {
        let blocked = plan.blocked.iter().map(|blocked| {
            json!({
                "companion": blocked.companion,
                "waiting_on": blocked.waiting_on,
                "why": blocked.waiting_on.to_string(),
                "retry_in": retry_in(blocked),
            })
        });
        let mut report = json!({
            "version": VERSION,
            "converged": plan.is_converged(),
            "steps": plan.steps.iter().map(StepReport::planned).collect::<Vec<_>>(),
            "blocked": blocked.collect::<Vec<_>>(),
        });
        if arguments.diff {
            report["diffs"] = json!(diffs);
        }
        output.json(&report);
        return Ok(Verdict::Done);
    }
    plan.steps.iter().for_each(|step| output.line(step.to_string()));
    for blocked in &plan.blocked {
        let waits = Style::Busy.paint("blocked");
        let again = retry_in(blocked).map(|seconds| format!(" (next attempt in {seconds} s)"));
        let (name, why) = (&blocked.companion, &blocked.waiting_on);
        output.line(format!("{waits} {name}: {why}{}", again.unwrap_or_default()));
    }
    if plan.is_converged() {
        output.line("nothing to do");
    }
    diffs.iter().for_each(|diff| diff.print(output));
    Ok(Verdict::Done)
}
