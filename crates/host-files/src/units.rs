//! A unit store on a directory of files: `<name>.<extension>` for each companion.
//!
//! The adapter brings a [`UnitForm`]: the text of a unit, and the ownership label in a text. [`UnitFiles`] does the
//! rest of the port's contract:
//!
//! - **Ownership.** Only managed files at a companion's own name are overwritten or removed. Directories, links, files
//!   with hard links, files of other users and copies are unmanaged.
//! - **One name, one unit.** A file name that another directory of the host's search path has is not written.
//! - **Detection of edits.** A unit names the digest of its text (its rendering), so an edited file differs from one
//!   of another release.
//! - **Durability.** A write or removal survives a power loss, and readers see the old file or the new one.
//! - **One writer at a time.** A write or removal holds the lock of the store and its clones until it completes, also if
//!   its caller was cancelled: an earlier write never completes after a removal.
//!
//! The directory belongs to this user or root, and nobody else may write to it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::revision::Revision;
use companion_core::model::unit::{UnitFile, UnitSpec};
use companion_core::ports::{Hint, PortError, PortErrorKind, PortResult, UnitStore};
use durable_dir::Dir;

use crate::blocking::{self, Lock, Stuck};
use crate::watch::{Changes, Place, Watch};
use directory::{file_name, name_of};
pub use edited::{EDITED_COPIES, edited_copies};
pub use found::Found;
use places::Places;
use seen::Seen;
pub use text::RenderedUnit;

mod directory;
mod edited;
mod found;
mod places;
mod seen;
mod text;

/// How long the directories of the host's search path may take.
const PLACES_LIMIT: Duration = Duration::from_secs(2);

/// How long an acceptance of several units counts.
const ACCEPTANCE: Duration = Duration::from_secs(60);
/// The maximum size of a unit file in bytes, larger than any unit: systemd loads single lines of at most 1 MiB.
const SIZE_LIMIT: usize = 1024 * 1024;
/// The maximum number of entries of a directory, far more than the units of any host and their copies.
const ENTRY_LIMIT: usize = 10_000;

/// The text of a companion's unit.
pub type UnitText = (CompanionName, Arc<str>);

/// The form of a host's unit files. Clones share what they know of the host.
#[async_trait]
pub trait UnitForm: Clone + Send + Sync + 'static {
    /// The extension of the unit files, without a dot.
    const EXTENSION: &'static str;

    /// Returns the text of `unit` with its ownership label. Does not block.
    ///
    /// The text contains every part of `unit`, and names `unit.revision` in its [text form](Revision) wherever the host
    /// is to find it; [`UnitFiles`] replaces it there with the revision that has the store's own rendering.
    ///
    /// # Errors
    /// `Invalid` if this form cannot express the unit, `Unavailable` if this host is too old for it.
    fn text(&self, unit: &UnitSpec) -> PortResult<String>;

    /// Returns the ownership label of `text`, which is the file at `name`; `None` for an unmanaged file. Pure.
    fn label(&self, name: &CompanionName, text: &str) -> Option<Label>;

    /// Lets the host's validator check the texts of `units` together, before they are written. The default accepts every
    /// unit.
    ///
    /// # Errors
    /// `Invalid` with the validator's output if it rejects one of them, `Unavailable` without a validator.
    async fn validate(&self, _units: &[UnitText]) -> PortResult<()> {
        Ok(())
    }

    /// Returns the directories that the host reads units from, in its order: of several files with one name, it takes
    /// the first. `directory` is one of them, and the only one by default. Blocks on files.
    fn search_path(&self, directory: &Path) -> Vec<PathBuf> {
        vec![directory.to_owned()]
    }

    /// Returns the paths of the drop-ins that the host merges into the units of `names` from the directories of its search
    /// path; a unit without drop-ins may be missing. None by default. Blocks on files.
    fn drop_ins<'n>(
        &self,
        _search_path: &[PathBuf],
        _names: impl Iterator<Item = &'n CompanionName>,
    ) -> BTreeMap<CompanionName, Vec<String>> {
        BTreeMap::new()
    }
}

/// The ownership label of a unit file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The companion that it names. A file with another name is a copy, and unmanaged.
    pub companion: String,
    /// The revision that it names, if it can be parsed.
    pub revision: Option<Revision>,
}

/// The unit files of one directory; clones share its locks and what was read.
#[derive(Debug, Clone)]
pub struct UnitFiles<F> {
    path: PathBuf,
    /// The mode of created directories.
    mode: u32,
    /// The directory of the copies of edited files; without, they are lost.
    edited: Option<PathBuf>,
    form: F,
    seen: Arc<Seen>,
    changing: Lock,
    listing: Lock,
    watch: Arc<Watch>,
    /// The units that the validator accepted together, when, and that were not written yet.
    accepted: Arc<Mutex<Vec<(UnitText, Instant)>>>,
}

impl<F: UnitForm> UnitFiles<F> {
    /// Creates a store in the directory at `path`, which must be absolute; the first write creates it with mode 0700.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, form: F) -> Self {
        Self {
            path: path.into(),
            mode: 0o700,
            edited: None,
            form,
            seen: Arc::default(),
            changing: Lock::default(),
            listing: Lock::default(),
            watch: Arc::default(),
            accepted: Arc::default(),
        }
    }

    /// Creates directories with `mode`.
    #[must_use]
    pub fn with_directory_mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Keeps copies of edited files in the directory at `path` before a write replaces them, at most
    /// [`EDITED_COPIES`] of each. A write fails if its copy cannot be kept.
    #[must_use]
    pub fn with_edited_copies(mut self, path: impl Into<PathBuf>) -> Self {
        self.edited = Some(path.into());
        self
    }

    /// Returns the directory's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the form of the units.
    #[must_use]
    pub fn form(&self) -> &F {
        &self.form
    }

    /// Returns the form of the units, to configure it; clones made before keep theirs.
    pub fn form_mut(&mut self) -> &mut F {
        &mut self.form
    }

    /// Returns the path of each unit without symbolic links, whether it exists or not. Blocks on files.
    #[must_use]
    pub fn locations(&self, names: &BTreeSet<CompanionName>) -> BTreeMap<CompanionName, String> {
        let directory = self.resolved();
        let location = |name: &CompanionName| directory.join(file_name::<F>(name));
        let shown = |name| location(name).to_string_lossy().into_owned();
        names.iter().map(|name| (name.clone(), shown(name))).collect()
    }

    /// Removes the temporary files of interrupted writes; returns how many.
    ///
    /// The caller holds the host's lock, so no other process is writing.
    ///
    /// # Errors
    /// As [`kind_of`](crate::errors::kind_of).
    pub async fn sweep(&self) -> PortResult<usize> {
        self.change("clean up the unit directory", Self::sweep_now).await
    }

    /// Returns the directories that the host reads. One that does not respond, such as that of a network file system, makes
    /// no companion unknown: until it responds, only the store's own directory counts.
    async fn list_places(&self) -> Option<Places> {
        let files = self.clone();
        let listed =
            blocking::within_locked(PLACES_LIMIT, &self.listing, move || files.places()).await;
        let warn = |stuck: &Stuck| tracing::warn!("the search path of units was not read: {stuck}");
        listed.inspect_err(warn).ok()
    }

    fn accepted(&self) -> MutexGuard<'_, Vec<(UnitText, Instant)>> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether `unit` was accepted, and just now. An acceptance is used once: the validator may change.
    fn take_acceptance(&self, unit: &UnitText) -> bool {
        let mut accepted = self.accepted();
        let found = accepted.iter().position(|(one, at)| one == unit && at.elapsed() < ACCEPTANCE);
        found.map(|found| accepted.swap_remove(found)).is_some()
    }

    /// Runs `work` on the files, one at a time.
    async fn change<T: Send + 'static>(
        &self,
        attempt: &str,
        work: impl FnOnce(&Self) -> PortResult<T> + Send + 'static,
    ) -> PortResult<T> {
        let files = self.clone();
        blocking::run_locked(attempt, &self.changing, move || work(&files)).await
    }

    fn rendered(&self, unit: &UnitSpec) -> PortResult<RenderedUnit> {
        Ok(RenderedUnit::new(&self.form.text(unit)?, &unit.revision))
    }

    /// Reads one name in an open directory, or in a missing one.
    fn observed(
        &self,
        dir: Option<&Dir>,
        places: &Places,
        name: &CompanionName,
        wanted: Option<&UnitSpec>,
    ) -> PortResult<UnitFile> {
        let mut found = match dir {
            Some(dir) => self.read_if_changed(dir, name)?,
            None => Arc::new(Found::Nothing),
        };
        // A name that is to be free again is not taken from anyone.
        if *found == Found::Nothing
            && wanted.is_some()
            && let Some(what) = places.claimed(&file_name::<F>(name))
        {
            found = Arc::new(Found::Unmanaged { what });
        }
        let rendered = wanted.and_then(|wanted| {
            let mut unit = wanted.clone();
            unit.revision = unit.revision.with_restart_epoch(found.restart_epoch());
            // A unit that this host does not support cannot be the current one; the write reports the reason.
            self.rendered(&unit).ok()
        });
        Ok(UnitFile {
            state: found.state(rendered.as_ref()),
            location: places.ours.join(file_name::<F>(name)).to_string_lossy().into_owned(),
            rendering: rendered.and_then(|rendered| rendered.revision.rendering),
            drop_ins: Vec::new(),
        })
    }
}

#[async_trait]
impl<F: UnitForm> UnitStore for UnitFiles<F> {
    async fn observe(
        &self,
        names: &BTreeMap<CompanionName, Option<UnitSpec>>,
    ) -> BTreeMap<CompanionName, PortResult<UnitFile>> {
        let (files, asked) = (self.clone(), Arc::new(names.clone()));
        let listed = self.list_places().await;
        let read = blocking::run("read the unit directory", move || {
            let (dir, places) = (files.open()?, listed.unwrap_or_else(|| files.own_place()));
            let mut drop_ins = files.form.drop_ins(&places.search_path, asked.keys());
            let file = |(name, wanted): (&CompanionName, &Option<UnitSpec>)| {
                let seen = files.observed(dir.as_ref(), &places, name, wanted.as_ref());
                let drop_ins = drop_ins.remove(name).unwrap_or_default();
                (name.clone(), seen.map(|file| UnitFile { drop_ins, ..file }))
            };
            Ok(asked.iter().map(file).collect())
        });
        match read.await {
            Ok(files) => files,
            Err(error) => error.for_each(names.keys()),
        }
    }

    async fn list(&self) -> PortResult<BTreeSet<CompanionName>> {
        let files = self.clone();
        blocking::run("list the unit directory", move || files.labelled()).await
    }

    async fn write(&self, unit: &UnitSpec) -> PortResult<()> {
        let name = &unit.name;
        unit.container.validate().map_err(|error| {
            let text = format!("the unit of `{name}` is invalid");
            PortError::new(PortErrorKind::Invalid, text).with_source(error)
        })?;
        let text: Arc<str> = self.rendered(unit)?.text.into();
        let unit = (name.clone(), Arc::clone(&text));
        let was_accepted = self.take_acceptance(&unit);
        // Skip the validator if nothing changes; checked again right before the file is replaced. Waits for the lock: a
        // removal whose caller was cancelled may still be in progress.
        let (of, wanted) = (name.clone(), text);
        let is_written = move |files: &Self| files.is_written(&of, &wanted);
        if self.change("read the unit directory", is_written).await? {
            return Ok(());
        }
        if !was_accepted {
            self.form.validate(slice::from_ref(&unit)).await?;
        }
        self.change("write the unit", move |files| files.write_now(&unit.0, &unit.1)).await
    }

    async fn prepare(&self, units: &[UnitSpec]) {
        self.accepted().clear();
        let valid = units.iter().filter(|unit| unit.container.validate().is_ok());
        let rendered = valid.filter_map(|unit| {
            let text = self.rendered(unit).ok()?.text;
            Some((unit.name.clone(), text.into()))
        });
        let (rendered, now): (Vec<UnitText>, _) = (rendered.collect(), Instant::now());
        // If one is rejected, each write validates its own unit and reports the reason.
        if self.form.validate(&rendered).await.is_ok() {
            *self.accepted() = rendered.into_iter().map(|unit| (unit, now)).collect();
        }
    }

    async fn remove(&self, name: &CompanionName) -> PortResult<()> {
        let name = name.clone();
        self.change("remove the unit", move |files| files.remove_now(&name)).await
    }

    async fn changed(&self) -> Hint {
        loop {
            let Changes::Files(files) =
                self.watch.changed(vec![Place::directory(&self.path)]).await
            else {
                return Hint::All;
            };
            // Other files are not units: a write begins with a temporary one.
            let unit = |file: &PathBuf| name_of::<F>(file.file_name()?.to_str()?);
            let units: BTreeSet<_> = files.iter().filter_map(unit).collect();
            if !units.is_empty() {
                return Hint::Companions(units);
            }
        }
    }
}

#[cfg(test)]
mod tests;
