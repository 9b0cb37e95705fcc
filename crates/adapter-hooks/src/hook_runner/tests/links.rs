//! The object at the output's path, and valid outputs.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::*;

#[tokio::test]
async fn the_output_is_a_relative_link_to_the_last_committed_file() {
    let place = Place::new();
    for hook in [place.template(), place.command()] {
        let mut ids = Vec::new();
        for password in ["one", "two", "one"] {
            place.rotate(password);
            if let Some(last) = ids.last() {
                // A link to an earlier file is turned to the current one.
                assert_eq!(place.observe(&hook).await.link, Link::To(*last));
            }
            let id = place.apply(&hook).await;
            ids.push(id);
            let target = fs::read_link(place.output()).unwrap();
            assert_eq!(target.to_str().unwrap(), format!("nginx.conf.{id}"));
            assert_eq!(fs::read(place.output()).unwrap(), fs::read(place.file(id)).unwrap());
        }
        assert!(ids[0] == ids[2] && ids[0] != ids[1], "the same bytes have the same name: {ids:?}");
        let state = place.observe(&hook).await;
        assert_eq!((state.files.len(), state.usable(&[])), (2, Ok(ids[0])));
        place.rotate("three");
        assert_eq!(place.stale(&hook).await, StaleCause::Changed);
        place.hooks.remove(&hook).await.unwrap();
    }
}

#[tokio::test]
async fn a_link_elsewhere_is_replaced_and_not_followed() {
    let place = Place::new();
    let unmanaged = place.root.join("unmanaged");
    fs::write(&unmanaged, b"untouched").unwrap();
    for hook in [place.template(), place.command()] {
        let id = place.apply(&hook).await;
        let absolute = place.file(id);
        let other = format!("other.conf.{id}");
        for target in [
            "/nowhere".as_ref(),
            unmanaged.as_os_str(),
            place.root.as_os_str(),
            absolute.as_os_str(),
            other.as_ref(),
            "nginx.conf".as_ref(),
            ".nginx.conf.stamp".as_ref(),
            OsStr::from_bytes(b"nginx.conf.\xff"),
        ] {
            fs::remove_file(place.output()).unwrap();
            symlink(target, place.output()).unwrap();
            let state = place.observe(&hook).await;
            let expected = (Link::Other, Ok(id));
            assert_eq!((state.link, state.usable(&[])), expected, "{target:?}");
            assert_eq!(place.apply(&hook).await, id);
            assert_eq!(place.usable(&hook).await, id);
        }
        fs::remove_file(place.output()).unwrap();
        symlink("../unmanaged", place.output()).unwrap();
        place.hooks.remove(&hook).await.unwrap();
        assert!(!place.root.join("ui").exists());
    }
    assert_eq!(fs::read(&unmanaged).unwrap(), b"untouched");
    assert_eq!(names(&place.root), ["journal", "password", "template", "unmanaged"]);
}

/// Releases without links left a regular file at the output.
#[tokio::test]
async fn a_regular_file_at_the_output_is_replaced_by_the_link_or_removed() {
    let place = Place::new();
    for hook in [place.template(), place.command()] {
        for mode in [0o600, 0o644] {
            fs::create_dir(place.root.join("ui")).unwrap();
            set_mode(&place.root.join("ui"), 0o755);
            fs::write(place.output(), CANARY).unwrap();
            set_mode(&place.output(), mode);
            let state = place.observe(&hook).await;
            assert_eq!((state.files.len(), state.link), (0, Link::Other));
            assert_eq!(state.usable(&[]), Err(StaleCause::Missing));
            let id = place.apply(&hook).await;
            assert_eq!(place.usable(&hook).await, id);
            assert_eq!(fs::read_link(place.output()).unwrap(), place.file(id).file_name().unwrap());
            fs::remove_file(place.output()).unwrap();
            fs::write(place.output(), CANARY).unwrap();
            assert_eq!(place.observe(&hook).await.link, Link::Other);
            place.hooks.remove(&hook).await.unwrap();
            assert!(!place.root.join("ui").exists());
        }
    }
}

#[tokio::test]
async fn an_output_without_a_file_name_or_with_a_derived_name_is_rejected() {
    let place = Place::new();
    let rendered = place.hooks.render(&place.template()).await.unwrap();
    let id = ConfigId { digest: Fingerprint::of(b"x"), epoch: 0 };
    let output = place.path("nginx.conf");
    for output in [
        AbsolutePath::root(),
        place.path(&"x".repeat(201)),
        next(id).path(&output),
        place.path(".nginx.conf.abcdefgh.tmp"),
    ] {
        let hook = HookSpec { output, ..place.template() };
        for error in [
            place.hooks.observe(&hook).await.unwrap_err(),
            place.hooks.commit(&hook, rendered.clone(), &[]).await.unwrap_err(),
            place.hooks.sweep(&hook, id).await.unwrap_err(),
            place.hooks.remove(&hook).await.unwrap_err(),
            crate::sweep(&hook, true).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), PortErrorKind::Invalid, "{}", error.chain());
            assert!(error.chain().contains("`output`"), "{}", error.chain());
        }
    }
    assert_eq!(names(&place.root), ["password", "template"]);
}

#[tokio::test]
async fn the_longest_output_name_fits_every_derived_name() {
    let place = Place::new();
    let output = place.path(&format!("ui/{}", "x".repeat(200)));
    for program in [place.template().program, place.command().program] {
        let hook = HookSpec { program, output: output.clone() };
        let first = place.apply(&hook).await;
        let claimed = ConfigId { epoch: u32::MAX - 2, ..first };
        let last = place.apply_with_claims(&hook, &[claimed]).await;
        assert_eq!(last.epoch, u32::MAX - 1);
        assert_eq!(place.usable(&hook).await, last);
        let left = format!(".{}.{last}.abcdefgh.tmp", "x".repeat(200));
        fs::write(place.root.join("ui").join(left), CANARY).unwrap();
        assert_eq!(crate::sweep(&hook, false).await.unwrap(), 1);
        place.hooks.remove(&hook).await.unwrap();
        assert!(!place.root.join("ui").exists());
    }
}

#[tokio::test]
async fn hooks_may_share_a_closed_directory() {
    let place = Place::new();
    let one = place.template();
    // The names of the second share a prefix with the first's.
    let outputs = ["ui/nginx.conf.d", "ui/other.conf"];
    let others = outputs.map(|name| HookSpec { output: place.path(name), ..place.command() });
    let being_written = place.root.join("ui/.other.conf.abcdefgh.tmp");
    let id = place.apply(&one).await;
    fs::write(&being_written, b"half").unwrap();
    place.apply(&one).await;
    assert!(being_written.exists());
    for other in &others {
        assert_eq!(place.stale(other).await, StaleCause::Missing);
        place.apply(other).await;
    }
    assert!(!being_written.exists());
    let [d, o] = [place.usable(&others[0]).await, place.usable(&others[1]).await];
    place.hooks.sweep(&one, next(id)).await.unwrap();
    place.hooks.remove(&one).await.unwrap();
    let (d, o) = (format!("nginx.conf.d.{d}"), format!("other.conf.{o}"));
    let stamps = [".nginx.conf.d.stamp", ".other.conf.stamp"];
    assert_eq!(place.names(), [stamps[0], stamps[1], "nginx.conf.d", &d, "other.conf", &o]);
}
