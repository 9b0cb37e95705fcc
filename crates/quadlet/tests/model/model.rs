//! An independent model of the parsers: Quadlet's parser and conversion, systemd's parser and expansion, and the
//! command that a typed unit requests. Shares no code with the renderer, so that it does not repeat its errors.

pub(crate) mod intended;
pub(crate) mod quadlet;
pub(crate) mod systemd;
pub(crate) mod units;
pub(crate) mod vectors;
mod words;

use ::quadlet::{ContainerUnit, Extension, extension_value};

/// Checks a generated service against its unit: the command, and systemd's interpretation of the copied sections.
pub(crate) fn check_service(unit: &ContainerUnit, service: &str) -> Result<(), String> {
    let actual = intended::Command::of_argv(&systemd::command(service)?)?;
    let expected = intended::Command::of_unit(unit);
    if actual != expected {
        return Err(format!("command differs\n  asked: {expected:?}\n  given: {actual:?}"));
    }
    let description = systemd::values(service, "Unit", "Description")?.pop();
    let description = description.map(|text| systemd::specifiers(&text)).transpose()?;
    if description != unit.unit.description {
        return Err(format!("description differs: {description:?}"));
    }
    let mut variables = systemd::environment(service)?;
    variables.retain(|(name, _)| name != "PODMAN_SYSTEMD_UNIT");
    let asked: Vec<_> =
        unit.service.environment.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    if variables != asked {
        return Err("environment of the service differs".to_owned());
    }
    let mut paths = Vec::new();
    for line in systemd::values(service, "Unit", "RequiresMountsFor")? {
        // The generator's own lines have specifiers and, before 5.8, unquoted blanks.
        let words = words::split(&line, words::Rules::Strv).unwrap_or_default();
        paths.extend(words.iter().filter_map(|word| systemd::specifiers(word).ok()));
    }
    if let Some(path) = unit.unit.requires_mounts_for.iter().find(|path| !paths.contains(path)) {
        return Err(format!("RequiresMountsFor lacks {path:?}: {paths:?}"));
    }
    unit.extension.iter().try_for_each(|extension| check_extension(extension, service))
}

fn check_extension(extension: &Extension, text: &str) -> Result<(), String> {
    let section = format!("X-{}", extension.name);
    for (key, value) in &extension.entries {
        let read = extension_value(text, &section, key);
        if read.as_ref() != Some(value) {
            return Err(format!("[{section}] {key} differs: {read:?}"));
        }
    }
    Ok(())
}
