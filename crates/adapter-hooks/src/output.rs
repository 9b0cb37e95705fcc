//! The rendered file: what lies there, putting it in place, taking it away.
//!
//! The file has mode 0600 in a directory of mode 0700. A directory of ours with a wider mode is
//! closed when it holds nothing but what this hook made: then it is the hook's own. With anything
//! else in it, it is refused: closing somebody's home directory or `/etc` would break more than it
//! mends.

use std::path::Path;

use companion_core::model::container::AbsolutePath;
use durable_dir::{Dir, DirError, FileKind, FileStatus, Trust};
use zeroize::Zeroizing;

use crate::error::HookError;
use crate::stamp::{self, Stamp};
use crate::template::OUTPUT_LIMIT;

/// The most entries that a directory is looked through for.
const MAX_ENTRIES: usize = 1024;

/// The most bytes of the file's name; the stamp's is longer.
const MAX_NAME: usize = 200;

/// Where a hook's file belongs.
pub(crate) struct Output<'a> {
    directory: &'a Path,
    name: &'a str,
}

/// What lies there.
pub(crate) struct Found {
    /// The bytes of the rendered file.
    pub(crate) contents: Zeroizing<Vec<u8>>,
    /// Whether file or directory are open to others.
    pub(crate) exposed: bool,
    /// Whether others may write the file, and so may have written something else before.
    pub(crate) writable: bool,
    /// What the program was run for, if the stamp says.
    pub(crate) stamp: Option<Stamp>,
}

impl<'a> Output<'a> {
    pub(crate) fn new(path: &'a AbsolutePath) -> Result<Self, HookError> {
        let split = path.parent().zip(path.as_path().file_name());
        match split.and_then(|(directory, name)| Some((directory, name.to_str()?))) {
            Some((directory, name)) if name.len() <= MAX_NAME => Ok(Self { directory, name }),
            Some(_) => Err(HookError::Specification {
                field: "output",
                why: format!("must have a name of at most {MAX_NAME} bytes"),
            }),
            None => Err(HookError::Specification {
                field: "output",
                why: "must name a file".to_owned(),
            }),
        }
    }

    /// Reads what lies there; `None` when nothing does.
    pub(crate) fn read(&self) -> Result<Option<Found>, HookError> {
        let dir = match Dir::open(self.directory, Trust::Owned) {
            Ok(dir) => dir,
            Err(DirError::NotFound { .. }) => return Ok(None),
            Err(other) => return Err(HookError::Output(other)),
        };
        let file = match dir.read(self.name, OUTPUT_LIMIT) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(None),
            // Never ours, so it differs from whatever would be rendered.
            Err(DirError::TooLarge { .. }) => return self.read_oversized(&dir).map(Some),
            Err(other) => return Err(in_the_way(other)),
        };
        let own = dir.own_status().map_err(HookError::Output)?;
        let closed = |status: &FileStatus| status.is_ours() && status.mode & 0o077 == 0;
        Ok(Some(Found {
            exposed: !(file.status.mode == 0o600 && closed(&file.status) && closed(&own)),
            writable: is_writable(&file.status),
            contents: Zeroizing::new(file.bytes),
            stamp: self.read_stamp(&dir),
        }))
    }

    /// A file that no hook rendered, being too large: it counts as empty and open to others.
    fn read_oversized(&self, dir: &Dir) -> Result<Found, HookError> {
        tracing::warn!(
            file = %dir.path().join(self.name).display(),
            "the file is larger than a rendered one can be and will be replaced"
        );
        Ok(Found {
            contents: Zeroizing::new(Vec::new()),
            exposed: true,
            writable: true,
            stamp: None,
        })
    }

    fn read_stamp(&self, dir: &Dir) -> Option<Stamp> {
        match dir.read(&Stamp::name_for(self.name), stamp::LIMIT) {
            Ok(found) => found.and_then(|file| Stamp::parse(&file.bytes)),
            Err(error) => {
                tracing::debug!(%error, "the stamp says nothing");
                None
            }
        }
    }

    /// Puts `bytes` in place, and the stamp if there is one; otherwise an old stamp goes.
    pub(crate) fn write(&self, bytes: &[u8], stamp: Option<Stamp>) -> Result<(), HookError> {
        let dir = Dir::create(self.directory, 0o700, Trust::Owned).map_err(HookError::Output)?;
        self.close(&dir)?;
        // A write that crashed left a file with a secret. The host's lock keeps other processes away
        // here, and this output's turn other threads.
        self.sweep(&dir)?;
        dir.write(self.name, bytes, 0o600).map_err(in_the_way)?;
        let name = Stamp::name_for(self.name);
        match stamp {
            Some(stamp) => dir.write(&name, stamp.to_text().as_bytes(), 0o600).map_err(in_the_way),
            None if dir.status(&name).map_err(HookError::Output)?.is_some() => {
                dir.remove(&name).map(drop).map_err(in_the_way)
            }
            None => Ok(()),
        }
    }

    /// Takes what a crash left: temporary files, and of a file that is `unwanted` and gone its stamp and
    /// its directory, too. Says how many files it took.
    pub(crate) fn tidy(&self, unwanted: bool) -> Result<usize, HookError> {
        let dir = match Dir::open(self.directory, Trust::Owned) {
            Ok(dir) => dir,
            Err(DirError::NotFound { .. }) => return Ok(0),
            Err(other) => return Err(HookError::Output(other)),
        };
        let swept = self.sweep(&dir)?;
        if unwanted && dir.status(self.name).map_err(HookError::Output)?.is_none() {
            self.remove()?;
        }
        Ok(swept)
    }

    /// Takes file, stamp, and the directory if nothing else is in it.
    pub(crate) fn remove(&self) -> Result<bool, HookError> {
        let dir = match Dir::open(self.directory, Trust::Owned) {
            Ok(dir) => dir,
            Err(DirError::NotFound { .. }) => return Ok(false),
            Err(other) => return Err(HookError::Output(other)),
        };
        // The file goes last: without it nobody would ask for the rest to be removed.
        self.sweep(&dir)?;
        dir.remove(&Stamp::name_for(self.name)).map_err(in_the_way)?;
        let removed = dir.remove(self.name).map_err(in_the_way)?;
        self.remove_directory(&dir);
        Ok(removed)
    }

    fn sweep(&self, dir: &Dir) -> Result<usize, HookError> {
        let mut swept = 0;
        for name in [self.name, &Stamp::name_for(self.name)] {
            swept += dir.sweep_temporary_files_of(name).map_err(HookError::Output)?;
        }
        Ok(swept)
    }

    /// The directory, if it is closed and empty. The secret is gone already, so a directory that
    /// cannot be removed, below one that is root's for instance, is no failure.
    fn remove_directory(&self, dir: &Dir) {
        let name = self.directory.file_name().and_then(|name| name.to_str());
        let (Some(parent), Some(name)) = (self.directory.parent(), name) else {
            return;
        };
        let tried = dir.own_status().and_then(|own| {
            if !own.is_ours() || own.mode & 0o777 != 0o700 {
                return Ok(false);
            }
            Dir::open(parent, Trust::Owned)?.remove_empty_directory(name)
        });
        if let Err(error) = tried {
            tracing::debug!(%error, "the empty directory of a removed hook stays");
        }
    }

    /// Closes the directory to others, if that is ours to do.
    fn close(&self, dir: &Dir) -> Result<(), HookError> {
        let own = dir.own_status().map_err(HookError::Output)?;
        let path = || dir.path().display().to_string();
        if !own.is_ours() {
            return Err(HookError::ForeignDirectory { path: path(), owner: own.uid });
        }
        if own.mode & 0o077 == 0 {
            return Ok(());
        }
        let stamp = Stamp::name_for(self.name);
        let entries = dir.entries(MAX_ENTRIES).map_err(HookError::Output)?;
        let names = [self.name, stamp.as_str()];
        let not_ours = entries.iter().find(|entry| {
            let made_here = entry.name_str().is_some_and(|name| names.contains(&name))
                || entry.temporary_for().is_some_and(|target| names.contains(&target));
            // What lies in the file's place is judged when it is written.
            let in_place = entry.name == self.name;
            !(made_here && (entry.kind == FileKind::Regular || in_place))
        });
        if let Some(other) = not_ours {
            return Err(HookError::SharedDirectory {
                path: path(),
                mode: own.mode,
                other: other.name.to_string_lossy().escape_debug().to_string(),
            });
        }
        let mode = format_args!("{:04o}", own.mode);
        tracing::info!(directory = %path(), mode, "closing the directory to others");
        dir.set_mode(0o700).map_err(HookError::Output)
    }
}

/// Whether anyone but us may write a file of this status. A group that is ours alone is nobody else, as for directories
/// ([`Trust::Owned`]), and a directory that others may write is not read at all.
fn is_writable(status: &FileStatus) -> bool {
    let by_group = status.mode & 0o020 != 0 && status.gid != status.uid;
    !status.is_ours() || by_group || status.mode & 0o002 != 0
}

/// Says what most likely happened where something else lies in the file's place.
fn in_the_way(cause: DirError) -> HookError {
    match &cause {
        DirError::NotARegularFile { kind, .. } => HookError::InTheWay {
            hint: match kind {
                FileKind::Directory => {
                    ": container engines make a directory at a mount's source when the file is \
                     missing; stop the container and remove the directory if it is empty"
                }
                FileKind::Regular
                | FileKind::Symlink
                | FileKind::Fifo
                | FileKind::Socket
                | FileKind::Device
                | FileKind::Unknown => "",
            },
            source: cause,
        },
        _ => HookError::Output(cause),
    }
}
