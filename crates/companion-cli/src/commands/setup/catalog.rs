//! The text of a new catalog: every setting with its default, commented out, except the settings that
//! this host needs or the options give.

use std::path::Path;

use adapter_systemd::Scope;
use archipelago_companions::Catalog;
use archipelago_companions::catalog::{CatalogError, CatalogFile};
use archipelago_companions::host::user_dir;
use companion_core::error_chain::chain;
use durable_dir::{Dir, Trust};
use serde_json::json;

use super::plan::FoundCatalog;
use crate::config::Config;
use crate::error::CommandResult;

/// The catalog with all settings commented out.
const TEMPLATE: &str = include_str!("catalog.toml");

/// The data directory of root on a host without Archipelago, in the state directory of the system scope.
const SYSTEM_DATA: &str = "/var/lib/companion/data";

/// The settings of a new catalog.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// From `--contexts`.
    contexts: Vec<String>,
    /// From `--build-arg`.
    build_arguments: Vec<(String, String)>,
    /// Set if the default is unusable.
    data_directory: Option<String>,
}

impl Wanted {
    /// Reads the options, and checks whether this user can use the default data directory.
    ///
    /// # Errors
    /// Bad input for missing directories and for invalid values.
    pub(super) fn of(scope: Scope, config: &Config) -> CommandResult<Self> {
        let contexts = config.contexts()?.iter().map(|path| path.as_str().to_owned()).collect();
        let build_arguments = config.build_arguments().to_vec();
        let data_directory = own_data_directory(scope);
        let wanted = Self { contexts, build_arguments, data_directory };
        CatalogFile::parse(&text(&wanted), "catalog.toml")?;
        Ok(wanted)
    }

    /// Returns whether the catalog at `path` has the settings of the options.
    pub(super) fn in_file(&self, path: &Path) -> FoundCatalog {
        if self.contexts.is_empty() && self.build_arguments.is_empty() {
            return FoundCatalog::Present;
        }
        let lines: Vec<_> = [contexts(self), build_arguments(self)].into_iter().flatten().collect();
        let fix = format!("add below [node]: {}", lines.join(" and "));
        match Catalog::with_files(&[path]) {
            Ok(catalog) if self.is_in(&catalog) => FoundCatalog::Present,
            Ok(_) => FoundCatalog::Lacks {
                what: "exists, without the settings of the options".into(),
                fix,
            },
            Err(error) => FoundCatalog::Lacks { what: reason(&error), fix },
        }
    }

    fn is_in(&self, catalog: &Catalog) -> bool {
        let node = catalog.node();
        let has = |wanted: &String| node.context_directories.iter().any(|it| it.as_str() == wanted);
        self.contexts.iter().all(has)
            && self
                .build_arguments
                .iter()
                .all(|(name, value)| node.build_arguments.get(name) == Some(value))
    }
}

fn reason(error: &CatalogError) -> String {
    format!("is invalid: {}", chain(error))
}

/// Returns a data directory of this user, or `None` if this user owns the default one.
///
/// On an Archipelago node, `/var/lib/archipelago` belongs to the user who runs the companions.
fn own_data_directory(scope: Scope) -> Option<String> {
    let default = archipelago_companions::Node::default().data_directory;
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

/// The text of a new catalog.
pub(super) fn text(wanted: &Wanted) -> String {
    let data_directory = wanted.data_directory.as_ref().map(|path| {
        // A JSON string is a basic string of TOML.
        format!("data_directory = {}", json!(path))
    });
    let given = [contexts(wanted), build_arguments(wanted), data_directory];
    let given: Vec<String> = given.into_iter().flatten().collect();
    let key = |line: &str| line.split(" = ").next().map(str::to_owned);
    let line = |line: &str| {
        let commented = line.strip_prefix("# ").and_then(key);
        let given = given.iter().find(|given| commented.is_some() && key(given) == commented);
        given.cloned().unwrap_or_else(|| line.to_owned())
    };
    TEMPLATE.lines().map(|text| line(text) + "\n").collect()
}

fn contexts(wanted: &Wanted) -> Option<String> {
    let list: Vec<_> = wanted.contexts.iter().map(|path| json!(path).to_string()).collect();
    (!list.is_empty()).then(|| format!("context_directories = [{}]", list.join(", ")))
}

fn build_arguments(wanted: &Wanted) -> Option<String> {
    let pair = |(name, value): &(String, String)| format!("{name} = {}", json!(value));
    let list: Vec<_> = wanted.build_arguments.iter().map(pair).collect();
    (!list.is_empty()).then(|| format!("build_arguments = {{ {} }}", list.join(", ")))
}

#[cfg(test)]
mod tests {
    use archipelago_companions::Node;

    use super::*;

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
        let parsed = CatalogFile::parse(&text(&Wanted::default()), "x").unwrap();
        assert_eq!(parsed.node, Some(Node::default()));
        assert!(parsed.companions.is_empty());
        assert_eq!(text(&Wanted::default()), TEMPLATE);
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
        let wanted = Wanted {
            contexts: vec!["/a \"b\"".to_owned(), "/c".to_owned()],
            build_arguments: vec![("BASE_IMAGE".to_owned(), "localhost/x:1".to_owned())],
            data_directory: Some("/home/é/.local/share/companion".to_owned()),
        };
        let node = CatalogFile::parse(&text(&wanted), "x").unwrap().node.unwrap();
        let contexts: Vec<_> = node.context_directories.iter().map(|path| path.as_str()).collect();
        assert_eq!(contexts, ["/a \"b\"", "/c"]);
        assert_eq!(node.build_arguments["BASE_IMAGE"], "localhost/x:1");
        assert_eq!(node.data_directory.as_str(), "/home/é/.local/share/companion");
        assert_eq!(node.bitcoin, Node::default().bitcoin);
    }

    #[test]
    fn existing_catalog_is_checked_for_the_options() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("catalog.toml");
        let wanted = Wanted { contexts: vec!["/c".to_owned()], ..Wanted::default() };
        std::fs::write(&path, text(&wanted)).unwrap();
        assert_eq!(wanted.in_file(&path), FoundCatalog::Present);
        std::fs::write(&path, TEMPLATE).unwrap();
        let FoundCatalog::Lacks { fix, .. } = wanted.in_file(&path) else {
            panic!("the setting is missing")
        };
        assert_eq!(fix, "add below [node]: context_directories = [\"/c\"]");
        std::fs::write(&path, "colour = 3").unwrap();
        assert!(matches!(wanted.in_file(&path), FoundCatalog::Lacks { .. }));
        assert_eq!(Wanted::default().in_file(&path), FoundCatalog::Present);
    }
}
