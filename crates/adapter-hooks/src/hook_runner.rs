//! `FileHooks`: the port on files.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::mem;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use companion_core::model::container::AbsolutePath;
use companion_core::model::hook::{
    ConfigId, HookName, HookProgram, HookSpec, HookState, Rendered, Rendering, TemplateValue,
};
use companion_core::model::revision::Fingerprint;
use companion_core::ports::{Hint, HookRunner, PortErrorKind, PortResult};
use host_files::blocking::{self, Lock};
use host_files::watch::{Place, Watch};

use crate::command::Invocation;
use crate::config_hook::ConfigHook;
use crate::error::HookError;
use crate::input;
use crate::key::{Digest, HostKey};
use crate::output::Output;
use crate::stamp::Stamp;
use crate::template::{self, OUTPUT_LIMIT, Value, Values};

/// Time limit of the file system; an unreachable network file system never responds.
const FILE_TIMEOUT: Duration = Duration::from_secs(10);
/// Above this number, unused locks are dropped.
const MAX_LOCKS: usize = 256;

/// Runs hooks whose output is on this host's file system.
///
/// All file access happens on blocking threads, one at a time per output, and fails after 10 s with a `Transient`
/// error. A thread that hangs in the file system blocks only its own output.
pub struct FileHooks {
    key: Arc<HostKey>,
    registered: BTreeMap<HookName, Arc<dyn ConfigHook>>,
    file_timeout: Duration,
    /// One lock per output.
    locks: Mutex<BTreeMap<AbsolutePath, Lock>>,
    /// The stamp of a program's last run, for which [`Rendered`] has no field.
    runs: Mutex<BTreeMap<AbsolutePath, Stamp>>,
    /// The hooks observed so far, by output, whose files are watched.
    observed: Mutex<BTreeMap<AbsolutePath, HookProgram>>,
    watch: Watch,
}

impl FileHooks {
    /// Creates a runner whose digests are keyed with `key`.
    pub fn new(key: HostKey) -> Self {
        Self {
            key: Arc::new(key),
            registered: BTreeMap::new(),
            file_timeout: FILE_TIMEOUT,
            locks: Mutex::default(),
            runs: Mutex::default(),
            observed: Mutex::default(),
            watch: Watch::default(),
        }
    }

    /// Registers `hook` under `name`.
    ///
    /// # Errors
    /// [`HookError::Failed`] if the name is in use.
    pub fn register(
        &mut self,
        name: HookName,
        hook: impl ConfigHook + 'static,
    ) -> Result<(), HookError> {
        self.register_shared(name, Arc::new(hook))
    }

    /// Registers a `hook` that the caller keeps too.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn register_shared(
        &mut self,
        name: HookName,
        hook: Arc<dyn ConfigHook>,
    ) -> Result<(), HookError> {
        match self.registered.entry(name) {
            Entry::Vacant(free) => {
                free.insert(hook);
                Ok(())
            }
            Entry::Occupied(taken) => {
                let message = format!("a hook is already registered as `{}`", taken.key());
                Err(HookError::failed(PortErrorKind::Invalid, message))
            }
        }
    }

    /// Does `work` for `hook` on a blocking thread, under the lock of its output and within the time limit.
    async fn blocking<T: Send + 'static>(
        &self,
        hook: &HookSpec,
        work: impl FnOnce(&Work) -> Result<T, HookError> + Send + 'static,
    ) -> Result<T, HookError> {
        let given = self.work(hook)?;
        let lock = self.lock(&hook.output);
        let done = blocking::within_locked(self.file_timeout, &lock, move || work(&given)).await;
        done.unwrap_or_else(|stuck| Err(HookError::stuck(&stuck, self.file_timeout)))
    }

    /// Returns the inputs and outputs of the observed hooks.
    fn places(&self) -> Vec<Place> {
        let observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
        let inputs = observed.values().flat_map(|program| self.inputs(program));
        let inputs = inputs.filter_map(|file| Place::file(&file));
        inputs
            .chain(observed.keys().filter_map(|output| Place::starting_with(output.as_path())))
            .collect()
    }

    fn inputs(&self, program: &HookProgram) -> Vec<PathBuf> {
        let path = |path: &AbsolutePath| path.as_path().to_owned();
        match program {
            HookProgram::Registered(name) => {
                self.registered.get(name).map(|hook| hook.inputs()).unwrap_or_default()
            }
            HookProgram::Command { inputs, .. } => inputs.iter().map(path).collect(),
            HookProgram::Template { template, values } => {
                let files = values.values().filter_map(|value| match value {
                    TemplateValue::File(file) => Some(file),
                    TemplateValue::Text(_) | TemplateValue::Number(_) => None,
                });
                [template].into_iter().chain(files).map(path).collect()
            }
        }
    }

    fn lock(&self, output: &AbsolutePath) -> Lock {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        if locks.len() > MAX_LOCKS {
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
        Arc::clone(locks.entry(output.clone()).or_default())
    }

    fn work(&self, hook: &HookSpec) -> Result<Work, HookError> {
        let registered = match &hook.program {
            HookProgram::Registered(name) => {
                let found = self.registered.get(name);
                Some(Arc::clone(found.ok_or_else(|| not_registered(name))?))
            }
            HookProgram::Template { .. } | HookProgram::Command { .. } => None,
        };
        Ok(Work { key: Arc::clone(&self.key), hook: hook.clone(), registered })
    }

    async fn rendered(&self, hook: &HookSpec) -> Result<Rendered, HookError> {
        let HookProgram::Command { argv, inputs, timeout } = &hook.program else {
            return self.blocking(hook, Work::compute).await;
        };
        let invocation = Invocation::new(argv, inputs, *timeout)?;
        // Before the program runs: if an input changes in the meantime, the stamp has the old digest, and the next
        // observation finds the output stale.
        let input = self.blocking(hook, Work::prepare).await?;
        let mut printed = invocation.run().await.map_err(|error| invocation.failed(error))?;
        let rendered = checked(Rendered::new(mem::take(&mut *printed)))?;
        let output = self.key.config(rendered.bytes());
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.insert(hook.output.clone(), Stamp { input, output });
        Ok(rendered)
    }

    async fn committed(
        &self,
        hook: &HookSpec,
        rendered: Rendered,
        claimed: &[ConfigId],
    ) -> Result<ConfigId, HookError> {
        let rendered = checked(rendered)?;
        let stamp = match &hook.program {
            HookProgram::Command { .. } => {
                let output = self.key.config(rendered.bytes());
                let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
                let run = runs.get(&hook.output).copied();
                run.filter(|run| run.output == output)
            }
            HookProgram::Template { .. } | HookProgram::Registered(_) => None,
        };
        let claimed = claimed.to_vec();
        let commit = move |work: &Work| {
            let output = Output::new(&work.hook.output)?;
            output.commit(&work.key, rendered.bytes(), &claimed, stamp)
        };
        let id = self.blocking(hook, commit).await?;
        tracing::info!(file = %id.path(&hook.output), "committed a rendered file");
        Ok(id)
    }

    async fn removed(&self, hook: &HookSpec) -> Result<(), HookError> {
        let path = hook.output.clone();
        // A hook that is no longer registered must still be removable.
        let hook = HookSpec {
            program: HookProgram::Template { template: path.clone(), values: BTreeMap::new() },
            output: path,
        };
        let removed = self.blocking(&hook, |work| Output::new(&work.hook.output)?.remove()).await?;
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.remove(&hook.output);
        let mut observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
        observed.remove(&hook.output);
        if removed {
            tracing::info!(file = %hook.output, "removed the rendered files");
        }
        Ok(())
    }
}

/// Removes what interrupted writes and removals of `hook`'s files left: temporary files, which contain a secret, and
/// for a removed output that is `unwanted` also the rendered files, the stamp and the empty directory. Returns the
/// number of temporary files.
///
/// [`HookRunner::sweep`] removes replaced rendered files.
///
/// The caller holds the host's lock, so no other process is writing.
///
/// # Errors
/// `Transient` if the file system does not respond within 10 s, otherwise as [`remove`](HookRunner::remove).
pub async fn sweep(hook: &HookSpec, unwanted: bool) -> PortResult<usize> {
    let path = hook.output.clone();
    let work = move || Output::new(&path)?.cleanup(unwanted);
    let swept = blocking::within(FILE_TIMEOUT, work).await;
    let swept = swept.unwrap_or_else(|stuck| Err(HookError::stuck(&stuck, FILE_TIMEOUT)));
    swept.map_err(|error| error.for_port("clean up", hook.output.as_str()))
}

impl fmt::Debug for FileHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileHooks")
            .field("registered", &self.registered.keys())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl HookRunner for FileHooks {
    async fn observe(&self, hook: &HookSpec) -> PortResult<HookState> {
        let program = hook.program.clone();
        self.observed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(hook.output.clone(), program);
        self.blocking(hook, Work::observe)
            .await
            .map_err(|error| error.for_port("observe", hook.output.as_str()))
    }

    async fn render(&self, hook: &HookSpec) -> PortResult<Rendered> {
        self.rendered(hook).await.map_err(|error| error.for_port("render", hook.output.as_str()))
    }

    async fn commit(
        &self,
        hook: &HookSpec,
        rendered: Rendered,
        claimed: &[ConfigId],
    ) -> PortResult<ConfigId> {
        self.committed(hook, rendered, claimed)
            .await
            .map_err(|error| error.for_port("commit", hook.output.as_str()))
    }

    async fn sweep(&self, hook: &HookSpec, keep: ConfigId) -> PortResult<()> {
        let swept =
            self.blocking(hook, move |work| Output::new(&work.hook.output)?.sweep(keep)).await;
        let count = swept.map_err(|error| error.for_port("clean up", hook.output.as_str()))?;
        if count > 0 {
            tracing::info!(output = %hook.output, count, "removed replaced rendered files");
        }
        Ok(())
    }

    async fn remove(&self, hook: &HookSpec) -> PortResult<()> {
        self.removed(hook).await.map_err(|error| error.for_port("remove", hook.output.as_str()))
    }

    /// A file may be of several hooks, and a hook does not know its companion.
    async fn changed(&self) -> Hint {
        let _files = self.watch.changed(self.places()).await;
        Hint::All
    }
}

/// The input of a blocking thread.
struct Work {
    key: Arc<HostKey>,
    hook: HookSpec,
    registered: Option<Arc<dyn ConfigHook>>,
}

impl Work {
    fn observe(&self) -> Result<HookState, HookError> {
        let found = Output::new(&self.hook.output)?.read(&self.key)?;
        let rendering = match &self.hook.program {
            HookProgram::Command { argv, inputs, timeout } => {
                let input = Invocation::new(argv, inputs, *timeout)?.input_digest(&self.key);
                input.map(|input| printed(found.stamp, &input))
            }
            HookProgram::Template { .. } | HookProgram::Registered(_) => {
                self.compute().map(|wanted| {
                    let digest = self.key.config(wanted.bytes());
                    Rendering::Known(Fingerprint::from_digest(&digest))
                })
            }
        };
        let rendering = match rendering {
            Err(HookError::NotReady { waiting_for }) => Rendering::NotReady { waiting_for },
            rendering => rendering?,
        };
        Ok(HookState { rendering, files: found.files, link: found.link })
    }

    /// Renders the output of a template or a Rust hook.
    fn compute(&self) -> Result<Rendered, HookError> {
        let computed = match (&self.hook.program, &self.registered) {
            (HookProgram::Template { template, values }, _) => fill(template, values),
            (HookProgram::Registered(_), Some(hook)) => hook.render(),
            (HookProgram::Registered(name), None) => Err(not_registered(name)),
            (HookProgram::Command { .. }, _) => {
                let why = "is a command, but a template or a Rust hook is required";
                Err(HookError::specification("program", why))
            }
        };
        checked(computed?)
    }

    /// Computes the input digest of a program before its run.
    fn prepare(&self) -> Result<Digest, HookError> {
        let HookProgram::Command { argv, inputs, timeout } = &self.hook.program else {
            return Err(HookError::specification("program", "is not a command"));
        };
        let invocation = Invocation::new(argv, inputs, *timeout)?;
        invocation.check_program().map_err(|error| invocation.failed(error))?;
        invocation.input_digest(&self.key)
    }
}

/// The program's output for `input`, as far as its last run reveals it.
fn printed(stamp: Option<Stamp>, input: &Digest) -> Rendering {
    match stamp {
        Some(stamp) if stamp.input == *input => {
            Rendering::Known(Fingerprint::from_digest(&stamp.output))
        }
        Some(_) | None => Rendering::Outdated { input: Fingerprint::from_digest(input) },
    }
}

/// Reads a template's file and its values, and renders it.
fn fill(
    template: &AbsolutePath,
    values: &BTreeMap<String, TemplateValue>,
) -> Result<Rendered, HookError> {
    let source = input::require_template(template)?;
    let mut filled = Values::new();
    for (name, value) in values {
        let value = match value {
            TemplateValue::Text(text) => Value::Text(text.clone()),
            TemplateValue::Number(number) => Value::Number(*number),
            TemplateValue::File(path) => {
                Value::Text(mem::take(&mut *input::read_secret(path.as_path())?))
            }
        };
        filled.insert(name.clone(), value);
    }
    let mut text = template::render(&source, &filled)?;
    Ok(Rendered::new(mem::take(&mut *text).into_bytes()))
}

fn not_registered(name: &HookName) -> HookError {
    HookError::failed(PortErrorKind::Invalid, format!("no hook is registered as `{name}`"))
}

/// Rejects an empty rendering: a companion with an empty configuration serves nothing.
fn checked(rendered: Rendered) -> Result<Rendered, HookError> {
    let bytes = rendered.bytes().len();
    if bytes == 0 {
        return Err(HookError::failed(PortErrorKind::Invalid, "the hook rendered an empty file"));
    }
    if bytes > OUTPUT_LIMIT {
        let message =
            format!("the hook rendered {bytes} bytes, more than the limit of {OUTPUT_LIMIT}");
        return Err(HookError::failed(PortErrorKind::Invalid, message));
    }
    Ok(rendered)
}

#[cfg(test)]
mod tests;
