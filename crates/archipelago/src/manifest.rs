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

use std::io::Read as _;
use std::path::Path;

use companion_core::model::companion::{CompanionName, CompanionSpec, InvalidValue};
use companion_core::model::container::AbsolutePath;

use crate::app::AppId;
use crate::node::Node;

mod fields;
mod form;
mod spec;

/// The largest manifest that is read, in bytes.
const FILE_LIMIT: u64 = 256 * 1024;

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

/// The error of a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file could not be read.
    #[error("failed to read the manifest `{file}`")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is neither YAML nor TOML by its name, or too large.
    #[error("the manifest `{file}` {rule}")]
    Unusable {
        /// The file.
        file: String,
        /// What it must be.
        rule: &'static str,
    },
    /// Invalid syntax, an unknown key, or an invalid value.
    #[error("{file}:{line}:{column}: {what}")]
    Syntax {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The character in the line, from 1.
        column: usize,
        /// What is wrong, and what was expected.
        what: String,
    },
    /// A field does not go together with the others.
    #[error("the manifest of `{app}` is invalid")]
    Field {
        /// The app.
        app: AppId,
        /// The field and the rule.
        #[source]
        source: InvalidValue,
    },
}

impl BackendManifest {
    /// Reads the manifest at `path`.
    ///
    /// # Errors
    /// [`ManifestError`], with file, line and column where they are known.
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        let file = path.display().to_string().escape_debug().to_string();
        let unusable = |rule| ManifestError::Unusable { file: file.clone(), rule };
        let format = Format::of(path)
            .ok_or_else(|| unusable("must have the extension `yml`, `yaml` or `toml`"))?;
        let unreadable = |source| ManifestError::Unreadable { file: file.clone(), source };
        let path = std::path::absolute(path).map_err(unreadable)?;
        let mut text = String::new();
        let opened = std::fs::File::open(&path).map_err(unreadable)?;
        opened.take(FILE_LIMIT + 1).read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > FILE_LIMIT {
            return Err(unusable("must be at most 256 KiB long"));
        }
        let mut manifest = Self::parse(&text, format, &file)?;
        let directory = path.parent().and_then(Path::to_str);
        manifest.directory = directory.and_then(|directory| AbsolutePath::new(directory).ok());
        Ok(manifest)
    }

    /// Parses `text`; `file` names it in errors.
    ///
    /// # Errors
    /// [`ManifestError::Syntax`].
    pub fn parse(text: &str, format: Format, file: &str) -> Result<Self, ManifestError> {
        let syntax = |line, column, what| ManifestError::Syntax {
            file: file.to_owned(),
            line,
            column,
            what,
        };
        let parsed: Result<form::File, _> = match format {
            Format::Toml => toml::from_str(text).map_err(|error| {
                let (place, what) = crate::catalog::described(text, file, &error);
                syntax(place.line(), place.column(), what)
            }),
            Format::Yaml => {
                form::from_yaml(text).map_err(|(line, column, what)| syntax(line, column, what))
            }
        };
        Ok(Self { app: parsed?.app, directory: None })
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
    /// [`ManifestError::Field`] for fields that do not go together.
    pub fn spec(&self, node: &Node) -> Result<CompanionSpec, ManifestError> {
        spec::spec(&self.app, self.directory.as_ref(), node)
            .map_err(|source| ManifestError::Field { app: self.app.id.clone(), source })
    }

    /// The name of the unit and of the container.
    ///
    /// # Errors
    /// [`ManifestError::Field`] for an app whose id is no such name, and that has no `container_name`.
    pub fn name(&self) -> Result<CompanionName, ManifestError> {
        spec::name(&self.app)
            .map_err(|source| ManifestError::Field { app: self.app.id.clone(), source })
    }
}

#[cfg(test)]
mod tests;
