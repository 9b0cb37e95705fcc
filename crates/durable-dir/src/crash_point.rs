//! Crash points, at which a test build ends its own process. Without the feature `crash-points`, reaching one does nothing.

/// What a test build does at a point: its name, and the directory and the name of the file that is worked on.
#[cfg(feature = "crash-points")]
pub static AT_POINT: std::sync::OnceLock<fn(&str, &std::path::Path, &str)> =
    std::sync::OnceLock::new();

#[cfg_attr(not(feature = "crash-points"), expect(unused_variables, reason = "for test builds"))]
pub(crate) fn reached(point: &str, directory: &std::path::Path, name: &str) {
    #[cfg(feature = "crash-points")]
    if let Some(act) = AT_POINT.get() {
        act(point, directory, name);
    }
}
