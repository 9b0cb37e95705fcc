//! Files that were modified, opened or replaced outside companion.

use std::os::unix::fs::{MetadataExt as _, chown};

use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use super::*;

#[tokio::test]
async fn a_file_that_others_can_read_is_closed_under_its_name() {
    let place = Place::new();
    let directory = place.root.join("ui");
    for hook in [place.template(), place.command()] {
        let id = place.apply(&hook).await;
        let inode = || fs::metadata(place.file(id)).unwrap().ino();
        let modes = [0o644, 0o640, 0o604, 0o400, 0o700, 0o4600].map(|mode| (0o700, mode));
        for (of_directory, mode) in modes.into_iter().chain([(0o755, 0o600)]) {
            set_mode(&place.file(id), mode);
            set_mode(&directory, of_directory);
            let before = inode();
            let state = place.observe(&hook).await;
            assert_eq!(state.files, BTreeMap::from([(id, ConfigFile::ReadableByOthers)]));
            assert_eq!(state.usable(&[]), Err(StaleCause::ReadableByOthers), "{mode:o}");
            assert_eq!(place.apply_with_claims(&hook, &[id]).await, id);
            assert_eq!(place.usable(&hook).await, id);
            assert_eq!([mode_of(&place.file(id)), mode_of(&directory)], [0o600, 0o700]);
            assert!(of_directory == 0o700 || inode() == before, "the file itself is kept");
        }
        place.hooks.remove(&hook).await.unwrap();
    }
}

/// Whatever was tampered with stays as it is, and the bytes get the next epoch.
#[tokio::test]
async fn modified_or_writable_files_stay_and_their_content_gets_the_next_epoch() {
    let place = Place::new();
    let large = vec![b'x'; OUTPUT_LIMIT + 1];
    for hook in [place.template(), place.command()] {
        place.rotate("another");
        let another = place.apply(&hook).await;
        let another = fs::read(place.file(another)).unwrap();
        place.rotate(CANARY);
        let mut id = place.apply(&hook).await;
        let same = fs::read(place.file(id)).unwrap();
        for bytes in [same.as_slice(), b"", b"edited", &large, &another] {
            for mode in [0o602, 0o606, 0o666, 0o600, 0o644] {
                let (state, cause) = match (bytes == same, mode & 0o002) {
                    (false, _) => (ConfigFile::Modified, StaleCause::Changed),
                    (true, 0) => continue,
                    (true, _) => (ConfigFile::WritableByOthers, StaleCause::WritableByOthers),
                };
                fs::write(place.file(id), bytes).unwrap();
                set_mode(&place.file(id), mode);
                for of_directory in [0o700, 0o755] {
                    set_mode(&place.root.join("ui"), of_directory);
                    assert_eq!(place.stale(&hook).await, cause, "{mode:o}");
                }
                assert_eq!(place.apply_with_claims(&hook, &[id]).await, next(id));
                assert_eq!(fs::read(place.file(id)).unwrap(), bytes);
                assert_eq!(mode_of(&place.file(id)), mode);
                let after = place.observe(&hook).await;
                assert_eq!(after.files.get(&id), Some(&state));
                assert_eq!(after.usable(&[id]), Ok(next(id)));
                id = next(id);
            }
        }
        place.hooks.remove(&hook).await.unwrap();
        assert!(!place.root.join("ui").exists());
    }
}

/// Only root can create a file of another user or group.
#[tokio::test]
async fn a_file_of_another_user_or_group_writable_gets_the_next_epoch() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::new();
    let hook = place.template();
    let first = place.apply(&hook).await;
    chown(place.file(first), Some(12345), None).unwrap();
    assert_eq!(place.stale(&hook).await, StaleCause::WritableByOthers);
    let second = place.apply(&hook).await;
    assert_eq!(second, next(first));
    chown(place.file(second), None, Some(12345)).unwrap();
    assert_eq!(place.usable(&hook).await, second, "its group can do nothing with it");
    set_mode(&place.file(second), 0o620);
    assert_eq!(place.stale(&hook).await, StaleCause::WritableByOthers);
    chown(place.file(second), None, Some(0)).unwrap();
    assert_eq!(
        place.stale(&hook).await,
        StaleCause::ReadableByOthers,
        "that group has no other member"
    );
    assert_eq!(place.apply(&hook).await, second);
    place.hooks.sweep(&hook, second).await.unwrap();
    assert_eq!(place.names(), expected(&[second], &[]));
}

#[tokio::test]
async fn an_unreadable_file_gets_the_next_epoch() {
    // Without root's privileges.
    let mut held = capabilities(None).unwrap();
    held.effective.remove(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
    set_capabilities(None, held).unwrap();
    let place = Place::new();
    let hook = place.template();
    let mut id = place.apply(&hook).await;
    for owner in [None, Some(12345)] {
        if owner.is_some() && !rustix::process::geteuid().is_root() {
            continue;
        }
        let mode = if owner.is_some() { 0o600 } else { 0o000 };
        set_mode(&place.file(id), mode);
        chown(place.file(id), owner, None).unwrap();
        assert_eq!(place.stale(&hook).await, StaleCause::Changed);
        assert_eq!(place.apply(&hook).await, next(id));
        id = next(id);
        place.hooks.sweep(&hook, id).await.unwrap();
        assert_eq!(place.names(), expected(&[id], &[]));
        assert_eq!(place.usable(&hook).await, id);
    }
}

#[tokio::test]
async fn a_link_in_the_place_of_a_file_is_modified_and_never_followed() {
    let place = Place::new();
    let outside = place.root.join("outside");
    for hook in [place.template(), place.command()] {
        let id = place.apply(&hook).await;
        let right = fs::read(place.file(id)).unwrap();
        // Even if it leads to the right bytes, or to itself.
        fs::write(&outside, &right).unwrap();
        set_mode(&outside, 0o600);
        let own = format!("nginx.conf.{id}");
        for target in [outside.to_str().unwrap(), "/nowhere", own.as_str()] {
            fs::remove_file(place.file(id)).unwrap();
            symlink(target, place.file(id)).unwrap();
            let state = place.observe(&hook).await;
            assert_eq!(state.files.get(&id), Some(&ConfigFile::Modified));
            let after = place.apply(&hook).await;
            assert_eq!(after, next(id));
            assert_eq!(fs::read_link(place.file(id)).unwrap(), Path::new(target));
            place.hooks.sweep(&hook, after).await.unwrap();
            assert!(!place.file(id).is_symlink());
            assert_eq!(place.usable(&hook).await, after);
            place.hooks.sweep(&hook, id).await.unwrap();
            assert_eq!(place.apply(&hook).await, id);
        }
        assert_eq!(fs::read(&outside).unwrap(), right);
        assert_eq!(mode_of(&outside), 0o600);
        place.hooks.remove(&hook).await.unwrap();
    }
}
