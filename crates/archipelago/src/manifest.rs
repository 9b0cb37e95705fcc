//! Backend manifests: an app's own container, described in Archipelago's form, managed like a companion.
//!
//! The form is that of `apps/<app>/manifest.yml`, in YAML or TOML: a root key `app`, below it `container`, `resources`,
//! `security`, `ports`, `volumes`, `environment`, `devices`, `health_check` … An unknown key is an error, because a
//! setting that is silently dropped is found out on a node. Keys that describe work outside of the unit (generated
//! files and secrets, owners of data, the launch tile) are accepted and listed by [`BackendManifest::outside_the_unit`].
//!
//! Unlike a companion, a backend may write to paths of the host and run any command. Mounts of the host's
//! root, sockets and devices are refused; a manifest lists each device. The same planner manages it.
//! [`Catalog::add_backend`](crate::Catalog::add_backend) adds it to a catalog.

use std::path::Path;

use companion_core::model::companion::CompanionSpec;
use companion_core::model::container::AbsolutePath;

use crate::app::AppId;
use crate::catalog::{CatalogError, described, shown};
use crate::node::Node;

mod fields;
mod form;
mod spec;

/// A backend's manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct BackendManifest {
    app: form::App,
    /// What a relative build context is relative to.
    directory: Option<AbsolutePath>,
}

/// The notation of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// YAML 1.2.
    Yaml,
    /// TOML 1.
    Toml,
}

impl Format {
    /// Returns the notation of a file by its extension: `yml`, `yaml` or `toml`.
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "yml" | "yaml" => Some(Self::Yaml),
            "toml" => Some(Self::Toml),
            _ => None,
        }
    }
}

impl BackendManifest {
    /// Reads the manifest at `path`, by the rules for a catalog file.
    ///
    /// # Errors
    /// [`CatalogError`], with file, line and column where they are known.
    pub fn read(path: &Path) -> Result<Self, CatalogError> {
        let file = shown(path);
        let format = Format::of(path).ok_or_else(|| {
            let rule = "must have the extension `yml`, `yaml` or `toml`";
            CatalogError::invalid(format!("the manifest `{file}` {rule}"), None)
        })?;
        let mut manifest = Self::parse(&crate::catalog::read(path)?, format, &file)?;
        let path = std::path::absolute(path).ok();
        let directory = path.as_deref().and_then(Path::parent).and_then(Path::to_str);
        manifest.directory = directory.and_then(|directory| AbsolutePath::new(directory).ok());
        Ok(manifest)
    }

    /// Parses `text`; `file` names it in errors.
    ///
    /// # Errors
    /// [`CatalogError::Invalid`].
    pub fn parse(text: &str, format: Format, file: &str) -> Result<Self, CatalogError> {
        let parsed: Result<form::File, _> = match format {
            // Without its excerpt: an environment may hold secrets under any name.
            Format::Toml => toml::from_str(text).map_err(|error| {
                let (place, what) = described(text, file, &error);
                format!("{place}: {what}")
            }),
            Format::Yaml => form::from_yaml(text, file),
        };
        let parsed = parsed.map_err(|message| CatalogError::invalid(message, None))?;
        Ok(Self { app: parsed.app, directory: None })
    }

    /// The app that it describes.
    pub fn app(&self) -> &AppId {
        &self.app.id
    }

    /// The keys of the manifest that no unit expresses. The program that installs the app handles them.
    pub fn outside_the_unit(&self) -> Vec<&'static str> {
        self.app.outside_the_unit()
    }

    /// What is to exist on `node`.
    ///
    /// # Errors
    /// [`CatalogError::Invalid`] for fields that do not go together.
    pub fn spec(&self, node: &Node) -> Result<CompanionSpec, CatalogError> {
        spec::spec(&self.app, self.directory.as_ref(), node).map_err(|source| {
            CatalogError::invalid(format!("the manifest of `{}` is invalid", self.app.id), source)
        })
    }
}

#[cfg(test)]
mod tests;
