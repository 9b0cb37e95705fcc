use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn has_changed(queue: &Queue) -> bool {
    queue.read().unwrap() != Changes::default()
}

/// Returns whether `change` of files below a directory is reported for `places` of it.
fn reports(places: fn(&Path) -> Vec<Place>, change: fn(&Path)) -> bool {
    let place = tempfile::tempdir().unwrap();
    let (at, queue) = (place.path(), Queue::open().unwrap());
    fs::create_dir(at.join("units")).unwrap();
    fs::write(at.join("units/old"), "x").unwrap();
    fs::write(at.join("cookie"), "x").unwrap();
    queue.watch(places(at));
    assert!(has_changed(&queue), "watched for the first time");
    change(at);
    // The kernel has queued the event when the change returns.
    has_changed(&queue)
}

fn units(at: &Path) -> Vec<Place> {
    vec![Place::directory(at.join("units"))]
}

fn files(at: &Path) -> Vec<Place> {
    ["cookie", "two"].iter().filter_map(|name| Place::file(&at.join(name))).collect()
}

fn rendered(at: &Path) -> Vec<Place> {
    Place::starting_with(&at.join("nginx.conf")).into_iter().collect()
}

fn missing(at: &Path) -> Vec<Place> {
    Place::file(&at.join("later/below/file")).into_iter().collect()
}

fn write(file: impl AsRef<Path>) {
    fs::write(file, "y").unwrap();
}

fn set_mode(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn changes_of_the_places_are_reported_and_others_are_not() {
    type Case = (&'static str, fn(&Path) -> Vec<Place>, bool, fn(&Path));
    let cases: [Case; 18] = [
        ("a written file", files, true, |at| write(at.join("cookie"))),
        ("the other of two files", files, true, |at| write(at.join("two"))),
        ("a third file", files, false, |at| write(at.join("three"))),
        ("a read file", files, false, |at| assert!(fs::read(at.join("cookie")).is_ok())),
        ("a removed file", files, true, |at| fs::remove_file(at.join("cookie")).unwrap()),
        ("a file's mode", files, true, |at| set_mode(at.join("cookie"), 0o640)),
        ("a replaced file", files, true, |at| {
            write(at.join("new"));
            fs::rename(at.join("new"), at.join("cookie")).unwrap();
        }),
        ("a file whose name starts so", rendered, true, |at| write(at.join("nginx.conf.0123"))),
        ("another file", rendered, false, |at| write(at.join(".nginx.conf.tmp"))),
        ("a new file", units, true, |at| write(at.join("units/new"))),
        ("a written file in it", units, true, |at| write(at.join("units/old"))),
        ("a new directory in it", units, true, |at| fs::create_dir(at.join("units/a")).unwrap()),
        ("a read file in it", units, false, |at| assert!(fs::read(at.join("units/old")).is_ok())),
        ("another file", units, false, |at| write(at.join("cookie"))),
        ("its mode", units, true, |at| set_mode(at.join("units"), 0o500)),
        ("its removal", units, true, |at| fs::remove_dir_all(at.join("units")).unwrap()),
        ("a created parent", missing, true, |at| fs::create_dir(at.join("later")).unwrap()),
        ("another one", missing, false, |at| fs::create_dir(at.join("another")).unwrap()),
    ];
    for (what, places, is_reported, change) in cases {
        assert_eq!(reports(places, change), is_reported, "{what}");
    }
}

#[tokio::test]
async fn a_replaced_directory_is_watched_from_the_next_call_on() {
    let place = tempfile::tempdir().unwrap();
    let (at, queue) = (place.path(), Queue::open().unwrap());
    fs::create_dir(at.join("units")).unwrap();
    queue.watch(units(at));
    assert!(has_changed(&queue));
    fs::rename(at.join("units"), at.join("former")).unwrap();
    fs::create_dir(at.join("units")).unwrap();
    queue.watch(units(at));
    assert!(has_changed(&queue), "what changed before is not known");
    write(at.join("units/a"));
    assert!(has_changed(&queue));
    queue.watch(units(at));
    assert!(!has_changed(&queue));
    write(at.join("former/a"));
    assert!(!has_changed(&queue), "the former one is not watched any more");
}

#[tokio::test]
async fn changed_files_are_named_and_of_many_any_counts() {
    let place = tempfile::tempdir().unwrap();
    let (at, queue) = (place.path(), Queue::open().unwrap());
    let (units, group) = (at.join("units"), at.join("group/cgroup.events"));
    fs::create_dir(&units).unwrap();
    fs::create_dir(at.join("group")).unwrap();
    fs::write(&group, "frozen 0").unwrap();
    queue.watch(vec![Place::directory(&units), Place::kernel_file(&group).unwrap()]);
    assert_eq!(queue.read().unwrap(), Changes::Any, "the names in a directory are not known");
    let unit = units.join("a.container");
    write(&unit);
    fs::write(&group, "frozen 1").unwrap();
    assert_eq!(queue.read().unwrap(), Changes::Files([unit, group.clone()].into()));
    fs::remove_dir_all(at.join("group")).unwrap();
    assert_eq!(queue.read().unwrap(), Changes::Files([group].into()));
    (0..=CHANGES_LIMIT).for_each(|n| write(units.join(format!("{n}.container"))));
    assert_eq!(queue.read().unwrap(), Changes::Any);
}

#[tokio::test]
async fn a_call_ends_at_a_change_also_at_one_since_the_last_call() {
    let place = tempfile::tempdir().unwrap();
    let (watch, names) = (Watch::default(), ["one", "two"].map(|name| place.path().join(name)));
    let changed = async |count: usize| {
        let places = names.iter().take(count).filter_map(|file| Place::file(file)).collect();
        tokio::time::timeout(Duration::from_millis(100), watch.changed(places)).await
    };
    changed(1).await.expect("the first call");
    changed(1).await.expect_err("nothing changed");
    write(&names[0]);
    changed(1).await.expect("it changed between two calls");
    changed(2).await.expect("one is watched for the first time");
    changed(2).await.expect_err("nothing changed");
    let waiting = watch.changed(names.iter().filter_map(|file| Place::file(file)).collect());
    let change = async {
        tokio::task::yield_now().await;
        write(&names[1]);
    };
    tokio::join!(waiting, change);
}
