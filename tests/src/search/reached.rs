//! Coverage of a search, as text: a search with little coverage proves little.

use std::collections::BTreeSet;
use std::fmt::Debug;

use companion_core::memory::End;
use companion_core::plan::Action;
use companion_core::reconciler::parts::Executor;
use companion_core::reconciler::{Outcome, Reconcile};

use super::state::Leader;

/// Coverage goals, each once.
pub type Reached = BTreeSet<String>;

/// Records the reasons and waits in `reconcile`.
pub fn in_round(reconcile: &Reconcile, reached: &mut Reached) {
    for step in &reconcile.plan.steps {
        reached.insert(format!("because {}", variant(&step.reason)));
    }
    for blocked in &reconcile.plan.blocked {
        reached.insert(format!("waits on {}", variant(&blocked.waiting_on)));
    }
}

/// Records the next step of `executor`.
pub fn verb(executor: Option<&Executor>) -> Option<String> {
    let step = executor?.steps().next()?;
    Some(match &step.action {
        Action::StartUnit(condition) | Action::RestartUnit(condition) => {
            format!("does {} for {:?}", step.action.verb(), condition.need)
        }
        action => format!("does {}", action.verb()),
    })
}

/// Records the outcome of a step named `verb`.
pub fn in_outcome(outcome: &Outcome, verb: Option<String>, reached: &mut Reached) {
    match outcome {
        Outcome::Done | Outcome::Started => reached.extend(verb),
        Outcome::Failed(problem) => {
            reached.insert(format!("fails as {}", problem.kind));
        }
        Outcome::NotNeeded | Outcome::Skipped => {
            reached.insert(format!("ends as {outcome:?}"));
        }
    }
}

/// Records the outcome of the tasks of `leader` that it has not observed yet.
pub fn in_tasks(leader: &Leader, reached: &mut Reached) {
    for done in &leader.ended {
        if let End::Failed(problem) = &done.0.end {
            reached.insert(format!("fails as {}", problem.kind));
        }
    }
}

/// The variant name of a value: the first word of its `Debug` output.
fn variant(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    let end = text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len());
    text[..end].to_owned()
}
