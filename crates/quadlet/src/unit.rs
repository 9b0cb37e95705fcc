//! A unit: its settings, in whatever order they were added, and their text. The order of the sections and the limits of the
//! whole are decided here; escaping is separate.

use std::fmt;

use crate::{
    PodmanVersion, RenderError,
    escape::{self, Refusal},
    key::{Before, Class, Key, PODMAN_ARGS},
};

/// The sections in the order of the text; any other comes after them.
const SECTIONS: [&str; 5] = ["Unit", "Container", "Service", "Install", "Quadlet"];

/// systemd's limit for a line, minus what Quadlet adds to our arguments.
const COMMAND_LIMIT: usize = 1024 * 1024 - 8 * 1024;

/// The limit for the whole text. systemd rejects a line of more than 1 MiB; no real unit file is longer.
const TEXT_LIMIT: usize = 1024 * 1024;

/// More than the longest option that Quadlet writes in front of a word, with the blanks around it and a pair of quotes.
const OPTION_BYTES: usize = 24;

/// A `.container` unit: what is set in it. It needs an [`IMAGE`](crate::key::IMAGE).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerUnit {
    settings: Vec<Setting>,
}

/// One setting of a unit. `Debug` shows only its key, because a value may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key.
    pub key: Key,
    /// The name of a pair.
    pub name: Option<String>,
    /// The words, at least one; of a pair `NAME=value`.
    pub words: Vec<String>,
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.key.section, self.key.name)
    }
}

impl ContainerUnit {
    /// Creates a unit without settings.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a key to one word, or adds one to a list.
    pub fn add(&mut self, key: Key, word: impl Into<String>) {
        self.add_words(key, [word]);
    }

    /// Sets a key to these words; sets nothing without any.
    pub fn add_words<W: Into<String>>(&mut self, key: Key, words: impl IntoIterator<Item = W>) {
        let words: Vec<String> = words.into_iter().map(Into::into).collect();
        if !words.is_empty() {
            self.settings.push(Setting { key, name: None, words });
        }
    }

    /// Sets a variable or a label. No message shows its value.
    pub fn add_pair(&mut self, key: Key, name: &str, value: &str) {
        let words = vec![format!("{name}={value}")];
        self.settings.push(Setting { key, name: Some(name.to_owned()), words });
    }

    /// Returns the settings as they were added.
    #[must_use]
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// Renders the text of the `.container` file for this Podman.
    ///
    /// The same unit and version give the same bytes: sections in the order `[Unit]`, `[Container]`, `[Service]`,
    /// `[Install]`, `[Quadlet]`, `[X-…]`, settings as they were added within each. Before the first version with a key, an
    /// option in `PodmanArgs=` replaces it, as [`Key::before`] says.
    ///
    /// # Errors
    ///
    /// [`RenderError`] names the first setting that cannot be expressed for this Podman, or that Podman would interpret
    /// differently. No Podman before [`PodmanVersion::FLOOR`] has a text for an image.
    pub fn render(&self, podman: PodmanVersion) -> Result<String, RenderError> {
        let place = |setting: &&Setting| {
            let known = SECTIONS.iter().position(|section| *section == setting.key.section);
            known.unwrap_or(SECTIONS.len())
        };
        let mut settings: Vec<&Setting> = self.settings.iter().collect();
        settings.sort_by_key(place);
        let mut text = Text { podman, text: String::new(), section: "", command_bytes: 0 };
        for setting in settings {
            text.write(setting)?;
        }
        Ok(text.text)
    }
}

/// The text so far.
struct Text {
    podman: PodmanVersion,
    text: String,
    section: &'static str,
    command_bytes: usize,
}

impl Text {
    /// Writes a setting, or what replaces it for this Podman.
    fn write(&mut self, setting: &Setting) -> Result<(), RenderError> {
        let Setting { key, name, words } = setting;
        let refused = |refusal| RenderError::new(key, name.as_deref(), &refusal);
        let words = match key.class {
            Class::Array => &[escape::array(words).map_err(refused)?],
            _ => words.as_slice(),
        };
        if self.podman >= key.since {
            let spelt = words.iter().map(|word| self.spell(key, word));
            let mut spelt = spelt.collect::<Result<Vec<_>, _>>().map_err(refused)?;
            if key.class.is_list() {
                spelt = vec![spelt.join(" ")];
            }
            return spelt.iter().try_for_each(|value| self.assign(key, value)).map_err(refused);
        }
        match key.before {
            Before::Nothing => Ok(()),
            Before::Option(option) => words.iter().try_for_each(|word| {
                let spelt = self.spell(&PODMAN_ARGS, &format!("{option}={word}"));
                self.assign(&PODMAN_ARGS, &spelt.map_err(refused)?).map_err(refused)
            }),
            Before::Refusal => {
                let (needed, given) = (key.since, self.podman);
                let reason = format!("needs Podman {needed}, the unit is for {given}");
                Err(RenderError::needs_podman(key, reason))
            }
        }
    }

    /// Escapes a word, and adds its maximum size to that of the generated `ExecStart=`.
    fn spell(&mut self, key: &Key, word: &str) -> Result<String, Refusal> {
        if key.section == "Container" {
            let bytes: usize = word.chars().map(command_bytes).sum();
            self.command_bytes += bytes + OPTION_BYTES;
            if self.command_bytes > COMMAND_LIMIT {
                return Err(Refusal::too_long(word, self.command_bytes, COMMAND_LIMIT));
            }
        }
        escape::spell(key.class, word)
    }

    fn assign(&mut self, key: &Key, value: &str) -> Result<(), Refusal> {
        if self.section != key.section {
            if !self.text.is_empty() {
                self.text.push('\n');
            }
            self.text.push_str(&format!("[{}]\n", key.section));
            self.section = key.section;
        }
        self.text.push_str(&format!("{}={value}\n", key.name));
        if self.text.len() > TEXT_LIMIT {
            return Err(Refusal::too_long(value, self.text.len(), TEXT_LIMIT));
        }
        Ok(())
    }
}

/// Returns the size of a character in a generated command line: Quadlet writes blanks and control characters as `\xHH`,
/// and expanded characters are doubled.
fn command_bytes(c: char) -> usize {
    match c {
        '%' | '$' | '"' | '\\' => 2,
        c if c == ' ' || c.is_ascii_control() => 4,
        c => c.len_utf8(),
    }
}

#[cfg(test)]
mod tests;
