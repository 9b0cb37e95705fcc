//! What the options come to: the host, the catalog, the state directory. Touches no host.

use std::path::{Path, PathBuf};

use adapter_systemd::Scope;
use archipelago::Catalog;
use archipelago::leader::Settings;
use companion_core::model::companion::CompanionName;
use companion_core::model::container::AbsolutePath;

use crate::arguments::{GlobalArguments, HostArgument};
use crate::error::{CommandError, CommandResult, chain};

/// Which host is worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostKind {
    /// A real one.
    Real(Scope),
    /// The embedded one.
    Sim,
}

impl HostKind {
    /// What `argument` means for the user with this id.
    fn of(argument: HostArgument, uid: u32) -> Self {
        match argument {
            HostArgument::Auto if uid == 0 => Self::Real(Scope::System),
            HostArgument::Auto | HostArgument::User => Self::Real(Scope::User),
            HostArgument::System => Self::Real(Scope::System),
            HostArgument::Sim => Self::Sim,
        }
    }

    /// The scope whose files and units it has; the embedded host is like a user's.
    pub(crate) fn scope(self) -> Scope {
        match self {
            Self::Real(scope) => scope,
            Self::Sim => Scope::User,
        }
    }
}

/// What the options come to.
#[derive(Debug)]
pub(crate) struct Config {
    /// The host.
    pub(crate) host: HostKind,
    /// The options as they were given.
    global: GlobalArguments,
}

impl Config {
    /// Reads the options; opens nothing.
    pub(crate) fn new(global: GlobalArguments) -> Self {
        let host = HostKind::of(global.host, rustix::process::geteuid().as_raw());
        Self { host, global }
    }

    /// Whether a leader that hangs is to be ended.
    pub(crate) fn takes_over(&self) -> bool {
        self.global.take_over
    }

    /// The options that change decisions, with absolute paths; `None` when none of them was given.
    ///
    /// # Errors
    /// Bad input for a directory that cannot be found.
    pub(crate) fn settings(&self) -> CommandResult<Option<Settings>> {
        let GlobalArguments { catalog, contexts, build_arg, .. } = &self.global;
        if catalog.is_empty() && contexts.is_empty() && build_arg.is_empty() {
            return Ok(None);
        }
        let absolute = |path: &PathBuf| {
            std::path::absolute(path).map_err(|error| {
                CommandError::input(format!("`--catalog {}`: {error}", path.display()))
            })
        };
        Ok(Some(Settings {
            catalogs: catalog.iter().map(absolute).collect::<CommandResult<_>>()?,
            contexts: self.contexts()?,
            build_arguments: build_arg.iter().cloned().collect(),
        }))
    }

    /// Reads the catalog: the built-in one, the files, and what the options say of the node.
    pub(crate) fn catalog(&self) -> CommandResult<Catalog> {
        let files = self.catalog_files();
        let contexts = self.contexts()?;
        Ok(Catalog::with_files_on(&files, |node| {
            node.context_directories.splice(0..0, contexts);
            node.build_arguments.extend(self.global.build_arg.iter().cloned());
        })?)
    }

    /// The build arguments given by `--build-arg`.
    pub(crate) fn build_arguments(&self) -> &[(String, String)] {
        &self.global.build_arg
    }

    /// The first option that was given and that only this command would know, not the daemon.
    pub(crate) fn option_of_one_command(&self) -> Option<&'static str> {
        match &self.global {
            global if !global.catalog.is_empty() => Some("--catalog"),
            global if global.state_dir.is_some() => Some("--state-dir"),
            _ => None,
        }
    }

    /// The directories given by `--contexts`; relative ones are below the current directory.
    ///
    /// # Errors
    /// Bad input for one that cannot be found.
    pub(crate) fn contexts(&self) -> CommandResult<Vec<AbsolutePath>> {
        let absolute = |path: &PathBuf| {
            let unusable = |why: String| {
                CommandError::input(format!("`--contexts {}`: {why}", path.display()))
            };
            let found = path.canonicalize().map_err(|error| unusable(error.to_string()))?;
            let text = found.to_str().ok_or_else(|| unusable("it is not UTF-8".to_owned()))?;
            AbsolutePath::new(text).map_err(|error| unusable(error.to_string()))
        };
        self.global.contexts.iter().map(absolute).collect()
    }

    /// The catalog files: those given, else the default one if it is there.
    fn catalog_files(&self) -> Vec<PathBuf> {
        if !self.global.catalog.is_empty() {
            return self.global.catalog.clone();
        }
        // One that cannot be examined is named, so that reading it fails; it is not the same as none.
        let is_there = |path: &PathBuf| path.try_exists().unwrap_or(true);
        default_catalog(self.host.scope()).filter(is_there).into_iter().collect()
    }

    /// The state directory that was given.
    pub(crate) fn given_state_dir(&self) -> Option<&Path> {
        self.global.state_dir.as_deref()
    }

    /// The state directory of a real host.
    pub(crate) fn state_dir(&self, scope: Scope) -> CommandResult<PathBuf> {
        if let Some(given) = self.given_state_dir() {
            return std::path::absolute(given).map_err(|error| {
                CommandError::input(format!("`--state-dir {}`: {error}", given.display()))
            });
        }
        archipelago::host::state_dir(scope).ok_or_else(|| {
            CommandError::host("neither `XDG_STATE_HOME` nor `HOME` is an absolute path")
                .hinted("name a directory with `--state-dir DIR`")
        })
    }
}

/// Where a catalog is read from when none is named.
pub(crate) fn default_catalog(scope: Scope) -> Option<PathBuf> {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    match scope {
        Scope::System => Some(PathBuf::from("/etc/companion/catalog.toml")),
        Scope::User => absolute("XDG_CONFIG_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".config")))
            .map(|config| config.join("companion/catalog.toml")),
    }
}

/// The companion that `text` names in `catalog`.
///
/// # Errors
/// Bad input, with a hint when `text` names an app or nearly a companion.
pub(crate) fn known_companion(catalog: &Catalog, text: &str) -> CommandResult<CompanionName> {
    let name = CompanionName::new(text).map_err(|error| CommandError::input(chain(&error)));
    let known = name.as_ref().ok().filter(|name| catalog.companion(name).is_some());
    if let Some(name) = known {
        return Ok(name.clone());
    }
    let error = match name {
        Err(error) => error,
        Ok(name) => CommandError::input(format!("no companion `{name}` is known")),
    };
    let of_app = catalog.apps().find(|(app, _)| app.as_str() == text);
    let hint = match of_app {
        Some((app, companions)) => {
            let names: Vec<_> = companions.iter().map(|name| format!("`{name}`")).collect();
            format!("`{app}` is an app; its companions are {}", names.join(", "))
        }
        None => match catalog.nearest_companion(text) {
            Some(name) => format!("did you mean `{name}`?"),
            None => {
                let names: Vec<_> = catalog.companions().map(|spec| spec.name.as_str()).collect();
                format!("known are {}", names.join(", "))
            }
        },
    };
    Err(error.hinted(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_never_the_embedded_host() {
        assert_eq!(HostKind::of(HostArgument::Auto, 0), HostKind::Real(Scope::System));
        assert_eq!(HostKind::of(HostArgument::Auto, 1000), HostKind::Real(Scope::User));
        assert_eq!(HostKind::of(HostArgument::User, 0), HostKind::Real(Scope::User));
        assert_eq!(HostKind::of(HostArgument::System, 1000), HostKind::Real(Scope::System));
    }

    #[test]
    fn an_app_in_place_of_a_companion_is_told_its_companions() {
        let catalog = Catalog::builtin();
        assert_eq!(known_companion(&catalog, "archy-lnd-ui").unwrap().as_str(), "archy-lnd-ui");
        let error = known_companion(&catalog, "lnd").unwrap_err();
        assert_eq!(error.status(), 2);
        assert!(error.hints()[0].contains("`archy-lnd-ui`"), "{error:?}");
        let error = known_companion(&catalog, "archy-lnd-iu").unwrap_err();
        assert_eq!(error.hints(), ["did you mean `archy-lnd-ui`?"]);
        let error = known_companion(&catalog, "nextcloud").unwrap_err();
        assert!(error.hints()[0].starts_with("known are archy-"), "{error:?}");
    }
}
