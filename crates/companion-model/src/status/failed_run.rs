//! The diagnostics of a failed run: its last log lines and their root cause.

use std::collections::BTreeSet;

use crate::model::observed::{Observation, ObservedCompanion};
use crate::root_cause::RootCause;

/// The diagnostics of a companion's last run; empty if it did not fail.
#[derive(Debug, Default)]
pub(super) struct FailedRun {
    /// The root cause in one sentence, if known.
    pub(super) root_cause: Option<String>,
    /// Its last log lines, oldest first.
    pub(super) log: Vec<String>,
    /// The error if they could not be read.
    pub(super) log_error: Option<String>,
}

impl FailedRun {
    pub(super) fn of(seen: &ObservedCompanion) -> Self {
        match &seen.log {
            None => Self::default(),
            Some(Observation::Unknown(error)) => {
                Self { log_error: Some(error.clone()), ..Self::default() }
            }
            Some(Observation::Known(log)) => Self {
                root_cause: RootCause::of(log).map(|cause| cause.to_string()),
                log: log.lines().to_vec(),
                log_error: None,
            },
        }
    }
}

/// Returns the drop-ins of the unit file and the loaded unit without duplicates.
pub(super) fn drop_ins(seen: &ObservedCompanion) -> Vec<String> {
    let of_file = seen.unit.known().into_iter().flat_map(|file| &file.drop_ins);
    let of_service = seen.service.known().into_iter().flat_map(|service| &service.drop_ins);
    let paths: BTreeSet<&String> = of_file.chain(of_service).collect();
    paths.into_iter().cloned().collect()
}
