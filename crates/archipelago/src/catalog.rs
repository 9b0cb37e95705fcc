//! The catalog: the known companions and the apps they belong to.
//!
//! Archipelago's own companions are built in; TOML files add companions or replace those of the same name.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use companion_core::model::companion::{CompanionName, CompanionSpec, InvalidValue};
use companion_core::model::container::AbsolutePath;
use companion_core::model::hook::HookSpec;

use crate::app::AppId;
use crate::leader::Settings;
use crate::manifest::BackendManifest;
use crate::node::Node;

mod builtin;
mod conflict;
mod file;
mod place;

pub use builtin::BITCOIN_UI_HOOK;
pub use file::{CatalogFile, CompanionEntry, ImageEntry, schema};
pub(crate) use file::{one_line, read, validate_mount_source};
pub use place::Place;
pub(crate) use place::described;

/// The maximum number of companions in a catalog.
///
/// A bound for every loop, file and reply, and not a target: it is four times the largest number that is measured
/// (docs/performance.md), and far more than a host has ports and memory for.
pub const COMPANIONS_LIMIT: usize = 4096;

/// The known companions and their apps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    node: Node,
    apps: BTreeMap<AppId, BTreeSet<CompanionName>>,
    companions: BTreeMap<CompanionName, CompanionSpec>,
}

/// The error of a catalog file or a manifest. No part of an invalid one is used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The file could not be read, or is untrusted, too large or no regular file.
    #[error("failed to read `{file}`")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The contents are invalid, or do not go together with those of other files.
    #[error("{message}")]
    Invalid {
        /// What is wrong, behind its place.
        message: String,
        /// Where; `None` for what concerns several places.
        place: Option<Box<Place>>,
        /// The field and the rule.
        #[source]
        source: Option<InvalidValue>,
    },
}

impl CatalogError {
    /// Something invalid without a place.
    pub(crate) fn invalid(message: String, source: impl Into<Option<InvalidValue>>) -> Self {
        Self::Invalid { message, place: None, source: source.into() }
    }

    /// Something invalid at `place`, which the message names first.
    pub(crate) fn at(place: Place, what: &str, source: Option<InvalidValue>) -> Self {
        Self::Invalid { message: format!("{place}: {what}"), place: Some(Box::new(place)), source }
    }

    /// Returns the place of the error in a file, if it has one. Its excerpt is the line with a caret.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Invalid { place, .. } => place.as_deref(),
            Self::Unreadable { .. } => None,
        }
    }
}

impl Catalog {
    /// Returns Archipelago's companions on a default node.
    #[expect(
        clippy::expect_used,
        reason = "the text is this program's own; a catalog without its companions would leave what runs to nobody"
    )]
    pub fn builtin() -> Self {
        Self::on(Node::default()).expect("the built-in catalog follows its own rules")
    }

    /// Returns Archipelago's companions on `node`.
    ///
    /// # Errors
    /// [`CatalogError::Invalid`] for an invalid `node`.
    pub fn on(node: Node) -> Result<Self, CatalogError> {
        let refused = |source| CatalogError::invalid("the node is invalid".to_owned(), source);
        node.validate().map_err(refused)?;
        let companions = builtin::companions(&node).map_err(refused)?;
        let mut catalog = Self::without_companions(node);
        catalog.extend(companions);
        Ok(catalog)
    }

    pub(crate) fn without_companions(node: Node) -> Self {
        Self { node, apps: BTreeMap::new(), companions: BTreeMap::new() }
    }

    /// Returns Archipelago's companions and those of `files`, read in order.
    ///
    /// A later file overrides keys of `[node]` and companions of the same name. Lists are replaced, tables are
    /// merged by key.
    ///
    /// # Errors
    /// [`CatalogError`] for the first invalid file, and for conflicting companions.
    pub fn with_files<P: AsRef<Path>>(files: &[P]) -> Result<Self, CatalogError> {
        let catalogs = files.iter().map(|file| file.as_ref().to_owned()).collect();
        Self::read(&Settings { catalogs, ..Settings::default() })
    }

    /// Same as [`with_files`](Self::with_files), for the files and the node of `settings`.
    ///
    /// # Errors
    /// As [`with_files`](Self::with_files).
    pub fn read(settings: &Settings) -> Result<Self, CatalogError> {
        let text = |path: &PathBuf| Ok((path.clone(), read(path)?));
        let texts = settings.catalogs.iter().map(text).collect::<Result<Vec<_>, CatalogError>>()?;
        Self::from_texts(&texts, settings)
    }

    /// The same from the texts of files that were read already.
    pub(crate) fn from_texts(
        texts: &[(PathBuf, String)],
        settings: &Settings,
    ) -> Result<Self, CatalogError> {
        let mut read = Vec::with_capacity(texts.len());
        let mut given = toml::Table::new();
        let mut node = Node::default();
        for (path, text) in texts {
            let file = CatalogFile::parse(text, &shown(path))?;
            node = file.node_over(&mut given)?;
            read.push(file);
        }
        node.context_directories.splice(0..0, settings.contexts.iter().cloned());
        node.build_arguments.extend(settings.build_arguments.clone());
        let mut catalog = Self::on(node)?;
        for file in read {
            let companions = file.companions(&catalog.node)?;
            catalog.extend(companions);
        }
        catalog.validate()?;
        Ok(catalog)
    }

    /// Adds the backend of `app` that `manifest` describes, and returns its name. Like a companion, it is
    /// installed and removed with the app.
    ///
    /// Backends are not in catalog files: the host program must add them at every start, before it reads the
    /// desired state. A backend replaces an earlier one of the app with the same name.
    ///
    /// # Errors
    /// [`CatalogError::Invalid`] for an invalid manifest, the name of another app's companion, a conflict, and
    /// more than [`COMPANIONS_LIMIT`] companions; the catalog is unchanged then.
    pub fn add_backend(
        &mut self,
        app: AppId,
        manifest: &BackendManifest,
    ) -> Result<CompanionName, CatalogError> {
        let spec = manifest.spec(&self.node)?;
        let name = spec.name.clone();
        if self.apps.iter().any(|(other, names)| *other != app && names.contains(&name)) {
            let message = format!(
                "the backend of the app `{app}` has the name of another app's companion, `{name}`"
            );
            return Err(CatalogError::invalid(message, None));
        }
        let mut grown = self.clone();
        grown.extend([(vec![app], spec)]);
        grown.validate()?;
        *self = grown;
        Ok(name)
    }

    /// Checks what only the whole catalog shows.
    fn validate(&self) -> Result<(), CatalogError> {
        if self.companions.len() > COMPANIONS_LIMIT {
            let message = format!("the catalogs have more than {COMPANIONS_LIMIT} companions");
            return Err(CatalogError::invalid(message, None));
        }
        conflict::refuse(self.companions.values())
    }

    fn extend(&mut self, companions: impl IntoIterator<Item = (Vec<AppId>, CompanionSpec)>) {
        for (apps, spec) in companions {
            for companions in self.apps.values_mut() {
                companions.remove(&spec.name);
            }
            for app in apps {
                self.apps.entry(app).or_default().insert(spec.name.clone());
            }
            self.companions.insert(spec.name.clone(), spec);
        }
        self.apps.retain(|_, companions| !companions.is_empty());
    }

    /// Returns the node of the catalog.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Returns the companions of `app`; none for an unknown app.
    pub fn companions_for(&self, app: &AppId) -> BTreeSet<CompanionName> {
        self.apps.get(app).cloned().unwrap_or_default()
    }

    /// The companion named `name`.
    pub fn companion(&self, name: &CompanionName) -> Option<&CompanionSpec> {
        self.companions.get(name)
    }

    /// Whether the file of `hook` may be taken for what was once rendered for `name`, on the word of a
    /// record alone.
    ///
    /// The file is to be removed, so little is believed: it must be `<data directory>/<own>/<file>`,
    /// where `<own>` is the companion's name with or without `archy-`, ends in `-ui`, as apps' own
    /// directories do not, is no known app's id, and does not hold the node's credentials. So a record
    /// from another author reaches no key, wallet or data of an app. A companion of another name
    /// keeps its file when the catalog does not name it any more.
    pub(crate) fn may_have_rendered(&self, name: &CompanionName, hook: &HookSpec) -> bool {
        let file = Path::new(hook.output.as_str());
        let Some(dir) = file.parent() else { return false };
        let Some(dir_name) = dir.file_name().and_then(OsStr::to_str) else { return false };
        let own = [Some(name.as_str()), name.as_str().strip_prefix("archy-")];
        let in_own = own.contains(&Some(dir_name)) && dir_name.ends_with("-ui");
        let of_app = self.apps.keys().any(|app| app.as_str() == dir_name);
        let rpc = &self.node.bitcoin;
        let mut credentials = [&rpc.password_file, &rpc.cookie_file].into_iter();
        let next_to = |secret: &AbsolutePath| Path::new(secret.as_str()).parent() == Some(dir);
        in_own
            && !of_app
            && dir.parent() == Some(Path::new(self.node.data_directory.as_str()))
            && !credentials.any(next_to)
            && file::validate_hook(hook).is_ok()
    }

    /// All companions, by name.
    pub fn companions(&self) -> impl Iterator<Item = &CompanionSpec> {
        self.companions.values()
    }

    /// All apps that have companions.
    pub fn apps(&self) -> impl Iterator<Item = (&AppId, &BTreeSet<CompanionName>)> {
        self.apps.iter()
    }
}

/// The path as errors show it.
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string().escape_debug().to_string()
}

#[cfg(test)]
mod tests;
