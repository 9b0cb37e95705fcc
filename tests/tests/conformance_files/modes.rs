//! Paths of files as the model's type.

use std::path::Path;

use companion_core::model::container::AbsolutePath;

/// A path as the model's type.
pub(crate) fn absolute(path: &Path) -> AbsolutePath {
    AbsolutePath::new(path.to_str().unwrap()).unwrap()
}
