//! The output buffer: opens a section at its first line, escapes each value by its key's class, and replaces keys that
//! the target Podman does not have.

use crate::{
    PodmanVersion, Refusal, RenderError, escape,
    keys::{self, Key},
};

/// systemd's limit for a line, minus what Quadlet adds to our arguments.
const COMMAND_LIMIT: usize = 1024 * 1024 - 8 * 1024;

/// The limit for the whole text. systemd rejects a line of more than 1 MiB; no real unit file is longer.
const TEXT_LIMIT: usize = 1024 * 1024;

/// More than the longest option that Quadlet writes in front of a word, with the blanks around it and a pair of quotes.
const OPTION_BYTES: usize = 24;

/// The lines written so far.
pub(super) struct Lines {
    version: PodmanVersion,
    text: String,
    section: String,
    command_bytes: usize,
}

impl Lines {
    pub(super) fn new(version: PodmanVersion) -> Self {
        Self { version, text: String::new(), section: String::new(), command_bytes: 0 }
    }

    /// Returns whether the target Podman is `version` or newer.
    pub(super) fn is_for(&self, version: PodmanVersion) -> bool {
        self.version >= version
    }

    /// Returns whether the target Podman has this key.
    pub(super) fn knows(&self, key: &Key) -> bool {
        self.is_for(key.since)
    }

    /// Writes one assignment of one word.
    pub(super) fn value(&mut self, key: &Key, word: &str) -> Result<(), RenderError> {
        self.words(key, &[word])
    }

    /// Writes one assignment of one word that `check` accepts.
    pub(super) fn checked(
        &mut self,
        key: &Key,
        word: &str,
        check: fn(&str) -> Result<(), Refusal>,
    ) -> Result<(), RenderError> {
        check(word).map_err(|refusal| key.refuse(refusal))?;
        self.value(key, word)
    }

    /// Writes one assignment of several words, or nothing if there are none.
    pub(super) fn words(&mut self, key: &Key, words: &[&str]) -> Result<(), RenderError> {
        let refused = |refusal: Refusal| key.refuse(refusal);
        if words.is_empty() {
            return Ok(());
        }
        self.charge(key, words).map_err(refused)?;
        if self.knows(key) {
            let spelt = escape::spell(key.class, words).map_err(refused)?;
            return self.assign(key.section, key.name, &spelt);
        }
        let Some(option) = key.stand_in else {
            return Err(refused(Refusal::NeedsPodman { needed: key.since, given: self.version }));
        };
        for word in words {
            let argument = format!("{option}={word}");
            let spelt = escape::spell(keys::PODMAN_ARGS.class, &[&argument]).map_err(refused)?;
            self.assign(keys::PODMAN_ARGS.section, keys::PODMAN_ARGS.name, &spelt)?;
        }
        Ok(())
    }

    /// Writes `name=value` pairs, one assignment each; an error never shows a value that may be secret.
    pub(super) fn pair(
        &mut self,
        key: &Key,
        name: &str,
        value: &str,
        secret: bool,
    ) -> Result<(), RenderError> {
        self.value(key, &format!("{name}={value}")).map_err(|mut error| {
            if secret {
                error.refusal = error.refusal.hidden();
            }
            error.of_item(name)
        })
    }

    /// Writes a line of an extension section.
    pub(super) fn extension(
        &mut self,
        section: &str,
        key: &str,
        value: &str,
    ) -> Result<(), RenderError> {
        let spelt = escape::spell_extension(value).map_err(|refusal| refusal.at(section, key))?;
        self.assign(section, key, &spelt)
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// Adds the maximum size of the words in the generated `ExecStart=`.
    fn charge(&mut self, key: &Key, words: &[&str]) -> Result<(), Refusal> {
        if key.section != "Container" {
            return Ok(());
        }
        for word in words {
            let bytes: usize = word.chars().map(command_bytes).sum();
            self.command_bytes += bytes + OPTION_BYTES;
        }
        if self.command_bytes > COMMAND_LIMIT {
            return Err(Refusal::too_long(self.command_bytes, COMMAND_LIMIT));
        }
        Ok(())
    }

    fn assign(&mut self, section: &str, key: &str, value: &str) -> Result<(), RenderError> {
        if self.section != section {
            if !self.text.is_empty() {
                self.text.push('\n');
            }
            self.text.push_str(&format!("[{section}]\n"));
            section.clone_into(&mut self.section);
        }
        self.text.push_str(&format!("{key}={value}\n"));
        if self.text.len() > TEXT_LIMIT {
            return Err(Refusal::too_long(self.text.len(), TEXT_LIMIT).at(section, key));
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
