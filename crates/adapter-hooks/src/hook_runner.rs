//! `FileHooks`: the port on files.

use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use companion_core::model::container::AbsolutePath;
use companion_core::model::hook::{
    ConfigId, HookName, HookProgram, HookSpec, HookState, Rendered, Rendering,
};
use companion_core::model::revision::Fingerprint;
use companion_core::ports::{Hint, HookRunner, PortResult};
use host_files::blocking::{self, Lock};
use host_files::watch::{Place, Watch};

use crate::command::Invocation;
use crate::config_hook::{ConfigHook, TemplateFile};
use crate::error::HookError;
use crate::key::HostKey;
use crate::output::{Output, Stamp};
use crate::template::OUTPUT_LIMIT;

/// Time limit of the file system; an unreachable network file system never responds.
const FILE_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs hooks whose output is on this host's file system.
///
/// All file access happens on blocking threads, one at a time per output, and fails after 10 s with a `Transient`
/// error. A thread that hangs in the file system blocks only its own output.
pub struct FileHooks {
    key: Arc<HostKey>,
    registered: BTreeMap<HookName, Arc<dyn ConfigHook>>,
    file_timeout: Duration,
    outputs: Mutex<BTreeMap<AbsolutePath, Known>>,
    watch: Watch,
}

/// What this process knows of an output.
#[derive(Default)]
struct Known {
    lock: Lock,
    /// The stamp of a program's last run, for which [`Rendered`] has no field.
    run: Option<Stamp>,
    /// The hook as it was observed last, whose files are watched.
    observed: Option<Program>,
}

/// How a hook renders.
#[derive(Clone)]
enum Program {
    Computed(Arc<dyn ConfigHook>),
    Command(Arc<Invocation>),
}

impl FileHooks {
    /// Creates a runner whose digests are keyed with `key`.
    pub fn new(key: HostKey) -> Self {
        Self {
            key: Arc::new(key),
            registered: BTreeMap::new(),
            file_timeout: FILE_TIMEOUT,
            outputs: Mutex::default(),
            watch: Watch::default(),
        }
    }

    /// Registers `hook` under `name`.
    ///
    /// # Errors
    /// [`HookError::Failed`] if the name is in use.
    pub fn register(&mut self, name: HookName, hook: Arc<dyn ConfigHook>) -> Result<(), HookError> {
        if self.registered.contains_key(&name) {
            return Err(HookError::invalid(format!("a hook is already registered as `{name}`")));
        }
        self.registered.insert(name, hook);
        Ok(())
    }

    fn program(&self, program: &HookProgram) -> Result<Program, HookError> {
        Ok(match program.clone() {
            HookProgram::Template { template, values } => {
                Program::Computed(Arc::new(TemplateFile { template, values }))
            }
            HookProgram::Command { argv, inputs, timeout } => {
                Program::Command(Arc::new(Invocation::new(argv, inputs, timeout)?))
            }
            HookProgram::Registered(name) => match self.registered.get(&name) {
                Some(hook) => Program::Computed(Arc::clone(hook)),
                None => {
                    return Err(HookError::invalid(format!("no hook is registered as `{name}`")));
                }
            },
        })
    }

    fn outputs(&self) -> MutexGuard<'_, BTreeMap<AbsolutePath, Known>> {
        self.outputs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `work` for the output of `hook` on a blocking thread, under its lock and within the time limit.
    async fn blocking<T: Send + 'static>(
        &self,
        hook: &HookSpec,
        work: impl FnOnce(&Output<'_>, &HostKey) -> Result<T, HookError> + Send + 'static,
    ) -> Result<T, HookError> {
        let (path, key) = (hook.output.clone(), Arc::clone(&self.key));
        let lock = Arc::clone(&self.outputs().entry(path.clone()).or_default().lock);
        let work = move || work(&Output::new(&path)?, &key);
        blocking::within_locked(self.file_timeout, &lock, work).await?
    }

    /// Returns the inputs and outputs of the observed hooks.
    fn places(&self) -> Vec<Place> {
        let outputs = self.outputs();
        let mut places = Vec::new();
        for (output, known) in &*outputs {
            let inputs = match &known.observed {
                Some(Program::Computed(hook)) => hook.inputs(),
                Some(Program::Command(command)) => command.inputs(),
                None => continue,
            };
            places.extend(inputs.iter().filter_map(|file| Place::file(file)));
            places.extend(Place::starting_with(output.as_path()));
        }
        places
    }

    async fn observed(&self, hook: &HookSpec) -> Result<HookState, HookError> {
        let program = self.program(&hook.program)?;
        self.outputs().entry(hook.output.clone()).or_default().observed = Some(program.clone());
        let observe = move |output: &Output<'_>, key: &HostKey| {
            let found = output.read(key)?;
            let rendering = match program {
                Program::Computed(hook) => {
                    let wanted = hook.render().and_then(checked);
                    wanted.map(|wanted| Rendering::Known(key.fingerprint(wanted.bytes())))
                }
                Program::Command(command) => {
                    command.input_digest(key).map(|input| match found.stamp {
                        Some(run) if run.input == input => {
                            Rendering::Known(Fingerprint::from_digest(&run.output))
                        }
                        _ => Rendering::Outdated { input: Fingerprint::from_digest(&input) },
                    })
                }
            };
            let rendering = match rendering {
                Err(HookError::NotReady { waiting_for }) => Rendering::NotReady { waiting_for },
                rendering => rendering?,
            };
            Ok(HookState { rendering, files: found.files, link: found.link })
        };
        self.blocking(hook, observe).await
    }

    async fn rendered(&self, hook: &HookSpec) -> Result<Rendered, HookError> {
        let command = match self.program(&hook.program)? {
            Program::Computed(own) => return self.blocking(hook, move |_, _| own.render()).await,
            Program::Command(command) => command,
        };
        let own = Arc::clone(&command);
        let prepare = move |_: &Output<'_>, key: &HostKey| {
            own.check_program()?;
            own.input_digest(key)
        };
        // Before the program runs: if an input changes in the meantime, the stamp has the old digest, and the next
        // observation finds the output stale.
        let input = self.blocking(hook, prepare).await?;
        let mut printed = command.run().await?;
        let rendered = Rendered::new(mem::take(&mut *printed));
        let run = Stamp { input, output: self.key.config(rendered.bytes()) };
        self.outputs().entry(hook.output.clone()).or_default().run = Some(run);
        Ok(rendered)
    }

    async fn committed(
        &self,
        hook: &HookSpec,
        rendered: Rendered,
        claimed: &[ConfigId],
    ) -> Result<ConfigId, HookError> {
        let rendered = checked(rendered)?;
        let run = self.outputs().get(&hook.output).and_then(|known| known.run);
        let digest = self.key.config(rendered.bytes());
        let stamp = run.filter(|run| run.output == digest);
        let claimed = claimed.to_vec();
        let commit = move |output: &Output<'_>, key: &HostKey| {
            output.commit(key, rendered.bytes(), &claimed, stamp)
        };
        let id = self.blocking(hook, commit).await?;
        tracing::info!(file = %id.path(&hook.output), "committed a rendered file");
        Ok(id)
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
    let swept =
        blocking::within(FILE_TIMEOUT, work).await.unwrap_or_else(|stuck| Err(stuck.into()));
    swept.map_err(HookError::during("clean up", hook))
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
        self.observed(hook).await.map_err(HookError::during("observe", hook))
    }

    async fn render(&self, hook: &HookSpec) -> PortResult<Rendered> {
        let rendered = self.rendered(hook).await.and_then(checked);
        rendered.map_err(HookError::during("render", hook))
    }

    async fn commit(
        &self,
        hook: &HookSpec,
        rendered: Rendered,
        claimed: &[ConfigId],
    ) -> PortResult<ConfigId> {
        let committed = self.committed(hook, rendered, claimed).await;
        committed.map_err(HookError::during("commit", hook))
    }

    async fn sweep(&self, hook: &HookSpec, keep: ConfigId) -> PortResult<()> {
        let swept = self.blocking(hook, move |output, _| output.sweep(keep)).await;
        let count = swept.map_err(HookError::during("clean up", hook))?;
        if count > 0 {
            tracing::info!(output = %hook.output, count, "removed replaced rendered files");
        }
        Ok(())
    }

    async fn remove(&self, hook: &HookSpec) -> PortResult<()> {
        let removed = self.blocking(hook, |output, _| output.remove()).await;
        let removed = removed.map_err(HookError::during("remove", hook))?;
        if let Some(known) = self.outputs().get_mut(&hook.output) {
            // Who waits for the lock still has it.
            *known = Known { lock: Arc::clone(&known.lock), ..Known::default() };
        }
        if removed {
            tracing::info!(file = %hook.output, "removed the rendered files");
        }
        Ok(())
    }

    /// A file may be of several hooks, and a hook does not know its companion.
    async fn changed(&self) -> Hint {
        let _files = self.watch.changed(self.places()).await;
        Hint::All
    }
}

/// Rejects an empty rendering: a companion with an empty configuration serves nothing.
fn checked(rendered: Rendered) -> Result<Rendered, HookError> {
    let bytes = rendered.bytes().len();
    if bytes == 0 {
        return Err(HookError::invalid("the hook rendered an empty file"));
    }
    if bytes > OUTPUT_LIMIT {
        return Err(HookError::invalid(format!(
            "the hook rendered {bytes} bytes, more than the limit of {OUTPUT_LIMIT}"
        )));
    }
    Ok(rendered)
}

#[cfg(test)]
mod tests;
