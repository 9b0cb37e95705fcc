//! File errors as port errors: the one mapping of [`DirError`] to [`PortErrorKind`].

use std::fmt::Display;

use companion_core::ports::{PortError, PortErrorKind};
use durable_dir::DirError;

/// Returns the port error kind of `error`, by what the caller can do.
///
/// The planner retries every kind with a growing delay; it reports a unit with an `Invalid` error as rejected. The
/// command exits with 3, a missing prerequisite, for `Denied` and `Unavailable`, and with 1 for the other kinds.
///
/// | error | kind | because |
/// |---|---|---|
/// | `Denied`, `Untrusted` | `Denied` | the operator must change an owner or a mode, and nothing unmanaged is in the way |
/// | `ReadOnly` | `Unavailable` | the operator must mount a writable file system |
/// | `NotARegularFile`, `NotADirectory` | `Conflict` | somebody else's object is in the way |
/// | `TooLarge`, `InvalidName` | `Invalid` | the same input fails again |
/// | `NotFound`, `Full`, `Io` | `Transient` | a retry may succeed: a directory was removed meanwhile, the disk was full, a device failed once |
///
/// A caller that knows more uses another kind: a missing *input* is `NotFound`, and an oversized object at the name
/// of an *output* is `Conflict`.
pub fn kind_of(error: &DirError) -> PortErrorKind {
    match error {
        DirError::Denied { .. } | DirError::Untrusted { .. } => PortErrorKind::Denied,
        DirError::ReadOnly { .. } => PortErrorKind::Unavailable,
        DirError::NotARegularFile { .. } | DirError::NotADirectory { .. } => {
            PortErrorKind::Conflict
        }
        DirError::TooLarge { .. } | DirError::InvalidName { .. } => PortErrorKind::Invalid,
        DirError::NotFound { .. } | DirError::Full { .. } | DirError::Io { .. } => {
            PortErrorKind::Transient
        }
    }
}

/// Returns a function that converts the error of `attempt`, a verb phrase that follows "failed to", for `map_err`.
pub fn failed_to(attempt: impl Display + Copy) -> impl Fn(DirError) -> PortError + Copy {
    move |error| PortError::new(kind_of(&error), format!("failed to {attempt}")).with_source(error)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use durable_dir::FileKind;

    use super::*;

    #[test]
    fn each_file_error_has_the_kind_of_what_the_caller_can_do() {
        use PortErrorKind::{Conflict, Denied, Invalid, Transient, Unavailable};
        let (path, attempted) = (PathBuf::from("/units/web"), "write");
        let source = || io::Error::from(io::ErrorKind::Other);
        let why = "it belongs to user 1001".to_owned();
        for (error, kind) in [
            (DirError::Denied { attempted, path: path.clone(), source: source() }, Denied),
            (DirError::Untrusted { path: path.clone(), why }, Denied),
            (DirError::ReadOnly { attempted, path: path.clone(), source: source() }, Unavailable),
            (DirError::NotARegularFile { path: path.clone(), kind: FileKind::Fifo }, Conflict),
            (DirError::NotADirectory { path: path.clone() }, Conflict),
            (DirError::TooLarge { path: path.clone(), limit: 1, unit: "bytes" }, Invalid),
            (DirError::InvalidName { path: path.clone(), why: "it is too long" }, Invalid),
            (DirError::NotFound { path: path.clone(), source: source() }, Transient),
            (DirError::Full { attempted, path: path.clone(), source: source() }, Transient),
            (DirError::Io { attempted, path: path.clone(), source: source() }, Transient),
        ] {
            assert_eq!(kind_of(&error), kind, "{error}");
            let text = error.to_string();
            let error = failed_to(format_args!("write `{}`", "web"))(error);
            assert_eq!(error.kind(), kind);
            assert!(error.chain().starts_with(&format!("failed to write `web`: {text}")));
        }
    }
}
