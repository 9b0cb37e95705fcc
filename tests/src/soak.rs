//! Soak: a supervisor at work for a virtual year, with something happening every virtual hour.
//!
//! Everything that happens is drawn from a seed, so a run can be made again. Whatever happened is
//! mended, or the outage over, long before the next hour; by then everything is as wished, or that is
//! a finding. It measures how long that took, and what the process needs of memory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use adapter_fake::{Delivery, FakeHost, Fault, Mode};
use companion_core::reconciler::{ReconcileError, Round};
use companion_core::supervisor::Supervisor;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

mod faults;
mod stage;

use crate::node::Node;
use faults::{Kind, Scope, failing_calls, kinds, lose_everything};
use stage::{COMPANIONS, Stage};

const HOUR: Duration = Duration::from_secs(3600);

/// The hours of a virtual month.
const MONTH: u64 = 730;

/// How long each kind of trouble took to be over.
#[derive(Debug, Clone, Default)]
pub struct Recoveries {
    /// Each time from the trouble, or from its end, until a round found all as wished.
    pub took: Vec<Duration>,
    /// The rounds that were made until then.
    pub rounds: Vec<u32>,
}

impl Recoveries {
    /// The time below which that share of them was; `1.0` is the longest.
    pub fn quantile(&self, share: f64) -> Duration {
        let mut took = self.took.clone();
        took.sort();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a position in a list of some thousands"
        )]
        let position = (took.len().saturating_sub(1) as f64 * share).ceil() as usize;
        took.get(position).copied().unwrap_or_default()
    }

    /// The most rounds.
    pub fn most_rounds(&self) -> u32 {
        self.rounds.iter().copied().max().unwrap_or_default()
    }
}

/// What a soak came to.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Virtual hours.
    pub hours: u64,
    /// Rounds that the supervisor made.
    pub rounds: u64,
    /// Recoveries by what happened: what passed at once, and outages from their end.
    pub recoveries: BTreeMap<String, Recoveries>,
    /// What the process had of memory at the end of each virtual month, in KiB.
    pub memory: Vec<u64>,
    /// What is wrong, each with the hour.
    pub findings: Vec<String>,
}

impl Report {
    /// All recoveries of what passed at once, or of outages.
    pub fn all(&self, outages: bool) -> Recoveries {
        let mut all = Recoveries::default();
        for (kind, recoveries) in &self.recoveries {
            if kind.ends_with(OUTAGE) == outages {
                all.took.extend(&recoveries.took);
                all.rounds.extend(&recoveries.rounds);
            }
        }
        all
    }
}

/// What the name of an outage ends with.
const OUTAGE: &str = " (outage)";

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, kind: &str, of: &Recoveries| {
            let [half, most, worst] =
                [0.5, 0.99, 1.0].map(|share| of.quantile(share).as_secs_f64());
            let (count, rounds) = (of.took.len(), of.most_rounds());
            writeln!(f, "{kind:44} {count:>6} {half:>8.1} {most:>8.1} {worst:>8.1} {rounds:>6}")
        };
        writeln!(
            f,
            "{:44} {:>6} {:>8} {:>8} {:>8} {:>6}",
            "happening", "times", "p50 s", "p99 s", "worst s", "rounds"
        )?;
        for (kind, recoveries) in &self.recoveries {
            line(f, kind, recoveries)?;
        }
        line(f, "all that pass at once", &self.all(false))?;
        line(f, "all outages, from their end", &self.all(true))?;
        writeln!(f, "memory by virtual month, KiB: {:?}", self.memory)?;
        let Self { seed, hours, rounds, .. } = self;
        let findings = self.findings.len();
        writeln!(f, "seed {seed}: {hours} hours, {rounds} rounds, {findings} finding(s)")
    }
}

/// Lets so many virtual hours pass.
///
/// # Errors
/// Why the host could not be arranged.
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
        let Watch { rounds, wrong, .. } = std::mem::take(&mut *locked(&soak.watch));
        Ok(Report {
            seed,
            hours,
            rounds,
            findings: [soak.report.findings, wrong].concat(),
            ..soak.report
        })
    })
}

/// What is seen after each round.
#[derive(Debug, Default)]
struct Watch {
    rounds: u64,
    /// Since when something is not as wished, and how many rounds were made since.
    open: Option<(Duration, u32)>,
    /// How the last trouble ended.
    closed: Option<(Duration, u32)>,
    wrong: Vec<String>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    fn saw(&mut self, host: &FakeHost, round: &Result<Round, ReconcileError>) {
        self.rounds += 1;
        if let Ok(round) = round
            && !round.violations.is_empty()
        {
            self.wrong.push(format!("a plan breaks {:?}", round.violations));
        }
        if let Some((since, rounds)) = self.open {
            self.open = Some((since, rounds + 1));
            if host.untruth().is_none() {
                self.closed = Some((host.now().saturating_sub(since), rounds + 1));
                self.open = None;
            }
        }
    }
}

/// A supervisor at work.
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
            supervisor.run(stopped, |round| locked(&watch).saw(&host, round)).await;
        });
        Self { shutdown, task, manager }
    }

    /// Ends it in order.
    async fn stop(self) {
        self.shutdown.cancel();
        // A supervisor that panicked is seen by what it did not mend.
        let _ = self.task.await;
    }

    /// Ends it wherever it is.
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
            return Err(format!("the host is not true at the beginning: {untruth:?}"));
        }
        let (random, report) = (Random::new(seed), Report::default());
        Ok(Self { stage, daemon, watch, random, kinds: kinds(), report })
    }

    /// One hour, in which one thing happens.
    async fn hour(&mut self, hour: u64) {
        let begun = self.stage.host.now();
        tokio::time::sleep(Duration::from_millis(self.random.below(60_000))).await;
        let delivery =
            [Delivery::Delivered, Delivery::Lost, Delivery::Doubled][self.random.index(3)];
        self.stage.host.deliver_events(delivery);
        let before = self.stage.running_since();
        let at = self.random.index(COMPANIONS);
        let (what, scope) = match self.random.index(10) {
            0 => self.a_manager_ends(at).await,
            1 | 2 => self.a_call_fails(at),
            _ => self.a_kind(at).await,
        };
        let left = (begun + HOUR).saturating_sub(self.stage.host.now());
        tokio::time::sleep(left).await;
        self.judge(hour, at, what, scope, &before);
    }

    fn open(&self) {
        let mut watch = locked(&self.watch);
        (watch.open, watch.closed) = (Some((self.stage.host.now(), 0)), None);
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
        let calls = failing_calls();
        let fault = calls[self.random.index(calls.len())].clone();
        let what = format!("{:?}::{:?} fails", fault.port, fault.method);
        // What hangs does so until a limit is over, which may be the better part of the hour.
        let hangs = matches!(fault.mode, Mode::Hang | Mode::HangAfterEffect);
        let more = if hangs { 0 } else { self.random.below(3) };
        let times = 1 + u32::try_from(more).unwrap_or_default();
        self.stage.host.inject(Fault { times, ..fault });
        lose_everything(&self.stage, at);
        self.open();
        (what, Scope::One)
    }

    /// The manager is killed or told to end while it mends something, and is back some time later.
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

    /// What is true at the end of the hour, whatever happened in it.
    fn judge(
        &mut self,
        hour: u64,
        at: usize,
        what: String,
        scope: Scope,
        before: &[Option<Duration>],
    ) {
        let host = &self.stage.host;
        host.clear_faults();
        let mut wrong = Vec::new();
        if let Some(untruth) = host.untruth() {
            wrong.push(format!("not mended: {untruth:?}"));
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
                wrong.push(format!("`{name}` ran since {before:?}, and runs since {now:?}"));
            }
        }
        let closed = locked(&self.watch).closed;
        if let Some((took, rounds)) = closed {
            let recoveries = self.report.recoveries.entry(what.clone()).or_default();
            recoveries.took.push(took);
            recoveries.rounds.push(rounds);
        } else {
            wrong.push("no round found all as wished".to_owned());
        }
        let name = self.stage.name(at);
        let told = wrong.into_iter().map(|wrong| format!("hour {hour}, {what}, `{name}`: {wrong}"));
        self.report.findings.extend(told);
    }
}

/// What this process has of memory (`VmRSS` of proc_pid_status(5)), in KiB; 0 where that is not told.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// Numbers that look random and are the same for the same seed (xorshift64*, Vigna 2016).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) % limit.max(1)
    }

    fn index(&mut self, limit: usize) -> usize {
        let below = self.below(u64::try_from(limit).unwrap_or(u64::MAX));
        usize::try_from(below).unwrap_or_default()
    }
}
