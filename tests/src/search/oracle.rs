//! What must be so at every look, besides the rules that the plan is [checked](companion_core::check)
//! for: those judge what begins, this what goes on.
//!
//! An effect is for what its leader last read. An intent may be recorded at any time, and is carried out
//! from the next look on; what is under way for an older one ends there. That nothing is made after a
//! removal was reported as finished, and no restart has no cause, the fake keeps by itself.

use companion_core::model::observed::Work;
use companion_core::reconciler::Round;

use super::state::Leader;

/// What `leader` goes on with, after it began `round`, that it does not desire.
pub fn after_look<'a>(round: &'a Round, leader: &'a Leader) -> impl Iterator<Item = String> + 'a {
    let makes = |work| matches!(work, Work::Hook | Work::Image);
    let unwanted = leader
        .tasks
        .keys()
        .filter(move |(name, work)| makes(*work) && !round.desired.companions.contains_key(name));
    unwanted.map(|(name, work)| format!("S4: {work:?} of `{name}` goes on, and it is not desired"))
}
