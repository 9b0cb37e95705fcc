//! Temporary files of builds, pulls and archives.
//!
//! Podman and buildah leave downloaded blobs and copied contexts in `TMPDIR` when they are killed. So each such call
//! gets a temporary directory, which is removed when it ends, or by the next leader. Its name identifies the process
//! that made it, as the build argument of a working container does.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use image_source::Reader;
use image_source::text::path_shown;
use rustix::process::geteuid;

use super::abandoned::BuildId;
use super::{Podman, remains};
use crate::error::PodmanError;

/// The start of the directories' names.
const PREFIX: &str = "companion-podman-";

/// The default of a Podman that does not report its own.
const DEFAULT_PLACE: &str = "/var/tmp";

/// Maximum number of entries that are looked at.
const ENTRY_LIMIT: usize = 65_536;

impl Podman {
    /// Makes the temporary directory of a long call; returns the system's error if that fails.
    pub(super) async fn make_temporary(&self) -> Result<io::Result<PathBuf>, PodmanError> {
        let place = self.temporary_place();
        let shown = path_shown(&place);
        let make = move || {
            let directory = place.join(format!("{PREFIX}{}", BuildId::next()));
            let mut builder = DirBuilder::new();
            // `<graph root>/tmp` is made by its first user.
            builder.mode(0o700).recursive(true).create(&directory).map(|()| directory)
        };
        let made = Reader::default().read(self.limits.files, make).await;
        made.map_err(|_| PodmanError::NoAnswer { place: shown })
    }

    /// Removes the temporary directory of an ended call, and the processes that it left if it did not succeed. A failed
    /// removal is logged and left to the next leader.
    pub(super) async fn remove_temporary(&self, directory: PathBuf, succeeded: bool) {
        let removal = move || {
            if succeeded || remains::end(&directory) {
                remove(&directory);
            }
        };
        if Reader::default().read(self.limits.files, removal).await.is_err() {
            tracing::warn!("removing the temporary files of a build or pull takes long");
        }
    }

    /// Removes the temporary directories of ended processes, and what their calls left running. Returns when the first of
    /// these calls began, as far as the file system knows it.
    pub(super) async fn sweep_temporary(&self) -> Option<SystemTime> {
        // Podman's settings name the place; without them the default one is swept.
        let _known = self.store().await;
        let place = self.temporary_place();
        let sweep = move || {
            let directories = abandoned(&place);
            let began = directories.iter().filter_map(|directory| {
                fs::symlink_metadata(directory).and_then(|data| data.created()).ok()
            });
            let first = began.min();
            for directory in directories.iter().filter(|directory| remains::end(directory)) {
                remove(directory);
            }
            first
        };
        let swept = Reader::default().read(self.limits.files, sweep).await;
        swept.unwrap_or_else(|_| {
            tracing::warn!("removing the temporary files of interrupted builds takes long");
            None
        })
    }

    /// Returns the place that podman itself would use: `TMPDIR`, else that of its settings, as far as they are known.
    fn temporary_place(&self) -> PathBuf {
        let given = self.environment.value("TMPDIR").map(PathBuf::from);
        let given = given.filter(|place| place.is_absolute());
        given.or_else(|| self.known_temporary()).unwrap_or_else(|| DEFAULT_PLACE.into())
    }
}

/// Returns our directories in `place` whose process has ended. Another user may use the name as well.
fn abandoned(place: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(place).into_iter().flatten().flatten().take(ENTRY_LIMIT);
    let is_abandoned = |name: &OsStr| {
        let id = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        id.and_then(|id| id.parse::<BuildId>().ok()).is_some_and(|id| !id.has_owner())
    };
    entries
        .filter(|entry| is_abandoned(&entry.file_name()))
        .map(|entry| entry.path())
        .filter(|path| {
            let data = fs::symlink_metadata(path);
            data.is_ok_and(|data| data.is_dir() && data.uid() == geteuid().as_raw())
        })
        .collect()
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
    fn only_directories_of_our_ended_processes_are_swept() {
        let place = tempfile::tempdir().unwrap();
        let own = place.path().join(format!("{PREFIX}{}", BuildId::next()));
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
        assert_eq!(abandoned(place.path()), [ended]);
        assert_eq!(abandoned(&place.path().join("none")), Vec::<PathBuf>::new());
    }
}
