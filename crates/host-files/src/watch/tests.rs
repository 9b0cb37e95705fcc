use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn has_changed(queue: &Queue) -> bool {
    queue.read().unwrap() != Changes::default()
}

/// Returns whether `change` of files below a directory is reported for `places` of it.
fn reports(places: impl Fn(&Path) -> Vec<Place>, change: impl FnOnce(&Path)) -> bool {
    let place = tempfile::tempdir().unwrap();
    let (at, queue) = (place.path(), Queue::open().unwrap());
    fs::create_dir(at.join("units")).unwrap();
    fs::write(at.join("units/old.container"), "x").unwrap();
    fs::write(at.join("cookie"), "x").unwrap();
    queue.watch(places(at));
    assert!(has_changed(&queue), "watched for the first time");
    change(at);
    // The kernel has queued the event when the change returns.
    has_changed(&queue)
}

fn units(at: &Path) -> Vec<Place> {
    vec![Place::with_extension(at.join("units"), "container")]
}

fn cookie(at: &Path) -> Vec<Place> {
    Place::file(&at.join("cookie")).into_iter().collect()
}

#[tokio::test]
async fn a_written_replaced_or_removed_file_is_reported() {
    assert!(reports(cookie, |at| fs::write(at.join("cookie"), "y").unwrap()));
    assert!(reports(cookie, |at| fs::remove_file(at.join("cookie")).unwrap()));
    let replaced = |at: &Path| {
        fs::write(at.join("new"), "y").unwrap();
        fs::rename(at.join("new"), at.join("cookie")).unwrap();
    };
    assert!(reports(cookie, replaced));
    assert!(reports(units, |at| fs::write(at.join("units/new.container"), "x").unwrap()));
}

#[tokio::test]
async fn a_file_whose_name_starts_so_is_reported() {
    let rendered = |at: &Path| Place::starting_with(&at.join("nginx.conf")).into_iter().collect();
    assert!(reports(rendered, |at| fs::write(at.join("nginx.conf.0123"), "x").unwrap()));
    assert!(!reports(rendered, |at| fs::write(at.join(".nginx.conf.tmp"), "x").unwrap()));
}

#[tokio::test]
async fn any_file_of_a_directory_is_reported() {
    let context = |at: &Path| vec![Place::directory(at.join("units"))];
    assert!(reports(context, |at| fs::write(at.join("units/old.container"), "y").unwrap()));
    assert!(reports(context, |at| fs::create_dir(at.join("units/new")).unwrap()));
    assert!(!reports(context, |at| fs::write(at.join("cookie"), "y").unwrap()));
}

#[tokio::test]
async fn a_change_of_mode_is_reported() {
    let opened = |at: &Path| {
        fs::set_permissions(at.join("cookie"), fs::Permissions::from_mode(0o640)).unwrap();
    };
    assert!(reports(cookie, opened));
    let closed = |at: &Path| {
        fs::set_permissions(at.join("units"), fs::Permissions::from_mode(0o500)).unwrap();
    };
    assert!(reports(units, closed));
}

#[tokio::test]
async fn other_names_and_reads_are_not_reported() {
    assert!(!reports(cookie, |at| fs::write(at.join("other"), "x").unwrap()));
    assert!(!reports(units, |at| fs::write(at.join("units/.a.container.X1"), "x").unwrap()));
    assert!(!reports(units, |at| assert!(fs::read(at.join("units/old.container")).is_ok())));
}

#[tokio::test]
async fn a_directory_that_is_removed_or_created_is_reported() {
    assert!(reports(units, |at| fs::remove_dir_all(at.join("units")).unwrap()));
    let missing = |at: &Path| Place::file(&at.join("later/below/file")).into_iter().collect();
    assert!(reports(missing, |at| fs::create_dir(at.join("later")).unwrap()));
    assert!(!reports(missing, |at| fs::create_dir(at.join("another")).unwrap()));
}

#[tokio::test]
async fn a_replaced_directory_is_watched_from_the_next_call_on() {
    let place = tempfile::tempdir().unwrap();
    let (at, queue) = (place.path(), Queue::open().unwrap());
    fs::create_dir(at.join("units")).unwrap();
    queue.watch(units(at));
    fs::rename(at.join("units"), at.join("former")).unwrap();
    fs::create_dir(at.join("units")).unwrap();
    queue.watch(units(at));
    assert!(has_changed(&queue), "the event of the former directory is still reported");
    fs::write(at.join("units/a.container"), "x").unwrap();
    assert!(has_changed(&queue));
    queue.watch(units(at));
    assert!(!has_changed(&queue));
    fs::write(at.join("former/a.container"), "x").unwrap();
    assert!(!has_changed(&queue), "the former one is not watched any more");
}

#[tokio::test]
async fn each_of_several_files_in_one_directory_is_reported() {
    let both =
        |at: &Path| ["one", "two"].iter().filter_map(|name| Place::file(&at.join(name))).collect();
    for name in ["one", "two"] {
        assert!(reports(both, |at| fs::write(at.join(name), "x").unwrap()), "{name}");
    }
    assert!(!reports(both, |at| fs::write(at.join("three"), "x").unwrap()));
}

#[tokio::test]
async fn changed_files_are_named_and_of_many_any_counts() {
    let place = tempfile::tempdir().unwrap();
    let (at, queue) = (place.path(), Queue::open().unwrap());
    let group = at.join("group/cgroup.events");
    fs::create_dir(at.join("group")).unwrap();
    fs::write(&group, "frozen 0").unwrap();
    let places = [Place::with_extension(at, "container"), Place::kernel_file(&group).unwrap()];
    queue.watch(places.to_vec());
    assert_eq!(queue.read().unwrap(), Changes::Any, "the names of an extension are not known");
    let unit = at.join("a.container");
    fs::write(&unit, "x").unwrap();
    fs::write(&group, "frozen 1").unwrap();
    assert_eq!(queue.read().unwrap(), Changes::Files([unit, group.clone()].into()));
    fs::remove_dir_all(at.join("group")).unwrap();
    assert_eq!(queue.read().unwrap(), Changes::Files([group].into()));
    (0..=CHANGES_LIMIT).for_each(|n| fs::write(at.join(format!("{n}.container")), "").unwrap());
    assert_eq!(queue.read().unwrap(), Changes::Any);
}

#[tokio::test]
async fn a_waiting_call_ends_at_the_change() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("cookie");
    let watch = Watch::default();
    let places = || Place::file(&file).into_iter().collect();
    watch.changed(places()).await;
    let waiting = watch.changed(places());
    tokio::pin!(waiting);
    let early = tokio::time::timeout(Duration::from_millis(100), waiting.as_mut()).await;
    assert!(early.is_err(), "nothing changed yet");
    fs::write(&file, "x").unwrap();
    waiting.await;
}

#[tokio::test]
async fn a_change_between_two_calls_is_reported_by_the_second() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("cookie");
    let watch = Watch::default();
    let places = || Place::file(&file).into_iter().collect();
    watch.changed(places()).await;
    let first = watch.changed(places());
    assert!(tokio::time::timeout(Duration::from_millis(100), first).await.is_err());
    fs::write(&file, "x").unwrap();
    watch.changed(places()).await;
}

#[tokio::test]
async fn a_place_that_is_watched_for_the_first_time_counts_as_changed() {
    let place = tempfile::tempdir().unwrap();
    let (watch, files) = (Watch::default(), ["one", "two"].map(|name| place.path().join(name)));
    let places =
        |count: usize| files.iter().take(count).filter_map(|file| Place::file(file)).collect();
    watch.changed(places(1)).await;
    watch.changed(places(2)).await;
    let again = watch.changed(places(2));
    assert!(tokio::time::timeout(Duration::from_millis(100), again).await.is_err());
}
