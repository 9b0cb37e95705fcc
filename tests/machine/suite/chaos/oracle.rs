//! The judge of a history. It knows nothing of how it came about, only what must be true of it:
//!
//! - every harm that was done was recovered from, within [`LONGEST`] seconds of its end;
//! - a companion's run ended only under a fault that may end it, and no oftener than such faults came;
//! - nothing of a stranger's changed, and at the end everything is well and nothing is left over.

use std::collections::BTreeMap;

use serde_json::Value;

/// The longest time to recovery, in seconds: three ticks, after the longest back-off that the outages of
/// this run can lead to.
pub(super) const LONGEST: f64 = 120.0;

/// How long after a recovery a run may still end because of it, in seconds.
const AFTERMATH: f64 = 5.0;

/// A fault's time, as the history tells it.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    pub(super) kind: String,
    /// The companion, or `*` for all.
    pub(super) whom: String,
    /// Whether it may end the run of whom it concerns.
    may_end: bool,
    begun: f64,
    /// When it was over and recovery began to be counted.
    over: Option<f64>,
    recovered: Option<f64>,
    /// Whether there was nothing, or not all, to do it to: it explains what came of it, and counts for
    /// nothing else.
    pub(super) fizzled: bool,
}

impl Told {
    /// Seconds from its end to recovery.
    pub(super) fn recovery(&self) -> Option<f64> {
        Some((self.recovered? - self.over?).max(0.0))
    }

    fn covers(&self, name: &str, at: f64) -> bool {
        let until = self.recovered.unwrap_or(f64::INFINITY) + AFTERMATH;
        self.may_end && (self.whom == "*" || self.whom == name) && self.begun <= at && at <= until
    }
}

fn text(event: &Value, field: &str) -> String {
    event[field].as_str().unwrap_or_default().to_owned()
}

/// The faults of a history by their number.
pub(super) fn faults(history: &[Value]) -> BTreeMap<u64, Told> {
    let mut faults = BTreeMap::<u64, Told>::new();
    for event in history {
        let Some(number) = event["number"].as_u64() else { continue };
        let at = event["at"].as_f64();
        let fault = faults.entry(number).or_default();
        match event["event"].as_str().unwrap_or_default() {
            "fault" => {
                fault.kind = text(event, "kind");
                fault.whom = text(event, "whom");
                fault.may_end = event["may_end"] == true;
                fault.begun = at.unwrap_or_default();
            }
            "fizzled" => fault.fizzled = true,
            "may end" => fault.may_end = true,
            "over" => fault.over = at,
            "recovered" => fault.recovered = at,
            _ => {}
        }
    }
    faults
}

/// All that is wrong with a history.
pub(super) fn violations(history: &[Value]) -> Vec<String> {
    let faults = faults(history);
    let mut wrong = Vec::new();
    for (number, fault) in faults.iter().filter(|(_, fault)| !fault.fizzled) {
        let name = format!("fault {number}, {} of {}", fault.kind, fault.whom);
        match fault.recovery() {
            None => wrong.push(format!("{name}: never recovered")),
            Some(seconds) if seconds > LONGEST => {
                wrong.push(format!("{name}: recovered after {seconds:.0} s"));
            }
            Some(_) => {}
        }
    }
    for event in history {
        let at = event["at"].as_f64().unwrap_or_default();
        match event["event"].as_str().unwrap_or_default() {
            "run" => {
                let name = text(event, "whom");
                if !faults.values().any(|fault| fault.covers(&name, at)) {
                    wrong.push(format!("at {at:.1} s the run of {name} ended without a cause"));
                }
            }
            "stranger" => wrong.push(format!("at {at:.1} s a stranger's: {}", event["changed"])),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fault(may_end: bool) -> Vec<Value> {
        let whom = "web";
        vec![
            json!({"at": 1.0, "event": "fault", "number": 1, "kind": "k", "whom": whom, "may_end": may_end}),
            json!({"at": 2.0, "event": "over", "number": 1}),
            json!({"at": 3.0, "event": "run", "whom": whom}),
            json!({"at": 12.5, "event": "recovered", "number": 1}),
            json!({"at": 60.0, "event": "end"}),
        ]
    }

    #[test]
    fn a_recovery_is_counted_from_the_end_of_the_fault() {
        let faults = faults(&fault(true));
        assert_eq!(faults[&1].recovery(), Some(10.5));
        assert_eq!(violations(&fault(true)), Vec::<String>::new());
    }

    #[test]
    fn a_run_that_ended_under_a_fault_that_ends_none_is_a_violation() {
        assert!(violations(&fault(false))[0].contains("without a cause"));
    }

    #[test]
    fn a_run_that_ended_long_after_a_recovery_is_a_violation() {
        let mut history = fault(true);
        history.insert(4, json!({"at": 30.0, "event": "run", "whom": "web"}));
        assert_eq!(violations(&history).len(), 1);
    }

    #[test]
    fn another_ones_run_is_not_excused_by_the_fault() {
        let mut history = fault(true);
        history.insert(3, json!({"at": 3.0, "event": "run", "whom": "other"}));
        assert_eq!(violations(&history).len(), 1);
    }

    #[test]
    fn what_never_recovers_or_takes_too_long_is_a_violation() {
        let mut history = fault(true);
        history.remove(3);
        assert!(violations(&history)[0].contains("never recovered"));
        let mut history = fault(true);
        history[3]["at"] = json!(2.0 + LONGEST + 1.0);
        assert_eq!(violations(&history).len(), 1);
    }

    #[test]
    fn a_touched_stranger_a_leftover_a_secret_and_a_missing_end_are_violations() {
        let mut history = fault(true);
        history.pop();
        for event in ["stranger", "left over", "secret"] {
            history.push(json!({"at": 50.0, "event": event}));
        }
        assert_eq!(violations(&history).len(), 4);
    }

    #[test]
    fn a_fault_that_found_nothing_to_harm_counts_for_nothing() {
        let mut history = fault(true);
        history[1]["event"] = json!("fizzled");
        history.remove(3);
        assert!(faults(&history)[&1].fizzled && violations(&history).is_empty());
    }
}
