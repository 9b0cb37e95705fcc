//! Modes of files, and being held to them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use companion_core::model::container::AbsolutePath;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

/// Lets this test be refused by a file's mode, as every user but root is: the thread that it runs on, and those that come of it, lose
/// what lifts root above modes (capabilities(7)).
pub(crate) fn obey_modes() {
    let mut held = capabilities(None).unwrap();
    held.effective.remove(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
    set_capabilities(None, held).unwrap();
}

/// A path as the model has it.
pub(crate) fn absolute(path: &Path) -> AbsolutePath {
    AbsolutePath::new(path.to_str().unwrap()).unwrap()
}

/// Gives what lies at `path` the permission bits `mode`.
pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}
