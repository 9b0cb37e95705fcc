//! The checker of a history. Its rules are independent of the injection:
//!
//! - enough faults for the duration, none panicked, and few had no target;
//! - every fault was recovered from, within [`LONGEST`] seconds of its end;
//! - a companion's run ended only under a fault that may end it, and at most [`FaultEntry::most_ends`] times;
//! - unmanaged objects are unchanged, and at the end all companions are healthy and no stale file is left.

use std::collections::BTreeMap;

use serde_json::Value;

/// The longest time to recovery, in seconds: three resyncs.
pub(super) const LONGEST: f64 = 90.0;

/// Targets of faults that affect no companion: the daemon, or the manager.
pub(super) const HOST: &str = "the host";

/// Seconds of the run per fault, at most.
const SECONDS_FOR_A_FAULT: f64 = 10.0;

/// The restart delay of the companions, in seconds.
const RESTART_DELAY: f64 = 10.0;

/// How long after a recovery a run may still end because of it, in seconds.
const AFTERMATH: f64 = 5.0;

/// A fault in the history.
#[derive(Debug, Clone, Default)]
pub(super) struct FaultEntry {
    pub(super) kind: String,
    /// The companion, or `*` for all.
    pub(super) whom: String,
    /// Whether it may end the run of its targets.
    may_end: bool,
    started: f64,
    /// When it ended and the recovery time started.
    over: Option<f64>,
    recovered: Option<f64>,
    /// Whether it had no target, or was partial: it explains its effects, and counts for nothing else.
    pub(super) fizzled: bool,
    panicked: bool,
}

impl FaultEntry {
    /// Seconds from its end to recovery.
    pub(super) fn recovery(&self) -> Option<f64> {
        Some((self.recovered? - self.over?).max(0.0))
    }

    fn covers(&self, name: &str, at: f64) -> bool {
        let until = self.recovered.unwrap_or(f64::INFINITY) + AFTERMATH;
        self.may_end && (self.whom == "*" || self.whom == name) && self.started <= at && at <= until
    }

    /// The maximum runs of one companion that it may have ended by `at`: one by the fault, one by the repair, and as
    /// many failed starts as systemd's delay permits.
    fn most_ends(&self, at: f64) -> usize {
        2 + ((at - self.started) / RESTART_DELAY) as usize
    }
}

fn text(event: &Value, field: &str) -> String {
    event[field].as_str().unwrap_or_default().to_owned()
}

/// The faults of a history by their number.
pub(super) fn faults(history: &[Value]) -> BTreeMap<u64, FaultEntry> {
    let mut faults = BTreeMap::<u64, FaultEntry>::new();
    for event in history {
        let Some(number) = event["number"].as_u64() else { continue };
        let at = event["at"].as_f64();
        let fault = faults.entry(number).or_default();
        match event["event"].as_str().unwrap_or_default() {
            "fault" => {
                fault.kind = text(event, "kind");
                fault.whom = text(event, "whom");
                fault.may_end = event["may_end"] == true;
                fault.started = at.unwrap_or_default();
            }
            "fizzled" => fault.fizzled = true,
            "injection panicked" => fault.panicked = true,
            "may end" => fault.may_end = true,
            "over" => fault.over = at,
            "recovered" => fault.recovered = at,
            _ => {}
        }
    }
    faults
}

/// All violations in a history.
pub(super) fn violations(history: &[Value]) -> Vec<String> {
    let faults = faults(history);
    let mut wrong = too_little(history, &faults);
    for (number, fault) in faults.iter().filter(|(_, fault)| !fault.fizzled) {
        let name = format!("fault {number}, {} of {}", fault.kind, fault.whom);
        if fault.panicked {
            wrong.push(format!("{name}: panicked"));
        }
        match fault.recovery() {
            None => wrong.push(format!("{name}: never recovered")),
            Some(seconds) if seconds > LONGEST => {
                wrong.push(format!("{name}: recovered after {seconds:.0} s"));
            }
            Some(_) => {}
        }
    }
    let mut ends = BTreeMap::<(u64, String), usize>::new();
    for event in history {
        let at = event["at"].as_f64().unwrap_or_default();
        match event["event"].as_str().unwrap_or_default() {
            "run" => {
                let name = text(event, "whom");
                // The latest possible cause; there is rarely more than one.
                let cause = faults.iter().rev().find(|(number, fault)| {
                    let ended = ends.get(&(**number, name.clone())).copied().unwrap_or(0);
                    fault.covers(&name, at) && ended < fault.most_ends(at)
                });
                match cause {
                    Some((number, _)) => *ends.entry((*number, name)).or_default() += 1,
                    None => {
                        wrong.push(format!("at {at:.1} s the run of {name} ended without a cause"))
                    }
                }
            }
            "unwell at the end" => {
                wrong.push(format!("{} is not well at the end: {}", event["whom"], event["why"]));
            }
            "unsearched" => {
                wrong.push(format!("the search for the secret found {}", event["found"]))
            }
            "unmanaged" => {
                wrong.push(format!("at {at:.1} s an unmanaged object: {}", event["changed"]))
            }
            "left over" => wrong.push(format!("left over at the end: {}", event["what"])),
            "secret" => wrong.push(format!("the secret was found in {}", event["place"])),
            _ => {}
        }
    }
    if history.last().is_none_or(|event| event["event"] != "end") {
        wrong.push("the history has no end".to_owned());
    }
    wrong
}

/// Checks the amount of faults: a run with few events proves nothing.
fn too_little(history: &[Value], faults: &BTreeMap<u64, FaultEntry>) -> Vec<String> {
    let mut wrong = Vec::new();
    let seconds = history.iter().find(|event| event["event"] == "begin");
    let Some(seconds) = seconds.and_then(|begin| begin["seconds"].as_f64()) else {
        return vec!["the history has no beginning".to_owned()];
    };
    let fizzled = faults.values().filter(|fault| fault.fizzled).count();
    let done = faults.len() - fizzled;
    if (done as f64) < (seconds / SECONDS_FOR_A_FAULT).max(1.0) {
        wrong.push(format!("{done} faults were done in {seconds} s"));
    }
    if fizzled * 5 > faults.len() {
        wrong.push(format!("{fizzled} of {} faults had no target", faults.len()));
    }
    wrong
}

#[cfg(test)]
mod tests;
