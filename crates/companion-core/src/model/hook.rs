//! Hooks: what must have been rendered onto the host before a companion may start.
//!
//! A hook is a *renderer*: it computes the bytes of one file, and the file is put in place whole or
//! not at all. That split lets it be asked what it would do without doing it.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::companion::{InvalidValue, is_kebab};
use super::container::AbsolutePath;
use super::revision::Fingerprint;

/// The name under which a host program registered a hook written in Rust.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct HookName(String);

impl HookName {
    /// Validates `name`: `[a-z][a-z0-9-]*`, at most 63 bytes.
    ///
    /// # Errors
    /// [`InvalidValue`] when the name breaks the grammar.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidValue> {
        let name = name.into();
        if name.len() <= 63 && is_kebab(&name) {
            return Ok(Self(name));
        }
        Err(InvalidValue::new(
            "hook",
            &name,
            "must match [a-z][a-z0-9-]* and have at most 63 bytes",
        ))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HookName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for HookName {
    type Error = InvalidValue;
    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(name)
    }
}

impl From<HookName> for String {
    fn from(name: HookName) -> Self {
        name.0
    }
}

/// A hook before the start of a companion: how one file is rendered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HookSpec {
    /// How the bytes are computed.
    pub program: HookProgram,
    /// The file they are written to: mode 0600 in a directory of mode 0700.
    pub output: AbsolutePath,
}

/// How a hook computes the bytes of its file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum HookProgram {
    /// A template file, filled with values.
    Template {
        /// The template's file.
        template: AbsolutePath,
        /// The values by name.
        #[serde(default)]
        values: BTreeMap<String, TemplateValue>,
    },
    /// A program that prints the file's contents to its standard output.
    ///
    /// It runs without a shell, with a small environment, and again only when its argument list, an
    /// input's bytes or the rendered file changed.
    Command {
        /// The program, by absolute path, and its arguments.
        argv: Vec<String>,
        /// The files whose contents its output depends on.
        #[serde(default)]
        inputs: Vec<AbsolutePath>,
        /// Seconds that it may take, 1 to 300.
        #[serde(default = "default_command_timeout")]
        timeout: u32,
    },
    /// A hook written in Rust, registered by the host program.
    Registered(HookName),
}

fn default_command_timeout() -> u32 {
    30
}

/// A value that a template is filled with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TemplateValue {
    /// The text itself; not for secrets.
    Text(String),
    /// A whole number.
    Number(i64),
    /// The contents of a file without the line's end; taken for a secret.
    File(AbsolutePath),
}

/// What a hook would do now.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HookState {
    /// The rendered file is there, with the right mode, and is what would be rendered now.
    Current {
        /// The keyed digest of the file.
        config: Fingerprint,
    },
    /// The file is missing, differs from what would be rendered, or can be written or read by others.
    Stale {
        /// Which of these.
        cause: StaleCause,
        /// A keyed digest of all that the rendering depends on: the same one means that trying
        /// again can give nothing new.
        input: Fingerprint,
    },
    /// It cannot be said yet, because something that the hook reads is not there.
    NotReady {
        /// What it waits for, for people; never a secret.
        waiting_for: String,
        /// The keyed digest of the file that an earlier rendering left, if its mode is right.
        config: Option<Fingerprint>,
    },
}

/// Why a rendered file is stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StaleCause {
    /// There is no file.
    Missing,
    /// Its contents differ from what would be rendered now, whatever its mode.
    Changed,
    /// Its contents are right, and others may write it: it may have held something else before.
    Writable,
    /// Its contents are right, and others may read it, but not write it.
    Exposed,
}

/// The bytes that a hook computed and that have not been put in place yet.
///
/// They may hold a secret: they are wiped when the last copy is dropped, and never printed. Copies
/// share the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered(Arc<Zeroizing<Vec<u8>>>);

impl Rendered {
    /// Takes `bytes` over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
    }

    /// The bytes, for the adapter that writes them.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Hash for Rendered {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes().hash(state);
    }
}

impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rendered({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rendered_bytes_are_never_printed() {
        let rendered = Rendered::new(b"password".to_vec());
        assert_eq!(format!("{rendered:?}"), "Rendered(8 bytes)");
    }
}
