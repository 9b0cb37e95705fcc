//! Files that were modified, opened or replaced outside companion.

use std::os::unix::fs::{MetadataExt as _, chown};

use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use super::*;

#[tokio::test]
async fn a_file_that_others_can_read_is_closed_under_its_name() {
    let place = Place::new();
    for hook in [place.template(), place.command()] {
        let id = place.apply(&hook).await;
        for mode in [0o644, 0o640, 0o604, 0o400, 0o700, 0o4600] {
            set_mode(&place.file(id), mode);
            assert_eq!(place.stale(&hook).await, StaleCause::ReadableByOthers, "{mode:o}");
            assert_eq!(place.apply_beside(&hook, &[id]).await, id);
            assert_eq!(place.usable(&hook).await, id);
            assert_eq!(mode_of(&place.file(id)), 0o600);
        }
        place.hooks.remove(&hook).await.unwrap();
    }
}

#[tokio::test]
async fn files_in_a_readable_directory_are_kept_when_it_is_restricted() {
    let place = Place::new();
    let directory = place.root.join("ui");
    for hook in [place.template(), place.command()] {
        let id = place.apply(&hook).await;
        let inode = fs::metadata(place.file(id)).unwrap().ino();
        set_mode(&directory, 0o755);
        let state = place.observe(&hook).await;
        assert_eq!(state.files, BTreeMap::from([(id, ConfigFile::ReadableByOthers)]));
        assert_eq!(state.usable(&[]), Err(StaleCause::ReadableByOthers));
        assert_eq!(place.apply(&hook).await, id);
        assert_eq!(place.usable(&hook).await, id);
        assert_eq!(mode_of(&directory), 0o700);
        assert_eq!(fs::metadata(place.file(id)).unwrap().ino(), inode);
        place.hooks.remove(&hook).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_writable_by_others_gets_the_next_epoch() {
    let place = Place::new();
    for hook in [place.template(), place.command()] {
        let mut id = place.apply(&hook).await;
        for mode in [0o602, 0o606, 0o666] {
            set_mode(&place.file(id), mode);
            assert_eq!(place.stale(&hook).await, StaleCause::WritableByOthers, "{mode:o}");
            set_mode(&place.root.join("ui"), 0o755);
            assert_eq!(place.stale(&hook).await, StaleCause::WritableByOthers, "{mode:o}");
            let after = place.apply(&hook).await;
            assert_eq!(after, next(id));
            assert_eq!(place.usable(&hook).await, after);
            let state = place.observe(&hook).await;
            assert_eq!(state.files.get(&id), Some(&ConfigFile::WritableByOthers));
            assert_eq!(mode_of(&place.file(id)), mode, "it stays unchanged");
            id = after;
        }
        place.hooks.remove(&hook).await.unwrap();
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
async fn modified_files_stay_and_their_content_gets_the_next_epoch() {
    let place = Place::new();
    let large = vec![b'x'; OUTPUT_LIMIT + 1];
    for hook in [place.template(), place.command()] {
        let mut id = place.apply(&hook).await;
        for modified in [b"".as_slice(), b"edited", &large] {
            fs::write(place.file(id), modified).unwrap();
            for mode in [0o600, 0o644, 0o666] {
                set_mode(&place.file(id), mode);
                assert_eq!(place.stale(&hook).await, StaleCause::Changed, "{mode:o}");
            }
            assert_eq!(place.apply_beside(&hook, &[id]).await, next(id));
            assert_eq!(fs::read(place.file(id)).unwrap(), modified, "it stays unchanged");
            let state = place.observe(&hook).await;
            assert_eq!(state.files.get(&id), Some(&ConfigFile::Modified));
            assert_eq!(state.usable(&[id]), Ok(next(id)));
            id = next(id);
        }
        place.hooks.remove(&hook).await.unwrap();
        assert!(!place.root.join("ui").exists());
    }
}

#[tokio::test]
async fn a_file_under_the_name_of_other_bytes_is_modified() {
    let place = Place::new();
    let hook = place.template();
    let before = place.apply(&hook).await;
    place.rotate("other");
    let after = place.apply(&hook).await;
    fs::copy(place.file(before), place.file(after)).unwrap();
    let state = place.observe(&hook).await;
    assert_eq!(state.files.get(&before), Some(&ConfigFile::Intact));
    assert_eq!(state.files.get(&after), Some(&ConfigFile::Modified));
    assert_eq!(state.usable(&[]), Err(StaleCause::Changed));
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
