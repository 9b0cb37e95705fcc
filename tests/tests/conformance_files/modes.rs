//! File modes, and enforcing them for root.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use companion_core::model::container::AbsolutePath;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

/// Enforces file modes on this test as for every user but root: drops the capabilities that bypass modes
/// (capabilities(7)) for this thread and its children.
pub(crate) fn obey_modes() {
    let mut held = capabilities(None).unwrap();
    held.effective.remove(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
    set_capabilities(None, held).unwrap();
}

/// A path as the model's type.
pub(crate) fn absolute(path: &Path) -> AbsolutePath {
    AbsolutePath::new(path.to_str().unwrap()).unwrap()
}

/// Sets the permission bits of `path` to `mode`.
pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}
