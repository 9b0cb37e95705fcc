//! Cleanup after a crash.

use super::*;

/// Leaves the files of an interrupted commit: files that contain the secret, and a link.
fn leave_half_a_commit(place: &Place, id: ConfigId) -> Vec<PathBuf> {
    let directory = place.root.join("ui");
    let stamp = directory.join("..nginx.conf.stamp.abcdefgh.tmp");
    let file = directory.join(format!(".nginx.conf.{id}.abcdefgh.tmp"));
    // Written by a release without links.
    let output = directory.join(".nginx.conf.abcdefgh.tmp");
    let link = directory.join(".nginx.conf.bbbbbbbb.tmp");
    for path in [&stamp, &file, &output] {
        fs::write(path, CANARY).unwrap();
    }
    symlink(format!("nginx.conf.{id}"), &link).unwrap();
    vec![stamp, file, output, link]
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

#[tokio::test]
async fn the_next_commit_and_a_removal_sweep_after_a_crashed_commit() {
    let place = Place::new();
    for hook in [place.template(), place.command()] {
        let id = place.apply(&hook).await;
        let names = place.names();
        let left = leave_half_a_commit(&place, next(id));
        // They do not prevent restricting the directory.
        set_mode(&place.root.join("ui"), 0o755);
        assert_eq!(place.apply(&hook).await, id);
        assert_eq!(mode_of(&place.root.join("ui")), 0o700);
        assert!(!left.iter().any(|path| is_there(path)));
        assert_eq!(place.names(), names);
        leave_half_a_commit(&place, id);
        place.hooks.remove(&hook).await.unwrap();
        assert!(!place.root.join("ui").exists());
    }
}

#[tokio::test]
async fn a_sweep_after_a_crash_keeps_the_rendered_files() {
    let place = Place::new();
    let hook = place.command();
    let first = place.apply(&hook).await;
    place.rotate("other");
    let second = place.apply(&hook).await;
    let left = leave_half_a_commit(&place, second);
    assert_eq!(crate::sweep(&hook, false).await.unwrap(), left.len());
    assert_eq!(place.names(), expected(&[first, second], &[".nginx.conf.stamp"]));
    assert_eq!(crate::sweep(&hook, true).await.unwrap(), 0);
    assert_eq!(place.usable(&hook).await, second, "the reconciler decides about its removal");
}

#[tokio::test]
async fn a_sweep_completes_an_interrupted_removal() {
    let place = Place::new();
    let hook = place.command();
    let id = place.apply(&hook).await;
    let left = leave_half_a_commit(&place, id);
    fs::remove_file(place.output()).unwrap();
    assert_eq!(crate::sweep(&hook, false).await.unwrap(), left.len());
    assert!(place.file(id).exists(), "it may be wanted again");
    assert_eq!(crate::sweep(&hook, true).await.unwrap(), 0);
    assert!(!place.root.join("ui").exists());
    assert_eq!(crate::sweep(&hook, true).await.unwrap(), 0, "nothing there is a success");
}

/// A commit writes the file, then the stamp, then the link.
#[tokio::test]
async fn the_next_commit_completes_an_interrupted_one() {
    let place = Place::new();
    for (hook, cut) in [
        (place.template(), ["nginx.conf"].as_slice()),
        (place.command(), &["nginx.conf"]),
        (place.command(), &["nginx.conf", ".nginx.conf.stamp"]),
    ] {
        let id = place.apply(&hook).await;
        let whole = place.names();
        for name in cut {
            fs::remove_file(place.root.join("ui").join(name)).unwrap();
        }
        let state = place.observe(&hook).await;
        assert!(state.link == Link::Absent, "{state:?}");
        assert_eq!(place.apply(&hook).await, id, "nothing was lost or modified");
        assert_eq!(place.names(), whole);
        assert_eq!(place.usable(&hook).await, id);
        place.hooks.remove(&hook).await.unwrap();
    }
}

#[tokio::test]
async fn a_sweep_keeps_the_named_file_the_stamp_and_the_link() {
    let place = Place::new();
    let hook = place.command();
    let mut id = ConfigId { digest: Fingerprint::of(b"x"), epoch: 0 };
    place.hooks.sweep(&hook, id).await.unwrap();
    assert!(!place.root.join("ui").exists(), "nothing was rendered");
    id = place.apply(&hook).await;
    for tamper in [
        |path: &Path| set_mode(path, 0o666),
        |path: &Path| fs::write(path, vec![b'x'; OUTPUT_LIMIT + 1]).unwrap(),
        |path: &Path| {
            fs::remove_file(path).unwrap();
            symlink("../password", path).unwrap();
        },
    ] {
        tamper(&place.file(id));
        id = place.apply(&hook).await;
    }
    place.rotate("other");
    let keep = place.apply(&hook).await;
    assert_eq!(place.observe(&hook).await.files.len(), 5);
    let kept = ["notes", "nginx.conf.bak", ".nginx.conf.stamp"];
    fs::write(place.root.join("ui/notes"), b"").unwrap();
    fs::write(place.root.join("ui/nginx.conf.bak"), b"").unwrap();
    for _ in 0..2 {
        place.hooks.sweep(&hook, keep).await.unwrap();
        assert_eq!(place.names(), expected(&[keep], &kept));
        assert_eq!(place.usable(&hook).await, keep);
    }
    assert_eq!(fs::read(place.root.join("password")).unwrap(), b"other");
}
