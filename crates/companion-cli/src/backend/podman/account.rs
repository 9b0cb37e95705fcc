//! The account prerequisites of rootless Podman: subordinate id ranges, and the programs that map them.

use std::ffi::OsStr;
use std::fs;

use super::Finding;
use crate::service::is_executable;

/// The required size of a range: images use ids up to 65534.
const ENOUGH: u64 = 65_536;

/// Checks the id ranges of this user and the mapping programs.
pub(super) fn id_ranges() -> Vec<Finding> {
    let uid = rustix::process::getuid().as_raw();
    if uid == 0 {
        return Vec::new();
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = name_of(uid, &passwd).or_else(|| std::env::var("USER").ok()).unwrap_or_default();
    let range = |file: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        range(file, &name, ids_of(&name, uid, &text))
    };
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let program = |name: &str| program(name, &path);
    vec![range("/etc/subuid"), range("/etc/subgid"), program("newuidmap"), program("newgidmap")]
}

fn range(file: &str, name: &str, count: u64) -> Finding {
    let found = format!("{count} subordinate ids in {file}");
    if count >= ENOUGH {
        return Finding::ok("id ranges", found);
    }
    let fix = format!(
        "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name} && podman \
         system migrate (another range if it is taken)"
    );
    Finding::error("id ranges", found, fix)
}

fn program(name: &str, path: &OsStr) -> Finding {
    match std::env::split_paths(path)
        .map(|dir| dir.join(name))
        .find(|path| is_executable(path) == Some(true))
    {
        Some(path) => Finding::ok("id mapping", path.display().to_string()),
        None => Finding::error(
            "id mapping",
            format!("`{name}` is missing"),
            "sudo apt install uidmap (or shadow-utils)",
        ),
    }
}

fn name_of(uid: u32, passwd: &str) -> Option<String> {
    let uid = uid.to_string();
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    })
}

/// Returns the number of ids of a user, by name or by uid (subuid(5)).
fn ids_of(name: &str, uid: u32, text: &str) -> u64 {
    let uid = uid.to_string();
    let counts = text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let count: u64 = fields.nth(1)?.parse().ok()?;
        (owner == uid || (!name.is_empty() && owner == name)).then_some(count)
    });
    counts.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn ranges_are_counted_by_name_and_by_number() {
        let text = "root:1:9\narchy:100000:65536\n1000:300000:10\narchyx:1:7\nbroken\narchy:x:y\n";
        assert_eq!(ids_of("archy", 1000, text), 65_546);
        assert_eq!(ids_of("", 1001, text), 0);
    }

    #[test]
    fn a_name_is_found_by_its_number() {
        let passwd = "root:x:0:0::/root:/bin/sh\narchy:x:1000:1000::/home/archy:/bin/sh\n";
        assert_eq!(name_of(1000, passwd).as_deref(), Some("archy"));
        assert_eq!(name_of(7, passwd), None);
    }

    #[test]
    fn too_few_ids_are_an_error_with_the_command_that_adds_them() {
        assert!(!range("/etc/subuid", "archy", ENOUGH).is_error());
        let finding = range("/etc/subuid", "archy", ENOUGH - 1);
        assert!(finding.is_error() && finding.fix.unwrap().contains("100000-165535 archy"));
    }

    #[test]
    fn a_missing_program_for_id_mapping_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(program("newuidmap", dir.path().as_os_str()).is_error());
        let path = dir.path().join("newuidmap");
        fs::write(&path, "").unwrap();
        assert!(program("newuidmap", dir.path().as_os_str()).is_error(), "it is not executable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(!program("newuidmap", dir.path().as_os_str()).is_error());
    }
}
