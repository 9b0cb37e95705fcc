//! How the rendered file is put in place and taken away.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

#[tokio::test]
async fn the_file_has_mode_0600_in_a_directory_of_mode_0700() {
    let place = Place::new();
    place.apply(&place.template()).await;
    assert_eq!(mode_of(&place.output()), 0o600);
    assert_eq!(mode_of(&place.root.join("ui")), 0o700);
    assert_eq!(names(&place.root.join("ui")), ["nginx.conf"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_ever_sees_another_mode_or_half_a_file() {
    let place = Place::new();
    let hook = place.template();
    place.apply(&hook).await;
    let done = Arc::new(AtomicBool::new(false));
    let (watched, stop) = (place.root.join("ui"), Arc::clone(&done));
    let watcher = std::thread::spawn(move || {
        let mut looks = 0_u32;
        while !stop.load(Ordering::Acquire) {
            for entry in fs::read_dir(&watched).unwrap() {
                // A temporary file may be gone between the listing and the look.
                if let Ok(found) = fs::symlink_metadata(entry.unwrap().path()) {
                    assert_eq!(found.permissions().mode() & 0o7777, 0o600);
                }
            }
            let text = fs::read_to_string(watched.join("nginx.conf")).unwrap();
            assert!(text.starts_with("auth \"") && text.ends_with("\";\n"), "cut");
            looks += 1;
        }
        looks
    });
    for round in 0..1000 {
        let rendered = Rendered::new(format!("auth \"{round}\";\n").into_bytes());
        place.hooks.commit(&hook, rendered).await.unwrap();
    }
    done.store(true, Ordering::Release);
    assert!(watcher.join().unwrap() > 0);
}

#[tokio::test]
async fn committing_the_same_again_is_a_success() {
    let place = Place::new();
    let hook = place.template();
    assert_eq!(place.apply(&hook).await, place.apply(&hook).await);
}

#[tokio::test]
async fn what_lies_in_the_way_is_a_conflict_and_left_alone() {
    let place = Place::new();
    let directory = place.root.join("ui");
    fs::create_dir(&directory).unwrap();
    set_mode(&directory, 0o700);
    let stranger = place.root.join("stranger");
    fs::write(&stranger, b"untouched").unwrap();
    let plants: [fn(&Path); 4] = [
        |path| fs::create_dir(path).unwrap(),
        |path| symlink("/nowhere", path).unwrap(),
        |path| symlink("../stranger", path).unwrap(),
        make_fifo,
    ];
    for hook in [place.template(), place.command()] {
        for plant in plants {
            plant(&place.output());
            let before = fs::symlink_metadata(place.output()).unwrap().file_type();
            let rendered = place.hooks.render(&hook).await.unwrap();
            for error in [
                place.hooks.observe(&hook).await.unwrap_err(),
                place.hooks.commit(&hook, rendered).await.unwrap_err(),
                place.hooks.remove(&hook).await.unwrap_err(),
            ] {
                assert_eq!(error.kind(), PortErrorKind::Conflict, "{}", error.chain());
                Place::assert_withheld(&error);
            }
            let after = fs::symlink_metadata(place.output()).unwrap().file_type();
            assert_eq!(before, after);
            assert_eq!(names(&directory), ["nginx.conf"]);
            if before.is_dir() {
                fs::remove_dir(place.output()).unwrap();
            } else {
                fs::remove_file(place.output()).unwrap();
            }
        }
    }
    assert_eq!(fs::read(&stranger).unwrap(), b"untouched");
}

#[tokio::test]
async fn a_directory_that_an_engine_made_at_the_files_path_is_explained() {
    let place = Place::new();
    fs::create_dir_all(place.output()).unwrap();
    let error = place.hooks.observe(&place.template()).await.unwrap_err();
    let chain = error.chain();
    assert!(chain.contains("container engines make a directory"), "{chain}");
}

#[tokio::test]
async fn a_directory_of_its_own_is_closed_and_one_with_other_things_is_refused() {
    let place = Place::new();
    let directory = place.root.join("ui");
    let hook = place.template();
    fs::create_dir(&directory).unwrap();
    set_mode(&directory, 0o755);
    fs::write(directory.join("notes"), b"of the user").unwrap();
    let rendered = place.hooks.render(&hook).await.unwrap();
    let error = place.hooks.commit(&hook, rendered).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Denied);
    assert!(error.chain().contains("`notes`"), "{}", error.chain());
    assert_eq!(mode_of(&directory), 0o755);
    assert_eq!(names(&directory), ["notes"]);

    fs::remove_file(directory.join("notes")).unwrap();
    place.apply(&hook).await;
    assert_eq!(mode_of(&directory), 0o700);

    fs::write(directory.join("notes"), b"of the user").unwrap();
    place.apply(&hook).await;
    assert_eq!(names(&directory), ["nginx.conf", "notes"]);
}

#[tokio::test]
async fn a_directory_that_others_may_write_to_is_refused() {
    let place = Place::new();
    let directory = place.root.join("ui");
    fs::create_dir(&directory).unwrap();
    set_mode(&directory, 0o777);
    let hook = place.template();
    let rendered = place.hooks.render(&hook).await.unwrap();
    let error = place.hooks.commit(&hook, rendered).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Denied, "{}", error.chain());
    assert!(names(&directory).is_empty());
}

#[tokio::test]
async fn what_a_crashed_write_left_is_swept_by_the_next() {
    let place = Place::new();
    let hook = place.template();
    place.apply(&hook).await;
    let leftover = place.root.join("ui/.nginx.conf.abcdefgh.tmp");
    fs::write(&leftover, CANARY).unwrap();
    place.apply(&hook).await;
    assert!(!leftover.exists());
    fs::write(&leftover, CANARY).unwrap();
    place.hooks.remove(&hook).await.unwrap();
    assert!(!place.root.join("ui").exists());
}

#[tokio::test]
async fn removing_takes_file_stamp_and_the_empty_directory_and_is_repeatable() {
    let place = Place::new();
    for hook in [place.template(), place.command()] {
        place.apply(&hook).await;
        for _ in 0..2 {
            place.hooks.remove(&hook).await.unwrap();
            assert!(!place.root.join("ui").exists());
        }
        assert_eq!(cause(&place.observe(&hook).await), StaleCause::Missing);
    }
}

#[tokio::test]
async fn removing_leaves_a_directory_that_is_not_empty_or_was_opened() {
    let place = Place::new();
    let hook = place.template();
    let directory = place.root.join("ui");
    place.apply(&hook).await;
    fs::write(directory.join("notes"), b"").unwrap();
    place.hooks.remove(&hook).await.unwrap();
    assert_eq!(names(&directory), ["notes"]);
    fs::remove_file(directory.join("notes")).unwrap();
    place.apply(&hook).await;
    set_mode(&directory, 0o755);
    place.hooks.remove(&hook).await.unwrap();
    assert!(names(&directory).is_empty());
}

#[tokio::test]
async fn an_output_that_names_no_file_or_too_long_a_one_is_refused() {
    let place = Place::new();
    let long = place.path(&"x".repeat(201));
    for output in [AbsolutePath::new("/").unwrap(), long] {
        let hook = HookSpec { output, ..place.template() };
        let rendered = place.hooks.render(&place.template()).await.unwrap();
        for error in [
            place.hooks.commit(&hook, rendered).await.unwrap_err(),
            place.hooks.remove(&hook).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), PortErrorKind::Invalid, "{}", error.chain());
        }
    }
    assert_eq!(names(&place.root), ["password", "template"]);
}

#[tokio::test]
async fn two_hooks_may_share_a_closed_directory() {
    let place = Place::new();
    let one = place.template();
    let other = HookSpec { output: place.path("ui/other.conf"), ..place.template() };
    let being_written = place.root.join("ui/.other.conf.abcdefgh.tmp");
    place.apply(&one).await;
    fs::write(&being_written, b"half").unwrap();
    place.apply(&one).await;
    assert!(being_written.exists());
    place.apply(&other).await;
    place.hooks.remove(&one).await.unwrap();
    assert_eq!(names(&place.root.join("ui")), ["other.conf"]);
}

/// What a crash in the middle of a write leaves holds the secret.
fn leave_half_a_write(place: &Place) -> PathBuf {
    let left = place.root.join("ui/.nginx.conf.abcdefgh.tmp");
    fs::write(&left, CANARY).unwrap();
    left
}

#[tokio::test]
async fn what_a_crash_left_of_a_write_is_swept_and_the_rendered_file_kept() {
    let place = Place::new();
    let hook = place.template();
    let rendered = place.hooks.render(&hook).await.unwrap();
    place.hooks.commit(&hook, rendered).await.unwrap();
    let left = leave_half_a_write(&place);
    assert_eq!(crate::sweep(&hook, false).await.unwrap(), 1);
    assert!(!left.exists() && place.output().exists());
    assert_eq!(crate::sweep(&hook, true).await.unwrap(), 0);
    assert!(place.output().exists(), "its removal is the reconciler's to decide");
}

#[tokio::test]
async fn a_removal_that_was_cut_off_is_brought_to_its_end() {
    let place = Place::new();
    let hook = place.command();
    let rendered = place.hooks.render(&hook).await.unwrap();
    place.hooks.commit(&hook, rendered).await.unwrap();
    leave_half_a_write(&place);
    fs::remove_file(place.output()).unwrap();
    assert!(fs::read_dir(place.root.join("ui")).unwrap().count() > 1, "a stamp, and a secret");
    assert_eq!(crate::sweep(&hook, false).await.unwrap(), 1);
    assert!(place.root.join("ui").exists(), "it may be wanted again");
    assert_eq!(crate::sweep(&hook, true).await.unwrap(), 0);
    assert!(!place.root.join("ui").exists());
    assert_eq!(crate::sweep(&hook, true).await.unwrap(), 0, "nothing there is a success");
}
