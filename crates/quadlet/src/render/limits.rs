//! The keys of starts and stops, which are in two sections.

use std::time::Duration;

use super::{
    container::json_array,
    lines::Lines,
    sections::{not_zero, time},
};
use crate::{HealthCheck, Refusal, RenderError, Start, Stop, error::Excerpt, keys};

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
        Start::RunningWithin(limit) => {
            not_zero(key, limit.is_zero())?;
            lines.value(key, &time(key, *limit)?)?;
        }
        Start::Healthy { check, margin } => {
            let limit = check.longest().saturating_add(Duration::from_secs(margin.get().into()));
            if limit.as_secs() > LONGEST {
                let value = Excerpt::of(&limit.as_secs().to_string());
                let refusal = Refusal::Invalid { value, expected: "at most a year in seconds" };
                return Err(refusal.at(key.section, key.name));
            }
            lines.value(key, &time(key, limit)?)?;
        }
    }
    match stop {
        Some(stop) => {
            lines.value(&keys::TIMEOUT_STOP_SEC, &time(&keys::TIMEOUT_STOP_SEC, stop.limit())?)
        }
        None => Ok(()),
    }
}

/// The command is a JSON array, because Podman 5.0 to 5.8.1 strips double quotes from the end of a plain text (issue
/// 28409).
fn health(lines: &mut Lines, check: &HealthCheck) -> Result<(), RenderError> {
    let key = &keys::HEALTH_CMD;
    let command = json_array(["CMD-SHELL", &check.command].into_iter())
        .map_err(|refusal| refusal.at(key.section, key.name))?;
    lines.value(key, &command)?;
    let seconds = |count: u32| format!("{count}s");
    lines.value(&keys::HEALTH_INTERVAL, &seconds(check.interval.get()))?;
    lines.value(&keys::HEALTH_TIMEOUT, &seconds(check.timeout.get()))?;
    lines.value(&keys::HEALTH_RETRIES, &check.retries.to_string())?;
    lines.value(&keys::HEALTH_START_PERIOD, &seconds(check.start_period))
}
