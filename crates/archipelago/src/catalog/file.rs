//! Catalog files: TOML, in which an unknown key is an error with its line and column.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::{Component, Path};

use companion_core::model::companion::{CompanionName, CompanionSpec, InvalidValue};
use companion_core::model::container::{AbsolutePath, ContainerSpec};
use companion_core::model::hook::{HookProgram, HookSpec};
use companion_core::model::image::{BuildSource, ImageRef, ImageSource, PullSource};
use durable_dir::{DirError, Trust, read_file};
use serde::Deserialize;

use super::place::{described, locate};
use super::{CatalogError, Place, builtin};
use crate::app::AppId;
use crate::node::Node;

/// The most bytes of a catalog file.
const FILE_LIMIT: usize = 256 * 1024;

/// A catalog file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CatalogFile {
    /// Settings of the node that differ from the defaults.
    #[serde(default)]
    pub node: Option<Node>,
    /// Companions.
    #[serde(default, rename = "companion")]
    pub companions: Vec<CompanionEntry>,
    /// The text that it was parsed from.
    #[serde(skip)]
    source: Source,
}

/// A text and the name of its file, for errors.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Source {
    text: String,
    shown: String,
}

impl Source {
    fn place(&self, span: Range<usize>) -> Box<Place> {
        Box::new(Place::of(&self.text, &self.shown, span))
    }

    fn syntax(&self, error: &toml::de::Error) -> CatalogError {
        let (place, what) = described(&self.text, &self.shown, error);
        CatalogError::Syntax { place: Box::new(place), what }
    }

    fn companion(
        &self,
        number: usize,
        companion: &CompanionName,
        source: InvalidValue,
    ) -> CatalogError {
        let place = self.place(locate(&self.text, Some(number), &source));
        CatalogError::Companion { place, companion: companion.to_string(), source }
    }

    fn node(&self, source: InvalidValue) -> CatalogError {
        CatalogError::Node { place: self.place(locate(&self.text, None, &source)), source }
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
    #[serde(default)]
    pub description: Option<String>,
    /// Where its image comes from.
    pub image: ImageEntry,
    /// Its container; omitted fields default to those of the built-in companions.
    #[serde(default)]
    pub container: Option<ContainerSpec>,
    /// The configuration rendered before it starts.
    #[serde(default)]
    pub hook: Option<HookSpec>,
}

/// Which fields a catalog file gives: a value alone does not tell what was left out from what was set so.
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
    #[serde(default)]
    pub base: Option<String>,
    /// An absolute path of a separate build context; only with `base`.
    #[serde(default)]
    pub context: Option<AbsolutePath>,
    /// The image to pull if it cannot be built; the default with `base` is in the node's repository.
    #[serde(default)]
    pub pull: Option<ImageRef>,
}

/// The JSON Schema of a catalog file.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(CatalogFile).into()
}

/// Reads the file at `path`: it and the directories on the way belong to us or to root, and nobody else may write to
/// them. A catalog names programs that run with our rights.
pub(super) fn read(path: &Path, shown: &str) -> Result<String, CatalogError> {
    let unreadable = |source| CatalogError::Unreadable { file: shown.to_owned(), source };
    let unusable = |source| CatalogError::Unusable { file: shown.to_owned(), source };
    let mut path = std::path::absolute(path).map_err(unreadable)?;
    if path.components().any(|part| part == Component::ParentDir) {
        path = path.canonicalize().map_err(unreadable)?;
    }
    let found = read_file(&path, FILE_LIMIT, Trust::Owned).map_err(|error| match error {
        DirError::TooLarge { limit, .. } => {
            CatalogError::TooLarge { file: shown.to_owned(), limit }
        }
        other => unusable(other),
    })?;
    let found = found.ok_or_else(|| unreadable(io::ErrorKind::NotFound.into()))?;
    String::from_utf8(found.bytes).map_err(|_text| unreadable(io::ErrorKind::InvalidData.into()))
}

impl CatalogFile {
    /// Parses `text`; `shown` names the file in errors.
    ///
    /// # Errors
    /// [`CatalogError`] with line and column.
    pub fn parse(text: &str, shown: &str) -> Result<Self, CatalogError> {
        let source = Source { text: text.to_owned(), shown: shown.to_owned() };
        let syntax = |error: toml::de::Error| source.syntax(&error);
        let mut file: Self = toml::from_str(text).map_err(syntax)?;
        let given: Given = toml::from_str(text).map_err(syntax)?;
        if let Some(node) = &file.node {
            node.validate().map_err(|error| source.node(error))?;
        }
        let mut names = BTreeSet::new();
        for (number, entry) in file.companions.iter().enumerate() {
            if !names.insert(&entry.name) {
                let companion = entry.name.clone();
                let error = InvalidValue::new("name", companion.as_str(), "must be another one");
                let place = source.place(locate(text, Some(number), &error));
                return Err(CatalogError::Twice { place, companion });
            }
        }
        for (entry, given) in file.companions.iter_mut().zip(given.companions) {
            if let Some(container) = &mut entry.container {
                *container = hardened(given.container).map_err(syntax)?;
            }
        }
        file.source = source;
        Ok(file)
    }

    /// Puts the keys that its `[node]` gives over those that `given` has, and returns the node of all.
    ///
    /// # Errors
    /// [`CatalogError::Syntax`], [`CatalogError::Node`] when they do not go together.
    pub(super) fn node_over(&self, given: &mut toml::Table) -> Result<Node, CatalogError> {
        let syntax = |error: toml::de::Error| self.source.syntax(&error);
        let own: Given = toml::from_str(&self.source.text).map_err(syntax)?;
        merge(given, own.node);
        let node: Node = given.clone().try_into().map_err(syntax)?;
        node.validate().map_err(|error| self.source.node(error))?;
        Ok(node)
    }

    /// The companions, with the apps they belong to, on `node`.
    ///
    /// # Errors
    /// [`CatalogError::Companion`] for the first whose fields do not go together.
    pub fn companions(self, node: &Node) -> Result<Vec<(Vec<AppId>, CompanionSpec)>, CatalogError> {
        let source = self.source;
        let specs = self.companions.into_iter().enumerate().map(|(number, entry)| {
            let companion = entry.name.clone();
            entry.spec(node).map_err(|error| source.companion(number, &companion, error))
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
        let pull = self.pull.map(|reference| {
            let verify_tls = !node.is_insecure_registry(reference.registry());
            PullSource { reference, verify_tls }
        });
        match (self.base, self.context, pull) {
            (Some(base), None, pull) => {
                let mut source = builtin::image(node, &base)?;
                source.pull = pull.or(source.pull);
                Ok(source)
            }
            (Some(base), Some(context), pull) => {
                let build = BuildSource {
                    reference: ImageRef::new(format!("localhost/{base}:latest"))?,
                    contexts: vec![context],
                    arguments: node.build_arguments.clone(),
                };
                Ok(ImageSource { build: Some(build), pull })
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
