//! An independent model of the parsers: Quadlet's parser and conversion, systemd's parser and expansion, and the
//! command that a unit requests. Shares no code with the renderer, so that it does not repeat its errors.

pub(crate) mod intended;
pub(crate) mod quadlet;
pub(crate) mod systemd;
pub(crate) mod units;
pub(crate) mod vectors;
mod words;

use ::quadlet::{Class, ContainerUnit, Setting, extension_value};

/// Checks a generated service against its unit: the command, and systemd's interpretation of the copied sections.
pub(crate) fn check_service(unit: &ContainerUnit, service: &str) -> Result<(), String> {
    let actual = intended::Command::of_argv(&systemd::command(service)?)?;
    let expected = intended::Command::of_unit(unit);
    if actual != expected {
        return Err(format!("command differs\n  asked: {expected:?}\n  given: {actual:?}"));
    }
    let of_systemd = |setting: &&Setting| setting.key.section != "Container";
    unit.settings()
        .iter()
        .filter(of_systemd)
        .try_for_each(|setting| check_setting(setting, service))
}

fn check_setting(Setting { key, words, .. }: &Setting, service: &str) -> Result<(), String> {
    let values = systemd::values(service, key.section, key.name)?;
    let found: Vec<String> = match key.class {
        Class::Text => {
            values.iter().map(|text| systemd::specifiers(text)).collect::<Result<_, _>>()?
        }
        Class::Assignments => systemd::environment(service)?,
        // The generator's own lines have specifiers and, before 5.8, unquoted blanks.
        Class::Paths => {
            let split = |line: &String| words::split(line, words::Rules::Strv).unwrap_or_default();
            let words = values.iter().flat_map(split);
            words.filter_map(|word| systemd::specifiers(&word).ok()).collect()
        }
        _ => {
            let read = extension_value(service, key.section, key.name);
            if key.section.starts_with("X-") && read.as_ref() != words.last() {
                return Err(format!("[{}] {} differs: {read:?}", key.section, key.name));
            }
            values
        }
    };
    // An older Podman gets no line for some keys.
    let is_omitted = key.before == ::quadlet::key::Before::Nothing && found.is_empty();
    match words.iter().find(|word| !found.contains(word)) {
        Some(word) if !is_omitted => {
            Err(format!("[{}] {} misses {word:?}: {found:?}", key.section, key.name))
        }
        _ => Ok(()),
    }
}
