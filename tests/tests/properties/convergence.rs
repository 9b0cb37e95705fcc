//! Safety while everything goes wrong, and convergence once it does not any more.

use std::sync::Arc;

use proptest::prelude::*;

use crate::case::{ALL, Case, case, config, run};
use crate::oracle::Verdict;
use crate::play::{converge, play};
use crate::stage::Stage;

/// Plays `case` on a host of its own, heals it, and asks whether it converges.
pub(crate) fn verdict(case: &Case) -> Verdict {
    run(async {
        let mut stage = Stage::of(case);
        stage.ledger = case.is_undisturbed().then(Arc::default);
        play(&mut stage, case).await?;
        converge(&mut stage, case.forgets).await
    })
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn from_every_state_it_converges_within_three_passes_and_is_quiet(case in case(ALL, 60)) {
        let verdict = verdict(&case);
        prop_assert!(verdict.is_ok(), "{}", verdict.unwrap_err());
    }
}
