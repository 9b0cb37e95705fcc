//! The figures of a soak; the tests set the limits.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Recovery times of each kind of event.
#[derive(Debug, Clone, Default)]
pub struct Recoveries {
    /// Each time from the event, or from its end, until a reconcile found no difference.
    pub took: Vec<Duration>,
    /// The reconciles until then.
    pub reconciles: Vec<u32>,
    /// How often the event caused no difference, so that no repair was necessary.
    pub harmless: usize,
}

impl Recoveries {
    /// The quantile of the times; `1.0` is the longest.
    pub fn quantile(&self, share: f64) -> Duration {
        let mut took = self.took.clone();
        took.sort();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index into a few thousand entries"
        )]
        let position = (took.len().saturating_sub(1) as f64 * share).ceil() as usize;
        took.get(position).copied().unwrap_or_default()
    }

    /// The most reconciles.
    pub fn most_rounds(&self) -> u32 {
        self.reconciles.iter().copied().max().unwrap_or_default()
    }
}

/// The result of a soak.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Virtual hours.
    pub hours: u64,
    /// Reconciles of the supervisor.
    pub reconciles: u64,
    /// Recoveries by event: momentary ones, and outages from their end.
    pub recoveries: BTreeMap<String, Recoveries>,
    /// Process memory at the end of each virtual month, in KiB.
    pub memory: Vec<u64>,
    /// Findings, each with its hour.
    pub findings: Vec<String>,
}

impl Report {
    /// All recoveries from momentary events, or from outages.
    pub fn all(&self, outages: bool) -> Recoveries {
        let mut all = Recoveries::default();
        for (kind, recoveries) in &self.recoveries {
            if kind.ends_with(OUTAGE) == outages {
                all.took.extend(&recoveries.took);
                all.reconciles.extend(&recoveries.reconciles);
                all.harmless += recoveries.harmless;
            }
        }
        all
    }
}

/// The suffix of the name of an outage.
pub(super) const OUTAGE: &str = " (outage)";

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, kind: &str, of: &Recoveries| {
            let [half, most, worst] =
                [0.5, 0.99, 1.0].map(|share| of.quantile(share).as_secs_f64());
            let (count, reconciles, harmless) = (of.took.len(), of.most_rounds(), of.harmless);
            write!(f, "{kind:44} {count:>6} {half:>8.1} {most:>8.1} {worst:>8.1} {reconciles:>6}")?;
            writeln!(f, " {harmless:>8}")
        };
        writeln!(
            f,
            "{:44} {:>6} {:>8} {:>8} {:>8} {:>6} {:>8}",
            "event", "recovered", "p50 s", "p99 s", "worst s", "reconciles", "harmless"
        )?;
        for (kind, recoveries) in &self.recoveries {
            line(f, kind, recoveries)?;
        }
        line(f, "all that pass immediately", &self.all(false))?;
        line(f, "all outages, from their end", &self.all(true))?;
        writeln!(f, "memory by virtual month, KiB: {:?}", self.memory)?;
        let Self { seed, hours, reconciles, .. } = self;
        let findings = self.findings.len();
        writeln!(f, "seed {seed}: {hours} hours, {reconciles} reconciles, {findings} finding(s)")
    }
}
