//! Committing and removing rendered files.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn readers_never_see_a_wrong_mode_a_partial_file_or_other_bytes() {
    let place = Place::new();
    let hook = place.template();
    place.apply(&hook).await;
    let done = Arc::new(AtomicBool::new(false));
    let (watched, stop) = (place.root.join("ui"), Arc::clone(&done));
    let watcher = std::thread::spawn(move || {
        let mut seen = BTreeMap::new();
        while !stop.load(Ordering::Acquire) {
            for entry in fs::read_dir(&watched).unwrap() {
                let entry = entry.unwrap();
                // A temporary file may disappear between the listing and the stat.
                let Ok(found) = fs::symlink_metadata(entry.path()) else { continue };
                if found.is_file() {
                    assert_eq!(found.permissions().mode() & 0o7777, 0o600);
                }
                let name = entry.file_name().into_string().unwrap();
                if found.is_file() && name.starts_with("nginx.conf.") {
                    let text = fs::read_to_string(entry.path()).unwrap();
                    assert!(text.starts_with("auth \"") && text.ends_with("\";\n"), "cut");
                    let before = seen.entry(name).or_insert_with(|| text.clone());
                    assert_eq!(*before, text);
                }
            }
            fs::read_to_string(watched.join("nginx.conf")).unwrap();
        }
        seen.len()
    });
    for reconcile in 0..200 {
        // Some of them for the second time.
        let text = format!("auth \"{}\";\n", reconcile - reconcile % 4);
        let rendered = Rendered::new(text.into_bytes());
        place.hooks.commit(&hook, rendered, &[]).await.unwrap();
    }
    done.store(true, Ordering::Release);
    assert!(watcher.join().unwrap() > 0);
    assert_eq!(mode_of(&place.root.join("ui")), 0o700);
}

#[tokio::test]
async fn committing_the_same_bytes_again_changes_nothing() {
    let place = Place::new();
    for hook in [place.template(), place.command()] {
        let id = place.apply(&hook).await;
        let inode = |path: &Path| fs::symlink_metadata(path).unwrap().ino();
        let before = [inode(&place.file(id)), inode(&place.output())];
        assert_eq!(place.apply(&hook).await, id);
        assert_eq!(place.apply_with_claims(&hook, &[id]).await, id);
        assert_eq!([inode(&place.file(id)), inode(&place.output())], before);
        place.hooks.remove(&hook).await.unwrap();
    }
}

/// Objects that are neither a file nor a link.
const PLANTS: [fn(&Path); 3] = [
    |path| fs::create_dir(path).unwrap(),
    make_fifo,
    |path| drop(UnixListener::bind(path).unwrap()),
];

fn unplant(path: &Path) {
    if path.is_dir() {
        fs::remove_dir(path).unwrap();
    } else {
        fs::remove_file(path).unwrap();
    }
}

fn kind_of(path: &Path) -> fs::FileType {
    fs::symlink_metadata(path).unwrap().file_type()
}

fn make_closed(directory: &Path) {
    fs::create_dir(directory).unwrap();
    set_mode(directory, 0o700);
}

#[tokio::test]
async fn an_unmanaged_object_at_the_output_is_a_conflict_and_unchanged() {
    let place = Place::new();
    for hook in [place.template(), place.command()] {
        for plant in PLANTS {
            place.apply(&hook).await;
            fs::remove_file(place.output()).unwrap();
            plant(&place.output());
            let before = kind_of(&place.output());
            let rendered = place.hooks.render(&hook).await.unwrap();
            assert_eq!(place.observe(&hook).await.link, Link::Unmanaged);
            let committed = place.hooks.commit(&hook, rendered, &[]).await.unwrap_err();
            let hint = committed.chain().contains("container engines make a directory");
            assert_eq!(hint, before.is_dir(), "{}", committed.chain());
            for error in [committed, place.hooks.remove(&hook).await.unwrap_err()] {
                assert_eq!(error.kind(), PortErrorKind::Conflict, "{}", error.chain());
                Place::assert_withheld(&error);
            }
            assert_eq!(kind_of(&place.output()), before);
            assert_eq!(place.names(), ["nginx.conf"], "the secret is removed nevertheless");
            unplant(&place.output());
        }
    }
}

#[tokio::test]
async fn an_object_at_a_files_name_is_unlisted_and_conflicts_on_commit() {
    let place = Place::new();
    for hook in [place.template(), place.command()] {
        for plant in PLANTS {
            let id = place.apply(&hook).await;
            place.hooks.remove(&hook).await.unwrap();
            make_closed(&place.root.join("ui"));
            plant(&place.file(id));
            let before = kind_of(&place.file(id));
            let state = place.observe(&hook).await;
            assert_eq!((state.files.len(), state.link), (0, Link::Absent));
            let rendered = place.hooks.render(&hook).await.unwrap();
            let error = place.hooks.commit(&hook, rendered, &[]).await.unwrap_err();
            assert_eq!(error.kind(), PortErrorKind::Conflict, "{}", error.chain());
            Place::assert_withheld(&error);
            place.hooks.sweep(&hook, next(id)).await.unwrap();
            place.hooks.remove(&hook).await.unwrap();
            assert_eq!(kind_of(&place.file(id)), before);
            assert_eq!(place.names(), [format!("nginx.conf.{id}")]);
            unplant(&place.file(id));
            assert_eq!(place.apply(&hook).await, id);
            place.hooks.remove(&hook).await.unwrap();
        }
    }
}

/// Container engines create a directory at the path of a missing mount source.
#[tokio::test]
async fn a_claimed_file_that_became_a_directory_is_lost_and_gets_the_next_epoch() {
    let place = Place::new();
    let hook = place.template();
    let id = place.apply(&hook).await;
    fs::remove_file(place.file(id)).unwrap();
    fs::create_dir(place.file(id)).unwrap();
    assert_eq!(place.observe(&hook).await.usable(&[id]), Err(StaleCause::Missing));
    assert_eq!(place.apply_with_claims(&hook, &[id]).await, next(id));
    assert_eq!(place.usable(&hook).await, next(id));
    assert!(place.file(id).is_dir(), "it stays unchanged");
}

#[tokio::test]
async fn an_unmanaged_object_at_the_stamp_is_a_conflict_and_unchanged() {
    let place = Place::new();
    for hook in [place.template(), place.command()] {
        place.apply(&hook).await;
        let stamp = place.root.join("ui/.nginx.conf.stamp");
        let _none_of_a_template = fs::remove_file(&stamp);
        fs::create_dir(&stamp).unwrap();
        let rendered = place.hooks.render(&hook).await.unwrap();
        for error in [
            place.hooks.commit(&hook, rendered, &[]).await.unwrap_err(),
            place.hooks.remove(&hook).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), PortErrorKind::Conflict, "{}", error.chain());
        }
        assert_eq!(place.names(), expected(&[], &[".nginx.conf.stamp"]), "the secret is removed");
        fs::remove_dir(&stamp).unwrap();
        place.hooks.remove(&hook).await.unwrap();
    }
}

#[tokio::test]
async fn a_directory_of_its_own_is_closed_and_one_with_other_things_is_refused() {
    let place = Place::new();
    let directory = place.root.join("ui");
    let hook = place.template();
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("notes"), b"of the user").unwrap();
    let rendered = place.hooks.render(&hook).await.unwrap();
    for (mode, why) in [(0o755, "`notes`"), (0o777, "anyone may write to it")] {
        set_mode(&directory, mode);
        let error = place.hooks.commit(&hook, rendered.clone(), &[]).await.unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::Denied);
        assert!(error.chain().contains(why), "{}", error.chain());
        assert_eq!((mode_of(&directory), names(&directory)), (mode, vec!["notes".to_owned()]));
    }
    set_mode(&directory, 0o755);

    fs::remove_file(directory.join("notes")).unwrap();
    place.apply(&hook).await;
    assert_eq!(mode_of(&directory), 0o700);

    fs::write(directory.join("notes"), b"of the user").unwrap();
    let id = place.apply(&hook).await;
    assert_eq!(place.names(), expected(&[id], &["notes"]));
}

#[tokio::test]
async fn removing_leaves_a_directory_that_is_not_empty_or_was_opened() {
    let place = Place::new();
    let hook = place.command();
    let directory = place.root.join("ui");
    place.apply(&hook).await;
    place.rotate("two");
    place.apply(&hook).await;
    fs::write(directory.join("notes"), b"").unwrap();
    place.hooks.remove(&hook).await.unwrap();
    assert_eq!(names(&directory), ["notes"]);
    fs::remove_file(directory.join("notes")).unwrap();
    for _ in 0..2 {
        place.hooks.remove(&hook).await.unwrap();
        assert!(!directory.exists());
    }
    place.apply(&hook).await;
    set_mode(&directory, 0o755);
    place.hooks.remove(&hook).await.unwrap();
    assert!(names(&directory).is_empty());
}
