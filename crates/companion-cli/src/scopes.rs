//! The scopes of a machine: each user, and the system, have their own companions.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use adapter_systemd::Scope;

/// The most users that are looked for.
const USERS_LIMIT: usize = 1000;

/// Returns messages about the companions of other scopes than `scope`, with the command that shows them: those for which
/// a process led since the boot, by its runtime directory below `run` (`/run`).
pub(crate) fn others(scope: Scope, own_uid: u32, run: &Path) -> Vec<String> {
    match scope {
        Scope::User if own_uid != 0 && run.join("companion").is_dir() => {
            vec!["the system (root) has its own companions: `sudo companion status`".to_owned()]
        }
        Scope::User => Vec::new(),
        Scope::System => users(run)
            .into_iter()
            .map(|uid| {
                format!(
                    "this is the system; user {uid} has its own companions: `sudo -u '#{uid}' \
                     XDG_RUNTIME_DIR=/run/user/{uid} companion status`"
                )
            })
            .collect(),
    }
}

/// Returns the users with a runtime directory of companions. Each is looked for only in a directory of that user.
fn users(run: &Path) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir(run.join("user")) else { return Vec::new() };
    let user = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.ok()?;
        let uid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let place = entry.path().join("companion");
        // Not followed, because a user could link it elsewhere.
        let found = std::fs::symlink_metadata(place).ok()?;
        (uid != 0 && found.is_dir() && found.uid() == uid).then_some(uid)
    };
    let mut users: Vec<_> = entries.take(USERS_LIMIT).filter_map(user).collect();
    users.sort_unstable();
    users
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_learns_of_users_with_companions_and_users_of_root() {
        let run = tempfile::tempdir().unwrap();
        let uid = rustix::process::getuid().as_raw();
        assert!(others(Scope::System, 0, run.path()).is_empty());
        std::fs::create_dir_all(run.path().join(format!("user/{uid}/companion"))).unwrap();
        std::fs::create_dir_all(run.path().join("user/4000000000/companion")).unwrap();
        let found = others(Scope::System, 0, run.path());
        // Root has no runtime directory of a user.
        assert_eq!(found.len(), usize::from(uid != 0), "{found:?}");
        assert!(others(Scope::User, 1000, run.path()).is_empty());
        std::fs::create_dir(run.path().join("companion")).unwrap();
        assert_eq!(others(Scope::User, 1000, run.path()).len(), 1);
    }
}
