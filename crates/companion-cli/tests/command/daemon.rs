//! The daemon: notifications to systemd, signals, and leadership.

use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use adapter_fake::FakeHost;
use archipelago_companions::leader::{Heartbeat, LeaderInfo, LeaderLock, Role, Settings};
use archipelago_companions::published::read_status;
use archipelago_companions::{Catalog, Companions, RecordStore};
use companion_core::ports::Leadership as _;
use rustix::process::{Pid, Signal, kill_process};

use crate::bench::{Bench, Ran};

/// The timeout for every wait.
const TIMEOUT: Duration = Duration::from_secs(60);

struct Daemon {
    bench: Bench,
    child: Child,
    notified: UnixDatagram,
}

impl Daemon {
    /// Starts a daemon on the simulated host and waits until it is ready.
    fn start(environment: &[(&str, &str)]) -> Self {
        let daemon = Self::spawn(Bench::new(), environment);
        daemon.await_notification("READY=1");
        daemon
    }

    fn spawn(bench: Bench, environment: &[(&str, &str)]) -> Self {
        let socket = bench.home().join("notify");
        let notified = UnixDatagram::bind(&socket).unwrap();
        notified.set_read_timeout(Some(TIMEOUT)).unwrap();
        let state = bench.home().join("state");
        let arguments = ["--host", "sim", "--state-dir", state.to_str().unwrap(), "run"];
        let child = bench
            .command(&arguments)
            .env("NOTIFY_SOCKET", &socket)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { bench, child, notified }
    }

    /// Waits for a notification line that starts with `beginning`.
    fn await_notification(&self, beginning: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let length = self.notified.recv(&mut buffer).unwrap();
            let message = std::str::from_utf8(&buffer[..length]).unwrap();
            if let Some(line) = message.lines().find(|line| line.starts_with(beginning)) {
                return line.to_owned();
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn end(self, signal: Signal) -> Ran {
        self.signal(signal);
        Ran::of(self.child.wait_with_output().unwrap())
    }
}

#[test]
fn daemon_is_ready_after_the_first_reconcile_and_stops_on_a_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let daemon = Daemon::start(&[("JOURNAL_STREAM", "1:2")]);
        daemon.signal(Signal::HUP);
        daemon.signal(signal);
        daemon.await_notification("STOPPING=1");
        let ran = Ran::of(daemon.child.wait_with_output().unwrap());
        assert_eq!((ran.status, ran.stdout.as_str()), (0, ""), "{ran:?}");
        assert!(ran.stderr.contains("companions keep running"), "{ran:?}");
        // The journal adds the time, and shows escapes as text.
        assert!(!ran.stderr.contains('\u{1b}'), "{ran:?}");
        for line in ran.stderr.lines().filter(|line| !line.starts_with("note:")) {
            assert!(line.starts_with("info: "), "{line}");
        }
    }
}

/// A process that only records intents in the state directory of `bench`.
fn recording(bench: &Bench) -> Companions {
    let store = RecordStore::new(bench.state(), Arc::new(Catalog::builtin()));
    Companions::on(Arc::new(store), FakeHost::default().ports())
}

#[tokio::test]
async fn daemon_pings_the_watchdog_and_reconciles_a_new_intent_immediately() {
    let daemon = Daemon::start(&[("WATCHDOG_USEC", "300000")]);
    daemon.await_notification("WATCHDOG=1");
    recording(&daemon.bench).record_apps(&["lnd".parse().unwrap()], &[]).await.unwrap();
    // The changed desired state triggers a reconcile before the resync.
    let status = daemon.await_notification("STATUS=0 of 1 companion(s) ready");
    assert!(status.contains("archy-lnd-ui is progressing"), "{status}");
    assert_eq!(daemon.end(Signal::TERM).status, 0);
}

#[tokio::test]
async fn daemon_waits_for_a_leading_command_and_extends_its_start_timeout() {
    let bench = Bench::new();
    let place = bench.state().join("leader");
    let settings = Settings::default();
    let info = LeaderInfo::of_this_process("a test", Role::Command, "1", "/state", settings);
    let heartbeat = Arc::new(Heartbeat::new(TIMEOUT));
    let lease = LeaderLock::new(place, info, heartbeat).acquire().await.unwrap();
    let daemon = Daemon::spawn(bench, &[("WATCHDOG_USEC", "300000")]);
    daemon.await_notification("EXTEND_TIMEOUT_USEC=300000");
    drop(lease);
    daemon.await_notification("READY=1");
    assert_eq!(daemon.end(Signal::TERM).status, 0);
}

#[test]
fn second_daemon_is_refused_and_the_first_keeps_running() {
    let daemon = Daemon::start(&[]);
    let second = daemon.bench.sim(&["run"]);
    assert_eq!((second.status, second.stdout.as_str()), (1, ""), "{second:?}");
    let error = second.message("error").unwrap();
    let expected = format!(
        "another daemon is the leader of this host: companion run (pid {})",
        daemon.child.id()
    );
    assert_eq!(error, expected, "{second:?}");
    let install = daemon.bench.sim(&["install", "lnd"]);
    assert_eq!(install.status, 2, "its simulated host is another one: {install:?}");
    assert_eq!(daemon.end(Signal::TERM).status, 0);
}

#[tokio::test]
async fn changed_catalog_is_used_and_an_invalid_one_is_reported() {
    let bench = Bench::new();
    let catalog = bench.home().join(".config/companion/catalog.toml");
    std::fs::create_dir_all(catalog.parent().unwrap()).unwrap();
    let daemon = Daemon::spawn(bench, &[]);
    daemon.await_notification("READY=1");
    let problem = async || {
        let report = read_status(&daemon.bench.state()).await.unwrap();
        report.and_then(|report| report.inputs.problem).map(|problem| problem.reason)
    };
    assert_eq!(problem().await, None);
    std::fs::write(&catalog, "broken").unwrap();
    let deadline = std::time::Instant::now() + TIMEOUT;
    while problem().await.as_deref() != Some("invalid") {
        assert!(std::time::Instant::now() < deadline, "the broken catalog was not reported");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(daemon.end(Signal::TERM).status, 0);
}
