//! What hooks read and what they rendered.

use std::collections::{BTreeMap, BTreeSet};

use companion_core::model::container::AbsolutePath;
use companion_core::model::hook::{
    HookName, HookProgram, HookSpec, HookState, StaleCause, TemplateValue,
};
use companion_core::model::revision::Fingerprint;
use companion_core::ports::{PortError, PortErrorKind, PortResult};

use super::World;
use super::conditions::Disk;
use super::durable::Durable;

/// The text that stands in every rendered file for what is secret about it.
///
/// A test that finds it anywhere else has found a leak.
pub const SECRET: &str = "correct-horse-battery-staple";

/// The beginning of rendered bytes that the program in the container will not accept.
const NONSENSE: &str = "nonsense";

/// How a hook's rendering goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// Its program ends with an error, or its template is refused.
    Fails,
    /// It never ends by itself.
    Hangs,
    /// It gives something that the program in the container does not accept.
    Nonsense,
}

/// A rendered file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigFile {
    /// A regular file.
    Regular {
        /// A digest of its bytes.
        content: Fingerprint,
        /// Its mode.
        mode: u16,
        /// Whether the program in the container accepts it.
        sound: bool,
    },
    /// A directory lies there.
    Directory,
}

/// What hooks read and what they rendered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Files {
    /// The contents of files that hooks read, such as credentials and templates, as a digest.
    pub inputs: BTreeMap<AbsolutePath, Fingerprint>,
    /// What the hooks that are written in Rust would give now.
    pub registered: BTreeMap<HookName, Fingerprint>,
    /// How the renderings of a file go that do not go well.
    pub fates: BTreeMap<AbsolutePath, Fate>,
    /// Files that lie on the host besides, for containers to mount.
    pub others: BTreeSet<AbsolutePath>,
    pub(crate) rendered: BTreeMap<AbsolutePath, Durable<ConfigFile>>,
    /// The secret of the host that digests are keyed with.
    pub key: u64,
}

impl Files {
    /// The rendered file at `path`.
    pub fn rendered(&self, path: &AbsolutePath) -> Option<&ConfigFile> {
        self.rendered.get(path)?.now()
    }

    /// A digest of the bytes of the rendered file at `path`.
    pub(crate) fn content(&self, path: &AbsolutePath) -> Option<Fingerprint> {
        match self.rendered(path)? {
            ConfigFile::Regular { content, .. } => Some(*content),
            ConfigFile::Directory => None,
        }
    }

    /// Whether anything lies at `path`.
    pub fn exists(&self, path: &AbsolutePath) -> bool {
        self.rendered(path).is_some()
            || self.inputs.contains_key(path)
            || self.others.contains(path)
    }

    fn keyed(&self, content: Fingerprint) -> Fingerprint {
        Fingerprint::of(format!("{:016x}{content}", self.key).as_bytes())
    }

    /// A digest of all that `hook` depends on, or what it waits for.
    fn input(&self, hook: &HookSpec) -> PortResult<Result<Fingerprint, String>> {
        let mut read = String::new();
        let mut missing = None;
        for path in inputs_of(&hook.program) {
            match self.inputs.get(path) {
                Some(content) => read.push_str(&content.to_string()),
                None => missing = missing.or(Some(path.to_string())),
            }
        }
        if let HookProgram::Registered(name) = &hook.program {
            let Some(content) = self.registered.get(name) else {
                let message = format!("no hook is registered as `{name}`");
                return Err(PortError::new(PortErrorKind::Invalid, message));
            };
            read.push_str(&content.to_string());
        }
        if let Some(missing) = missing {
            return Ok(Err(missing));
        }
        let text = format!("{:?}{read}", hook.program);
        Ok(Ok(Fingerprint::of(text.as_bytes())))
    }

    fn would_render(&self, hook: &HookSpec, input: Fingerprint) -> Vec<u8> {
        let begin = match self.fates.get(&hook.output) {
            Some(Fate::Nonsense) => NONSENSE,
            Some(Fate::Fails | Fate::Hangs) | None => "config",
        };
        format!("{begin} {SECRET} {input}").into_bytes()
    }
}

/// The files that a hook reads, in order.
fn inputs_of(program: &HookProgram) -> Vec<&AbsolutePath> {
    match program {
        HookProgram::Template { template, values } => {
            let files = values.values().filter_map(|value| match value {
                TemplateValue::File(path) => Some(path),
                TemplateValue::Text(_) | TemplateValue::Number(_) => None,
            });
            std::iter::once(template).chain(files).collect()
        }
        HookProgram::Command { inputs, .. } => inputs.iter().collect(),
        HookProgram::Registered(_) => Vec::new(),
    }
}

/// The mode of a file that only its owner may read and write.
pub const PRIVATE: u16 = 0o600;

impl World {
    /// What `hook` would do now.
    ///
    /// # Errors
    /// `Invalid` for a hook that nobody registered, and for one whose rendering fails, unless that
    /// takes a program to find out; `Conflict` when a directory lies in the file's place.
    pub fn hook_state(&self, hook: &HookSpec) -> PortResult<HookState> {
        self.no_directory_at(&hook.output)?;
        let (content, mode) = match self.files.rendered(&hook.output) {
            Some(ConfigFile::Regular { content, mode, .. }) => (Some(*content), *mode),
            Some(ConfigFile::Directory) | None => (None, PRIVATE),
        };
        let private = mode & 0o077 == 0;
        let input = match self.files.input(hook)? {
            Ok(input) => input,
            Err(waiting_for) => {
                let config = content.filter(|_| private);
                return Ok(HookState::NotReady {
                    waiting_for,
                    config: config.map(|content| self.files.keyed(content)),
                });
            }
        };
        if !matches!(hook.program, HookProgram::Command { .. }) {
            self.may_render(hook)?;
        }
        let wanted = Fingerprint::of(&self.files.would_render(hook, input));
        let cause = match content {
            None => StaleCause::Missing,
            Some(content) if content != wanted => StaleCause::Changed,
            Some(_) if mode & 0o022 != 0 => StaleCause::Writable,
            Some(_) if !private => StaleCause::Exposed,
            Some(content) => {
                let config = self.files.keyed(content);
                return Ok(HookState::Current { config });
            }
        };
        let input = self.files.keyed(input);
        Ok(HookState::Stale { cause, input })
    }

    /// The bytes of the hook's file, as its inputs are now.
    ///
    /// # Errors
    /// `NotFound` when an input is missing, `Invalid` when the rendering fails.
    pub fn render(&self, hook: &HookSpec) -> PortResult<Vec<u8>> {
        let output = &hook.output;
        let input = self.files.input(hook)?.map_err(|missing| {
            let message = format!("the hook of `{output}` reads `{missing}`, which is not there");
            PortError::new(PortErrorKind::NotFound, message)
        })?;
        self.may_render(hook)?;
        Ok(self.files.would_render(hook, input))
    }

    fn may_render(&self, hook: &HookSpec) -> PortResult<()> {
        if self.files.fates.get(&hook.output) == Some(&Fate::Fails) {
            let message = format!("the hook of `{}` failed with exit status 1", hook.output);
            return Err(PortError::new(PortErrorKind::Invalid, message));
        }
        Ok(())
    }

    /// Puts `bytes` where `hook` has its file, not yet durably; says whether anything changed.
    ///
    /// # Errors
    /// `Conflict` when a directory lies there, `Transient` on a full disk, `Denied` on one that is
    /// read-only.
    pub fn commit(&mut self, hook: &HookSpec, bytes: &[u8]) -> PortResult<(bool, Fingerprint)> {
        self.no_directory_at(&hook.output)?;
        let content = Fingerprint::of(bytes);
        let file = ConfigFile::Regular {
            content,
            mode: PRIVATE,
            sound: !bytes.starts_with(NONSENSE.as_bytes()),
        };
        let digest = self.files.keyed(content);
        if self.files.rendered(&hook.output) == Some(&file) {
            return Ok((false, digest));
        }
        self.disk_takes(hook.output.as_str())?;
        let place = self.files.rendered.entry(hook.output.clone()).or_default();
        place.set(Some(file));
        Ok((true, digest))
    }

    /// Removes what `hook` rendered, not yet durably; says whether anything was there.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn remove_rendered(&mut self, hook: &HookSpec) -> PortResult<bool> {
        self.no_directory_at(&hook.output)?;
        if self.files.rendered(&hook.output).is_none() {
            return Ok(false);
        }
        if self.conditions.disk == Disk::ReadOnly {
            self.disk_takes(hook.output.as_str())?;
        }
        let place = self.files.rendered.entry(hook.output.clone()).or_default();
        place.set(None);
        Ok(true)
    }

    fn no_directory_at(&self, path: &AbsolutePath) -> PortResult<()> {
        if self.files.rendered(path) == Some(&ConfigFile::Directory) {
            let message = format!("`{path}` is a directory, not a file");
            return Err(PortError::new(PortErrorKind::Conflict, message));
        }
        Ok(())
    }

    pub(crate) fn disk_takes(&self, path: &str) -> PortResult<()> {
        let (kind, why) = match self.conditions.disk {
            Disk::Writable => return Ok(()),
            Disk::Full => (PortErrorKind::Transient, "no space left on device"),
            Disk::ReadOnly => (PortErrorKind::Denied, "read-only file system"),
        };
        Err(PortError::new(kind, format!("cannot write `{path}`: {why}")))
    }
}
