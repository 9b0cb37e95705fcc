//! Trust in a path: the rules for each directory and link on the way, and for what is at its end. Pure.

use crate::status::FileStatus;

/// Requirements on the directories and symbolic links of a path, and on the file at its end.
///
/// A path is as trustworthy as its weakest component: a user who may rename one of them controls what the rest leads
/// to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// For files that are written, executed or trusted: units, records, locks, secrets, programs.
    ///
    /// - Each directory, and the file at the end, belongs to us or to root, and others must not have write access. A
    ///   parent directory with the sticky bit (`/tmp`) is accepted, because its entries can only be renamed by their
    ///   owners, which are checked next. The last directory must not be shared at all.
    /// - Group write access is accepted if owner and group are both ours and have the same ID: the user private group
    ///   of distributions with `umask` 002.
    /// - A symbolic link is followed if it belongs to us or to root; its target is checked by the same rules. So a unit
    ///   directory may be a link into the user's own dotfiles, and a link to another user's directory is rejected.
    Owned,
    /// For reading another service's files: a node's cookie file below its own directory.
    ///
    /// Directories and the file may belong to any user. A symbolic link is followed only if it belongs to us or to root: otherwise
    /// the other service could make us read files that only we may read.
    AnyOwner,
}

impl Trust {
    /// Returns why a directory or file is rejected, or `None` if it is acceptable; `us` is our effective user ID, and
    /// `last` says whether the path ends here.
    pub(crate) fn against(self, status: &FileStatus, us: u32, last: bool) -> Option<String> {
        if self == Self::AnyOwner {
            return None;
        }
        if let Some(why) = against_owner(status, us) {
            return Some(why);
        }
        let passed_by_sticky_bit = status.mode & 0o1000 != 0 && !last;
        let own_group = status.uid == us && status.gid == us;
        let by_group = status.mode & 0o020 != 0 && !own_group;
        let by_anyone = status.mode & 0o002 != 0;
        ((by_group || by_anyone) && !passed_by_sticky_bit).then(|| {
            let who = if by_anyone { "anyone" } else { "its group" };
            format!("{who} may write to it (mode {:04o})", status.mode)
        })
    }

    /// Returns why a symbolic link is not followed, or `None` if it is acceptable.
    pub(crate) fn against_link(self, status: &FileStatus, us: u32) -> Option<String> {
        against_owner(status, us).map(|why| format!("a symbolic link, {why}"))
    }
}

fn against_owner(status: &FileStatus, us: u32) -> Option<String> {
    (status.uid != us && status.uid != 0)
        .then(|| format!("it belongs to user {}, not to this user ({us}) or root", status.uid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::FileKind;

    const US: u32 = 1000;

    fn owned_by(uid: u32, gid: u32, mode: u32) -> FileStatus {
        FileStatus { kind: FileKind::Directory, mode, uid, gid, links: 2, size: 4096 }
    }

    #[test]
    fn owner_and_mode_determine_whether_a_directory_is_trusted() {
        let (anyone, group) = (Some("anyone may write"), Some("its group may write"));
        let others = Some("belongs to user 1001");
        for (uid, gid, mode, on_the_path, at_its_end) in [
            (US, US, 0o700, None, None),
            (US, US, 0o755, None, None),
            (0, 0, 0o755, None, None),
            (0, 0, 0o711, None, None),
            (1001, 1001, 0o700, others, others),
            (1001, 1001, 0o755, others, others),
            (1001, 1001, 0o1777, others, others),
            (0, 0, 0o777, anyone, anyone),
            (US, US, 0o777, anyone, anyone),
            (0, 0, 0o1777, None, anyone),
            (US, US, 0o775, None, None),
            (US, 50, 0o775, group, group),
            (0, 50, 0o775, group, group),
        ] {
            for (is_end, refusal) in [(false, on_the_path), (true, at_its_end)] {
                let why = Trust::Owned.against(&owned_by(uid, gid, mode), US, is_end);
                assert_eq!(why.is_some(), refusal.is_some(), "{uid} {gid} {mode:o} {is_end}");
                let why = why.unwrap_or_default();
                assert!(why.contains(refusal.unwrap_or_default()), "{mode:o}: {why}");
            }
        }
    }

    #[test]
    fn inputs_may_be_in_any_directory_but_not_behind_another_users_link() {
        let unmanaged = owned_by(1001, 1001, 0o777);
        assert_eq!(Trust::AnyOwner.against(&unmanaged, US, true), None);
        assert!(Trust::AnyOwner.against_link(&unmanaged, US).is_some());
        assert_eq!(Trust::AnyOwner.against_link(&owned_by(US, US, 0o777), US), None);
        assert_eq!(Trust::AnyOwner.against_link(&owned_by(0, 0, 0o777), US), None);
    }
}
