//! Copies of edited unit files: what an operator wrote stays readable after the rendered unit replaced it. Blocks on
//! files.

use std::path::{Path, PathBuf};

use companion_core::ports::PortResult;
use durable_dir::{Dir, DirResult, Trust};

use super::{ENTRY_LIMIT, SIZE_LIMIT};
use crate::errors::failed_to;

/// The number of copies that are kept of each unit file, the newest ones.
pub const EDITED_COPIES: usize = 5;

/// Keeps `bytes` of the edited unit file `file` in the directory at `path`, as `FILE.<n>` of mode 0600, and removes all
/// but the newest [`EDITED_COPIES`]. Returns the path of the copy; `None` if the newest one has the same bytes.
pub(super) fn keep(path: &Path, file: &str, bytes: &[u8]) -> DirResult<Option<PathBuf>> {
    let dir = Dir::create(path, 0o700, Trust::Owned)?;
    let numbers = numbers(&dir, file)?;
    let newest = numbers.last().copied().unwrap_or_default();
    if newest > 0 {
        let copy = dir.read(&format!("{file}.{newest}"), SIZE_LIMIT)?;
        if copy.is_some_and(|copy| copy.bytes == bytes) {
            return Ok(None);
        }
    }
    let copy = format!("{file}.{}", newest.saturating_add(1));
    dir.write(&copy, bytes, 0o600)?;
    let surplus = (numbers.len() + 1).saturating_sub(EDITED_COPIES);
    for number in numbers.iter().take(surplus) {
        dir.remove(&format!("{file}.{number}"))?;
    }
    Ok(Some(path.join(copy)))
}

/// Returns the numbers of the copies of `file`, the oldest first.
fn numbers(dir: &Dir, file: &str) -> DirResult<Vec<u64>> {
    let entries = dir.entries(ENTRY_LIMIT)?;
    let number = |name: &str| name.strip_prefix(file)?.strip_prefix('.')?.parse().ok();
    let mut numbers: Vec<u64> = entries.iter().filter_map(|name| number(name.to_str()?)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Returns the paths of the copies in the directory at `path` that were made of the unit file `file`, the oldest first;
/// none if there is no such directory.
///
/// # Errors
/// As [`kind_of`](crate::errors::kind_of).
pub fn edited_copies(path: &Path, file: &str) -> PortResult<Vec<PathBuf>> {
    let found = Dir::open_existing(path, Trust::Owned)
        .and_then(|dir| dir.map_or(Ok(Vec::new()), |dir| numbers(&dir, file)));
    let numbers = found.map_err(failed_to("list the edited unit files"))?;
    Ok(numbers.iter().map(|number| path.join(format!("{file}.{number}"))).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_newest_copies_of_a_unit_are_kept_once_and_private() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("edited");
        assert_eq!(edited_copies(&dir, "web.container").unwrap(), Vec::<PathBuf>::new());
        for text in ["0", "1", "1", "2", "3", "4", "5", "6"] {
            let kept = keep(&dir, "web.container", text.as_bytes()).unwrap();
            if let Some(path) = kept {
                assert_eq!(fs::read_to_string(&path).unwrap(), text);
                assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
            }
        }
        keep(&dir, "web.container.d", b"another").unwrap();
        let copies = edited_copies(&dir, "web.container").unwrap();
        let names = copies.iter().map(|path| path.file_name().unwrap().to_str().unwrap());
        let expected = ["3", "4", "5", "6", "7"].map(|number| format!("web.container.{number}"));
        assert_eq!(names.collect::<Vec<_>>(), expected);
        assert_eq!(fs::read_to_string(copies.last().unwrap()).unwrap(), "6");
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
