//! What is read again of a service that was read before, and what wakes the reconciler.

use super::*;

fn freeze(place: &Path, text: &str, frozen: u8) {
    let group = place.join(format!("cgroup/s/{text}.service/libpod-payload-1"));
    fs::create_dir_all(&group).unwrap();
    fs::write(group.join("cgroup.events"), format!("populated 1\nfrozen {frozen}\n")).unwrap();
}

/// Two running services and their manager.
fn two(place: &Path) -> (Fake, SystemdManager) {
    let fake = Fake::new().with("a", in_run("a", 1, 41)).with("b", in_run("b", 1, 42));
    start(place, 41, (1, 2), 1000);
    start(place, 42, (1, 2), 1000);
    let manager = fake.manager_with(Limits::default(), kernel(place));
    (fake, manager)
}

#[tokio::test]
async fn known_services_are_read_in_full_alone_and_after_a_reload() {
    let place = tempfile::tempdir().unwrap();
    let (fake, manager) = two(place.path());
    let first = read(manager.observe(&names(&["a", "b"])).await);
    assert_eq!(first[&name("a")].running, Some(REVISION.parse().unwrap()));
    let second = read(manager.observe(&names(&["a", "b"])).await);
    assert_eq!((fake.count("ListUnitsByNames"), fake.count("GetAll")), (2, 4));
    let (old, new) = (&first[&name("a")], &second[&name("a")]);
    assert!(new.up_for > old.up_for);
    assert_eq!(ServiceState { up_for: old.up_for, ..new.clone() }, *old);
    read(manager.observe(&names(&["a"])).await);
    assert_eq!(fake.count("GetAll"), 6, "asked about alone");
    fake.world().reloads += 1;
    read(manager.observe(&names(&["a", "b"])).await);
    assert_eq!(fake.count("GetAll"), 10, "a reload by anyone");
}

#[tokio::test]
async fn service_that_changed_is_read_again_without_any_signal() {
    let place = tempfile::tempdir().unwrap();
    let (fake, manager) = two(place.path());
    read(manager.observe(&names(&["a", "b"])).await);
    let stopped = FakeUnit::in_state("a", "loaded", "inactive", "dead");
    fake.world().units.insert("a.service".to_owned(), stopped);
    let states = read(manager.observe(&names(&["a", "b"])).await);
    assert!(states[&name("a")].is_down() && states[&name("b")].is_up());
    assert_eq!(fake.count("GetAll"), 6);
    // Restarted: the list says the same, but the process is another.
    start(place.path(), 42, (1, 2), 2000);
    read(manager.observe(&names(&["a", "b"])).await);
    assert_eq!(fake.count("GetAll"), 10);
    fs::remove_dir_all(place.path().join("proc/42")).unwrap();
    let states = read(manager.observe(&names(&["a", "b"])).await);
    assert_eq!(states[&name("b")].running, None);
}

/// Freezes the container of `text` while the manager waits for a change.
async fn assert_freeze_wakes(manager: &SystemdManager, place: &Path, text: &str) {
    let frozen = async {
        tokio::task::yield_now().await;
        freeze(place, text, 1);
    };
    let woken = async { tokio::join!(manager.changed(), frozen).0 };
    let hint = tokio::time::timeout(Duration::from_secs(10), woken).await.unwrap();
    assert_eq!(hint, Hint::Companions(names(&[text])));
}

#[tokio::test]
async fn container_that_freezes_is_seen_in_a_known_service_and_wakes() {
    let place = tempfile::tempdir().unwrap();
    let (fake, manager) = two(place.path());
    freeze(place.path(), "a", 0);
    freeze(place.path(), "b", 0);
    let states = read(manager.observe(&names(&["a", "b"])).await);
    assert!(!states[&name("a")].frozen);
    // The first call reports that the group was not watched before.
    manager.changed().await;
    assert_freeze_wakes(&manager, place.path(), "a").await;
    let states = read(manager.observe(&names(&["a", "b"])).await);
    assert!(states[&name("a")].frozen);
    // A service that was not read since a reload keeps its watch.
    fake.world().reloads += 1;
    read(manager.observe(&names(&["a"])).await);
    assert_freeze_wakes(&manager, place.path(), "b").await;
}

#[tokio::test]
async fn changed_unit_wakes_and_another_one_does_not() {
    let place = tempfile::tempdir().unwrap();
    let (fake, manager) = two(place.path());
    read(manager.observe(&names(&["a", "b"])).await);
    fake.announce_change("other.service").await;
    let waited = tokio::time::timeout(Duration::from_millis(100), manager.changed()).await;
    assert!(waited.is_err(), "a unit that is not observed wakes nobody");
    fake.announce_change("a.service").await;
    let woken = tokio::time::timeout(Duration::from_secs(10), manager.changed()).await;
    assert_eq!(woken.unwrap(), Hint::Companions(names(&["a"])));
}

#[tokio::test]
async fn reload_by_another_program_is_reported_and_an_own_one_is_not() {
    let place = tempfile::tempdir().unwrap();
    let (fake, manager) = two(place.path());
    read(manager.observe(&names(&["a", "b"])).await);
    manager.reload().await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(100), manager.changed()).await;
    assert!(waited.is_err(), "{waited:?}");
    fake.announce_reload().await;
    let woken = tokio::time::timeout(Duration::from_secs(10), manager.changed()).await;
    assert_eq!(woken.unwrap(), Hint::All);
}
