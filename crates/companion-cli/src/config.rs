//! The configuration from the options: the host, the catalog, the state directory. Accesses no host.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use archipelago_companions::Catalog;
use archipelago_companions::leader::Settings;
use companion_core::model::container::AbsolutePath;

use crate::arguments::GlobalArguments;
use crate::backend::{self, CommandBackend};
use crate::error::{CommandError, CommandResult};

/// The configuration of a command.
pub(crate) struct Config {
    /// The host.
    pub(crate) host: Arc<dyn CommandBackend>,
    /// The global options.
    global: GlobalArguments,
}

impl Config {
    /// Evaluates the options without opening files.
    ///
    /// # Errors
    /// Bad input if `--host` selects none of `backends`.
    pub(crate) fn new(
        global: GlobalArguments,
        backends: &[Arc<dyn CommandBackend>],
    ) -> CommandResult<Self> {
        Ok(Self { host: backend::select(backends, &global.host)?, global })
    }

    /// Returns whether to kill a leader that hangs.
    pub(crate) fn takes_over(&self) -> bool {
        self.global.take_over
    }

    /// Returns the options that affect decisions, with absolute paths; `None` if none was given.
    ///
    /// # Errors
    /// Bad input for a missing directory.
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

    /// Reads the catalog: the built-in companions, the files, and the node settings of the options.
    pub(crate) fn catalog(&self) -> CommandResult<Catalog> {
        let catalogs = self.catalog_files();
        let settings = Settings { catalogs, ..self.settings()?.unwrap_or_default() };
        Ok(Catalog::read(&settings)?)
    }

    /// Returns the build arguments of `--build-arg`.
    pub(crate) fn build_arguments(&self) -> &[(String, String)] {
        &self.global.build_arg
    }

    /// Returns the first given option that would not apply to the daemon.
    pub(crate) fn option_of_one_command(&self) -> Option<&'static str> {
        match &self.global {
            global if !global.catalog.is_empty() => Some("--catalog"),
            global if global.state_dir.is_some() => Some("--state-dir"),
            _ => None,
        }
    }

    /// Returns the directories of `--contexts`, relative to the current directory.
    ///
    /// # Errors
    /// Bad input for a missing directory.
    pub(crate) fn contexts(&self) -> CommandResult<Vec<AbsolutePath>> {
        let absolute = |path: &PathBuf| {
            let unusable = |why: String| {
                CommandError::input(format!("`--contexts {}`: {why}", path.display()))
            };
            let found = path.canonicalize().map_err(|error| unusable(error.to_string()))?;
            let text =
                found.to_str().ok_or_else(|| unusable("the path is not UTF-8".to_owned()))?;
            AbsolutePath::new(text).map_err(|error| unusable(error.to_string()))
        };
        self.global.contexts.iter().map(absolute).collect()
    }

    /// Returns the given catalog files, else the default one if it exists.
    fn catalog_files(&self) -> Vec<PathBuf> {
        if !self.global.catalog.is_empty() {
            return self.global.catalog.clone();
        }
        // Keep an inaccessible file, so that reading it fails; it may exist.
        let is_there = |path: &PathBuf| path.try_exists().unwrap_or(true);
        self.host.default_catalog().filter(is_there).into_iter().collect()
    }

    /// Returns the state directory of `--state-dir`.
    pub(crate) fn given_state_dir(&self) -> Option<&Path> {
        self.global.state_dir.as_deref()
    }

    /// Returns the state directory of `--state-dir`, else that of the host.
    pub(crate) fn state_dir(&self) -> CommandResult<PathBuf> {
        if let Some(given) = self.given_state_dir() {
            return std::path::absolute(given).map_err(|error| {
                CommandError::input(format!("`--state-dir {}`: {error}", given.display()))
            });
        }
        self.host.state_dir().ok_or_else(|| {
            CommandError::host("neither `XDG_STATE_HOME` nor `HOME` is an absolute path")
                .hinted("set the directory with `--state-dir DIR`")
        })
    }
}
