//! The desired state of a host as a file for people: `companion export` writes it, `companion apply` reads it.
//!
//! Settings are not part of it: they are in the catalog file.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

use archipelago_companions::AppId;
use serde::{Deserialize, Serialize};

use crate::error::{CommandError, CommandResult};

/// The version of the form.
const VERSION: u32 = 1;
/// Maximum size of a file in bytes.
const SIZE_LIMIT: u64 = 1024 * 1024;

/// The desired state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DesiredFile {
    version: u32,
    /// The installed apps.
    pub(crate) apps: BTreeSet<AppId>,
}

impl DesiredFile {
    /// Creates the file of the installed `apps`.
    pub(crate) fn new(apps: BTreeSet<AppId>) -> Self {
        Self { version: VERSION, apps }
    }

    /// Returns the file as TOML.
    pub(crate) fn to_toml(&self) -> CommandResult<String> {
        let text = toml::to_string_pretty(self);
        let text = text.map_err(|error| CommandError::failure(error.to_string()))?;
        Ok(format!("# Desired state; apply it: companion apply --file FILE\n{text}"))
    }

    /// Reads the file at `path`, or stdin for `-`, as JSON if it begins with `{`, else as TOML.
    ///
    /// # Errors
    /// Bad input for a missing, empty or invalid file, and for one that names no app: it never means that all
    /// are to be removed.
    pub(crate) fn read(path: &Path) -> CommandResult<Self> {
        let shown = path.display();
        let unreadable = |error| CommandError::input(format!("failed to read `{shown}`: {error}"));
        let mut text = String::new();
        let read = match path.as_os_str() == "-" {
            true => std::io::stdin().take(SIZE_LIMIT).read_to_string(&mut text),
            false => std::fs::File::open(path)
                .and_then(|file| file.take(SIZE_LIMIT).read_to_string(&mut text)),
        };
        read.map_err(unreadable)?;
        Self::parse(&text).map_err(|why| {
            CommandError::input(format!("`{shown}` {why}"))
                .hinted("nothing was changed; `companion remove --all` removes all companions")
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("is empty".to_owned());
        }
        let file: Self = match text.trim_start().starts_with('{') {
            true => serde_json::from_str(text)
                .map_err(|error| format!("is invalid: {}", error.to_string().escape_debug()))?,
            false => toml::from_str(text).map_err(|error| format!("is invalid:\n{error}"))?,
        };
        match file.version {
            VERSION if file.apps.is_empty() => Err("names no app".to_owned()),
            VERSION => Ok(file),
            other => Err(format!(
                "has version {other}, but this program supports version {VERSION}; upgrade companion"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apps(names: &[&str]) -> BTreeSet<AppId> {
        names.iter().map(|name| AppId::new(*name).unwrap()).collect()
    }

    #[test]
    fn an_exported_file_is_read_back_in_both_forms() {
        let file = DesiredFile::new(apps(&["bitcoin-knots", "lnd"]));
        assert_eq!(DesiredFile::parse(&file.to_toml().unwrap()).unwrap(), file);
        assert_eq!(DesiredFile::parse(&serde_json::to_string(&file).unwrap()).unwrap(), file);
    }

    #[test]
    fn empty_and_invalid_files_are_refused() {
        for (text, why) in [
            ("", "is empty"),
            (" \n", "is empty"),
            ("version = 1\napps = []\n", "names no app"),
            ("{\"version\": 1, \"apps\": []}", "names no app"),
            ("version = 2\napps = [\"lnd\"]\n", "has version 2"),
            ("apps = [\"lnd\"]\n", "missing field `version`"),
            ("version = 1\napp = [\"lnd\"]\n", "unknown field `app`"),
            ("version = 1\napps = [\"LND\"]\n", "must match"),
            ("{", "is invalid"),
        ] {
            let error = DesiredFile::parse(text).unwrap_err();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }
}
