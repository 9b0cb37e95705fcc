//! Hostile desired-state records are refused.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::Arc;

use adapter_fake::FakeHost;
use archipelago_companions::{AppId, Catalog, Companions, RecordStore};
use companion_core::ports::{DesiredStore as _, PortErrorKind};
use tempfile::TempDir;

use crate::names::hostile_names;

fn store() -> (TempDir, RecordStore) {
    let place = tempfile::tempdir().unwrap();
    let state = place.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    let store = RecordStore::new(state, Arc::new(Catalog::builtin()));
    (place, store)
}

fn record_of(name: &str) -> String {
    let name = serde_json::to_string(name).unwrap();
    format!(
        r#"{{"version":2,"generation":2,"apps":{{"x":{{"installed":false,"generation":2}}}},
            "companions":{{{name}:{{"generation":2,"removed":true,"apps":["x"]}}}}}}"#
    )
}

#[tokio::test]
async fn record_with_an_invalid_name_is_refused() {
    let (_place, store) = store();
    let file = store.dir().join("desired.json");
    fs::write(&file, record_of("x-ui")).unwrap();
    assert!(store.load().await.is_ok(), "only the names are refused");
    for name in hostile_names() {
        fs::write(&file, record_of(&name)).unwrap();
        let error = store.load().await.unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::Invalid, "{name:?}");
        let text = error.chain();
        assert!(text.contains("desired.json") && !text.contains(char::is_control), "{text:?}");
        assert!(
            name.len() < 3 || name == "companion" || !text.contains(&name),
            "the message must not quote the file: {text:?}"
        );
    }
}

#[tokio::test]
async fn record_that_is_a_link_a_pipe_or_too_large_is_refused() {
    let (place, store) = store();
    let file = store.dir().join("desired.json");
    let elsewhere = place.path().join("elsewhere");
    fs::write(&elsewhere, record_of("x-ui")).unwrap();
    symlink(&elsewhere, &file).unwrap();
    assert_eq!(store.load().await.unwrap_err().kind(), PortErrorKind::Conflict);
    fs::remove_file(&file).unwrap();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    assert_eq!(store.load().await.unwrap_err().kind(), PortErrorKind::Conflict);
    fs::remove_file(&file).unwrap();
    fs::File::create(&file).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(store.load().await.unwrap_err().kind(), PortErrorKind::Invalid);
}

#[tokio::test]
async fn state_directory_writable_by_others_is_neither_read_nor_written() {
    let (_place, store) = store();
    let store = Arc::new(store);
    // Nothing is reconciled on that host.
    let companions = Companions::on(Arc::clone(&store), FakeHost::default().ports());
    let apps = [AppId::new("electrumx").unwrap()];
    assert!(!companions.record_apps(&apps, &[]).await.unwrap().1.present.is_empty());
    for mode in [0o777, 0o1777, 0o702] {
        fs::set_permissions(store.dir(), fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(store.load().await.unwrap_err().kind(), PortErrorKind::Denied, "{mode:o}");
        assert!(companions.record_apps(&apps, &[]).await.is_err(), "{mode:o}");
    }
}
