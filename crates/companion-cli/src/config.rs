//! The configuration from the options: the host, the catalog, the state directory. Accesses no host.

use std::path::PathBuf;
use std::sync::Arc;

use archipelago_companions::Catalog;
use archipelago_companions::leader::Settings;

use crate::arguments::GlobalArguments;
use crate::backend::{self, CommandBackend};
use crate::error::{CommandError, CommandResult};

/// The configuration of a command.
pub(crate) struct Config {
    /// The host.
    pub(crate) host: Arc<dyn CommandBackend>,
    /// The global options.
    pub(crate) global: GlobalArguments,
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

    /// Returns the options that affect decisions; `None` if none was given.
    pub(crate) fn settings(&self) -> Option<Settings> {
        let GlobalArguments { catalog, contexts, build_arg, .. } = &self.global;
        if catalog.is_empty() && contexts.is_empty() && build_arg.is_empty() {
            return None;
        }
        Some(Settings {
            catalogs: catalog.clone(),
            contexts: contexts.clone(),
            build_arguments: build_arg.iter().cloned().collect(),
        })
    }

    /// Reads the catalog: the built-in companions, the files, and the node settings of the options.
    pub(crate) fn catalog(&self) -> CommandResult<Catalog> {
        let catalogs = self.catalog_files();
        Ok(Catalog::read(&Settings { catalogs, ..self.settings().unwrap_or_default() })?)
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

    /// Returns the state directory of `--state-dir`, else that of the host.
    pub(crate) fn state_dir(&self) -> CommandResult<PathBuf> {
        let own = || self.host.state_dir();
        self.global.state_dir.clone().or_else(own).ok_or_else(|| {
            CommandError::host("neither `XDG_STATE_HOME` nor `HOME` is an absolute path")
                .hinted("set the directory with `--state-dir DIR`")
        })
    }
}
