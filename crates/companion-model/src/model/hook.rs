//! Pre-start hooks: render configuration before a companion starts.
//!
//! A hook is a *renderer*: it computes the bytes of one file, which is then written atomically. This split
//! allows a dry run.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::companion::InvalidValue;
use super::container::AbsolutePath;
use super::revision::Fingerprint;
use super::text::{is_word, validated_text};

validated_text! {
    /// The name under which a host program registered a hook written in Rust.
    HookName, "hook", "must match [a-z][a-z0-9_-]*, end in a letter or digit, and have at most 63 bytes",
    |name| name.len() <= 63 && is_word(name)
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

/// The state of a hook: the current rendering, and the rendered files.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HookState {
    /// The result of a rendering now.
    pub rendering: Rendering,
    /// The rendered files in the output's directory, by name.
    pub files: BTreeMap<ConfigId, ConfigFile>,
    /// The state of the output.
    pub link: Link,
}

/// The state of a hook's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Link {
    /// Nothing.
    Absent,
    /// A link to a rendered file, which may not exist.
    To(ConfigId),
    /// A link to another path, or a regular file: the next commit replaces it.
    Other,
    /// An unmanaged object, such as a directory: it is not replaced.
    Unmanaged,
}

/// The result of a rendering now.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Rendering {
    /// The keyed digest of the file.
    Known(Fingerprint),
    /// Known only by running the hook.
    Outdated {
        /// A keyed digest of all inputs: with the same digest a retry gives the same result.
        input: Fingerprint,
    },
    /// An input of the hook is missing.
    NotReady {
        /// The missing input, for messages; never a secret.
        waiting_for: String,
    },
}

/// The name of a rendered file, derived from its contents: a file is never overwritten with other bytes.
///
/// The text form is the digest, followed by `.` and the epoch unless that is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigId {
    /// The digest of the bytes, keyed with a secret of the host, so that guesses of a password cannot be
    /// verified.
    pub digest: Fingerprint,
    /// How many files with these bytes were lost or modified outside companion before.
    ///
    /// A process started from such a file still names it. The restored file therefore gets the next epoch, so
    /// the difference is visible even after crashes of the restoring process.
    pub epoch: u32,
}

/// The state of a rendered file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigFile {
    /// It has the expected bytes, and only its owner can read or write it.
    Intact,
    /// It has the expected bytes, but is readable by others.
    ReadableByOthers,
    /// It has the expected bytes, but is writable by others: its contents may have been different before.
    WritableByOthers,
    /// It has other bytes, or is not a regular file.
    Modified,
}

/// Why a hook must render.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StaleCause {
    /// The file is missing.
    Missing,
    /// A rendering would give other bytes, or the file has unexpected bytes.
    Changed,
    /// The file is writable by others.
    WritableByOthers,
    /// The file is readable but not writable by others.
    ReadableByOthers,
    /// The output does not link to the file, which is usable.
    Unlinked,
}

impl HookState {
    /// Returns the file to start from, unless the hook must render first.
    ///
    /// `claimed` are the files named by the unit or a process. While the hook is not ready, an earlier
    /// rendering is used.
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
    /// Returns the path of the rendered file: `<output>.<this name>`.
    pub fn path(&self, output: &AbsolutePath) -> AbsolutePath {
        output.with_suffix(&format!(".{self}"))
    }

    /// Returns the name for a commit of bytes with `digest`, given the existing `files`.
    ///
    /// A lost or modified file is not restored under its name while `claimed` contains it or it exists: the
    /// bytes get the next epoch.
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

/// Returns the last epoch of the bytes with `digest` in any file or claim. The maximum value is ignored,
/// because it has no successor and only a forged unit claims it.
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

/// Rendered bytes that are not committed yet.
///
/// They may hold a secret: they are zeroed when the last clone is dropped, and never printed. Clones share the
/// bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered(Arc<Zeroizing<Vec<u8>>>);

impl Rendered {
    /// Takes ownership of `bytes`.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
    }

    /// Returns the bytes, for the adapter that writes them.
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
