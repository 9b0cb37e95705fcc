//! File errors as port errors: the one mapping of [`DirError`] to [`PortErrorKind`].

use std::fmt::Display;
use std::io::ErrorKind;

use companion_core::ports::{PortError, PortErrorKind};
use durable_dir::DirError;

/// Returns the port error kind of `error`, by what the caller can do.
///
/// The planner retries every kind with a growing delay; it reports a unit with an `Invalid` error as rejected. The
/// command exits with 3, a missing prerequisite, for `Denied` and `Unavailable`, and with 1 for the other kinds.
///
/// | error | kind | because |
/// |---|---|---|
/// | `Untrusted`, no permission | `Denied` | the operator must change an owner or a mode, and nothing unmanaged is in the way |
/// | a read-only file system | `Unavailable` | the operator must mount a writable one |
/// | `NotARegularFile`, a file for a directory | `Conflict` | an unmanaged object is in the way |
/// | `TooLarge`, `InvalidName` | `Invalid` | the same input fails again |
/// | any other of the system | `Transient` | a retry may succeed: a directory was removed meanwhile, the disk was full, a device failed once |
///
/// A caller that knows more uses another kind: a missing *input* is `NotFound`, and an oversized object at the name
/// of an *output* is `Conflict`.
pub fn kind_of(error: &DirError) -> PortErrorKind {
    match error {
        DirError::Untrusted { .. } => PortErrorKind::Denied,
        DirError::NotARegularFile { .. } => PortErrorKind::Conflict,
        DirError::TooLarge { .. } | DirError::InvalidName { .. } => PortErrorKind::Invalid,
        DirError::System { source, .. } => match source.kind() {
            ErrorKind::PermissionDenied => PortErrorKind::Denied,
            ErrorKind::ReadOnlyFilesystem => PortErrorKind::Unavailable,
            ErrorKind::NotADirectory => PortErrorKind::Conflict,
            ErrorKind::InvalidFilename => PortErrorKind::Invalid,
            _ => PortErrorKind::Transient,
        },
    }
}

/// Returns a function that converts the error of `attempt`, a verb phrase that follows "failed to", for `map_err`.
pub fn failed_to(attempt: impl Display + Copy) -> impl Fn(DirError) -> PortError + Copy {
    move |error| PortError::new(kind_of(&error), format!("failed to {attempt}")).with_source(error)
}

#[cfg(test)]
mod tests {
    use durable_dir::FileKind;
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn each_file_error_has_the_kind_of_what_the_caller_can_do() {
        use PortErrorKind::{Conflict, Denied, Invalid, Transient, Unavailable};
        let path = || "/units/web".into();
        let system = |errno: Errno| DirError::system("write", "/units/web", errno);
        let why = "it belongs to user 1001".to_owned();
        for (error, kind) in [
            (DirError::Untrusted { path: path(), why }, Denied),
            (DirError::NotARegularFile { path: path(), kind: FileKind::Fifo }, Conflict),
            (DirError::TooLarge { path: path(), limit: 1, unit: "bytes" }, Invalid),
            (DirError::InvalidName { path: path(), why: "it is empty" }, Invalid),
            (system(Errno::ACCESS), Denied),
            (system(Errno::PERM), Denied),
            (system(Errno::ROFS), Unavailable),
            (system(Errno::NOTDIR), Conflict),
            (system(Errno::NAMETOOLONG), Invalid),
            (system(Errno::NOENT), Transient),
            (system(Errno::NOSPC), Transient),
            (system(Errno::DQUOT), Transient),
            (system(Errno::IO), Transient),
        ] {
            assert_eq!(kind_of(&error), kind, "{error}");
            let text = error.to_string();
            let error = failed_to(format_args!("write `{}`", "web"))(error);
            assert_eq!(error.kind(), kind);
            assert!(error.chain().starts_with(&format!("failed to write `web`: {text}")));
        }
    }
}
