use std::io::Write as _;
use std::sync::Arc;

use companion_core::ports::PortErrorKind;

use super::*;
use crate::RESYNC;
use crate::catalog::Catalog;
use crate::desired_store::RecordStore;
use crate::leader::Heartbeat;
use crate::metrics::Metrics;

fn publisher() -> (tempfile::TempDir, PathBuf, Publisher) {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("state");
    let store = Arc::new(RecordStore::new(&dir, Arc::new(Catalog::builtin())));
    let heartbeat = Arc::new(Heartbeat::new(RESYNC));
    let publisher =
        Publisher::new(store, LeaderInfo::default(), heartbeat, None, Metrics::default());
    (place, dir, publisher)
}

#[tokio::test]
async fn event_is_read_once_and_a_truncated_line_is_skipped() {
    let (_place, dir, publisher) = publisher();
    publisher.leader_event("started", None);
    publisher.flush().await;
    let mut cursor = EventCursor::at_end(&dir).await.unwrap();
    assert_eq!(cursor.next(&dir).await.unwrap(), []);
    let mut file = std::fs::File::options().append(true).open(dir.join(EVENTS_FILE)).unwrap();
    file.write_all(b"{\"at\":1,\"ki").unwrap();
    assert_eq!(read_events(&dir).await.unwrap().len(), 1);
    publisher.leader_event("stopped", Some("for a test".to_owned()));
    publisher.flush().await;
    let events = cursor.next(&dir).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].kind, events[0].action.as_str()), (EventKind::Leader, "stopped"));
    assert_eq!(cursor.next(&dir).await.unwrap(), []);
    assert_eq!(read_events(&dir).await.unwrap().len(), 2);
}

#[tokio::test]
async fn events_are_bounded_and_the_newest_are_kept() {
    let (_place, dir, publisher) = publisher();
    let long = "x".repeat(10_000);
    for number in 0..200 {
        publisher.leader_event(&format!("event-{number}"), Some(long.clone()));
        publisher.flush().await;
    }
    let size = std::fs::metadata(dir.join(EVENTS_FILE)).unwrap().len();
    assert!(size <= EVENTS_LIMIT as u64, "{size}");
    let events = read_events(&dir).await.unwrap();
    assert_eq!(events.last().unwrap().action, "event-199");
    assert!(events.len() > 20, "{}", events.len());
}

#[tokio::test]
async fn damaged_or_newer_status_is_invalid_and_names_the_file() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("state");
    assert_eq!(read_status(&dir).await.unwrap(), None);
    let files = Dir::create(&dir, 0o700, Trust::Owned).unwrap();
    for bytes in [&b"half a st"[..], b"{\"version\":2}", b""] {
        files.write(STATUS_FILE, bytes, 0o600).unwrap();
        let error = read_status(&dir).await.unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::Invalid);
        assert!(error.to_string().contains("status.json"), "{error}");
    }
}
