//! What a search reached, in words: a search that reaches little holds little.

use std::collections::BTreeSet;
use std::fmt::Debug;

use companion_core::plan::Action;
use companion_core::reconciler::stepwise::{End, Executor};
use companion_core::reconciler::{Outcome, Reconcile};

use super::state::Leader;

/// Words for what was reached, each once.
pub type Reached = BTreeSet<String>;

/// Why something is done in `reconcile`, and what is waited on.
pub fn in_round(reconcile: &Reconcile, reached: &mut Reached) {
    for step in &reconcile.plan.steps {
        reached.insert(format!("because {}", variant(&step.reason)));
    }
    for blocked in &reconcile.plan.blocked {
        reached.insert(format!("waits on {}", variant(&blocked.waiting_on)));
    }
}

/// The step that `executor` takes next.
pub fn verb(executor: Option<&Executor>) -> Option<String> {
    let step = executor?.steps().next()?;
    Some(match &step.action {
        Action::StartUnit(condition) | Action::RestartUnit(condition) => {
            format!("does {} for {:?}", step.action.verb(), condition.need)
        }
        action => format!("does {}", action.verb()),
    })
}

/// How a step ended that `verb` names.
pub fn in_outcome(outcome: &Outcome, verb: Option<String>, reached: &mut Reached) {
    match outcome {
        Outcome::Done | Outcome::Begun => reached.extend(verb),
        Outcome::Failed { kind, .. } => {
            reached.insert(format!("fails as {kind}"));
        }
        Outcome::NotNeeded | Outcome::Skipped => {
            reached.insert(format!("ends as {outcome:?}"));
        }
    }
}

/// How the tasks of `leader` ended that it has not looked at yet.
pub fn in_tasks(leader: &Leader, reached: &mut Reached) {
    for done in &leader.ended {
        if let End::Failed { kind, .. } = &done.0.end {
            reached.insert(format!("fails as {kind}"));
        }
    }
}

/// The first word of a value's own spelling, which is the name of its variant.
fn variant(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    let end = text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len());
    text[..end].to_owned()
}
