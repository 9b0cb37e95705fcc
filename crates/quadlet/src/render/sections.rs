//! The sections that systemd reads itself, `[Quadlet]`, and extensions.

use std::{collections::BTreeSet, time::Duration};

use super::lines::{Lines, duplicate};
use crate::{
    Environment, Extension, Install, Quadlet, Refusal, RenderError, RestartPolicy, Service, Unit,
    error::Excerpt,
    keys::{self, Key},
    names,
};

pub(super) fn unit(lines: &mut Lines, unit: &Unit) -> Result<(), RenderError> {
    if let Some(description) = &unit.description {
        lines.value(&keys::DESCRIPTION, description)?;
    }
    dependencies(lines, &keys::WANTS, &unit.wants)?;
    dependencies(lines, &keys::REQUIRES, &unit.requires)?;
    dependencies(lines, &keys::AFTER, &unit.after)?;
    for path in &unit.requires_mounts_for {
        let key = &keys::REQUIRES_MOUNTS_FOR;
        names::check_path(path).map_err(|refusal| refusal.at(key.section, key.name))?;
    }
    let paths: Vec<&str> = unit.requires_mounts_for.iter().map(String::as_str).collect();
    lines.words(&keys::REQUIRES_MOUNTS_FOR, &paths)?;
    if let Some(interval) = unit.start_limit_interval {
        lines.value(&keys::START_LIMIT_INTERVAL, &time(&keys::START_LIMIT_INTERVAL, interval)?)?;
    }
    if let Some(burst) = unit.start_limit_burst {
        lines.value(&keys::START_LIMIT_BURST, &burst.to_string())?;
    }
    Ok(())
}

pub(super) fn service(lines: &mut Lines, service: &Service) -> Result<(), RenderError> {
    environment(lines, &service.environment)?;
    if let Some(policy) = service.restart {
        let word = match policy {
            RestartPolicy::Always => "always",
            RestartPolicy::OnFailure => "on-failure",
            RestartPolicy::No => "no",
        };
        lines.value(&keys::RESTART, word)?;
    }
    if let Some(delay) = service.restart_delay {
        lines.value(&keys::RESTART_SEC, &time(&keys::RESTART_SEC, delay)?)?;
    }
    Ok(())
}

/// Limits on memory and processor time.
pub(super) fn resources(lines: &mut Lines, service: &Service) -> Result<(), RenderError> {
    if let Some(bytes) = service.memory_max {
        not_zero(&keys::MEMORY_MAX, bytes == 0)?;
        lines.value(&keys::MEMORY_MAX, &size(bytes))?;
    }
    if let Some(percent) = service.cpu_quota {
        not_zero(&keys::CPU_QUOTA, percent == 0)?;
        lines.value(&keys::CPU_QUOTA, &format!("{percent}%"))?;
    }
    Ok(())
}

pub(super) fn install(lines: &mut Lines, install: &Install) -> Result<(), RenderError> {
    dependencies(lines, &keys::WANTED_BY, &install.wanted_by)?;
    dependencies(lines, &keys::REQUIRED_BY, &install.required_by)?;
    dependencies(lines, &keys::UPHELD_BY, &install.upheld_by)
}

pub(super) fn quadlet(lines: &mut Lines, quadlet: &Quadlet) -> Result<(), RenderError> {
    if quadlet.default_dependencies || !lines.knows(&keys::DEFAULT_DEPENDENCIES) {
        return Ok(());
    }
    lines.value(&keys::DEFAULT_DEPENDENCIES, "false")
}

pub(super) fn extensions(lines: &mut Lines, extensions: &[Extension]) -> Result<(), RenderError> {
    let mut names = BTreeSet::new();
    for extension in extensions {
        let section = format!("X-{}", extension.name);
        names::check_section(&extension.name)
            .and_then(
                |()| {
                    if names.insert(&extension.name) { Ok(()) } else { Err(duplicate(&section)) }
                },
            )
            .map_err(|refusal| refusal.at("X-", "").of_item(&extension.name))?;
        let mut keys = BTreeSet::new();
        for (key, value) in &extension.entries {
            names::check_extension(key)
                .and_then(|()| if keys.insert(key) { Ok(()) } else { Err(duplicate(key)) })
                .map_err(|refusal| refusal.at(&section, "").of_item(key))?;
            lines.extension(&section, key, value)?;
        }
    }
    Ok(())
}

/// Variables of the podman process. Quadlet sets `PODMAN_SYSTEMD_UNIT` after them, which would override ours.
fn environment(lines: &mut Lines, environment: &Environment) -> Result<(), RenderError> {
    let key = &keys::SERVICE_ENVIRONMENT;
    for (name, value) in environment.iter() {
        names::check_variable(name)
            .and_then(|()| {
                let reserved = name == "PODMAN_SYSTEMD_UNIT";
                if reserved { Err(Refusal::Reserved { value: Excerpt::of(name) }) } else { Ok(()) }
            })
            .map_err(|refusal| refusal.at(key.section, key.name))?;
        lines.pair(key, name, value, true)?;
    }
    Ok(())
}

fn dependencies(lines: &mut Lines, key: &Key, units: &[String]) -> Result<(), RenderError> {
    for unit in units {
        names::check_dependency(unit).map_err(|refusal| refusal.at(key.section, key.name))?;
    }
    let words: Vec<&str> = units.iter().map(String::as_str).collect();
    lines.words(key, &words)
}

pub(super) fn not_zero(key: &Key, zero: bool) -> Result<(), RenderError> {
    if !zero {
        return Ok(());
    }
    let refusal = Refusal::Invalid { value: Excerpt::of("0"), expected: "more than zero" };
    Err(refusal.at(key.section, key.name))
}

/// Formats a time for systemd: in seconds if whole, otherwise in microseconds.
pub(super) fn time(key: &Key, time: Duration) -> Result<String, RenderError> {
    if time.subsec_nanos() == 0 {
        return Ok(time.as_secs().to_string());
    }
    if time.subsec_nanos().is_multiple_of(1000) {
        return Ok(format!("{}us", time.as_micros()));
    }
    let value = Excerpt::of(&format!("{time:?}"));
    Err(Refusal::Invalid { value, expected: "a whole number of microseconds" }
        .at(key.section, key.name))
}

/// Formats a size for systemd, with the largest suffix (base 1024) that divides it.
fn size(bytes: u64) -> String {
    let suffixes = [(1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
    match suffixes.into_iter().find(|(unit, _)| bytes.is_multiple_of(*unit)) {
        Some((unit, suffix)) => format!("{}{suffix}", bytes / unit),
        None => bytes.to_string(),
    }
}
