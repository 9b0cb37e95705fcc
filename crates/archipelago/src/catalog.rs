//! The catalog: the known companions and the apps they belong to.
//!
//! Archipelago's own companions are built in; TOML files add companions or replace those of the same name.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;

use companion_core::error_chain::chain;
use companion_core::model::companion::{CompanionName, CompanionSpec, InvalidValue};
use companion_core::model::container::AbsolutePath;
use companion_core::model::hook::HookSpec;
use durable_dir::DirError;

use crate::app::AppId;
use crate::manifest::{BackendManifest, ManifestError};
use crate::node::Node;

mod builtin;
mod conflict;
mod file;
mod place;

pub use builtin::BITCOIN_UI_HOOK;
pub use file::{CatalogFile, CompanionEntry, ImageEntry, schema};
pub(crate) use file::{one_line, validate_mount_source};
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

/// The error of reading a catalog. No part of an invalid catalog is used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The file could not be read.
    #[error("failed to read the catalog `{file}`")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file or its directory is untrusted, or the path is not a regular file.
    #[error("the catalog `{file}` cannot be used")]
    Unusable {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: DirError,
    },
    /// The file exceeds the size limit.
    #[error("the catalog `{file}` is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        file: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// The file has invalid syntax or an unknown key.
    #[error("{place}: {what}")]
    Syntax {
        /// Where.
        place: Box<Place>,
        /// What is wrong, and what was expected.
        what: String,
    },
    /// A companion has an invalid field.
    #[error("{place}: the companion `{companion}` is invalid")]
    Companion {
        /// Where.
        place: Box<Place>,
        /// The companion.
        companion: String,
        /// The field and the rule.
        #[source]
        source: InvalidValue,
    },
    /// The table `[node]` has an invalid value.
    #[error("{place}: the table `[node]` is invalid")]
    Node {
        /// Where.
        place: Box<Place>,
        /// The field and the rule.
        #[source]
        source: InvalidValue,
    },
    /// The node has an invalid value.
    #[error("the node is invalid")]
    NodeValue {
        /// The field and the rule.
        #[source]
        source: InvalidValue,
    },
    /// A file has two companions of the same name.
    #[error("{place}: duplicate companion `{companion}`")]
    Twice {
        /// Where the second one is.
        place: Box<Place>,
        /// The name.
        companion: CompanionName,
    },
    /// Two companions would render the same file.
    #[error("the companions `{first}` and `{second}` have the same hook output, `{output}`")]
    SameOutput {
        /// The one.
        first: CompanionName,
        /// The other.
        second: CompanionName,
        /// The file.
        output: AbsolutePath,
    },
    /// Two companions would publish the same port on overlapping addresses.
    #[error("the companions `{first}` and `{second}` publish the same host port, {port}")]
    SamePort {
        /// The one.
        first: CompanionName,
        /// The other.
        second: CompanionName,
        /// The host's port.
        port: u16,
    },
    /// The manifest of an app's backend is invalid.
    #[error("the backend of the app `{app}` is invalid")]
    Backend {
        /// The app.
        app: AppId,
        /// The field and the rule.
        #[source]
        source: ManifestError,
    },
    /// A backend has the name of a companion of another app.
    #[error(
        "the backend of the app `{app}` has the name of another app's companion, `{companion}`"
    )]
    NameTaken {
        /// The app.
        app: AppId,
        /// The name.
        companion: CompanionName,
    },
    /// There are more companions than [`COMPANIONS_LIMIT`].
    #[error("the catalogs have more than {COMPANIONS_LIMIT} companions")]
    TooMany,
}

impl CatalogError {
    /// Returns whether the file is unreadable, in contrast to invalid.
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Unreadable { .. } | Self::Unusable { .. })
    }

    /// The message and all its causes in one line.
    pub fn chain(&self) -> String {
        chain(self)
    }

    /// Returns the place of the error in a file, if it has one. [`Place::excerpt`] is the line with a caret.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Syntax { place, .. }
            | Self::Companion { place, .. }
            | Self::Node { place, .. }
            | Self::Twice { place, .. } => Some(place),
            Self::Unreadable { .. }
            | Self::Unusable { .. }
            | Self::TooLarge { .. }
            | Self::NodeValue { .. }
            | Self::SameOutput { .. }
            | Self::SamePort { .. }
            | Self::Backend { .. }
            | Self::NameTaken { .. }
            | Self::TooMany => None,
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
    /// [`CatalogError::NodeValue`] for an invalid `node`.
    pub fn on(node: Node) -> Result<Self, CatalogError> {
        let refused = |source| CatalogError::NodeValue { source };
        node.validate().map_err(refused)?;
        let companions = builtin::companions(&node).map_err(refused)?;
        let mut catalog = Self::without_companions(node);
        for (apps, spec) in companions {
            catalog.insert(apps, spec);
        }
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
        Self::with_files_on(files, |_| {})
    }

    /// Same as [`with_files`](Self::with_files), with a node that `adjust` changes last.
    ///
    /// # Errors
    /// As [`with_files`](Self::with_files), and [`CatalogError::NodeValue`] for what `adjust` set.
    pub fn with_files_on<P: AsRef<Path>>(
        files: &[P],
        adjust: impl FnOnce(&mut Node),
    ) -> Result<Self, CatalogError> {
        let text = |path: &P| Ok((shown(path.as_ref()), read(path.as_ref())?));
        let texts = files.iter().map(text).collect::<Result<Vec<_>, CatalogError>>()?;
        Self::from_texts(&texts, adjust)
    }

    /// The same from texts that were read already, each with the name of its file for errors.
    pub(crate) fn from_texts(
        texts: &[(String, String)],
        adjust: impl FnOnce(&mut Node),
    ) -> Result<Self, CatalogError> {
        let mut read = Vec::with_capacity(texts.len());
        let mut given = toml::Table::new();
        let mut node = Node::default();
        for (shown, text) in texts {
            let file = CatalogFile::parse(text, shown)?;
            node = file.node_over(&mut given)?;
            read.push(file);
        }
        adjust(&mut node);
        let mut catalog = Self::on(node)?;
        for file in read {
            for (apps, spec) in file.companions(&catalog.node)? {
                catalog.insert(apps, spec);
            }
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
    /// [`CatalogError::Backend`] for an invalid manifest, [`CatalogError::NameTaken`],
    /// [`CatalogError::SamePort`], [`CatalogError::TooMany`]; the catalog is unchanged then.
    pub fn add_backend(
        &mut self,
        app: AppId,
        manifest: &BackendManifest,
    ) -> Result<CompanionName, CatalogError> {
        let spec = manifest.spec(&self.node);
        let spec = spec.map_err(|source| CatalogError::Backend { app: app.clone(), source })?;
        let name = spec.name.clone();
        if self.apps.iter().any(|(other, names)| *other != app && names.contains(&name)) {
            return Err(CatalogError::NameTaken { app, companion: name });
        }
        let mut grown = self.clone();
        grown.insert(vec![app], spec);
        grown.validate()?;
        *self = grown;
        Ok(name)
    }

    /// Checks what only the whole catalog shows.
    fn validate(&self) -> Result<(), CatalogError> {
        if self.companions.len() > COMPANIONS_LIMIT {
            return Err(CatalogError::TooMany);
        }
        conflict::refuse(self.companions.values())
    }

    fn insert(&mut self, apps: Vec<AppId>, spec: CompanionSpec) {
        for companions in self.apps.values_mut() {
            companions.remove(&spec.name);
        }
        for app in apps {
            self.apps.entry(app).or_default().insert(spec.name.clone());
        }
        self.companions.insert(spec.name.clone(), spec);
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
    /// that somebody else wrote reaches no key, wallet or data of an app. A companion of another name
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
        let beside = |secret: &AbsolutePath| Path::new(secret.as_str()).parent() == Some(dir);
        in_own
            && !of_app
            && dir.parent() == Some(Path::new(self.node.data_directory.as_str()))
            && !credentials.any(beside)
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

/// Reads the catalog file at `path`.
pub(crate) fn read(path: &Path) -> Result<String, CatalogError> {
    file::read(path, &shown(path))
}

fn shown(path: &Path) -> String {
    path.display().to_string().escape_debug().to_string()
}

#[cfg(test)]
mod tests;
