//! What a failed run left to be read: its last lines, and the cause that they name.

use std::collections::BTreeSet;

use crate::model::observed::{Observation, ObservedCompanion};
use crate::root_cause::RootCause;

/// What is known of a companion's last run; nothing while that did not fail.
#[derive(Debug, Default)]
pub(super) struct FailedRun {
    /// The root cause in one sentence, if the lines name a known one.
    pub(super) root_cause: Option<String>,
    /// Its last lines, oldest first.
    pub(super) log: Vec<String>,
    /// Why they could not be read.
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

/// The drop-ins of the unit file, and those of the loaded unit, each once.
pub(super) fn drop_ins(seen: &ObservedCompanion) -> Vec<String> {
    let of_file = seen.unit.known().into_iter().flat_map(|file| &file.drop_ins);
    let of_service = seen.service.known().into_iter().flat_map(|service| &service.drop_ins);
    let paths: BTreeSet<&String> = of_file.chain(of_service).collect();
    paths.into_iter().cloned().collect()
}
