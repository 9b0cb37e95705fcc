//! The program of the unit: this one, if it is in a permanent directory.

use std::path::{Path, PathBuf};

use companion_core::error_chain::chain;
use durable_dir::{Trust, status_of};

use crate::error::{CommandError, CommandResult};

/// Returns the path of this program, with symlinks resolved.
///
/// # Errors
/// Fails if the file was replaced or removed since this process started.
pub(super) fn own() -> CommandResult<PathBuf> {
    let unknown = |why: String| {
        CommandError::failure(format!("failed to find the path of this program: {why}"))
            .hinted("run the installed program again")
    };
    let path = std::env::current_exe().map_err(|error| unknown(error.to_string()))?;
    path.canonicalize().map_err(|error| unknown(error.to_string()))
}

/// Returns the path of this program, if a service can use it permanently.
///
/// # Errors
/// Bad input for a program that another user could replace, and, without `force`, for one in a build or
/// temporary directory.
pub(super) fn own_installed(force: bool) -> CommandResult<PathBuf> {
    let path = own()?;
    is_trusted(&path)?;
    match transient_place(&path, &std::env::temp_dir()) {
        Some(place) if !force => Err(CommandError::input(format!(
            "`{}` is in {place}, so the service would lose its program",
            path.display()
        ))
        .hinted("install it first, with `cargo install --path crates/companion-cli` or a package")
        .hinted("`--force` accepts it anyway")),
        _ => Ok(path),
    }
}

/// Refuses a program that another user can replace: the service runs it with our privileges.
fn is_trusted(path: &Path) -> CommandResult<()> {
    let shown = path.display();
    status_of(path, Trust::Owned).map(drop).map_err(|error| {
        let why = chain(&error);
        CommandError::input(format!("`{shown}` can be replaced by another user: {why}"))
            .hinted("install it in a directory that you own, or as root in /usr/local/bin")
    })
}

/// Describes the directory of `path`, if its files are not permanent.
fn transient_place(path: &Path, temporary: &Path) -> Option<&'static str> {
    // Cargo keeps this directory next to programs that it builds, but not next to those that it installs.
    if path.ancestors().skip(1).take(2).any(|dir| dir.join(".fingerprint").is_dir()) {
        return Some("a build directory of cargo");
    }
    path.starts_with(temporary).then_some("a temporary directory")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::error::Verdict;

    #[test]
    fn program_writable_by_others_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let program = place.path().join("companion");
        std::fs::write(&program, "").unwrap();
        let mode = |mode| {
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(0o755);
        is_trusted(&program).unwrap();
        mode(0o757);
        assert_eq!(is_trusted(&program).unwrap_err().verdict, Verdict::Invalid);
    }
}
