//! Hook inputs and rendered files.

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

/// The secret text in every rendered file.
///
/// A test that finds it anywhere else found a leak.
pub const SECRET: &str = "correct-horse-battery-staple";

/// The prefix of rendered bytes that the program in the container rejects.
const NONSENSE: &str = "nonsense";

/// The outcome of a rendering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RenderOutcome {
    /// Its program fails, or its template is invalid.
    Fails,
    /// It hangs.
    Hangs,
    /// The program in the container rejects its result.
    Nonsense,
}

/// A rendered file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RenderedFile {
    /// A digest of its bytes.
    pub content: Fingerprint,
    /// Its mode.
    pub mode: u16,
    /// Whether the program in the container accepts it.
    pub sound: bool,
}

/// The object at a hook's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Output {
    /// A link to a rendered file, which may not exist.
    Link(ConfigId),
    /// A regular file, as left by an earlier release.
    Regular,
    /// A directory.
    Directory,
}

/// Hook inputs and rendered files.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Files {
    /// Digests of hook input files, such as credentials and templates.
    pub inputs: BTreeMap<AbsolutePath, Fingerprint>,
    /// The current results of hooks written in Rust.
    pub registered: BTreeMap<HookName, Fingerprint>,
    /// The outcomes of failing renderings.
    pub fates: BTreeMap<AbsolutePath, RenderOutcome>,
    /// Other files on the host, for containers to mount.
    pub others: BTreeSet<AbsolutePath>,
    /// By the path of each.
    pub(crate) rendered: BTreeMap<AbsolutePath, Durable<RenderedFile>>,
    pub(crate) outputs: BTreeMap<AbsolutePath, Durable<Output>>,
    /// The host's secret key of digests.
    pub key: u64,
}

impl Files {
    /// Returns the rendered file that `output` links to.
    pub fn rendered(&self, output: &AbsolutePath) -> Option<RenderedFile> {
        match self.output(output)? {
            Output::Link(id) => self.file(&id.path(output)),
            Output::Regular | Output::Directory => None,
        }
    }

    /// Returns whether a directory lies at `output`.
    pub fn is_directory(&self, output: &AbsolutePath) -> bool {
        self.output(output) == Some(Output::Directory)
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
        self.file(path).map(|file| file.content)
    }

    /// Returns all rendered files of a hook with this output, by name.
    pub fn rendered_at(&self, output: &AbsolutePath) -> BTreeMap<ConfigId, RenderedFile> {
        let named = self.rendered.iter().filter_map(|(path, place)| {
            let name = path.as_str().strip_prefix(output.as_str())?.strip_prefix('.')?;
            Some((name.parse().ok()?, *place.now()?))
        });
        named.collect()
    }

    /// Returns whether any rendered file of a hook with this output exists.
    pub(crate) fn has_rendered(&self, output: &AbsolutePath) -> bool {
        self.output(output).is_some() || !self.rendered_at(output).is_empty()
    }

    fn config_files(&self, output: &AbsolutePath) -> BTreeMap<ConfigId, ConfigFile> {
        let files =
            self.rendered_at(output).into_iter().map(|(id, RenderedFile { content, mode, .. })| {
                let file = match () {
                    () if self.keyed(content) != id.digest => ConfigFile::Modified,
                    () if mode & 0o022 != 0 => ConfigFile::WritableByOthers,
                    () if mode & 0o077 != 0 => ConfigFile::ReadableByOthers,
                    () => ConfigFile::Intact,
                };
                (id, file)
            });
        files.collect()
    }

    /// Returns whether `path` exists.
    pub fn exists(&self, path: &AbsolutePath) -> bool {
        self.file(path).is_some() || self.inputs.contains_key(path) || self.others.contains(path)
    }

    fn keyed(&self, content: Fingerprint) -> Fingerprint {
        Fingerprint::of(format!("{:016x}{content}", self.key).as_bytes())
    }

    /// Returns a digest of all inputs of `hook`, or the missing input.
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
            Some(RenderOutcome::Nonsense) => NONSENSE,
            Some(RenderOutcome::Fails | RenderOutcome::Hangs) | None => "config",
        };
        format!("{begin} {SECRET} {input}").into_bytes()
    }
}

/// Returns the input files of a hook, in order.
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

/// The file mode for owner-only access.
pub const PRIVATE: u16 = 0o600;

impl World {
    /// Returns the current rendering of `hook`, and its rendered files.
    ///
    /// # Errors
    /// `Invalid` for an unregistered hook, and for one whose rendering fails, unless only running a program
    /// shows that.
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
                // The output of a program is known only from earlier runs.
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

    /// Renders the hook's file from its current inputs.
    ///
    /// # Errors
    /// `NotFound` when an input is missing, `Invalid` when the rendering fails.
    pub fn render(&self, hook: &HookSpec) -> PortResult<Vec<u8>> {
        let output = &hook.output;
        let input = self.files.input(hook)?.map_err(|missing| {
            let message = format!("the hook of `{output}` reads `{missing}`: no such file");
            PortError::new(PortErrorKind::NotFound, message)
        })?;
        self.may_render(hook)?;
        Ok(self.files.would_render(hook, input))
    }

    fn may_render(&self, hook: &HookSpec) -> PortResult<()> {
        if self.files.fates.get(&hook.output) == Some(&RenderOutcome::Fails) {
            let message = format!("the hook of `{}` failed with exit status 1", hook.output);
            return Err(PortError::new(PortErrorKind::Invalid, message));
        }
        Ok(())
    }

    /// Commits `bytes` as a file of `hook`, given the `claimed` names, without syncing; returns whether
    /// anything changed.
    ///
    /// # Errors
    /// `Conflict` when the output is a directory, `Transient` on a full disk, `Unavailable` on a
    /// read-only one, `Denied` on one that denies writes.
    pub fn commit(
        &mut self,
        hook: &HookSpec,
        bytes: &[u8],
        claimed: &[ConfigId],
    ) -> PortResult<(bool, ConfigId)> {
        self.no_directory_at(&hook.output)?;
        let content = Fingerprint::of(bytes);
        let rendered =
            RenderedFile { content, mode: PRIVATE, sound: !bytes.starts_with(NONSENSE.as_bytes()) };
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

    /// Removes the rendered files of `hook` except `keep`, and without `keep` also the output, without syncing;
    /// returns whether anything existed.
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
        if self.conditions.disk != Disk::Full {
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
        if self.files.is_directory(path) {
            let message = format!("`{path}` is a directory, not a file");
            return Err(PortError::new(PortErrorKind::Conflict, message));
        }
        Ok(())
    }

    pub(crate) fn disk_takes(&self, path: &str) -> PortResult<()> {
        let (kind, why) = match self.conditions.disk {
            Disk::Writable => return Ok(()),
            Disk::Full => (PortErrorKind::Transient, "no space left on device"),
            Disk::ReadOnly => (PortErrorKind::Unavailable, "read-only file system"),
            Disk::Denied => (PortErrorKind::Denied, "permission denied"),
        };
        Err(PortError::new(kind, format!("cannot write `{path}`: {why}")))
    }
}
