//! What is read again of a service that was read before, and what wakes the reconciler.

use std::fs;
use std::path::Path;

use super::*;

/// A running service with the main process `pid`.
fn with_process(text: &str, pid: u32) -> FakeUnit {
    let mut unit = running(text);
    unit.service.insert("MainPID".to_owned(), value(pid));
    unit.service.insert("ControlGroup".to_owned(), value(format!("/s/{text}.service")));
    unit
}

/// Puts a process of the run into the files of the kernel.
fn start(place: &Path, pid: u32, started: u64) {
    let process = place.join(format!("proc/{pid}"));
    fs::create_dir_all(&process).unwrap();
    let environ = format!("INVOCATION_ID=abcd\0COMPANION_REVISION={REVISION}\0");
    fs::write(process.join("environ"), environ).unwrap();
    let fields = ["0"; 18].join(" ");
    fs::write(process.join("stat"), format!("{pid} (a b) S {fields} {started} 0 0")).unwrap();
}

fn freeze(place: &Path, text: &str, frozen: u8) {
    let group = place.join(format!("cgroup/s/{text}.service/libpod-payload-1"));
    fs::create_dir_all(&group).unwrap();
    fs::write(group.join("cgroup.events"), format!("populated 1\nfrozen {frozen}\n")).unwrap();
}

/// Two running services and their manager.
fn two(place: &Path) -> (Fake, SystemdManager) {
    let fake = Fake::new().with("a", with_process("a", 41)).with("b", with_process("b", 42));
    start(place, 41, 1000);
    start(place, 42, 1000);
    let files = KernelFiles { proc: place.join("proc"), cgroup: place.join("cgroup") };
    let manager = fake.manager_with(Limits::default(), files);
    (fake, manager)
}

#[tokio::test]
async fn unchanged_services_are_read_in_full_once() {
    let place = tempfile::tempdir().unwrap();
    let (fake, manager) = two(place.path());
    let first = read(manager.observe(&names(&["a", "b"])).await);
    assert_eq!(first[&name("a")].running, Some(REVISION.parse().unwrap()));
    let second = read(manager.observe(&names(&["a", "b"])).await);
    assert_eq!((fake.count("ListUnitsByNames"), fake.count("GetAll")), (2, 4));
    let (old, new) = (&first[&name("a")], &second[&name("a")]);
    assert!(new.up_for > old.up_for);
    assert_eq!(ServiceState { up_for: old.up_for, ..new.clone() }, *old);
}

#[tokio::test]
async fn service_that_is_asked_about_alone_is_read_in_full() {
    let place = tempfile::tempdir().unwrap();
    let (fake, manager) = two(place.path());
    read(manager.observe(&names(&["a", "b"])).await);
    read(manager.observe(&names(&["a"])).await);
    assert_eq!(fake.count("GetAll"), 6);
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
    start(place.path(), 42, 2000);
    read(manager.observe(&names(&["a", "b"])).await);
    assert_eq!(fake.count("GetAll"), 10);
    fs::remove_dir_all(place.path().join("proc/42")).unwrap();
    let states = read(manager.observe(&names(&["a", "b"])).await);
    assert_eq!(states[&name("b")].running, None);
}

#[tokio::test]
async fn reload_by_anyone_makes_all_services_read_again() {
    let place = tempfile::tempdir().unwrap();
    let (fake, manager) = two(place.path());
    read(manager.observe(&names(&["a", "b"])).await);
    fake.world().reloads += 1;
    read(manager.observe(&names(&["a", "b"])).await);
    assert_eq!(fake.count("GetAll"), 8);
}

#[tokio::test]
async fn container_that_freezes_is_seen_in_a_known_service_and_wakes() {
    let place = tempfile::tempdir().unwrap();
    let (_fake, manager) = two(place.path());
    freeze(place.path(), "a", 0);
    let states = read(manager.observe(&names(&["a", "b"])).await);
    assert!(!states[&name("a")].frozen);
    // The first call reports that the group was not watched before.
    manager.changed().await;
    let woken = async {
        let frozen = async {
            tokio::task::yield_now().await;
            freeze(place.path(), "a", 1);
        };
        tokio::join!(manager.changed(), frozen).0
    };
    let hint = tokio::time::timeout(Duration::from_secs(10), woken).await.unwrap();
    assert_eq!(hint, Hint::Companions(names(&["a"])));
    let states = read(manager.observe(&names(&["a", "b"])).await);
    assert!(states[&name("a")].frozen);
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

/// The services that were not read since the reload keep their watch.
#[tokio::test]
async fn container_that_freezes_after_a_reload_wakes_also_if_it_was_not_read_again() {
    let place = tempfile::tempdir().unwrap();
    let (fake, manager) = two(place.path());
    freeze(place.path(), "b", 0);
    read(manager.observe(&names(&["a", "b"])).await);
    manager.changed().await;
    fake.world().reloads += 1;
    read(manager.observe(&names(&["a"])).await);
    let frozen = async {
        tokio::task::yield_now().await;
        freeze(place.path(), "b", 1);
    };
    let woken = async { tokio::join!(manager.changed(), frozen).0 };
    let hint = tokio::time::timeout(Duration::from_secs(10), woken).await.unwrap();
    assert_eq!(hint, Hint::Companions(names(&["b"])));
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
