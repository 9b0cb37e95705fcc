//! What hooks read and what they rendered.

use std::collections::{BTreeMap, BTreeSet};

use companion_core::model::container::AbsolutePath;
use companion_core::model::hook::{
    ConfigFile, ConfigId, HookName, HookProgram, HookSpec, HookState, Link, Rendering,
    TemplateValue,
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

/// A rendered file, or what lies in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RenderedFile {
    /// A regular file.
    Regular {
        /// A digest of its bytes.
        content: Fingerprint,
        /// Its mode.
        mode: u16,
        /// Whether the program in the container accepts it.
        sound: bool,
    },
    /// A directory lies at the hook's output.
    Directory,
}

/// What lies at a hook's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Output {
    /// A link to a rendered file, whether that exists or not.
    Link(ConfigId),
    /// A regular file, as an earlier release left it.
    Regular,
    /// A directory.
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
    /// By the path of each.
    pub(crate) rendered: BTreeMap<AbsolutePath, Durable<RenderedFile>>,
    pub(crate) outputs: BTreeMap<AbsolutePath, Durable<Output>>,
    /// The secret of the host that digests are keyed with.
    pub key: u64,
}

impl Files {
    /// The rendered file that `output` links to, or the directory in its place.
    pub fn rendered(&self, output: &AbsolutePath) -> Option<RenderedFile> {
        match self.output(output)? {
            Output::Link(id) => self.file(&id.path(output)),
            Output::Regular => None,
            Output::Directory => Some(RenderedFile::Directory),
        }
    }

    pub(crate) fn output(&self, output: &AbsolutePath) -> Option<Output> {
        self.outputs.get(output)?.now().copied()
    }

    /// The rendered file at `path` itself.
    pub(crate) fn file(&self, path: &AbsolutePath) -> Option<RenderedFile> {
        self.rendered.get(path)?.now().copied()
    }

    /// A digest of the bytes of the rendered file at `path` itself.
    pub(crate) fn content(&self, path: &AbsolutePath) -> Option<Fingerprint> {
        match self.file(path)? {
            RenderedFile::Regular { content, .. } => Some(content),
            RenderedFile::Directory => None,
        }
    }

    /// All files that a hook with this output rendered, by name.
    pub fn rendered_at(&self, output: &AbsolutePath) -> BTreeMap<ConfigId, RenderedFile> {
        let named = self.rendered.iter().filter_map(|(path, place)| {
            let name = path.as_str().strip_prefix(output.as_str())?.strip_prefix('.')?;
            Some((name.parse().ok()?, *place.now()?))
        });
        named.collect()
    }

    /// Whether anything that a hook with this output rendered is left.
    pub(crate) fn has_rendered(&self, output: &AbsolutePath) -> bool {
        self.output(output).is_some() || !self.rendered_at(output).is_empty()
    }

    fn config_files(&self, output: &AbsolutePath) -> BTreeMap<ConfigId, ConfigFile> {
        let files = self.rendered_at(output).into_iter().map(|(id, file)| {
            let file = match file {
                RenderedFile::Regular { content, .. } if self.keyed(content) != id.digest => {
                    ConfigFile::Modified
                }
                RenderedFile::Regular { mode, .. } if mode & 0o022 != 0 => {
                    ConfigFile::WritableByOthers
                }
                RenderedFile::Regular { mode, .. } if mode & 0o077 != 0 => {
                    ConfigFile::ReadableByOthers
                }
                RenderedFile::Regular { .. } => ConfigFile::Intact,
                RenderedFile::Directory => ConfigFile::Modified,
            };
            (id, file)
        });
        files.collect()
    }

    /// Whether anything lies at `path`.
    pub fn exists(&self, path: &AbsolutePath) -> bool {
        self.file(path).is_some() || self.inputs.contains_key(path) || self.others.contains(path)
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
    /// What `hook` would render now, and what it rendered before.
    ///
    /// # Errors
    /// `Invalid` for a hook that nobody registered, and for one whose rendering fails, unless that
    /// takes a program to find out.
    pub fn hook_state(&self, hook: &HookSpec) -> PortResult<HookState> {
        let files = self.files.config_files(&hook.output);
        let link = match self.files.output(&hook.output) {
            None => Link::Absent,
            Some(Output::Link(id)) => Link::To(id),
            Some(Output::Regular) => Link::Other,
            Some(Output::Directory) => Link::Unmanaged,
        };
        let rendering = match self.files.input(hook)? {
            Err(waiting_for) => Rendering::NotReady { waiting_for },
            Ok(input) => {
                let is_command = matches!(hook.program, HookProgram::Command { .. });
                if !is_command {
                    self.may_render(hook)?;
                }
                let wanted = Fingerprint::of(&self.files.would_render(hook, input));
                let digest = self.files.keyed(wanted);
                // What a program would print is known only of what it printed.
                let is_known = files
                    .iter()
                    .any(|(id, file)| id.digest == digest && *file != ConfigFile::Modified);
                if is_command && !is_known {
                    Rendering::Outdated { input: self.files.keyed(input) }
                } else {
                    Rendering::Known(digest)
                }
            }
        };
        Ok(HookState { rendering, files, link })
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

    /// Commits `bytes` as a file of `hook` beside those that are `claimed`, not yet durably; says
    /// whether anything changed.
    ///
    /// # Errors
    /// `Conflict` when a directory lies at the output, `Transient` on a full disk, `Denied` on one that
    /// is read-only.
    pub fn commit(
        &mut self,
        hook: &HookSpec,
        bytes: &[u8],
        claimed: &[ConfigId],
    ) -> PortResult<(bool, ConfigId)> {
        self.no_directory_at(&hook.output)?;
        let content = Fingerprint::of(bytes);
        let rendered = RenderedFile::Regular {
            content,
            mode: PRIVATE,
            sound: !bytes.starts_with(NONSENSE.as_bytes()),
        };
        let files = self.files.config_files(&hook.output);
        let id = ConfigId::to_commit(self.files.keyed(content), &files, claimed);
        let path = id.path(&hook.output);
        let is_linked = self.files.output(&hook.output) == Some(Output::Link(id));
        if is_linked && self.files.file(&path) == Some(rendered) {
            return Ok((false, id));
        }
        self.disk_takes(hook.output.as_str())?;
        self.files.rendered.entry(path).or_default().set(Some(rendered));
        let output = self.files.outputs.entry(hook.output.clone()).or_default();
        output.set(Some(Output::Link(id)));
        Ok((true, id))
    }

    /// Removes what `hook` rendered except `keep`, and without one the output, not yet durably; says
    /// whether anything was there.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn remove_rendered(&mut self, hook: &HookSpec, keep: Option<ConfigId>) -> PortResult<bool> {
        let mut removed = self.files.rendered_at(&hook.output);
        removed.retain(|id, _| Some(*id) != keep);
        let unlinks = keep.is_none() && self.files.output(&hook.output).is_some();
        if removed.is_empty() && !unlinks {
            return Ok(false);
        }
        if self.conditions.disk == Disk::ReadOnly {
            self.disk_takes(hook.output.as_str())?;
        }
        for id in removed.into_keys() {
            self.files.rendered.entry(id.path(&hook.output)).or_default().set(None);
        }
        if unlinks {
            self.no_directory_at(&hook.output)?;
            self.files.outputs.entry(hook.output.clone()).or_default().set(None);
        }
        Ok(true)
    }

    fn no_directory_at(&self, path: &AbsolutePath) -> PortResult<()> {
        if self.files.output(path) == Some(Output::Directory) {
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
