//! Temporary files of builds, pulls and archives.
//!
//! Podman and buildah leave downloaded blobs and copied contexts in `TMPDIR` when they are killed. So each such call
//! gets a temporary directory with its ID in the name, which is removed when it ends, or by the next leader.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use host_files::blocking;
use image_source::text::path_shown;
use image_source::{EngineError, EngineResult};
use rustix::process::geteuid;

use super::call_id::CallId;
use super::{Podman, remains};
use crate::store_index::StoreIndex;

/// The start of the directories' names.
const PREFIX: &str = "companion-podman-";

/// The default of a Podman that does not report its own.
const DEFAULT_PLACE: &str = "/var/tmp";

/// Maximum number of entries that are looked at.
const ENTRY_LIMIT: usize = 65_536;

impl Podman {
    /// Makes the temporary directory of a call; returns the system's error if that fails.
    pub(super) async fn make_temporary(&self, call: CallId) -> EngineResult<io::Result<PathBuf>> {
        // Boxed, because the store is read by a call.
        let store = Box::pin(self.store()).await?;
        let directory = self.temporary_place(&store).join(format!("{PREFIX}{call}"));
        let attempt = format!("make `{}`", path_shown(&directory));
        let make = move || {
            let mut builder = DirBuilder::new();
            // `<graph root>/tmp` is made by its first user.
            builder.mode(0o700).recursive(true).create(&directory).map(|()| directory)
        };
        let made = blocking::within(self.limits.files, make).await;
        made.map_err(|stuck| EngineError::Host(stuck.during(&attempt)))
    }

    /// Removes the temporary directory of a call that left no process. A failed removal is logged and left to the next
    /// leader.
    pub(super) async fn remove_temporary(&self, directory: Option<PathBuf>) {
        let Some(directory) = directory else { return };
        if blocking::within(self.limits.files, move || remove(&directory)).await.is_err() {
            tracing::warn!("removing the temporary files of a call takes long");
        }
    }

    /// Returns the place that podman itself would use: `TMPDIR`, else that of its settings.
    pub(super) fn temporary_place(&self, store: &StoreIndex) -> PathBuf {
        let given = self.environment.value("TMPDIR").map(Path::new);
        let given = given.filter(|place| place.is_absolute());
        given.or(store.temporary()).unwrap_or(Path::new(DEFAULT_PLACE)).to_owned()
    }
}

/// Removes our directories in `place` of calls that `is_left` selects, and what these calls left running. Returns the
/// calls.
pub(super) fn sweep(place: &Path, is_left: impl Fn(CallId) -> bool) -> Vec<CallId> {
    let mut swept = Vec::new();
    for (call, directory) in directories(place) {
        if is_left(call) {
            swept.push(call);
            if remains::end(&directory) {
                remove(&directory);
            }
        }
    }
    swept
}

/// Returns our directories in `place`, with their calls. Another user may use the name as well.
fn directories(place: &Path) -> impl Iterator<Item = (CallId, PathBuf)> {
    let entries = fs::read_dir(place).into_iter().flatten().flatten().take(ENTRY_LIMIT);
    entries.filter_map(|entry| {
        let (path, data) = (entry.path(), entry.metadata().ok()?);
        let is_ours = data.is_dir() && data.uid() == geteuid().as_raw();
        Some((call_of(&path).filter(|_| is_ours)?, path))
    })
}

/// Returns the call whose temporary directory has this name.
pub(super) fn call_of(directory: &Path) -> Option<CallId> {
    CallId::parse(directory.file_name()?.to_str()?.strip_prefix(PREFIX)?)
}

fn remove(directory: &Path) {
    let removed = fs::remove_dir_all(directory).or_else(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            make_writable(directory);
            fs::remove_dir_all(directory)
        }
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    });
    if let Err(error) = removed {
        let directory = path_shown(directory);
        tracing::warn!(directory, reason = %error, "failed to remove temporary files");
    }
}

/// Makes all directories of a tree of ours writable: a killed buildah leaves a mount point with mode 0100. No process of
/// the call is left that could replace a directory by a link.
fn make_writable(directory: &Path) {
    // The removal reports what cannot be changed.
    let _ = fs::set_permissions(directory, Permissions::from_mode(0o700));
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_of_our_calls_are_swept() {
        let place = tempfile::tempdir().unwrap();
        let own = place.path().join(format!("{PREFIX}{}", CallId::next()));
        let ended = place.path().join(format!("{PREFIX}1-1-0"));
        for directory in [&own, &ended, &place.path().join("buildah123"), &place.path().join("x")] {
            fs::create_dir(directory).unwrap();
        }
        for name in ["", "x", "1-1"] {
            fs::create_dir(place.path().join(format!("{PREFIX}{name}"))).unwrap();
        }
        fs::write(place.path().join(format!("{PREFIX}1-1-1")), "a file").unwrap();
        let link = place.path().join(format!("{PREFIX}1-1-2"));
        std::os::unix::fs::symlink(place.path().join("x"), link).unwrap();
        let count = || fs::read_dir(place.path()).unwrap().count();
        let before = count();
        assert_eq!(
            sweep(place.path(), |call| !call.has_owner()),
            [CallId::parse("1-1-0").unwrap()]
        );
        assert_eq!((count(), ended.exists()), (before - 1, false));
        assert_eq!(sweep(&place.path().join("none"), |_| true), []);
    }
}
