//! Catalog files: TOML, in which an unknown key is an error with its line and column.

use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::path::{Component, Path};

use companion_core::model::companion::{CompanionName, CompanionSpec, InvalidValue};
use companion_core::model::container::{AbsolutePath, ContainerSpec};
use companion_core::model::hook::{HookProgram, HookSpec};
use companion_core::model::image::{ImageRef, ImageSource};
use durable_dir::{Trust, read_file};
use serde::Deserialize;

use super::place::{described, locate};
use super::{CatalogError, Place, builtin, shown};
use crate::app::AppId;
use crate::node::Node;

/// The most bytes of a catalog file.
const FILE_LIMIT: usize = 256 * 1024;

/// A catalog file.
#[derive(Debug, Clone, PartialEq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CatalogFile {
    /// Settings of the node that differ from the defaults.
    pub node: Option<Node>,
    /// Companions.
    #[serde(default, rename = "companion")]
    pub companions: Vec<CompanionEntry>,
    /// The text that it was parsed from.
    #[serde(skip)]
    source: Source,
}

/// A text, the name of its file for errors, and the keys of `[node]` that it gives.
#[derive(Debug, Clone, PartialEq, Default)]
struct Source {
    text: String,
    shown: String,
    node: toml::Table,
}

impl Source {
    fn syntax(&self, error: &toml::de::Error) -> CatalogError {
        let (place, what) = described(&self.text, &self.shown, error);
        CatalogError::at(place, &what, None)
    }

    /// The error of a value of a companion, by its number and name, or of `[node]`.
    fn value(
        &self,
        companion: Option<(usize, &CompanionName)>,
        error: InvalidValue,
    ) -> CatalogError {
        let number = companion.map(|(number, _)| number);
        let place = Place::of(&self.text, &self.shown, locate(&self.text, number, &error));
        let what = companion.map(|(_, name)| format!("the companion `{name}` is invalid"));
        let what = what.unwrap_or_else(|| "the table `[node]` is invalid".to_owned());
        CatalogError::at(place, &what, Some(error))
    }
}

/// One companion of a catalog file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompanionEntry {
    /// Its name, which is also that of its unit and its container.
    pub name: CompanionName,
    /// The apps that it belongs to.
    pub apps: Vec<AppId>,
    /// One-line description; derived from the name when absent.
    pub description: Option<String>,
    /// Where its image comes from.
    pub image: ImageEntry,
    /// Its container; omitted fields default to those of the built-in companions.
    pub container: Option<ContainerSpec>,
    /// The configuration rendered before it starts.
    pub hook: Option<HookSpec>,
}

/// Which fields a catalog file gives: a value alone does not show whether it was left out or set.
#[derive(Deserialize)]
struct Given {
    #[serde(default)]
    node: toml::Table,
    #[serde(default, rename = "companion")]
    companions: Vec<GivenEntry>,
}

#[derive(Deserialize)]
struct GivenEntry {
    #[serde(default)]
    container: toml::Table,
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageEntry {
    /// The name of a build context below the node's context directories, and of the image built.
    pub base: Option<String>,
    /// An absolute path of a separate build context; only with `base`.
    pub context: Option<AbsolutePath>,
    /// The image to pull if it cannot be built; the default with `base` is in the node's repository.
    pub pull: Option<ImageRef>,
}

/// The JSON Schema of a catalog file.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(CatalogFile).into()
}

/// Reads the file at `path`: it and the directories on the way belong to us or to root, and nobody else may write to
/// them. A catalog or a manifest names programs that run with our rights.
pub(crate) fn read(path: &Path) -> Result<String, CatalogError> {
    let read = || -> Result<String, Box<dyn Error + Send + Sync>> {
        let mut path = std::path::absolute(path)?;
        if path.components().any(|part| part == Component::ParentDir) {
            path = path.canonicalize()?;
        }
        let found = read_file(&path, FILE_LIMIT, Trust::Owned)?;
        let found = found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(String::from_utf8(found.bytes)?)
    };
    read().map_err(|source| CatalogError::Unreadable { file: shown(path), source })
}

impl CatalogFile {
    /// Parses `text`; `shown` names the file in errors.
    ///
    /// # Errors
    /// [`CatalogError`] with line and column.
    pub fn parse(text: &str, shown: &str) -> Result<Self, CatalogError> {
        let (text, shown) = (text.to_owned(), shown.to_owned());
        let mut source = Source { text, shown, node: toml::Table::new() };
        let syntax = |error: toml::de::Error| source.syntax(&error);
        let mut file: Self = toml::from_str(&source.text).map_err(syntax)?;
        let given: Given = toml::from_str(&source.text).map_err(syntax)?;
        if let Some(node) = &file.node {
            node.validate().map_err(|error| source.value(None, error))?;
        }
        let mut names = BTreeSet::new();
        for (number, entry) in file.companions.iter().enumerate() {
            if !names.insert(&entry.name) {
                let rule = "is the name of two companions of the file";
                let error = InvalidValue::new("name", entry.name.as_str(), rule);
                return Err(source.value(Some((number, &entry.name)), error));
            }
        }
        for (entry, given) in file.companions.iter_mut().zip(given.companions) {
            if let Some(container) = &mut entry.container {
                *container = hardened(given.container).map_err(syntax)?;
            }
        }
        source.node = given.node;
        Ok(Self { source, ..file })
    }

    /// Puts the keys that its `[node]` gives over those that `given` has, and returns the node of all.
    ///
    /// # Errors
    /// [`CatalogError::Invalid`] when they do not go together.
    pub(super) fn node_over(&self, given: &mut toml::Table) -> Result<Node, CatalogError> {
        merge(given, self.source.node.clone());
        let node: Node = given.clone().try_into().map_err(|error| self.source.syntax(&error))?;
        node.validate().map_err(|error| self.source.value(None, error))?;
        Ok(node)
    }

    /// The companions, with the apps they belong to, on `node`.
    ///
    /// # Errors
    /// [`CatalogError::Invalid`] for the first whose fields do not go together.
    pub fn companions(self, node: &Node) -> Result<Vec<(Vec<AppId>, CompanionSpec)>, CatalogError> {
        let source = self.source;
        let specs = self.companions.into_iter().enumerate().map(|(number, entry)| {
            let name = entry.name.clone();
            entry.spec(node).map_err(|error| source.value(Some((number, &name)), error))
        });
        specs.collect()
    }
}

/// Puts the values of `over` in place of those in `under`; of tables, key by key.
fn merge(under: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(toml::Value::Table(under)), toml::Value::Table(over)) => merge(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

/// Returns the container with what Archipelago's own have, apart from the fields that are `given`.
fn hardened(given: toml::Table) -> Result<ContainerSpec, toml::de::Error> {
    let own = builtin::hardened().map_err(serde::de::Error::custom)?;
    let mut fields = toml::Table::try_from(own).map_err(serde::de::Error::custom)?;
    fields.extend(given);
    fields.try_into()
}

impl CompanionEntry {
    fn spec(self, node: &Node) -> Result<(Vec<AppId>, CompanionSpec), InvalidValue> {
        let name = self.name;
        let description = self.description.unwrap_or_else(|| format!("companion {name}"));
        one_line("description", &description)?;
        let container = match self.container {
            Some(container) => container,
            None => builtin::hardened()?,
        };
        container.validate()?;
        if let Some(mount) = container.mounts.iter().find(|mount| !mount.read_only) {
            let rule = "must be read-only: a companion never writes to a path of the host";
            return Err(InvalidValue::new("mounts", mount.source.as_str(), rule));
        }
        container.mounts.iter().map(|mount| &mount.source).try_for_each(validate_mount_source)?;
        if let Some(hook) = &self.hook {
            validate_hook(hook)?;
        }
        InvalidValue::unless(!self.apps.is_empty(), "apps", "", "must name at least one app")?;
        let image = self.image.source(node)?;
        Ok((self.apps, CompanionSpec { name, description, image, container, hook: self.hook }))
    }
}

/// Refuses to show a container the host's sockets and devices: who reaches Podman's or the bus's commands the
/// host, and a read-only mount does not keep anyone from connecting.
pub(crate) fn validate_mount_source(source: &AbsolutePath) -> Result<(), InvalidValue> {
    let places = ["/dev", "/proc", "/run", "/sys", "/var/run"];
    let path = source.as_path();
    let may_show = path.parent().is_some() && !places.iter().any(|place| path.starts_with(place));
    let rule = "must not be the host's root, nor lie in /dev, /proc, /run, /sys or /var/run";
    InvalidValue::unless(may_show, "mounts", source, rule)
}

/// Refuses a text for people that is not one line of at most 256 bytes.
pub(crate) fn one_line(field: &'static str, text: &str) -> Result<(), InvalidValue> {
    let fits = (1..=256).contains(&text.len()) && !text.chars().any(char::is_control);
    InvalidValue::unless(fits, field, text, "must be one line of 1 to 256 bytes")
}

/// Refuses a hook that this program could not run.
pub(super) fn validate_hook(hook: &HookSpec) -> Result<(), InvalidValue> {
    match &hook.program {
        HookProgram::Command { argv, timeout, .. } => {
            let program = argv.first().map(String::as_str).unwrap_or_default();
            AbsolutePath::new(program)?;
            let rule = "must be between 1 and 300 seconds";
            InvalidValue::unless((1..=300).contains(timeout), "timeout", timeout, rule)
        }
        HookProgram::Registered(name) if !builtin::has_hook(name) => {
            let rule = "is not a hook that this program has; use `template` or `command`";
            Err(InvalidValue::new("registered", name.as_str(), rule))
        }
        HookProgram::Registered(_) | HookProgram::Template { .. } => Ok(()),
    }
}

impl ImageEntry {
    fn source(self, node: &Node) -> Result<ImageSource, InvalidValue> {
        let pull = self.pull.map(|reference| node.pull(reference));
        match (self.base, self.context, pull) {
            (Some(base), None, pull) => {
                let mut source = builtin::image(node, &base)?;
                source.pull = pull.or(source.pull);
                Ok(source)
            }
            (Some(base), Some(context), pull) => {
                Ok(ImageSource { build: Some(node.build(&base, vec![context])?), pull })
            }
            (None, None, Some(pull)) => Ok(ImageSource { build: None, pull: Some(pull) }),
            (None, Some(context), _) => {
                let rule = "needs `base`, the name of the image that is built";
                Err(InvalidValue::new("context", context.as_str(), rule))
            }
            (None, None, None) => {
                Err(InvalidValue::new("image", "", "must have `base`, `pull` or both"))
            }
        }
    }
}
