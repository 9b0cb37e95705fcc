//! Safety during faults, and convergence after them.

use std::sync::Arc;

use proptest::prelude::*;

use crate::case::{ALL, Case, case, config, run};
use crate::oracle::Verdict;
use crate::play::{converge, play};
use crate::stage::Stage;

/// Runs `case` on a new host, ends all faults, and checks that it converges.
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
    fn every_state_converges_within_three_runs_and_stays_idle(case in case(ALL, 60)) {
        let verdict = verdict(&case);
        prop_assert!(verdict.is_ok(), "{}", verdict.unwrap_err());
    }
    #[test]
    fn every_state_of_a_host_without_traits_converges(case in case(ALL, 60)) {
        let verdict = verdict(&Case { is_bare: true, ..case });
        prop_assert!(verdict.is_ok(), "{}", verdict.unwrap_err());
    }
}
