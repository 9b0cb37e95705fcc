//! Objects in the unit directory on which a generator blocks.

use std::ffi::OsStr;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use companion_core::ports::PortResult;
use host_files::errors::failed_to;
use host_files::units::UnitFiles;

use super::QuadletForm;

/// Far more than the units of any host.
const ENTRY_LIMIT: usize = 10_000;
/// The file extensions that Quadlet reads (podman-systemd.unit(5), Podman 5.8).
const QUADLET_EXTENSIONS: [&str; 8] =
    ["artifact", "build", "container", "image", "kube", "network", "pod", "volume"];

/// Returns unit files of any kind and owner at the top of our directory that are named pipes or devices, or links to
/// such: reading them may block forever. Drop-ins and Quadlet's other directories are not checked.
pub(super) fn endless(files: &UnitFiles<QuadletForm>) -> PortResult<Vec<PathBuf>> {
    let Some(dir) = files.open()? else {
        return Ok(Vec::new());
    };
    let entries = dir.entries(ENTRY_LIMIT).map_err(failed_to("list the unit directory"))?;
    let units = entries.iter().filter(|name| {
        let extension = Path::new(name).extension().and_then(OsStr::to_str);
        extension.is_some_and(|extension| QUADLET_EXTENSIONS.contains(&extension))
    });
    // Links are followed; a dangling link does not block.
    let endless = units.map(|name| files.path().join(name)).filter(|path| {
        path.metadata().is_ok_and(|data| {
            let kind = data.file_type();
            kind.is_fifo() || kind.is_char_device() || kind.is_block_device()
        })
    });
    Ok(endless.collect())
}
