//! The metrics of a leader.

use companion_core::ports::PortErrorKind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::*;
use crate::metrics::{Metrics, MetricsFile, MetricsSocket};

/// Returns the companions of `bench` as its leader, counted by `metrics`.
fn counted(bench: &Bench, metrics: &Metrics) -> Companions {
    let store = Arc::new(RecordStore::new(bench.state.path(), Arc::new(Catalog::builtin())));
    let (leader, heartbeat) = (LeaderInfo::default(), Arc::new(Heartbeat::new(RESYNC)));
    let publisher = Publisher::new(Arc::clone(&store), leader, heartbeat, None, metrics.clone());
    let host = Host { desired: Arc::clone(&store) as _, ..bench.host.ports() };
    Companions::wired(store, host, publisher)
}

#[track_caller]
fn has(text: &str, line: &str) {
    assert!(text.lines().any(|own| own == line), "no line `{line}` in:\n{text}");
}

#[tokio::test(start_paused = true)]
async fn metrics_count_a_repair_its_cause_and_its_time() {
    let (bench, metrics) = (Bench::new(), Metrics::default());
    let companions = counted(&bench, &metrics);
    companions.install_for(&app("lnd")).await.unwrap();
    let text = metrics.text();
    has(&text, "companion_up{companion=\"archy-lnd-ui\"} 1");
    has(&text, "companion_ready{companion=\"archy-lnd-ui\"} 1");
    let built = "step=\"ensure-image\",reason=\"image-missing\"";
    has(&text, &format!("companion_steps_total{{companion=\"archy-lnd-ui\",{built}}} 1"));
    has(&text, "companion_repair_seconds_count{companion=\"archy-lnd-ui\"} 0");

    tokio::time::sleep(Duration::from_secs(60)).await;
    bench.host.stop_service(&name("archy-lnd-ui"));
    let _last = companions.reconciler().converge().await.unwrap();
    let text = metrics.text();
    has(&text, "companion_repair_seconds_count{companion=\"archy-lnd-ui\"} 1");
    let last = "companion_last_repair_seconds{companion=\"archy-lnd-ui\"} ";
    let last = text.lines().find_map(|line| line.strip_prefix(last)).unwrap();
    assert!(last.parse::<f64>().unwrap() >= 3.0, "it must stay up for 3 s: {last}");
    let started = "step=\"start\",reason=\"not-running\"";
    has(&text, &format!("companion_steps_total{{companion=\"archy-lnd-ui\",{started}}} 2"));

    companions.publisher.flush().await;
    let events = read_events(bench.state.path()).await.unwrap();
    let ready = events.iter().rfind(|event| event.action == "ready").unwrap();
    assert!(ready.took.unwrap() >= 3000, "the event has the time of the repair: {ready:?}");

    companions.remove_for(&app("lnd")).await.unwrap();
    assert!(!metrics.text().contains("archy-lnd-ui"), "a removed companion has no series");
}

#[tokio::test]
async fn metrics_file_is_replaced_after_a_reconcile() {
    let (bench, metrics) = (Bench::new(), Metrics::default());
    let path = bench.state.path().join("companion.prom");
    let file = MetricsFile::new(&path).unwrap();
    let keep = tokio::spawn({
        let (file, metrics) = (file.clone(), metrics.clone());
        async move { file.keep(&metrics).await }
    });
    let companions = counted(&bench, &metrics);
    let _last = companions.reconciler().reconcile_once().await.unwrap();
    while !path.exists() {
        tokio::task::yield_now().await;
    }
    has(&std::fs::read_to_string(&path).unwrap(), "companion_reconcile_seconds_count 1");
    keep.abort();
    let nowhere = MetricsFile::new(&bench.state.path().join("missing/companion.prom")).unwrap();
    let error = nowhere.write(&metrics).await.unwrap_err();
    assert_eq!(error.to_string(), "failed to write metrics");
    assert_eq!(MetricsFile::new("/".as_ref()).unwrap_err().kind(), PortErrorKind::Invalid);
}

#[tokio::test]
async fn metrics_socket_answers_http_and_refuses_a_second_listener() {
    let (place, metrics) = (tempfile::tempdir().unwrap(), Metrics::default());
    let path = place.path().join("metrics.sock");
    // What a killed process left.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let socket = MetricsSocket::bind(&path).await.unwrap();
    let ask = async {
        let mut client = UnixStream::connect(&path).await.unwrap();
        client.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = tokio::select! {
        answer = ask => answer,
        () = socket.serve(&metrics) => unreachable!("it serves forever"),
    };
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    has(&answer, "# TYPE companion_up gauge");
    assert!(MetricsSocket::bind(&path).await.is_err(), "it is in use");
    drop(socket);
    MetricsSocket::bind(&path).await.unwrap();
    let (file, datagrams) = (place.path().join("file"), place.path().join("datagrams"));
    std::fs::write(&file, "of another program").unwrap();
    let _bound = std::os::unix::net::UnixDatagram::bind(&datagrams).unwrap();
    for path in [file, datagrams, place.path().join("missing/metrics.sock")] {
        let error = MetricsSocket::bind(&path).await.unwrap_err();
        assert_eq!(error.to_string(), format!("failed to listen on `{}`", path.display()));
    }
}
