//! What a process decides from, apart from the intents: the catalog, read again whenever its files change.
//!
//! *Flow.* [`Inputs::refresh`] looks at the files' identities at the start of each reconcile, and reads
//! them again if one changed. A catalog that can be read replaces the one in force.
//!
//! *Guarantees.* A catalog that is missing, unreadable or invalid changes nothing: the last good one stays
//! in force, in this process and, once it was written, in the next. It never turns
//! into the built-in one.
//!
//! *Caveats.* An operator who wants the built-in companions alone empties the file instead of deleting it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use companion_core::error_chain::chain;
use companion_core::model::revision::Fingerprint;
use durable_dir::{Dir, DirError, FileIdentity, Trust};
use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, CatalogError, shown};
use crate::leader::Settings;
use crate::node::Node;
use crate::published::contents_in;

/// The file in the state directory with the catalog files that were read last without an error.
pub(crate) const LAST_GOOD_FILE: &str = "last-good-catalog.json";

/// The most bytes of that file; a catalog file has 1 MiB at most.
const LAST_GOOD_LIMIT: usize = 16 * 1024 * 1024;

/// The inputs of one process.
#[derive(Debug)]
pub struct Inputs {
    settings: Settings,
    /// The catalog file that is read when the settings name none, if it exists.
    default_catalog: Option<PathBuf>,
    state_dir: Option<PathBuf>,
    /// Held while files are read or written, which may hang; `state` never is.
    files_in_use: Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Clone)]
struct State {
    /// The files as they were when they were read.
    seen: Option<Vec<(PathBuf, Identity)>>,
    /// What was read from them, to be kept for the next process.
    texts: Vec<CatalogText>,
    current: Current,
}

/// The inputs in force.
#[derive(Debug, Clone)]
pub struct Current {
    /// The catalog in force; nothing when no good one was ever read.
    pub catalog: Option<Arc<Catalog>>,
    /// Why the files are not what is in force.
    pub problem: Option<InputProblem>,
    /// A digest of the catalog in force, the options and the version of the program.
    pub digest: Fingerprint,
}

/// Why a catalog is not in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputProblem {
    /// What is wrong, in one word: `missing`, `unreadable` or `invalid`.
    pub reason: String,
    /// What is wrong, for people, in one line: `catalog.toml:3:1: unknown field …`.
    pub message: String,
    /// The line and a caret beneath it, where it has a place.
    pub excerpt: Option<String>,
}

/// A catalog file and its text.
type CatalogText = (PathBuf, String);

/// A file, or why there is none.
type Identity = Result<FileIdentity, ErrorKind>;

impl Inputs {
    /// Inputs that are `settings`, and the file at `default_catalog` when they name no catalog. The last
    /// good catalog is kept in `state_dir`.
    pub fn new(
        settings: Settings,
        default_catalog: Option<PathBuf>,
        state_dir: impl Into<PathBuf>,
    ) -> Self {
        let nothing = Current { catalog: None, problem: None, digest: Fingerprint::of(b"") };
        Self { settings, default_catalog, ..Self::of(nothing, Some(state_dir.into())) }
    }

    /// Inputs that never change: `catalog`, of a program that makes its own.
    pub fn fixed(catalog: Arc<Catalog>) -> Self {
        let digest = Fingerprint::of(format!("{catalog:?}").as_bytes());
        Self::of(Current { catalog: Some(catalog), problem: None, digest }, None)
    }

    fn of(current: Current, state_dir: Option<PathBuf>) -> Self {
        Self {
            settings: Settings::default(),
            default_catalog: None,
            state_dir,
            files_in_use: Mutex::default(),
            state: Mutex::new(State { seen: None, texts: Vec::new(), current }),
        }
    }

    /// The options.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The catalog files, whether they are there or not.
    pub fn files(&self) -> Vec<PathBuf> {
        if self.settings.catalogs.is_empty() {
            return self.default_catalog.iter().cloned().collect();
        }
        self.settings.catalogs.clone()
    }

    /// The inputs in force, as of the last [`refresh`](Self::refresh).
    pub fn current(&self) -> Current {
        self.state().current.clone()
    }

    /// The catalog in force; one without companions when no good one was ever read.
    pub fn catalog(&self) -> Arc<Catalog> {
        let nothing = || Arc::new(Catalog::without_companions(Node::default()));
        self.current().catalog.unwrap_or_else(nothing)
    }

    /// Reads what changed since the last call, and returns what is in force now. It blocks on files.
    pub fn refresh(&self) -> Current {
        if self.state_dir.is_none() {
            return self.current();
        }
        let _one_at_a_time = lock(&self.files_in_use);
        let identify = |path: PathBuf| {
            let found = fs::metadata(&path);
            let identity = found.map(|data| (&data).into()).map_err(|error| error.kind());
            (path, identity)
        };
        let now: Vec<_> = self.files().into_iter().map(identify).collect();
        let has_changed = self.state().seen.as_ref() != Some(&now);
        if has_changed {
            let mut next = self.state().clone();
            self.read(&mut next, &now);
            next.seen = Some(now);
            *self.state() = next;
        }
        self.current()
    }

    fn read(&self, state: &mut State, files: &[(PathBuf, Identity)]) {
        let problem = match self.texts(files).and_then(|texts| self.in_force(texts, state)) {
            Ok(()) => return,
            Err(problem) => problem,
        };
        if state.current.catalog.is_none()
            && let Some(saved) = self.saved()
            // What was read from other files than today's is not in force.
            && saved.iter().map(|(path, _)| path).eq(&self.files())
        {
            // One that is invalid by now is as good as none.
            let _ = self.in_force(saved, state);
        }
        state.current.problem = Some(problem);
    }

    /// Puts the catalog of `texts` in force.
    fn in_force(&self, texts: Vec<CatalogText>, state: &mut State) -> Result<(), InputProblem> {
        let catalog = Catalog::from_texts(&texts, &self.settings);
        let catalog = Arc::new(catalog.map_err(|error| InputProblem::of(&error))?);
        let digest = self.digest(&texts);
        state.current = Current { digest, catalog: Some(catalog), problem: None };
        state.texts = texts;
        Ok(())
    }

    /// The texts of `files`. Without a catalog file there is none, unless one was in force before.
    fn texts(&self, files: &[(PathBuf, Identity)]) -> Result<Vec<CatalogText>, InputProblem> {
        let mut texts = Vec::with_capacity(files.len());
        for (path, identity) in files {
            if *identity == Err(ErrorKind::NotFound) && self.settings.catalogs.is_empty() {
                if self.saved().is_some_and(|saved| saved.iter().any(|(file, _)| file == path)) {
                    return Err(InputProblem::missing(path));
                }
                continue;
            }
            let text = crate::catalog::read(path).map_err(|error| InputProblem::of(&error))?;
            texts.push((path.clone(), text));
        }
        Ok(texts)
    }

    fn digest(&self, texts: &[CatalogText]) -> Fingerprint {
        // Maps with text keys, texts and paths have no way to fail.
        let parts = (texts, &self.settings, env!("CARGO_PKG_VERSION"));
        Fingerprint::of(&serde_json::to_vec(&parts).unwrap_or_default())
    }

    /// What the last process that kept its catalog read.
    fn saved(&self) -> Option<Vec<CatalogText>> {
        let contents = contents_in(self.state_dir.as_ref()?, LAST_GOOD_FILE, LAST_GOOD_LIMIT);
        serde_json::from_slice(&contents.ok()??).ok()
    }

    /// Keeps the catalog in force for the next process. It writes only what changed, and blocks on files.
    ///
    /// # Errors
    /// As [`Dir::write`]; the one kept before stands.
    pub(crate) fn persist(&self) -> Result<(), DirError> {
        let Some(path) = &self.state_dir else { return Ok(()) };
        let _one_at_a_time = lock(&self.files_in_use);
        let State { texts, current, .. } = self.state().clone();
        if current.catalog.is_none() || self.saved().unwrap_or_default() == texts {
            return Ok(());
        }
        let bytes = serde_json::to_vec(&texts).unwrap_or_default();
        Dir::create(path, 0o700, Trust::Owned)?.write(LAST_GOOD_FILE, &bytes, 0o600)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl InputProblem {
    fn of(error: &CatalogError) -> Self {
        let reason = match error {
            CatalogError::Unreadable { .. } => "unreadable",
            CatalogError::Invalid { .. } => "invalid",
        };
        let excerpt = error.place().map(|place| place.excerpt.clone());
        Self { reason: reason.to_owned(), message: chain(error), excerpt }
    }

    fn missing(path: &Path) -> Self {
        let message = format!(
            "the catalog `{}` is missing, so the last valid one is used; create an empty file to use only the \
             built-in companions",
            shown(path)
        );
        Self { reason: "missing".to_owned(), message, excerpt: None }
    }
}

#[cfg(test)]
mod tests;
