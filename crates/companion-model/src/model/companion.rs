//! The companion specification: a name, an image, a container, and a pre-start hook.

use super::container::ContainerSpec;
use super::hook::HookSpec;
use super::image::ImageSource;
use super::text::{is_word, validated_text};

/// A value that failed validation, and the violated rule.
///
/// The value is escaped and cut to 64 characters, so that a malicious one can neither forge nor flood log
/// lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} `{shown}` {rule}")]
pub struct InvalidValue {
    field: &'static str,
    shown: String,
    rule: &'static str,
}

impl InvalidValue {
    /// Returns an error for `value` of `field`, which breaks `rule` (phrased to follow the value: "must be …").
    pub fn new(field: &'static str, value: &str, rule: &'static str) -> Self {
        Self { field, shown: Self::excerpt(value), rule }
    }

    /// Checks that a rule `holds` for `value` of `field`.
    ///
    /// # Errors
    /// The error of [`new`](Self::new) if it does not.
    pub fn unless(
        holds: bool,
        field: &'static str,
        value: impl std::fmt::Display,
        rule: &'static str,
    ) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self::new(field, &value.to_string(), rule)) }
    }

    /// Returns the value of [`shown`](Self::shown) for `value`.
    pub fn excerpt(value: &str) -> String {
        let mut shown: String = value.escape_debug().take(64).collect();
        if value.escape_debug().count() > 64 {
            shown.push('…');
        }
        shown
    }

    /// Returns an error that does not contain the value, for fields that may hold a secret.
    pub fn unshown(field: &'static str, rule: &'static str) -> Self {
        Self { field, shown: "(not shown)".to_owned(), rule }
    }

    /// Returns the name of the invalid field.
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// Returns the invalid value, escaped and cut, unless it is hidden.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

/// The maximum length of a companion name: `<name>.container.XXXXXX` stays below 255 bytes.
pub const NAME_LIMIT: usize = 63;

/// Names reserved for units of the host: a `podman.container` would replace `podman.service` (podman issue
/// 18275).
const RESERVED_NAMES: [&str; 10] = [
    "companion",
    "dbus",
    "dbus-broker",
    "docker",
    "init",
    "podman",
    "podman-auto-update",
    "podman-restart",
    "podman-user-wait-network-online",
    "systemd",
];

validated_text! {
    /// The name of a companion, which is also that of its unit and its container.
    ///
    /// The grammar is `[a-z][a-z0-9_-]*`, at most 63 bytes, a letter or digit at the end, and no name
    /// of the host's own services. It therefore holds no path separator, no `@` of a template, no escape
    /// of systemd's, and can be neither an option nor a hidden file.
    CompanionName, "name", |name| {
        if !is_word(name) {
            Some("must match [a-z][a-z0-9_-]* and end in a letter or digit")
        } else if name.len() > NAME_LIMIT {
            Some("must be at most 63 characters long")
        } else if RESERVED_NAMES.contains(&name) || name.starts_with("systemd-") {
            Some("is reserved for a service of the host")
        } else {
            None
        }
    }
}

/// What the owner of a companion wants to exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompanionSpec {
    /// The companion's, its unit's and its container's name.
    pub name: CompanionName,
    /// The unit's `Description=`, one line.
    pub description: String,
    /// Where the image comes from.
    pub image: ImageSource,
    /// How the container is run.
    pub container: ContainerSpec,
    /// What must have been rendered before the container may start.
    pub hook: Option<HookSpec>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_names_are_accepted() {
        for name in ["a", "archy-bitcoin-ui", "b2", "electrs-ui-9", "immich_postgres", "a_-b"] {
            assert_eq!(CompanionName::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn invalid_names_are_refused_with_the_field() {
        let long = "a".repeat(64);
        let words =
            "-a a- A a_ _a a.b a/b .. ../x a@b é 9a podman dbus systemd-logind web.container";
        for name in words.split(' ').chain(["", "a\nb", "a b", "a\0", &long]) {
            let refusal = CompanionName::new(name).unwrap_err();
            assert_eq!(refusal.field(), "name", "{name:?}");
        }
    }

    #[test]
    fn invalid_values_are_shown_escaped_and_cut() {
        let refusal = CompanionName::new(format!("x\n{}", "y".repeat(500))).unwrap_err();
        let text = refusal.to_string();
        assert!(!text.contains('\n') && text.len() < 200, "{text}");
    }
}
