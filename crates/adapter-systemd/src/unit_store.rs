//! `QuadletDir`: the port `UnitStore` on `<name>.container` files in one directory.
//!
//! Only managed files at a companion's own name are overwritten or removed. Drop-ins (`<name>.container.d/`,
//! `container.d/`, `<name>.service.d/`) belong to the operator: they are reported, but neither compared nor changed. A
//! file of the same name in another directory that Quadlet reads first is not searched either; the loaded unit names
//! its source.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::revision::Fingerprint;
use companion_core::model::unit::{UnitFile, UnitFileState, UnitSpec};
use companion_core::ports::{PortError, PortErrorKind, PortResult, UnitStore};
use quadlet::{PodmanVersion, Refusal};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::blocking::{self, FILE_LIMIT, Stuck};
use crate::generator::{Generator, GeneratorError};
use crate::host_facts::{HostFacts, SharedFacts};
use crate::rendering::{RenderedUnit, render_unit};
use crate::scope::{Scope, ScopeError};
use directory::UnitDir;

mod directory;
mod drop_ins;

/// The Quadlet files of a scope.
#[derive(Debug, Clone)]
pub struct QuadletDir {
    scope: Scope,
    facts: SharedFacts,
    files: UnitDir,
    generator: Option<PathBuf>,
    stage: Option<PathBuf>,
    /// Serialises changes of the directory until they complete, even if the caller was cancelled: an earlier write must
    /// not complete after a removal.
    changing: Arc<Mutex<()>>,
}

impl QuadletDir {
    /// Opens the unit directory of `scope`, for this host and Podman `version`.
    ///
    /// # Errors
    /// [`ScopeError`] if the environment does not define the directory.
    pub fn new(scope: Scope, version: PodmanVersion) -> Result<Self, ScopeError> {
        Ok(Self::at(scope.unit_dir()?, scope, version))
    }

    /// Opens the directory at `path`, which must be absolute, for this host and Podman `version`.
    ///
    /// The kernel's SELinux flag is read once, and again only by [`set_facts`](Self::set_facts); an unreadable flag
    /// counts as not enforced.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>, scope: Scope, version: PodmanVersion) -> Self {
        // XDG requires 0700 below a home; in /etc everyone may read.
        let mode = match scope {
            Scope::User => 0o700,
            Scope::System => 0o755,
        };
        Self {
            scope,
            facts: SharedFacts::new(HostFacts::of_host(version).unwrap_or(version.into())),
            files: UnitDir::new(path.into(), mode),
            generator: None,
            stage: None,
            changing: Arc::default(),
        }
    }

    /// Validates units with this generator instead of the host's installed one.
    #[must_use]
    pub fn with_generator(self, program: impl Into<PathBuf>) -> Self {
        Self { generator: Some(program.into()), ..self }
    }

    /// Stages units for validation below `path` instead of the runtime directory (`$XDG_RUNTIME_DIR`, `/run`).
    #[must_use]
    pub fn with_stage_dir(self, path: impl Into<PathBuf>) -> Self {
        Self { stage: Some(path.into()), ..self }
    }

    /// Adopts units of a previous manager without an ownership label: those whose `Description=` is `prefix` followed
    /// by the unit's name.
    ///
    /// Such a unit is managed and drifted, so that it is rewritten with the label.
    #[must_use]
    pub fn with_legacy_description(mut self, prefix: impl Into<String>) -> Self {
        self.files.legacy = Some(prefix.into());
        self
    }

    /// Returns the directory's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.files.path()
    }

    /// Returns the host facts that units are rendered for.
    #[must_use]
    pub fn facts(&self) -> HostFacts {
        self.facts.get()
    }

    /// Renders units for a host with `facts` from now on, in this store and all its clones.
    ///
    /// Existing units whose text differs become [`Outdated`](UnitFileState::Outdated).
    pub fn set_facts(&self, facts: HostFacts) {
        self.facts.set(facts);
    }

    /// Returns the text of `unit` as [`write`](UnitStore::write) would write it.
    ///
    /// # Errors
    /// [`quadlet::RenderError`] names the setting that this Podman does not support.
    pub fn text(&self, unit: &UnitSpec) -> Result<String, quadlet::RenderError> {
        Ok(render_unit(unit, self.scope, self.facts())?.text)
    }

    /// Removes the temporary files and staged units of interrupted writes; returns how many.
    ///
    /// The caller holds the host's lock, so no other process is writing.
    ///
    /// # Errors
    /// `Denied` and `Transient` from the file system.
    pub async fn sweep(&self) -> PortResult<usize> {
        let changing = self.begin_change().await?;
        let store = self.clone();
        blocking("clean up the unit directory", move || {
            let _until_done = changing;
            let swept = store.files.sweep()?;
            let staged = store.look_for_generator().ok().map(|generator| generator.stage_dir());
            Ok(swept + staged.map_or(0, |stage| crate::generator::sweep_stage(&stage)))
        })
        .await
    }

    /// Returns the path of each unit as Quadlet names it in `SourcePath=`. Blocks on files.
    pub(crate) fn locations(
        &self,
        names: &BTreeSet<CompanionName>,
    ) -> BTreeMap<CompanionName, String> {
        let directory = self.files.resolved();
        let location = |name| directory.join(directory::file_name(name));
        let shown = |name| location(name).to_string_lossy().into_owned();
        names.iter().map(|name| (name.clone(), shown(name))).collect()
    }

    /// Returns the unit files on which the generator would block.
    pub(crate) async fn endless_files(&self) -> PortResult<Vec<PathBuf>> {
        let files = self.files.clone();
        blocking("list the unit directory", move || files.endless()).await
    }

    /// Returns the generator that validates units.
    pub(crate) async fn find_generator(&self) -> Result<Generator, GeneratorError> {
        let store = self.clone();
        blocking::within(FILE_LIMIT, move || store.look_for_generator()).await?
    }

    /// Blocks on files.
    fn look_for_generator(&self) -> Result<Generator, GeneratorError> {
        let found = match &self.generator {
            Some(program) => Generator::at(program, self.scope),
            None => Generator::find(self.scope),
        }?;
        Ok(match &self.stage {
            Some(stage) => found.with_stage_dir(stage),
            None => found,
        })
    }

    async fn begin_change(&self) -> PortResult<OwnedMutexGuard<()>> {
        let turn = self.changing.clone().lock_owned();
        tokio::time::timeout(FILE_LIMIT, turn).await.map_err(|_| {
            let text = "an earlier change of the unit directory is still in progress";
            PortError::new(PortErrorKind::Transient, text)
        })
    }

    /// Reads one name in an open directory, or in a missing one.
    fn observed(
        &self,
        dir: Option<&durable_dir::Dir>,
        name: &CompanionName,
        wanted: Option<&UnitSpec>,
        facts: HostFacts,
    ) -> PortResult<(UnitFileState, Option<Fingerprint>)> {
        let rendered = |restart_epoch| {
            let mut unit = wanted?.clone();
            unit.revision = unit.revision.with_restart_epoch(restart_epoch);
            // A unit that this Podman does not support cannot be the current one; the write reports the reason.
            render_unit(&unit, self.scope, facts).ok()
        };
        let rendering = rendered(0).and_then(|rendered| rendered.revision.rendering);
        let state = match dir {
            Some(dir) => self.files.state(dir, name, rendered)?,
            None => UnitFileState::Absent,
        };
        Ok((state, rendering))
    }
}

#[async_trait]
impl UnitStore for QuadletDir {
    async fn observe(
        &self,
        names: &BTreeMap<CompanionName, Option<UnitSpec>>,
    ) -> BTreeMap<CompanionName, PortResult<UnitFile>> {
        let (store, names) = (self.clone(), Arc::new(names.clone()));
        let asked = names.clone();
        let read = blocking("read the unit directory", move || {
            let dir = store.files.open()?;
            let (directory, facts) = (store.files.resolved(), store.facts());
            let searched = drop_ins::search_path(store.scope, facts.podman, directory.clone());
            let file = |(name, wanted): (&CompanionName, &Option<UnitSpec>)| {
                let seen = store.observed(dir.as_ref(), name, wanted.as_ref(), facts);
                let location = directory.join(directory::file_name(name));
                let file = seen.map(|(state, rendering)| UnitFile {
                    state,
                    location: location.to_string_lossy().into_owned(),
                    rendering,
                    drop_ins: drop_ins::of(&searched, facts.podman, name),
                });
                (name.clone(), file)
            };
            Ok(asked.iter().map(file).collect())
        });
        match read.await {
            Ok(files) => files,
            Err(error) => error.for_each(names.keys()),
        }
    }

    async fn list(&self) -> PortResult<BTreeSet<CompanionName>> {
        let files = self.files.clone();
        blocking("list the unit directory", move || files.marked()).await
    }

    async fn write(&self, unit: &UnitSpec) -> PortResult<()> {
        let name = &unit.name;
        unit.container.validate().map_err(|error| {
            let text = format!("the unit of `{name}` is invalid");
            PortError::new(PortErrorKind::Invalid, text).with_source(error)
        })?;
        let facts = self.facts();
        let rendered = render_unit(unit, self.scope, facts).map_err(|error| {
            let kind = match error.refusal() {
                Refusal::NeedsPodman { .. } => PortErrorKind::Unavailable,
                _ => PortErrorKind::Invalid,
            };
            let text =
                format!("the unit of `{name}` cannot be rendered for Podman {}", facts.podman);
            PortError::new(kind, text).with_source(error)
        })?;
        let RenderedUnit { text, .. } = rendered;
        // Skip the generator if nothing changes; checked again right before the file is replaced.
        if self.is_written(name, &text).await? {
            return Ok(());
        }
        let generator = self.find_generator().await.map_err(|error| {
            PortError::new(error.kind(), "failed to validate the unit").with_source(error)
        })?;
        generator.check(name.as_str(), &text).await.map_err(|error| {
            let attempt = format!("the unit of `{name}` was rejected");
            PortError::new(error.kind(), attempt).with_source(error)
        })?;
        let changing = self.begin_change().await?;
        let (files, name) = (self.files.clone(), name.clone());
        blocking("write the unit", move || {
            let _until_done = changing;
            files.write(&name, text.as_bytes())
        })
        .await
    }

    async fn remove(&self, name: &CompanionName) -> PortResult<()> {
        let changing = self.begin_change().await?;
        let (files, name) = (self.files.clone(), name.clone());
        blocking("remove the unit", move || {
            let _until_done = changing;
            files.remove(&name)
        })
        .await
    }
}

impl QuadletDir {
    /// Returns whether the file of `name` already holds `text` and is synced to disk. Fails for an unmanaged file.
    ///
    /// Waits for the lock: a removal whose caller was cancelled may still be in progress.
    async fn is_written(&self, name: &CompanionName, text: &str) -> PortResult<bool> {
        let changing = self.begin_change().await?;
        let (files, name, text) = (self.files.clone(), name.clone(), text.to_owned());
        blocking("read the unit directory", move || {
            let _until_done = changing;
            files.is_written(&name, &text)
        })
        .await
    }
}

/// Runs file work on a blocking thread and waits a bounded time; the work itself completes.
async fn blocking<T: Send + 'static>(
    attempt: &'static str,
    work: impl FnOnce() -> PortResult<T> + Send + 'static,
) -> PortResult<T> {
    blocking::within(FILE_LIMIT, work).await.unwrap_or_else(|stuck: Stuck| {
        let message = format!("failed to {attempt}");
        Err(PortError::new(PortErrorKind::Transient, message).with_source(stuck))
    })
}

#[cfg(test)]
mod tests;
