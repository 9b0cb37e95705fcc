use super::*;
use crate::app::AppId;
use crate::leader::Settings;
use crate::published::StatusReport;

fn store(dir: &Path) -> RecordStore {
    RecordStore::new(dir.join("state"), Arc::new(Catalog::builtin()))
}

fn try_lock(store: &RecordStore) -> Option<LockFile> {
    let state = Dir::open(store.dir(), Trust::Owned).unwrap();
    LockFile::try_lock(&state, LOCK_FILE, 0o600).unwrap()
}

async fn install(store: &RecordStore) {
    let app = AppId::new("lnd").unwrap();
    let intent = move |record: &mut Record, catalog: &Catalog| {
        (true, record.install(&app, "a test", catalog))
    };
    store.update(intent).await.unwrap();
}

/// A store with lnd recorded as installed.
async fn installed() -> (tempfile::TempDir, RecordStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    install(&store).await;
    (dir, store)
}

#[test]
fn desired_state_and_every_catalog_are_watched() {
    let settings = Settings {
        catalogs: vec!["/etc/companion/a.toml".into(), "/home/archy/b.toml".into()],
        ..Settings::default()
    };
    let inputs = Arc::new(Inputs::new(settings, None, "/state"));
    let watched = RecordStore::with_inputs("/state", inputs).places();
    let files = ["/state/desired.json", "/etc/companion/a.toml", "/home/archy/b.toml"];
    let expected: Vec<_> = files.iter().filter_map(|file| Place::file(Path::new(file))).collect();
    assert_eq!(watched, expected);
}

#[tokio::test]
async fn a_damaged_record_is_an_error_and_is_left_as_it_is() {
    let (dir, store) = installed().await;
    let file = dir.path().join("state/desired.json");
    std::fs::write(&file, b"half a rec").unwrap();
    let error = store.load().await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Invalid);
    assert!(error.to_string().contains("desired.json"), "{error}");
    let app = AppId::new("lnd").unwrap();
    let intent = move |record: &mut Record, catalog: &Catalog| {
        (true, record.remove(&app, "a test", catalog))
    };
    assert!(store.update(intent).await.is_err());
    assert_eq!(std::fs::read(&file).unwrap(), b"half a rec");
    assert!(try_lock(&store).is_some(), "the lock is free again");
}

#[tokio::test]
async fn intent_of_a_cancelled_caller_holds_the_lock_until_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (store, other) = (store(dir.path()), store(dir.path()));
    let (started, has_started) = std::sync::mpsc::channel();
    let (end, may_end) = std::sync::mpsc::channel::<()>();
    let app = AppId::new("lnd").unwrap();
    let intent = tokio::spawn(async move {
        let change = move |record: &mut Record, catalog: &Catalog| {
            started.send(()).unwrap();
            may_end.recv().unwrap();
            (true, record.install(&app, "a test", catalog))
        };
        store.update(change).await
    });
    tokio::task::spawn_blocking(move || has_started.recv().unwrap()).await.unwrap();
    intent.abort();
    assert!(intent.await.unwrap_err().is_cancelled());
    assert!(try_lock(&other).is_none());
    end.send(()).unwrap();
    let _lock = super::lock(other.dir()).await.unwrap();
    assert_eq!(other.load().await.unwrap().present().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn sweep_waits_for_an_intent_and_keeps_the_desired_state() {
    let (dir, store) = installed().await;
    let files = [".desired.json.abcdefgh.tmp", ".host-key.abcdefgh.tmp"];
    let files = files.map(|name| dir.path().join("state").join(name));
    files.iter().for_each(|file| std::fs::write(file, b"half").unwrap());
    let lock = try_lock(&store).unwrap();
    assert_eq!(store.sweep().await.unwrap_err().kind(), PortErrorKind::Transient);
    assert!(files.iter().all(|file| file.exists()));
    drop(lock);
    assert_eq!(store.sweep().await.unwrap(), 2);
    assert_eq!(store.sweep().await.unwrap(), 0);
    assert_eq!(store.load().await.unwrap().present().count(), 1);
}

#[tokio::test]
async fn intents_after_a_lost_file_are_newer_than_what_a_leader_published() {
    let (_dir, store) = installed().await;
    let mut report = StatusReport::unpublished(Vec::new(), store.inputs(), None);
    report.observed_generation = Generation(50);
    let state = Dir::open(store.dir(), Trust::Owned).unwrap();
    state.write("status.json", &serde_json::to_vec(&report).unwrap(), 0o600).unwrap();
    state.remove("desired.json").unwrap();
    install(&store).await;
    assert_eq!(store.load().await.unwrap().latest, Generation(51));
}

#[tokio::test]
async fn desired_state_larger_than_can_be_read_is_not_written() {
    let (_dir, store) = installed().await;
    let change = |record: &mut Record, catalog: &Catalog| {
        for number in 0..8000 {
            let app = AppId::new(format!("app-{number}")).unwrap();
            record.remove(&app, &"x".repeat(128), catalog);
        }
        (true, ())
    };
    assert_eq!(store.update(change).await.unwrap_err().kind(), PortErrorKind::Invalid);
    assert_eq!(store.load().await.unwrap().present().count(), 1);
}

#[tokio::test]
async fn state_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let (dir, _store) = installed().await;
    let mode =
        |path: &str| std::fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("state"), 0o700);
    assert_eq!(mode("state/desired.json"), 0o600);
    assert_eq!(mode("state/lock"), 0o600);
}
