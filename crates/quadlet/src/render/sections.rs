//! The sections that systemd reads itself, and the extension.

use super::lines::Lines;
use crate::{Extension, RenderError, RestartPolicy, Service, Unit, keys, names};

pub(super) fn unit(lines: &mut Lines, unit: &Unit) -> Result<(), RenderError> {
    if let Some(description) = &unit.description {
        lines.value(&keys::DESCRIPTION, description)?;
    }
    for path in &unit.requires_mounts_for {
        names::check_path(path).map_err(|refusal| keys::REQUIRES_MOUNTS_FOR.refuse(refusal))?;
    }
    let paths: Vec<&str> = unit.requires_mounts_for.iter().map(String::as_str).collect();
    lines.words(&keys::REQUIRES_MOUNTS_FOR, &paths)?;
    if unit.without_start_limit {
        lines.value(&keys::START_LIMIT_INTERVAL, "0")?;
    }
    Ok(())
}

/// Quadlet sets `PODMAN_SYSTEMD_UNIT` after the variables of the podman process, which would override ours.
pub(super) fn service(lines: &mut Lines, service: &Service) -> Result<(), RenderError> {
    let key = &keys::SERVICE_ENVIRONMENT;
    for (name, value) in service.environment.iter() {
        names::check_variable(name).map_err(|refusal| key.refuse(refusal))?;
        if name == "PODMAN_SYSTEMD_UNIT" {
            return Err(key.refuse(names::reserved(name)));
        }
        lines.pair(key, name, value, true)?;
    }
    if let Some(policy) = service.restart {
        let word = match policy {
            RestartPolicy::Always => "always",
            RestartPolicy::OnFailure => "on-failure",
            RestartPolicy::No => "no",
        };
        lines.value(&keys::RESTART, word)?;
    }
    if let Some(delay) = service.restart_delay {
        lines.value(&keys::RESTART_SEC, &delay.to_string())?;
    }
    Ok(())
}

/// Limits on memory and processor time.
pub(super) fn resources(lines: &mut Lines, service: &Service) -> Result<(), RenderError> {
    if let Some(bytes) = service.memory_max {
        lines.value(&keys::MEMORY_MAX, &size(bytes.get()))?;
    }
    if let Some(percent) = service.cpu_quota {
        lines.value(&keys::CPU_QUOTA, &format!("{percent}%"))?;
    }
    Ok(())
}

pub(super) fn extension(lines: &mut Lines, extension: &Extension) -> Result<(), RenderError> {
    let section = format!("X-{}", extension.name);
    names::check_section(&extension.name)
        .map_err(|refusal| refusal.at("X-", "").of_item(&extension.name))?;
    for (key, value) in &extension.entries {
        names::check_extension(key).map_err(|refusal| refusal.at(&section, "").of_item(key))?;
        lines.extension(&section, key, value)?;
    }
    Ok(())
}

/// Formats a size for systemd, with the largest suffix (base 1024) that divides it.
fn size(bytes: u64) -> String {
    let suffixes = [(1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
    match suffixes.into_iter().find(|(unit, _)| bytes.is_multiple_of(*unit)) {
        Some((unit, suffix)) => format!("{}{suffix}", bytes / unit),
        None => bytes.to_string(),
    }
}
