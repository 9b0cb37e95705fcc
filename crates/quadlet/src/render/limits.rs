//! The keys of starts and stops, which are in two sections.

use super::{container::json_array, lines::Lines};
use crate::{HealthCheck, Refusal, RenderError, Start, Stop, keys};

/// The most that `TimeoutStartSec=` is rendered as, in seconds: a year. systemd refuses times of half a million years.
const LONGEST: u64 = 365 * 24 * 3600;

pub(super) fn in_container(
    lines: &mut Lines,
    start: &Start,
    stop: Option<Stop>,
) -> Result<(), RenderError> {
    if let Start::Healthy { check, .. } = start {
        lines.value(&keys::NOTIFY_HEALTHY, "healthy")?;
        health(lines, check)?;
    }
    if let Some(stop) = stop {
        lines.value(&keys::STOP_TIMEOUT, &stop.grace.to_string())?;
    }
    Ok(())
}

pub(super) fn in_service(
    lines: &mut Lines,
    start: &Start,
    stop: Option<Stop>,
) -> Result<(), RenderError> {
    let key = &keys::TIMEOUT_START_SEC;
    match start {
        Start::Running => {}
        Start::RunningWithin(limit) => lines.value(key, &limit.to_string())?,
        Start::Healthy { check, margin } => {
            let limit = check.longest().saturating_add(margin.get().into());
            if limit > LONGEST {
                let refusal = Refusal::value(&limit.to_string(), "is more than a year in seconds");
                return Err(key.refuse(refusal));
            }
            lines.value(key, &limit.to_string())?;
        }
    }
    match stop {
        Some(stop) => lines.value(&keys::TIMEOUT_STOP_SEC, &stop.limit().to_string()),
        None => Ok(()),
    }
}

/// The command is a JSON array, because Podman 5.0 to 5.8.1 strips double quotes from the end of a plain text (issue
/// 28409).
fn health(lines: &mut Lines, check: &HealthCheck) -> Result<(), RenderError> {
    let key = &keys::HEALTH_CMD;
    let command = json_array(["CMD-SHELL", &check.command].into_iter())
        .map_err(|refusal| key.refuse(refusal))?;
    lines.value(key, &command)?;
    let seconds = |count: u32| format!("{count}s");
    lines.value(&keys::HEALTH_INTERVAL, &seconds(check.interval.get()))?;
    lines.value(&keys::HEALTH_TIMEOUT, &seconds(check.timeout.get()))?;
    lines.value(&keys::HEALTH_RETRIES, &check.retries.to_string())?;
    lines.value(&keys::HEALTH_START_PERIOD, &seconds(check.start_period))
}
