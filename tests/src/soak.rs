//! Soak: a supervisor runs for a virtual year, with one event per virtual hour.
//!
//! A seed determines all events, so a run is reproducible. Every fault is repaired, or its outage over, long before
//! the next hour; a host that differs from the desired state by then is a finding. The soak measures recovery times
//! and process memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use adapter_fake::{Counts, Delivery, FakeHost, Fault, Method, Mode, Port};
use companion_core::reconciler::{Reconcile, ReconcileError};
use companion_core::supervisor::Supervisor;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

mod faults;
mod report;
mod stage;

use crate::node::Node;
use crate::random::Random;
use faults::{Kind, Scope, failing_calls, kinds, lose_everything};
use report::OUTAGE;
pub use report::{Recoveries, Report};
use stage::{COMPANIONS, Stage};

const HOUR: Duration = Duration::from_secs(3600);

/// Idle time at the end of every hour.
const QUIET: Duration = Duration::from_secs(60);

/// The most starts, stops and restarts together, unit writes, reloads and renderings in an hour with an event for one
/// companion, and for all.
const MOST_OF_ONE: u32 = 20;
const MOST_OF_ALL: u32 = 40;

/// Hours in a virtual month.
const MONTH: u64 = 730;

/// Runs the given number of virtual hours.
///
/// # Errors
/// If the host could not be set up.
pub fn soak(seed: u64, hours: u64) -> Result<Report, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    runtime.block_on(async {
        let mut soak = Soak::new(seed).await?;
        for hour in 0..hours {
            soak.hour(hour).await;
            if (hour + 1) % MONTH == 0 {
                soak.report.memory.push(resident());
            }
        }
        if let Some(daemon) = soak.daemon.take() {
            daemon.stop().await;
        }
        let Watch { reconciles, wrong, .. } = std::mem::take(&mut *locked(&soak.watch));
        soak.report.findings.extend(grown(&soak.report.memory));
        Ok(Report {
            seed,
            hours,
            reconciles,
            findings: [soak.report.findings, wrong].concat(),
            ..soak.report
        })
    })
}

/// The observation after each reconcile.
#[derive(Debug, Default)]
struct Watch {
    reconciles: u64,
    /// Since when the host differs from the desired state, and the number of reconciles since then.
    open: Option<(Duration, u32)>,
    /// The end of the last recovery.
    closed: Option<(Duration, u32)>,
    /// Whether there was no difference.
    harmless: bool,
    wrong: Vec<String>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    fn saw(&mut self, host: &FakeHost, reconcile: &Result<Reconcile, ReconcileError>) {
        self.reconciles += 1;
        if let Ok(reconcile) = reconcile
            && !reconcile.violations.is_empty()
        {
            self.wrong.push(format!("a plan breaks {:?}", reconcile.violations));
        }
        if let Some((since, reconciles)) = self.open {
            self.open = Some((since, reconciles + 1));
            if host.untruth().is_none() {
                self.closed = Some((host.now().saturating_sub(since), reconciles + 1));
                self.open = None;
            }
        }
    }
}

/// A running supervisor.
struct Daemon {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
    manager: Arc<companion_core::reconciler::Reconciler>,
}

impl Daemon {
    fn start(host: &FakeHost, watch: &Arc<Mutex<Watch>>) -> Self {
        let (manager, shutdown) = (Node::reconciler_of(host), CancellationToken::new());
        let wake = Arc::new(Notify::new());
        host.tell(Arc::clone(&wake));
        let supervisor = Supervisor::new(Arc::clone(&manager)).woken_by(wake);
        let (stopped, watch, host) = (shutdown.clone(), Arc::clone(watch), host.clone());
        let task = tokio::spawn(async move {
            supervisor.run(stopped, |reconcile| locked(&watch).saw(&host, reconcile)).await;
        });
        Self { shutdown, task, manager }
    }

    /// Shuts it down cleanly.
    async fn stop(self) {
        self.shutdown.cancel();
        // A panic of the supervisor shows as a missing repair.
        let _ = self.task.await;
    }

    /// Kills it.
    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
        self.manager.shut_down().await;
    }
}

struct Soak {
    stage: Stage,
    daemon: Option<Daemon>,
    watch: Arc<Mutex<Watch>>,
    random: Random,
    kinds: Vec<Kind>,
    report: Report,
}

impl Soak {
    async fn new(seed: u64) -> Result<Self, String> {
        let stage = Stage::new();
        let watch = Arc::new(Mutex::new(Watch::default()));
        let daemon = Some(Daemon::start(&stage.host, &watch));
        tokio::time::sleep(HOUR).await;
        if let Some(untruth) = stage.host.untruth() {
            return Err(format!("the initial host differs from the desired state: {untruth:?}"));
        }
        let (random, report) = (Random::new(seed), Report::default());
        Ok(Self { stage, daemon, watch, random, kinds: kinds(), report })
    }

    /// One hour with one event.
    async fn hour(&mut self, hour: u64) {
        let begun = self.stage.host.now();
        tokio::time::sleep(Duration::from_millis(self.random.below(60_000))).await;
        let delivery =
            [Delivery::Delivered, Delivery::Lost, Delivery::Doubled][self.random.index(3)];
        self.stage.host.deliver_events(delivery);
        let before = (self.stage.running_since(), self.stage.host.counts());
        let at = self.random.index(COMPANIONS);
        let (what, scope) = match self.random.index(10) {
            0 => self.a_manager_ends(at).await,
            1 | 2 => self.a_call_fails(at),
            _ => self.a_kind(at).await,
        };
        let left = (begun + HOUR).saturating_sub(self.stage.host.now());
        tokio::time::sleep(left.saturating_sub(QUIET)).await;
        let quiet = self.stage.host.counts();
        tokio::time::sleep(QUIET.min(left)).await;
        let wrong = self.work_was_bounded(scope, before.1, quiet);
        self.check(hour, at, &what, scope, &before.0, wrong);
    }

    /// Returns excessive effects, in the hour and at its end.
    fn work_was_bounded(&self, scope: Scope, before: Counts, quiet: Counts) -> Vec<String> {
        let now = self.stage.host.counts();
        let mut wrong = Vec::new();
        if now != quiet {
            wrong.push(format!("effects on a converged host: {:?}", now.since(quiet)));
        }
        let hour = now.since(before);
        let most = if scope == Scope::One { MOST_OF_ONE } else { MOST_OF_ALL };
        let jobs = hour.starts + hour.stops + hour.restarts;
        if jobs.max(hour.unit_writes).max(hour.reloads).max(hour.renders) > most {
            wrong.push(format!("more than {most} effects in an hour: {hour:?}"));
        }
        wrong
    }

    fn open(&self) {
        let mut watch = locked(&self.watch);
        (watch.open, watch.closed) = (Some((self.stage.host.now(), 0)), None);
        watch.harmless = self.stage.host.untruth().is_none();
    }

    async fn a_kind(&mut self, at: usize) -> (String, Scope) {
        let kind = self.kinds[self.random.index(self.kinds.len())];
        (kind.begin)(&self.stage, at);
        let mut what = kind.name.to_owned();
        if let Some(end) = kind.end {
            let minutes = 1 + self.random.below(20);
            tokio::time::sleep(Duration::from_secs(60 * minutes)).await;
            end(&self.stage, at);
            what.push_str(OUTAGE);
        }
        self.open();
        (what, kind.scope)
    }

    fn a_call_fails(&mut self, at: usize) -> (String, Scope) {
        let has_hook = self.stage.spec(at).hook.is_some();
        let calls: Vec<Fault> = failing_calls()
            .into_iter()
            .filter(|fault| {
                has_hook || fault.port != Port::Hooks || fault.method == Method::Observe
            })
            .collect();
        let fault = calls[self.random.index(calls.len())].clone();
        let what = format!("{:?}::{:?} fails", fault.port, fault.method);
        // A hanging call blocks until its timeout, which may take most of the hour.
        let hangs = matches!(fault.mode, Mode::Hang | Mode::HangAfterEffect);
        let more = if hangs { 0 } else { self.random.below(3) };
        let times = 1 + u32::try_from(more).unwrap_or_default();
        self.stage.host.inject(Fault { times, ..fault });
        lose_everything(&self.stage, at);
        self.open();
        (what, Scope::One)
    }

    /// The manager is killed or shut down during a repair, and restarts some time later.
    async fn a_manager_ends(&mut self, at: usize) -> (String, Scope) {
        lose_everything(&self.stage, at);
        tokio::time::sleep(Duration::from_millis(self.random.below(40_000))).await;
        let killed = self.random.index(2) == 0;
        match self.daemon.take() {
            Some(daemon) if killed => daemon.kill().await,
            Some(daemon) => daemon.stop().await,
            None => {}
        }
        tokio::time::sleep(Duration::from_secs(self.random.below(600))).await;
        self.open();
        self.daemon = Some(Daemon::start(&self.stage.host, &self.watch));
        let what = if killed { "manager killed" } else { "manager told to end" };
        (format!("{what}{OUTAGE}"), Scope::One)
    }

    /// Checks the invariants at the end of the hour.
    fn check(
        &mut self,
        hour: u64,
        at: usize,
        what: &str,
        scope: Scope,
        before: &[Option<Duration>],
        mut wrong: Vec<String>,
    ) {
        let host = &self.stage.host;
        host.clear_faults();
        if let Some(untruth) = host.untruth() {
            wrong.push(format!("not repaired: {untruth:?}"));
        }
        let violations = host.violations();
        if !violations.is_empty() {
            wrong.push(format!("{violations:?}"));
        }
        host.change(|world, _| world.forget_violations());
        let now = self.stage.running_since();
        for (other, (before, now)) in before.iter().zip(now).enumerate() {
            if scope == Scope::One && other != at && *before != now {
                let name = self.stage.name(other);
                wrong.push(format!(
                    "`{name}` restarted: was up since {before:?}, now since {now:?}"
                ));
            }
        }
        let (closed, harmless) = {
            let watch = locked(&self.watch);
            (watch.closed, watch.harmless)
        };
        let recoveries = self.report.recoveries.entry(what.to_owned()).or_default();
        if harmless {
            recoveries.harmless += 1;
        } else if let Some((took, reconciles)) = closed {
            recoveries.took.push(took);
            recoveries.reconciles.push(reconciles);
        } else {
            wrong.push("no reconcile found the host converged".to_owned());
        }
        let name = self.stage.name(at);
        let told = wrong.into_iter().map(|wrong| format!("hour {hour}, {what}, `{name}`: {wrong}"));
        self.report.findings.extend(told);
    }
}

/// Whether the process uses more memory at the end than after its first month, beyond allocator noise.
fn grown(memory: &[u64]) -> Option<String> {
    let (first, last) = (*memory.first()?, *memory.last()?);
    (last > first + first / 4).then(|| format!("memory grew from {first} KiB to {last} KiB"))
}

/// The memory of this process (`VmRSS` of proc_pid_status(5)), in KiB; 0 if it is unavailable.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
