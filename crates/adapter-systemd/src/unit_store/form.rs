//! `QuadletForm`: units as Quadlet files, which Podman's generator validates.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::unit::UnitSpec;
use companion_core::ports::{PortError, PortErrorKind, PortResult};
use host_files::blocking;
use host_files::units::{Label, UnitForm, UnitText};
use quadlet::{Key, PodmanVersion, extension_value, key};

use super::drop_ins;
use super::search_path::search_path;
use crate::generator::Generator;
use crate::scope::Scope;
use crate::unit_text::{MARK_NAME, MARK_REVISION, container_unit};

/// How units are worded and validated on this host.
#[derive(Debug, Clone)]
pub(crate) struct QuadletForm {
    pub(super) scope: Scope,
    /// The version of Podman, whose generator reads the units; all clones of a store share it.
    version: Arc<RwLock<PodmanVersion>>,
    /// The prefix of the previous manager's descriptions.
    pub(crate) legacy: Option<String>,
    /// Replaces the host's generator.
    pub(super) generator: Option<PathBuf>,
    /// Replaces the staging directory.
    pub(super) stage: Option<PathBuf>,
}

impl QuadletForm {
    pub(crate) fn new(scope: Scope, version: PodmanVersion) -> Self {
        let version = Arc::new(RwLock::new(version));
        Self { scope, version, legacy: None, generator: None, stage: None }
    }

    pub(super) fn version(&self) -> PodmanVersion {
        // A panic with the lock held leaves the old or the new value.
        *self.version.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_version(&self, version: PodmanVersion) {
        *self.version.write().unwrap_or_else(PoisonError::into_inner) = version;
    }

    /// Returns the generator that validates units.
    pub(crate) async fn find_generator(&self) -> PortResult<Generator> {
        let form = self.clone();
        blocking::run("find the generator", move || form.look_for_generator()).await
    }

    /// Blocks on files.
    pub(super) fn look_for_generator(&self) -> PortResult<Generator> {
        let found = match &self.generator {
            Some(program) => Generator::at(program, self.scope),
            None => Generator::find(self.scope),
        }?;
        Ok(match &self.stage {
            Some(stage) => found.with_stage_dir(stage),
            None => found,
        })
    }
}

#[async_trait]
impl UnitForm for QuadletForm {
    const EXTENSION: &'static str = "container";

    fn text(&self, unit: &UnitSpec) -> PortResult<String> {
        let podman = self.version();
        let made = container_unit(unit, self.scope, podman);
        made.and_then(|made| made.render(podman)).map_err(|error| {
            let kind = if error.is_about_podman() {
                PortErrorKind::Unavailable
            } else {
                PortErrorKind::Invalid
            };
            let name = &unit.name;
            let text = format!("the unit of `{name}` cannot be rendered for Podman {podman}");
            PortError::new(kind, text).with_source(error)
        })
    }

    /// The label, or the previous manager's description of this very name.
    fn label(&self, name: &CompanionName, text: &str) -> Option<Label> {
        let value = |key: Key| extension_value(text, key.section, key.name);
        if let Some(companion) = value(MARK_NAME) {
            let revision = value(MARK_REVISION);
            let revision = revision.and_then(|text| text.parse().ok());
            return Some(Label { companion, revision });
        }
        let description = value(key::DESCRIPTION)?;
        let companion = description.strip_prefix(self.legacy.as_deref()?)?;
        let is_named = companion == name.as_str();
        is_named.then(|| Label { companion: companion.to_owned(), revision: None })
    }

    async fn validate(&self, units: &[UnitText]) -> PortResult<()> {
        let generator = self.find_generator().await.map_err(|error| {
            PortError::new(error.kind(), "failed to validate the unit").with_source(error)
        })?;
        generator.check(units).await.map_err(|error| {
            let attempt = match units {
                [(name, _)] => format!("the unit of `{name}` was rejected"),
                units => format!("one of {} units was rejected", units.len()),
            };
            PortError::new(error.kind(), attempt).with_source(error)
        })
    }

    fn search_path(&self, directory: &Path) -> Vec<PathBuf> {
        search_path(self.scope, self.version(), directory)
    }

    fn drop_ins<'n>(
        &self,
        search_path: &[PathBuf],
        names: impl Iterator<Item = &'n CompanionName>,
    ) -> BTreeMap<CompanionName, Vec<String>> {
        let (podman, existing) = (self.version(), drop_ins::existing(search_path));
        names.map(|name| (name.clone(), drop_ins::of(&existing, podman, name))).collect()
    }
}

#[cfg(test)]
mod tests;
