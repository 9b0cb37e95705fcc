//! The text of a new catalog: every setting with its default, commented out, except the settings that
//! this host needs or the options give.

use std::path::{Path, PathBuf};

use adapter_systemd::Scope;
use archipelago_companions::catalog::CatalogFile;
use archipelago_companions::host::user_dir;
use archipelago_companions::{Catalog, Node};
use companion_core::error_chain::chain;
use companion_core::model::container::AbsolutePath;
use durable_dir::{Dir, DirResult, Trust};
use serde_json::json;

use super::plan::{Change, Row};
use crate::config::Config;
use crate::error::{CommandError, CommandResult};

/// The catalog with all settings commented out.
const TEMPLATE: &str = include_str!("catalog.toml");

/// The data directory of root on a host without Archipelago, in the state directory of the system scope.
const SYSTEM_DATA: &str = "/var/lib/companion/data";

/// The catalog that a new daemon gets, with the settings of the options.
pub(super) struct NewCatalog {
    path: PathBuf,
    scope: Scope,
    /// From `--contexts`.
    contexts: Vec<AbsolutePath>,
    /// From `--build-arg`.
    build_arguments: Vec<(String, String)>,
    /// Set if the default is unusable.
    data_directory: Option<String>,
}

impl NewCatalog {
    /// Reads the options, and checks whether this user can use the default data directory.
    ///
    /// # Errors
    /// Bad input for invalid values.
    pub(super) fn of(scope: Scope, config: &Config) -> CommandResult<Self> {
        let path = config.host.default_catalog().ok_or_else(|| {
            CommandError::host("neither `XDG_CONFIG_HOME` nor `HOME` is an absolute path")
        })?;
        let catalog = Self {
            path,
            scope,
            contexts: config.global.contexts.clone(),
            build_arguments: config.global.build_arg.clone(),
            data_directory: own_data_directory(scope),
        };
        CatalogFile::parse(&catalog.text(), "catalog.toml")?;
        Ok(catalog)
    }

    /// Plans to write it. An existing catalog is left alone, and reported if a setting of the options is missing in it.
    pub(super) fn row(&self) -> CommandResult<Row> {
        let shown = self.path.display();
        let (directory, name) = self.place();
        let found = Dir::open_existing(directory, Trust::Owned)
            .and_then(|dir| dir.map_or(Ok(None), |dir| dir.status(name)));
        if found.map_err(|error| CommandError::host(chain(&error)))?.is_none() {
            return Ok(Row::planned(Change::WriteCatalog, format!("write {shown}")));
        }
        let lines = self.options();
        let missing = match Catalog::with_files(&[&self.path]) {
            _ if lines.is_empty() => None,
            Ok(catalog) if self.is_in(catalog.node()) => None,
            Ok(_) => Some("exists, without the settings of the options".to_owned()),
            Err(error) => Some(format!("is invalid: {}", chain(&error))),
        };
        Ok(match missing {
            None => Row::unchanged("catalog", shown.to_string()),
            Some(why) => {
                let fix = format!("add below [node]: {}", lines.join(" and "));
                Row::left_alone("catalog", format!("{shown} {why}"), fix)
            }
        })
    }

    fn is_in(&self, node: &Node) -> bool {
        let has = |(name, value): &(String, String)| node.build_arguments.get(name) == Some(value);
        self.contexts.iter().all(|path| node.context_directories.contains(path))
            && self.build_arguments.iter().all(has)
    }

    /// Writes it, unless another process created one meanwhile.
    pub(super) fn write(&self) -> DirResult<()> {
        let mode = match self.scope {
            Scope::User => 0o700,
            Scope::System => 0o755,
        };
        let (directory, name) = self.place();
        let dir = Dir::create(directory, mode, Trust::Owned)?;
        dir.write_new(name, self.text().as_bytes(), 0o644).map(|_new| ())
    }

    fn place(&self) -> (&Path, &str) {
        let name = self.path.file_name().and_then(|name| name.to_str());
        (self.path.parent().unwrap_or(&self.path), name.unwrap_or_default())
    }

    /// The settings of the options, as lines of TOML. A JSON string is a basic string of TOML.
    fn options(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.contexts.is_empty() {
            lines.push(format!("context_directories = {}", json!(self.contexts)));
        }
        let pair = |(name, value): &(String, String)| format!("{name} = {}", json!(value));
        let pairs: Vec<_> = self.build_arguments.iter().map(pair).collect();
        if !pairs.is_empty() {
            lines.push(format!("build_arguments = {{ {} }}", pairs.join(", ")));
        }
        lines
    }

    /// Returns its text.
    fn text(&self) -> String {
        let data_directory = self.data_directory.iter();
        let data_directory = data_directory.map(|path| format!("data_directory = {}", json!(path)));
        let given: Vec<_> = self.options().into_iter().chain(data_directory).collect();
        let key = |line: &str| line.split(" = ").next().map(str::to_owned);
        let line = |line: &str| {
            let commented = line.strip_prefix("# ").and_then(key);
            let given = given.iter().find(|given| commented.is_some() && key(given) == commented);
            given.cloned().unwrap_or_else(|| line.to_owned())
        };
        TEMPLATE.lines().map(|text| line(text) + "\n").collect()
    }
}

/// Returns a data directory of this user, or `None` if this user owns the default one.
///
/// On an Archipelago node, `/var/lib/archipelago` belongs to the user who runs the companions.
fn own_data_directory(scope: Scope) -> Option<String> {
    let default = Node::default().data_directory;
    let is_ours = Dir::open(default.as_path(), Trust::Owned)
        .and_then(|dir| dir.own_status())
        .is_ok_and(|status| status.is_ours());
    if is_ours {
        return None;
    }
    if scope == Scope::System {
        return Some(SYSTEM_DATA.to_owned());
    }
    let data = user_dir("XDG_DATA_HOME", ".local/share")?;
    data.join("companion").to_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::setup::plan::Outcome;

    fn without_options() -> NewCatalog {
        NewCatalog {
            path: "/nowhere/catalog.toml".into(),
            scope: Scope::User,
            contexts: Vec::new(),
            build_arguments: Vec::new(),
            data_directory: None,
        }
    }

    fn paths(paths: &[&str]) -> Vec<AbsolutePath> {
        paths.iter().map(|path| AbsolutePath::new(*path).unwrap()).collect()
    }

    /// The template with every setting uncommented.
    fn uncommented() -> String {
        let line = |line: &str| {
            let rest = line.strip_prefix("# ")?;
            let is_setting = rest.starts_with('[') || rest.contains(" = ");
            is_setting.then(|| format!("{rest}\n"))
        };
        TEMPLATE.lines().map(|text| line(text).unwrap_or_else(|| format!("{text}\n"))).collect()
    }

    #[test]
    fn a_new_catalog_changes_nothing() {
        let text = without_options().text();
        let parsed = CatalogFile::parse(&text, "x").unwrap();
        assert_eq!(parsed.node, Some(Node::default()));
        assert!(parsed.companions.is_empty());
        assert_eq!(text, TEMPLATE);
    }

    #[test]
    fn the_commented_settings_are_the_defaults() {
        let parsed = CatalogFile::parse(&uncommented(), "x").unwrap();
        let mut node = parsed.node.unwrap();
        // The default of this one is in each Dockerfile.
        let base = node.build_arguments.remove("BASE_IMAGE").unwrap();
        // These have no default; their lines are examples.
        node.image_repository.take().unwrap();
        assert!(!std::mem::take(&mut node.facts).is_empty());
        node.lnd.macaroon_file.take().unwrap();
        node.electrs.onion_address.take().unwrap();
        assert_eq!(node, Node::default());
        let dockerfile = include_str!("../../../../archipelago/companions/lnd-ui/Dockerfile");
        assert!(dockerfile.contains(&format!("ARG BASE_IMAGE={base}\n")), "{base}");
        assert_eq!(parsed.companions[0].name.as_str(), "my-ui");
    }

    #[test]
    fn every_setting_of_a_node_is_shown() {
        let schema = archipelago_companions::catalog::schema();
        for table in ["Node", "BitcoinRpc", "Lnd", "Electrs", "Fedimint"] {
            let keys = schema["$defs"][table]["properties"].as_object().unwrap().keys();
            for key in keys {
                let lines = [format!("\n# {key} = "), format!("\n# [node.{key}]\n")];
                assert!(lines.iter().any(|line| TEMPLATE.contains(line)), "{key}");
            }
        }
    }

    #[test]
    fn catalog_text_has_the_settings_of_the_options() {
        let catalog = NewCatalog {
            contexts: paths(&["/a \"b\"", "/c"]),
            build_arguments: vec![("BASE_IMAGE".to_owned(), "localhost/x:1".to_owned())],
            data_directory: Some("/home/é/.local/share/companion".to_owned()),
            ..without_options()
        };
        let node = CatalogFile::parse(&catalog.text(), "x").unwrap().node.unwrap();
        assert_eq!(node.context_directories, catalog.contexts);
        assert_eq!(node.build_arguments["BASE_IMAGE"], "localhost/x:1");
        assert_eq!(node.data_directory.as_str(), "/home/é/.local/share/companion");
        assert_eq!(node.bitcoin, Node::default().bitcoin);
    }

    #[test]
    fn existing_catalog_is_checked_for_the_options() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("catalog.toml");
        let plain = NewCatalog { path: path.clone(), ..without_options() };
        let catalog = NewCatalog { contexts: paths(&["/c"]), path, ..without_options() };
        let outcome = |catalog: &NewCatalog| catalog.row().unwrap().outcome;
        assert_eq!(outcome(&catalog), Outcome::Planned, "it is missing");
        for (text, expected) in [
            (&*catalog.text(), Outcome::Unchanged),
            (TEMPLATE, Outcome::LeftAlone),
            ("colour = 3", Outcome::LeftAlone),
        ] {
            std::fs::write(&catalog.path, text).unwrap();
            assert_eq!(outcome(&catalog), expected, "{text}");
            assert_eq!(outcome(&plain), Outcome::Unchanged, "{text}");
        }
        let fix = catalog.row().unwrap().fix.unwrap();
        assert_eq!(fix, "add below [node]: context_directories = [\"/c\"]");
    }
}
