//! Safety during faults, and convergence after them.

use std::sync::Arc;

use companion_tests::simulation::checks::Verdict;
use proptest::prelude::*;

use crate::case::{ALL, Case, case, config, run};
use crate::simulation::Simulation;
use crate::steps::{converge, perform_all};

/// Runs `case` on a new host, ends all faults, and checks that it converges.
pub(crate) fn verdict(case: &Case) -> Verdict {
    run(async {
        let mut simulation = Simulation::of(case);
        simulation.ledger = case.is_undisturbed().then(Arc::default);
        perform_all(&mut simulation, case).await?;
        converge(&mut simulation, case.forgets).await
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
