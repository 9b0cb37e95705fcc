//! The files of a unit directory, which is reopened for each operation because it may have been moved. Blocks on files.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use companion_core::model::companion::CompanionName;
use companion_core::ports::{PortError, PortErrorKind, PortResult};
use durable_dir::{Dir, DirError, Trust};

use super::found::{Found, UNIT_MODE, is_written};
use super::{ENTRY_LIMIT, SIZE_LIMIT, UnitFiles, UnitForm, edited};
use crate::errors::failed_to;

/// Returns the file name of `name`.
pub(super) fn file_name<F: UnitForm>(name: &CompanionName) -> String {
    format!("{name}.{}", F::EXTENSION)
}

/// Returns the companion whose file name is `file_name`.
pub(super) fn name_of<F: UnitForm>(file_name: &str) -> Option<CompanionName> {
    let stem = file_name.strip_suffix(F::EXTENSION)?.strip_suffix('.')?;
    CompanionName::new(stem).ok()
}

impl<F: UnitForm> UnitFiles<F> {
    /// Returns the path without symbolic links; unchanged if it does not exist.
    pub(super) fn resolved(&self) -> PathBuf {
        self.path.canonicalize().unwrap_or_else(|_| self.path.clone())
    }

    /// Opens the directory; `None` if it does not exist. Blocks on files.
    ///
    /// # Errors
    /// As [`kind_of`](crate::errors::kind_of).
    pub fn open(&self) -> PortResult<Option<Dir>> {
        Dir::open_existing(&self.path, Trust::Owned).map_err(failed_to("open the unit directory"))
    }

    /// Returns what is at `name`, which is read only if it changed.
    pub(super) fn read_if_changed(
        &self,
        dir: &Dir,
        name: &CompanionName,
    ) -> PortResult<Arc<Found>> {
        let identity = || {
            let attempt = format_args!("examine the unit file of `{name}`");
            dir.identity(&file_name::<F>(name)).map_err(failed_to(attempt))
        };
        self.seen.read_if_changed(name, identity, || self.find(dir, name))
    }

    /// Reads what is at `name`. An object that is not a readable unit is unmanaged.
    pub(super) fn find(&self, dir: &Dir, name: &CompanionName) -> PortResult<Found> {
        let unmanaged = |what: String| Ok(Found::Unmanaged { what });
        match dir.read(&file_name::<F>(name), SIZE_LIMIT) {
            Ok(None) => Ok(Found::Nothing),
            Ok(Some(contents)) => Ok(Found::of(&self.form, name, contents)),
            Err(DirError::NotARegularFile { kind, .. }) => unmanaged(kind.to_string()),
            Err(DirError::TooLarge { .. }) => unmanaged("a file of more than 1 MiB".to_owned()),
            Err(error) => Err(failed_to(format_args!("read the unit file of `{name}`"))(error)),
        }
    }

    /// Reads what is at `name`.
    ///
    /// # Errors
    /// `Conflict` for an unmanaged object.
    fn managed(&self, dir: &Dir, name: &CompanionName) -> PortResult<Found> {
        let found = self.find(dir, name)?;
        if let Found::Unmanaged { what } = &found {
            let file = file_name::<F>(name);
            let text = format!("`{file}` is {what}; it is unmanaged and stays unchanged");
            return Err(PortError::new(PortErrorKind::Conflict, text));
        }
        Ok(found)
    }

    /// Returns the names of the files that carry the ownership label; unreadable files are skipped.
    pub(super) fn labelled(&self) -> PortResult<BTreeSet<CompanionName>> {
        let Some(dir) = self.open()? else {
            return Ok(BTreeSet::new());
        };
        let entries = dir.entries(ENTRY_LIMIT).map_err(failed_to("list the unit directory"))?;
        let names = entries.iter().filter_map(|entry| name_of::<F>(entry.to_str()?));
        let names: BTreeSet<CompanionName> = names.collect();
        self.seen.keep_only(&names);
        let is_labelled = |name: &CompanionName| match self.read_if_changed(&dir, name) {
            Ok(found) => found.is_labelled(),
            Err(error) => {
                tracing::warn!(companion = %name, error = error.chain(), "skipped an unreadable unit file");
                false
            }
        };
        Ok(names.into_iter().filter(is_labelled).collect())
    }

    /// Returns whether the file of `name` is managed, holds `text` and has no wider mode than required; if so, syncs
    /// it, because its writer may have crashed before doing so.
    pub(super) fn is_written(&self, name: &CompanionName, text: &str) -> PortResult<bool> {
        let Some(dir) = self.open()? else {
            return Ok(false);
        };
        match self.managed(&dir, name)? {
            Found::Managed { contents, .. } if is_written(&contents, text) => {}
            _ => return Ok(false),
        }
        let attempt = format_args!("sync the unit file of `{name}`");
        dir.persist(&file_name::<F>(name)).map_err(failed_to(attempt))
    }

    /// Replaces the file of `name` unless it is unmanaged.
    pub(super) fn write_now(&self, name: &CompanionName, text: &str) -> PortResult<()> {
        let attempt = format!("write the unit file of `{name}`");
        let failed = failed_to(attempt.as_str());
        let dir = Dir::create(&self.path, self.mode, Trust::Owned).map_err(failed)?;
        // Checked again: another program may have put a file there while the validator ran.
        match self.managed(&dir, name)? {
            Found::Nothing => self.must_be_free(name)?,
            found => self.keep_edited(name, &found)?,
        }
        dir.write_unless_unmanaged(&file_name::<F>(name), text.as_bytes(), UNIT_MODE)
            .map_err(failed)
    }

    /// Fails if another directory that the host reads has a unit of `name`.
    fn must_be_free(&self, name: &CompanionName) -> PortResult<()> {
        let (places, file) = (self.places(), file_name::<F>(name));
        let Some(what) = places.claimed(&file) else { return Ok(()) };
        let text = format!("the name is taken by {what} at `{}`", places.ours.join(file).display());
        Err(PortError::new(PortErrorKind::Conflict, text))
    }

    /// Keeps a copy of the file of `name` if it was edited.
    fn keep_edited(&self, name: &CompanionName, found: &Found) -> PortResult<()> {
        if let (Some(copies), Found::Managed { contents, .. }) = (&self.edited, found)
            && found.is_edited()
        {
            let file = file_name::<F>(name);
            let attempt = format!("save the edited unit file `{file}`, which stays in place");
            let kept = edited::keep(copies, &file, &contents.bytes);
            if let Some(copy) = kept.map_err(failed_to(attempt.as_str()))? {
                let copy = copy.display();
                tracing::warn!(companion = %name, "unit file was edited; a copy is saved in {copy}");
            }
        }
        Ok(())
    }

    /// Removes the file of `name` unless it is unmanaged.
    pub(super) fn remove_now(&self, name: &CompanionName) -> PortResult<()> {
        let Some(dir) = self.open()? else {
            return Ok(());
        };
        self.managed(&dir, name)?;
        // Also if it is missing: an earlier removal may have crashed before its sync.
        let removed = dir.remove(&file_name::<F>(name));
        removed.map(drop).map_err(failed_to(format_args!("remove the unit file of `{name}`")))
    }

    /// Removes temporary files of interrupted writes.
    pub(super) fn sweep_now(&self) -> PortResult<usize> {
        let failed = failed_to("clean up the unit directory");
        let mut swept = 0;
        for path in [&self.path].into_iter().chain(&self.edited) {
            if let Some(dir) = Dir::open_existing(path, Trust::Owned).map_err(failed)? {
                swept += dir.sweep_temporary_files().map_err(failed)?;
            }
        }
        Ok(swept)
    }
}
