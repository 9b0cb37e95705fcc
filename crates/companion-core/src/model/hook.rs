//! Hooks: what must have been rendered onto the host before a companion may start.
//!
//! A hook is a *renderer*: it computes the bytes of one file, and the file is put in place whole or
//! not at all. That split lets it be asked what it would do without doing it.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
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

/// What a hook would render now, and what earlier renderings left.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HookState {
    /// What a rendering would give now.
    pub rendering: Rendering,
    /// The rendered files beside the output, by name.
    pub files: BTreeMap<ConfigId, ConfigFile>,
    /// What lies at the output.
    pub link: Link,
}

/// What lies at a hook's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Link {
    /// Nothing.
    Absent,
    /// A link to a rendered file, whether that exists or not.
    To(ConfigId),
    /// A link to another place, or a regular file: the next commit replaces it.
    Other,
    /// Something else, such as a directory: it is not replaced.
    Unmanaged,
}

/// What a rendering would give now.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Rendering {
    /// A file with this keyed digest.
    Known(Fingerprint),
    /// The hook must run to tell.
    Outdated {
        /// A keyed digest of all that the rendering depends on: the same one means that trying
        /// again can give nothing new.
        input: Fingerprint,
    },
    /// Something that the hook reads is missing.
    NotReady {
        /// What it waits for, for people; never a secret.
        waiting_for: String,
    },
}

/// The name of a rendered file. It stands for the bytes: a file is never replaced by other bytes.
///
/// The text form is the digest, followed by `.` and the epoch unless that is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigId {
    /// The digest of the bytes, keyed with a secret of the host: a unit must not let anyone test
    /// guesses of a password.
    pub digest: Fingerprint,
    /// How many files of these bytes were lost or modified outside companion before this one.
    ///
    /// What started from such a file names it all the same. The restored file therefore gets the next
    /// epoch, and the difference shows, however often the restoring process crashed in between.
    pub epoch: u32,
}

/// What a rendered file is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigFile {
    /// It holds the bytes that its name stands for, and only its owner can read or write it.
    Intact,
    /// It holds these bytes, and others can read it.
    ReadableByOthers,
    /// It holds these bytes, and others can write it: it may have held something else before.
    WritableByOthers,
    /// It holds other bytes, or is no regular file.
    Modified,
}

/// Why a hook has to render.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StaleCause {
    /// There is no file.
    Missing,
    /// A rendering would give other bytes, or the file holds other bytes than its name stands for.
    Changed,
    /// Others can write the file.
    WritableByOthers,
    /// Others can read the file, but not write it.
    ReadableByOthers,
    /// The output does not link to the file, which is usable nevertheless.
    Unlinked,
}

impl HookState {
    /// The file to start from, unless the hook has to render first.
    ///
    /// `claimed` are the files that the unit, or a process, names. While the hook is not ready, the
    /// file that an earlier rendering left is the best there is.
    ///
    /// # Errors
    /// Why the hook has to render.
    pub fn usable(&self, claimed: &[ConfigId]) -> Result<ConfigId, StaleCause> {
        let stale = if self.files.is_empty() { StaleCause::Missing } else { StaleCause::Changed };
        let last = match self.rendering {
            Rendering::Known(digest) => last(digest, &self.files, claimed).ok_or(stale)?,
            Rendering::Outdated { .. } => return Err(stale),
            Rendering::NotReady { .. } => match self.link {
                Link::To(id) => id,
                Link::Absent | Link::Other | Link::Unmanaged => return Err(stale),
            },
        };
        match self.files.get(&last) {
            None => Err(StaleCause::Missing),
            Some(ConfigFile::Modified) => Err(StaleCause::Changed),
            Some(ConfigFile::WritableByOthers) => Err(StaleCause::WritableByOthers),
            Some(ConfigFile::ReadableByOthers) => Err(StaleCause::ReadableByOthers),
            Some(ConfigFile::Intact) => Ok(last),
        }
    }
}

impl ConfigId {
    /// The path of the rendered file: beside the hook's `output`, under its name, `.` and this name.
    pub fn path(&self, output: &AbsolutePath) -> AbsolutePath {
        output.with_suffix(&format!(".{self}"))
    }

    /// The name that bytes with `digest` are committed under, beside `files`.
    ///
    /// A file that is lost or was modified is not restored in place as long as `claimed` names it, or
    /// it lies there: the bytes get the next epoch.
    pub fn to_commit(
        digest: Fingerprint,
        files: &BTreeMap<Self, ConfigFile>,
        claimed: &[Self],
    ) -> Self {
        let Some(last) = last(digest, files, claimed) else {
            return Self { digest, epoch: 0 };
        };
        match files.get(&last) {
            Some(ConfigFile::Intact | ConfigFile::ReadableByOthers) => last,
            Some(ConfigFile::WritableByOthers | ConfigFile::Modified) | None => {
                Self { epoch: last.epoch.saturating_add(1), ..last }
            }
        }
    }
}

/// The last epoch of the bytes with `digest` that a file or a claim names. The largest number, after
/// which there is no other, is nobody's: only a forged unit claims it.
fn last(
    digest: Fingerprint,
    files: &BTreeMap<ConfigId, ConfigFile>,
    claimed: &[ConfigId],
) -> Option<ConfigId> {
    files
        .keys()
        .chain(claimed)
        .filter(|id| id.digest == digest && id.epoch < u32::MAX)
        .max()
        .copied()
}

impl fmt::Display for ConfigId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.epoch {
            0 => write!(f, "{}", self.digest),
            epoch => write!(f, "{}.{epoch}", self.digest),
        }
    }
}

impl FromStr for ConfigId {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let Some((digest, epoch)) = text.split_once('.') else {
                return Some(Self { digest: text.parse().ok()?, epoch: 0 });
            };
            let number = epoch.parse().ok().filter(|n: &u32| *n > 0 && n.to_string() == epoch)?;
            Some(Self { digest: digest.parse().ok()?, epoch: number })
        };
        parse().ok_or_else(|| {
            let rule =
                "must be 16 lower-case hexadecimal digits, with `.` and an epoch above 0 if any";
            InvalidValue::new("configuration", text, rule)
        })
    }
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
