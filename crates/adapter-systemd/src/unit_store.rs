//! `QuadletDir`: the port `UnitStore` on `<name>.container` files in one directory.
//!
//! `host-files` decides about the files. Drop-ins (`<name>.container.d/`, `container.d/`, `<name>.service.d/`) belong to
//! the operator: they are reported, but neither compared nor changed.
//!
//! Of several files with one name in the directories that Quadlet reads, and in those below them, it takes the first:
//!
//! | another file of the name | no unit of ours | a unit of ours |
//! |---|---|---|
//! | comes before (`$XDG_RUNTIME_DIR`, `/run`) | `Unmanaged`: ours would be ignored | what systemd loaded is from elsewhere; ours is compared, repaired and removed as ever |
//! | comes after (a directory below ours, `/etc/containers/systemd/users`, `/usr/share`) | `Unmanaged`: ours would hide it | Quadlet ignores it, and so does this store |
//!
//! So no write takes a name from a unit that has it. A companion that is to be removed has no such conflict.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
#[cfg(doc)]
use companion_core::model::unit::UnitFileState;
use companion_core::model::unit::{UnitFile, UnitSpec};
use companion_core::ports::{Hint, PortResult, UnitStore};
use host_files::blocking;
use host_files::units::UnitFiles;
use quadlet::PodmanVersion;

use crate::generator::sweep_stage;
use crate::scope::{Scope, ScopeError};
pub(crate) use form::QuadletForm;

mod drop_ins;
mod endless;
mod form;
mod search_path;

/// The Quadlet files of a scope.
#[derive(Debug, Clone)]
pub struct QuadletDir {
    pub(crate) files: UnitFiles<QuadletForm>,
}

impl QuadletDir {
    /// Opens the unit directory of `scope`, for Podman `version`.
    ///
    /// # Errors
    /// [`ScopeError`] if the environment does not define the directory.
    pub fn new(scope: Scope, version: PodmanVersion) -> Result<Self, ScopeError> {
        Ok(Self::at(scope.unit_dir()?, scope, version))
    }

    /// Opens the directory at `path`, which must be absolute, for Podman `version`.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>, scope: Scope, version: PodmanVersion) -> Self {
        // XDG requires 0700 below a home; in /etc everyone may read.
        let mode = match scope {
            Scope::User => 0o700,
            Scope::System => 0o755,
        };
        let files = UnitFiles::new(path, QuadletForm::new(scope, version));
        Self { files: files.with_directory_mode(mode) }
    }

    /// Validates units with this generator instead of the host's installed one.
    #[must_use]
    pub fn with_generator(mut self, program: impl Into<PathBuf>) -> Self {
        self.files.form_mut().generator = Some(program.into());
        self
    }

    /// Stages units for validation below `path` instead of the runtime directory (`$XDG_RUNTIME_DIR`, `/run`).
    #[must_use]
    pub fn with_stage_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.form_mut().stage = Some(path.into());
        self
    }

    /// Adopts units of a previous manager without an ownership label: those whose `Description=` is `prefix` followed
    /// by the unit's name.
    ///
    /// Such a unit is managed and drifted, so that it is rewritten with the label.
    #[must_use]
    pub fn with_legacy_description(mut self, prefix: impl Into<String>) -> Self {
        self.files.form_mut().legacy = Some(prefix.into());
        self
    }

    /// Keeps copies of edited units in the directory at `path` before a write replaces them; see
    /// [`UnitFiles::with_edited_copies`].
    #[must_use]
    pub fn with_edited_copies(mut self, path: impl Into<PathBuf>) -> Self {
        self.files = self.files.with_edited_copies(path);
        self
    }

    /// Returns the directory's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.files.path()
    }

    /// Returns the version of Podman that units are rendered for.
    #[must_use]
    pub fn podman_version(&self) -> PodmanVersion {
        self.files.form().version()
    }

    /// Renders units for Podman `version` from now on, in this store and all its clones.
    ///
    /// Existing units whose text differs become [`Outdated`](UnitFileState::Outdated).
    pub fn set_podman_version(&self, version: PodmanVersion) {
        self.files.form().set_version(version);
    }

    /// Removes the temporary files and staged units of interrupted writes; returns how many.
    ///
    /// The caller holds the host's lock, so no other process is writing.
    ///
    /// # Errors
    /// As [`kind_of`](host_files::errors::kind_of).
    pub async fn sweep(&self) -> PortResult<usize> {
        let swept = self.files.sweep().await?;
        let form = self.files.form().clone();
        let staged = blocking::run("clean up the staging directory", move || {
            let stage = form.look_for_generator().ok().map(|generator| generator.stage_dir());
            Ok(stage.map_or(0, |stage| sweep_stage(&stage)))
        });
        Ok(swept + staged.await?)
    }

    /// Returns the unit files on which the generator would block.
    pub(crate) async fn endless_files(&self) -> PortResult<Vec<PathBuf>> {
        let files = self.files.clone();
        blocking::run("list the unit directory", move || endless::endless(&files)).await
    }
}

#[async_trait]
impl UnitStore for QuadletDir {
    async fn observe(
        &self,
        names: &BTreeMap<CompanionName, Option<UnitSpec>>,
    ) -> BTreeMap<CompanionName, PortResult<UnitFile>> {
        self.files.observe(names).await
    }

    async fn list(&self) -> PortResult<BTreeSet<CompanionName>> {
        self.files.list().await
    }

    async fn write(&self, unit: &UnitSpec) -> PortResult<()> {
        self.files.write(unit).await
    }

    async fn prepare(&self, units: &[UnitSpec]) {
        self.files.prepare(units).await;
    }

    async fn remove(&self, name: &CompanionName) -> PortResult<()> {
        self.files.remove(name).await
    }

    async fn changed(&self) -> Hint {
        self.files.changed().await
    }
}

#[cfg(test)]
mod tests;
