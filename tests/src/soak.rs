//! Soak: a supervisor runs for a virtual year, with one event per virtual hour.
//!
//! A seed determines all events, so a run is reproducible. Every fault is repaired, or its outage over, long before
//! the next hour; a host that differs from the desired state by then is a finding. The soak measures recovery times
//! and process memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use adapter_fake::{Counts, Delivery, FakeHost, Fault as FailingCall, Method, Mode, Port};
use companion_core::reconciler::{Reconcile, ReconcileError};

mod companions;
mod faults;
mod report;

use crate::faults::{End, Fault};
use crate::node::{Node, other_version};
use crate::random::Random;
use crate::simulation::checks::{
    as_desired, kept_running, no_violations, nothing_done, rules_kept,
};
use crate::simulation::{ManagedHost, virtual_time};
use companions::{COMPANIONS, Companions};
use faults::{drawn, failing_calls, lose_everything};
use report::OUTAGE;
pub use report::{Recoveries, Report};

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
    virtual_time().block_on(async {
        let mut soak = Soak::new(seed).await?;
        for hour in 0..hours {
            soak.hour(hour).await;
            if (hour + 1) % MONTH == 0 {
                soak.report.memory.push(resident());
            }
        }
        let wrong = soak.managed.end(End::ShutDown).await.err();
        soak.report.findings.extend(wrong.map(|wrong| format!("last shutdown: {wrong}")));
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
        self.wrong.extend(reconcile.iter().filter_map(|it| rules_kept(it).err()));
        if let Some((since, reconciles)) = self.open {
            self.open = Some((since, reconciles + 1));
            if host.mismatch().is_none() {
                self.closed = Some((host.now().saturating_sub(since), reconciles + 1));
                self.open = None;
            }
        }
    }
}

struct Soak {
    companions: Companions,
    managed: ManagedHost,
    watch: Arc<Mutex<Watch>>,
    random: Random,
    report: Report,
}

impl Soak {
    async fn new(seed: u64) -> Result<Self, String> {
        let companions = Companions::new();
        let watch = Arc::new(Mutex::new(Watch::default()));
        let (host, seen) = (companions.host.clone(), Arc::clone(&watch));
        let saw = {
            let host = host.clone();
            Arc::new(move |reconcile: &_| locked(&seen).saw(&host, reconcile))
        };
        let managed = ManagedHost::new(host, Box::new(Node::reconciler_of)).supervised(saw);
        tokio::time::sleep(HOUR).await;
        as_desired(&companions.host)?;
        let (random, report) = (Random::new(seed), Report::default());
        Ok(Self { companions, managed, watch, random, report })
    }

    /// One hour with one event.
    async fn hour(&mut self, hour: u64) {
        let started = self.companions.host.now();
        tokio::time::sleep(Duration::from_millis(self.random.below(60_000))).await;
        let delivery =
            [Delivery::Delivered, Delivery::Lost, Delivery::Doubled][self.random.index(3)];
        self.companions.host.deliver_events(delivery);
        let before = (self.companions.running_since(), self.companions.host.counts());
        let at = self.random.index(COMPANIONS);
        let (at, what, shared) = match self.random.index(20) {
            0..4 => (at, self.a_call_fails(at), false),
            4 => (at, self.intents(at).await, false),
            _ => self.faults(at).await,
        };
        let left = (started + HOUR).saturating_sub(self.companions.host.now());
        tokio::time::sleep(left.saturating_sub(QUIET)).await;
        let quiet = self.companions.host.counts();
        tokio::time::sleep(QUIET.min(left)).await;
        let wrong = self.work_was_bounded(shared, before.1, quiet);
        self.check(hour, at, &what, shared, &before.0, wrong);
    }

    /// Returns excessive effects, in the hour and at its end.
    fn work_was_bounded(&self, shared: bool, before: Counts, quiet: Counts) -> Vec<String> {
        let now = self.companions.host.counts();
        let mut wrong = Vec::new();
        wrong.extend(nothing_done(quiet, now).err());
        let hour = now.since(before);
        let most = if shared { MOST_OF_ALL } else { MOST_OF_ONE };
        let jobs = hour.starts + hour.stops + hour.restarts;
        if jobs.max(hour.unit_writes).max(hour.reloads).max(hour.renders) > most {
            wrong.push(format!("more than {most} effects in an hour: {hour:?}"));
        }
        wrong
    }

    fn open(&self) {
        let mut watch = locked(&self.watch);
        (watch.open, watch.closed) = (Some((self.companions.host.now(), 0)), None);
        watch.harmless = self.companions.host.mismatch().is_none();
    }

    /// Faults occur and, after some minutes, their counterparts. A manager that ends is started again after that.
    /// Returns the companion, the names, and whether others may restart.
    async fn faults(&mut self, at: usize) -> (usize, String, bool) {
        let faults = drawn(&mut self.random);
        let fits = |at: &usize| faults.iter().all(|fault| fault.fits(&self.companions.spec(*at)));
        let at = (at..at + COMPANIONS).find(fits).unwrap_or(at) % COMPANIONS;
        let spec = self.companions.spec(at);
        for fault in &faults {
            self.end_manager(*fault).await;
            fault.apply(&self.companions.host, &spec);
        }
        let names: Vec<_> = faults.iter().map(|fault| fault.name()).collect();
        let mut what = names.join(", ");
        let undone: Vec<_> = faults.iter().rev().filter_map(|fault| fault.undo()).collect();
        if !undone.is_empty() {
            tokio::time::sleep(Duration::from_secs(60 * (1 + self.random.below(20)))).await;
            undone.iter().for_each(|fault| fault.apply(&self.companions.host, &spec));
        }
        if !undone.is_empty() || !self.managed.is_running() {
            what.push_str(OUTAGE);
        }
        self.open();
        if !self.managed.is_running() {
            self.managed.start();
        }
        (at, what, self.may_restart_others(&faults, at))
    }

    /// Whether other companions than `at` may restart because of `faults`, and more is done.
    fn may_restart_others(&self, faults: &[Fault], at: usize) -> bool {
        let mut others = (0..COMPANIONS).filter(|other| *other != at);
        others.any(|other| {
            let other = self.companions.spec(other);
            faults.iter().any(|fault| fault.may_restart(&other))
        })
    }

    /// Ends the manager if `fault` does; without a boot it ends during a repair, and is absent for some time.
    async fn end_manager(&mut self, fault: Fault) {
        let Some(end) = fault.ends_managers() else { return };
        let boots = matches!(fault, Fault::Rebooted | Fault::PowerLost);
        if !boots {
            tokio::time::sleep(Duration::from_millis(self.random.below(40_000))).await;
        }
        if let Err(wrong) = self.managed.end(end).await {
            locked(&self.watch).wrong.push(wrong);
        }
        if !boots {
            tokio::time::sleep(Duration::from_secs(self.random.below(600))).await;
        }
    }

    /// A companion is removed or changed for some minutes.
    async fn intents(&mut self, at: usize) -> String {
        let spec = self.companions.spec(at);
        let removed = self.random.index(2) == 0;
        if removed {
            self.companions.host.remove(&spec.name);
        } else {
            self.companions.host.install(&other_version(spec.clone()));
        }
        tokio::time::sleep(Duration::from_secs(60 * (1 + self.random.below(20)))).await;
        self.companions.host.install(&spec);
        self.open();
        let what = if removed { "removed, then installed" } else { "another version, and back" };
        format!("{what}{OUTAGE}")
    }

    fn a_call_fails(&mut self, at: usize) -> String {
        let has_hook = self.companions.spec(at).hook.is_some();
        let calls: Vec<FailingCall> = failing_calls()
            .into_iter()
            .filter(|call| has_hook || call.port != Port::Hooks || call.method == Method::Observe)
            .collect();
        let call = calls[self.random.index(calls.len())].clone();
        let what = format!("{:?}::{:?} fails", call.port, call.method);
        // A hanging call blocks until its timeout, which may take most of the hour.
        let hangs = matches!(call.mode, Mode::Hang | Mode::HangAfterEffect);
        let more = if hangs { 0 } else { self.random.below(3) };
        let times = 1 + u32::try_from(more).unwrap_or_default();
        self.companions.host.inject(FailingCall { times, ..call });
        lose_everything(&self.companions, at);
        self.open();
        what
    }

    /// Checks the invariants at the end of the hour.
    fn check(
        &mut self,
        hour: u64,
        at: usize,
        what: &str,
        shared: bool,
        before: &[Option<Duration>],
        mut wrong: Vec<String>,
    ) {
        let host = &self.companions.host;
        host.clear_faults();
        wrong.extend(as_desired(host).err());
        wrong.extend(no_violations(host).err());
        host.change(|world, _| world.forget_violations());
        let now = host.world();
        for (other, before) in
            before.iter().enumerate().filter(|(other, _)| !shared && *other != at)
        {
            wrong.extend(kept_running(&self.companions.spec(other).name, *before, &now).err());
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
        let name = self.companions.spec(at).name;
        let findings =
            wrong.into_iter().map(|wrong| format!("hour {hour}, {what}, `{name}`: {wrong}"));
        self.report.findings.extend(findings);
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
