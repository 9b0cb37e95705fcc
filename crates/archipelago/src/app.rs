//! Apps: the backends that companions belong to, by the ids that Archipelago has for them.

use std::fmt;

use companion_core::model::companion::InvalidValue;
use serde::{Deserialize, Serialize};

/// The id of a backend app, such as `bitcoin-knots`: `[a-z0-9][a-z0-9-]*`, at most 63 bytes.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(try_from = "String")]
pub struct AppId(String);

impl AppId {
    /// Validates `id`.
    ///
    /// # Errors
    /// [`InvalidValue`] when the id breaks the grammar.
    pub fn new(id: impl Into<String>) -> Result<Self, InvalidValue> {
        let id = id.into();
        let grammar = !id.is_empty()
            && id.len() <= 63
            && !id.starts_with('-')
            && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let rule = "must match [a-z0-9][a-z0-9-]* and have at most 63 bytes";
        InvalidValue::unless(grammar, "app", &id, rule)?;
        Ok(Self(id))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for AppId {
    type Err = InvalidValue;
    fn from_str(id: &str) -> Result<Self, Self::Err> {
        Self::new(id)
    }
}

impl TryFrom<String> for AppId {
    type Error = InvalidValue;
    fn try_from(id: String) -> Result<Self, Self::Error> {
        Self::new(id)
    }
}
