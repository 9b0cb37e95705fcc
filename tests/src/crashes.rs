//! Crash testing: stops every workload at every boundary of every effect, in every way, and stops the recovery again
//! at every boundary.
//!
//! A host is plain data and a dead process has no memory, so a crash leaves the host as it was at that point. Crashes
//! that leave the same host share one recovery: every plan is counted, each distinct host is recovered once. For
//! every first crash, a process is really dropped and the host compared with that assumption.
//!
//! The tests and the command print the results and set the limits.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

mod boundaries;
mod oracle;
mod run;
pub mod workloads;

use adapter_fake::{Counts, World};
use boundaries::Reached;
use run::{Finished, ORIGIN, Run, Start};
use workloads::{Op, Workload, workloads};

use crate::simulation::virtual_time;

/// How a process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// Only the process dies; unsynced files stay as they are.
    Killed,
    /// The whole host loses power and boots again. Unsynced data may be lost; the outcome selects which, see
    /// [`World::power_loss_leaving`](adapter_fake::World::power_loss_leaving).
    PowerLost(u64),
}

/// The point at which a process is stopped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stop {
    at: u64,
    /// Whether only the process at this point dies.
    others_go_on: bool,
}

/// Coverage of one workload.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// Its name.
    pub workload: &'static str,
    /// Number of effects without a crash.
    pub boundaries: usize,
    /// Number of points before, within and after them.
    pub points: usize,
    /// Crashes: every point in both ways, and those in which only one of two processes dies.
    pub singles: u64,
    /// Each crash of the whole host, followed by a second crash at every point of its recovery.
    pub doubles: u64,
    /// Distinct hosts after the crashes; each was recovered.
    pub hosts: usize,
}

/// Coverage and findings.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// By workload.
    pub rows: Vec<Row>,
    /// Most consecutive crashes; recoveries were interrupted by one crash fewer.
    pub depth: usize,
    /// Most runs of converge until the host matched the desired state.
    pub converges: usize,
    /// Longest time until then.
    pub took: Duration,
    /// Findings, each with the steps that lead to it.
    pub findings: Vec<String>,
}

impl Report {
    /// Sums all rows.
    pub fn total(&self) -> Row {
        let sum = |row: &Row, total: Row| Row {
            workload: "all",
            boundaries: total.boundaries + row.boundaries,
            points: total.points + row.points,
            singles: total.singles + row.singles,
            doubles: total.doubles + row.doubles,
            hosts: total.hosts + row.hosts,
        };
        self.rows.iter().fold(Row::default(), |total, row| sum(row, total))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:52} {:>10} {:>6} {:>7} {:>8} {:>7}",
            "workload", "boundaries", "points", "singles", "doubles", "hosts"
        )?;
        for row in self.rows.iter().chain([&self.total()]) {
            let Row { workload, boundaries, points, singles, doubles, hosts } = row;
            writeln!(
                f,
                "{workload:52} {boundaries:>10} {points:>6} {singles:>7} {doubles:>8} {hosts:>7}"
            )?;
        }
        let (workloads, seconds) = (self.rows.len(), self.took.as_secs_f64());
        writeln!(
            f,
            "{workloads} workloads, up to {} crashes in a row; at most {} converge(s) and {seconds:.1} s \
             until all was as intended; {} finding(s)",
            self.depth,
            self.converges,
            self.findings.len()
        )
    }
}

/// Tests all workloads whose name contains `named` with up to `depth` consecutive crashes, at least 1. Stops early
/// when no crash leaves a new host.
pub fn explore(depth: usize, named: &str) -> Report {
    let mut report = Report::default();
    let runtime = virtual_time();
    for workload in workloads().into_iter().filter(|workload| workload.name.contains(named)) {
        match runtime.block_on(Exploration::of(&workload, depth, &mut report)) {
            Ok(row) => report.rows.push(row),
            Err(what) => report.findings.push(format!("{}: {what}", workload.name)),
        }
    }
    report
}

/// A host after a crash.
struct Left {
    start: Rc<Start>,
    how: String,
    recovery: Option<Recovery>,
}

/// The result of recovering a host after a crash.
#[derive(Clone, Default)]
struct Recovery {
    /// The cost until the host matched the desired state, or `None`.
    counts: Option<Counts>,
    /// The hosts that crashes of this recovery leave, with the cost so far.
    next: Vec<(usize, Counts)>,
}

/// The plans that lead to one host.
#[derive(Clone, Copy, Default)]
struct Plans {
    number: u64,
    /// The maximum cost of each effect over these plans.
    spent: Counts,
}

impl Plans {
    fn join(&mut self, number: u64, spent: Counts) {
        self.number = self.number.saturating_add(number);
        self.spent = self.spent.most(spent);
    }
}

struct Exploration<'a> {
    workload: &'a Workload,
    report: &'a mut Report,
    undisturbed: Finished,
    left: Vec<Left>,
    known: HashMap<Rc<Start>, usize>,
}

impl<'a> Exploration<'a> {
    async fn of(
        workload: &'a Workload,
        depth: usize,
        report: &'a mut Report,
    ) -> Result<Row, String> {
        let start = Start { world: run::base(workload.base).await?, op: 0, crashed: false };
        let mut undisturbed = Run::whole(workload, &start, None).await?;
        let reached = std::mem::take(&mut undisturbed.reached);
        let (left, known) = (Vec::new(), HashMap::new());
        let mut it = Self { workload, report, undisturbed, left, known };
        let alone = it.drop_at_every_point(&start, &reached).await;
        let mut row = Row {
            workload: workload.name,
            boundaries: reached.iter().filter(|reached| reached.is_before()).count(),
            points: reached.len(),
            ..Row::default()
        };
        let first = it.crashes_of(&reached, "");
        let plans = it.levels(first, depth).await;
        row.singles = plans.first().copied().unwrap_or_default() + alone;
        row.doubles = plans.get(1).copied().unwrap_or_default();
        row.hosts = it.left.iter().filter(|left| left.recovery.is_some()).count();
        Ok(row)
    }

    /// Drops the processes at every point of the run from `start` and compares the host with the recorded one.
    /// Returns how often only one of two processes died.
    async fn drop_at_every_point(&mut self, start: &Start, all: &[Reached]) -> u64 {
        let mut alone = 0;
        for reached in all {
            for crash in reached.crashes() {
                let stop = Stop { at: reached.point.number, others_go_on: false };
                let checked = match Run::crashed(self.workload, start, stop, crash).await {
                    Ok((left, _)) if !all.iter().any(|it| it.leaves(&left, reached.at, crash)) => {
                        Err("the host after the crash differs from the recorded one".to_owned())
                    }
                    Ok((_, finished)) => self.check(&finished, finished.counts, 1),
                    Err(what) => Err(what),
                };
                self.find(checked, &reached.how(crash));
            }
            if let Some(Op::Concurrent(..)) = self.workload.ops.get(reached.op) {
                alone += 1;
                let stop = Stop { at: reached.point.number, others_go_on: true };
                let finished = Run::whole(self.workload, start, Some(stop)).await;
                let checked =
                    finished.and_then(|finished| self.check(&finished, finished.counts, 1));
                self.find(checked, &format!("{}, alone", reached.how(Crash::Killed)));
            }
        }
        alone
    }

    /// Recovers the host after each level of crashes and checks the total cost of each plan. Returns the number of
    /// plans of each level.
    async fn levels(&mut self, first: Vec<(usize, Counts)>, depth: usize) -> Vec<u64> {
        let mut level: BTreeMap<usize, Plans> = BTreeMap::new();
        for (left, spent) in first {
            level.entry(left).or_default().join(1, spent);
        }
        let mut plans = Vec::new();
        while plans.len() < depth && !level.is_empty() {
            plans.push(level.values().fold(0, |sum: u64, it| sum.saturating_add(it.number)));
            let mut next: BTreeMap<usize, Plans> = BTreeMap::new();
            let mut is_new = false;
            for (left, Plans { number, spent }) in level {
                is_new |= self.left.get(left).is_some_and(|left| left.recovery.is_none());
                let recovery = self.recover(left).await;
                if let Some(counts) = recovery.counts {
                    let checked = self.is_worth(spent.plus(counts), plans.len());
                    let how = self.left.get(left).map(|left| left.how.clone());
                    self.find(checked, &how.unwrap_or_default());
                }
                for (after, counts) in recovery.next {
                    next.entry(after).or_default().join(number, spent.plus(counts));
                }
            }
            if !is_new {
                break;
            }
            self.report.depth = self.report.depth.max(plans.len());
            level = next;
        }
        plans
    }

    /// Recovers one host, unless that was already done.
    async fn recover(&mut self, left: usize) -> Recovery {
        let Some(Left { start, how, recovery }) = self.left.get(left) else {
            return Recovery::default();
        };
        if let Some(recovery) = recovery {
            return recovery.clone();
        }
        let (start, how) = (Rc::clone(start), how.clone());
        let recovery = match Run::whole(self.workload, &start, None).await {
            Ok(finished) => {
                let checked = self.check(&finished, finished.counts, 1);
                self.find(checked, &how);
                let next = self.crashes_of(&finished.reached, &how);
                Recovery { counts: Some(finished.counts), next }
            }
            Err(what) => {
                self.find(Err(what), &how);
                Recovery::default()
            }
        };
        if let Some(left) = self.left.get_mut(left) {
            left.recovery = Some(recovery.clone());
        }
        recovery
    }

    /// The hosts after a crash in each way at each of these points, with the cost of the run so far.
    fn crashes_of(&mut self, reached: &[Reached], how: &str) -> Vec<(usize, Counts)> {
        let mut all = Vec::new();
        for reached in reached {
            for crash in reached.crashes() {
                let start = Rc::new(reached.left(crash));
                let left = self.known.get(&start).copied().unwrap_or_else(|| {
                    let how = format!("{how}{}; ", reached.how(crash));
                    self.left.push(Left { start: Rc::clone(&start), how, recovery: None });
                    self.left.len() - 1
                });
                self.known.entry(start).or_insert(left);
                all.push((left, reached.counts));
            }
        }
        all
    }

    /// Checks the final host and the total cost `in_all` of a run with this number of crashes.
    fn check(&mut self, finished: &Finished, in_all: Counts, crashes: usize) -> Result<(), String> {
        self.report.converges = self.report.converges.max(finished.converges);
        self.report.took = self.report.took.max(finished.took);
        finished.remains.compare(&self.undisturbed.remains)?;
        self.is_worth(in_all, crashes)
    }

    fn is_worth(&self, in_all: Counts, crashes: usize) -> Result<(), String> {
        let touched = self.workload.touches.len();
        oracle::is_worth(in_all, self.undisturbed.counts, touched, crashes)
    }

    fn find(&mut self, checked: Result<(), String>, how: &str) {
        if let Err(what) = checked {
            self.report.findings.push(format!("{}: {how}: {what}", self.workload.name));
        }
    }
}

impl Reached {
    fn is_before(&self) -> bool {
        self.point.stage == adapter_fake::Stage::Before
    }

    /// Every way to die at this point.
    fn crashes(&self) -> impl Iterator<Item = Crash> + use<> {
        let losses = (0..self.world.power_loss_outcomes()).map(Crash::PowerLost);
        [Crash::Killed].into_iter().chain(losses)
    }

    /// The host after a crash of that kind at this point.
    fn left(&self, crash: Crash) -> Start {
        let mut world = self.world.clone();
        match crash {
            Crash::Killed => {}
            Crash::PowerLost(outcome) => world.power_loss_leaving(outcome, self.at),
        }
        Start { world: world.rebased(self.at, ORIGIN), op: self.op, crashed: true }
    }

    /// Whether a crash at the moment `at` leaves `world` here: concurrent effects of the same moment happen before
    /// the crash or not at all.
    fn leaves(&self, world: &World, at: Duration, crash: Crash) -> bool {
        self.at == at && self.left(crash).world == *world
    }

    fn how(&self, crash: Crash) -> String {
        let (stage, call, number) = (self.point.stage, &self.point.call, self.point.number);
        format!("{crash:?} at {call}, {stage:?} (point {number}, step {})", self.op)
    }
}
