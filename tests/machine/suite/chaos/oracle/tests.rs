use serde_json::json;

use super::*;

fn fault(may_end: bool) -> Vec<Value> {
    let whom = "web";
    vec![
        json!({"at": 0.0, "event": "begin", "seconds": 10}),
        json!({"at": 1.0, "event": "fault", "number": 1, "kind": "k", "whom": whom, "may_end": may_end}),
        json!({"at": 2.0, "event": "over", "number": 1}),
        json!({"at": 3.0, "event": "run", "whom": whom}),
        json!({"at": 12.5, "event": "recovered", "number": 1}),
        json!({"at": 60.0, "event": "end"}),
    ]
}

#[test]
fn recovery_time_starts_at_the_end_of_the_fault() {
    let faults = faults(&fault(true));
    assert_eq!(faults[&1].recovery(), Some(10.5));
    assert_eq!(violations(&fault(true)), Vec::<String>::new());
}

#[test]
fn restart_during_a_harmless_fault_is_a_violation() {
    assert!(violations(&fault(false))[0].contains("without a cause"));
}

#[test]
fn restart_long_after_the_recovery_is_a_violation() {
    let mut history = fault(true);
    history.insert(5, json!({"at": 30.0, "event": "run", "whom": "web"}));
    assert_eq!(violations(&history).len(), 1);
}

#[test]
fn restart_of_another_companion_is_a_violation() {
    let mut history = fault(true);
    history.insert(4, json!({"at": 3.0, "event": "run", "whom": "other"}));
    assert_eq!(violations(&history).len(), 1);
}

#[test]
fn missing_or_late_recovery_is_a_violation() {
    let mut history = fault(true);
    history.remove(4);
    assert!(violations(&history)[0].contains("never recovered"));
    let mut history = fault(true);
    history[4]["at"] = json!(2.0 + LONGEST + 1.0);
    assert_eq!(violations(&history).len(), 1);
}

#[test]
fn every_other_kind_of_violation_is_reported() {
    let mut history = fault(true);
    history.pop();
    for event in ["unmanaged", "left over", "secret", "unwell at the end", "unsearched"] {
        history.push(json!({"at": 50.0, "event": event}));
    }
    assert_eq!(violations(&history).len(), 6);
}

#[test]
fn fault_without_a_target_is_not_counted() {
    let mut history = fault(true);
    history[2]["event"] = json!("fizzled");
    history.remove(4);
    assert!(faults(&history)[&1].fizzled);
    let wrong = violations(&history);
    assert_eq!(wrong, ["0 faults were done in 10 s", "1 of 1 faults had no target"]);
}

#[test]
fn panic_in_a_fault_is_a_violation() {
    let mut history = fault(true);
    history.insert(2, json!({"at": 1.5, "event": "injection panicked", "number": 1}));
    assert!(violations(&history)[0].contains("panicked"));
}

#[test]
fn too_few_faults_are_a_violation() {
    let mut history = fault(true);
    history[0]["seconds"] = json!(11);
    assert_eq!(violations(&history), ["1 faults were done in 11 s"]);
    let empty = [json!({"event": "begin", "seconds": 0}), json!({"event": "end"})];
    assert_eq!(violations(&empty), ["0 faults were done in 0 s"]);
    assert_eq!(violations(&empty[1..]), ["the history has no beginning"]);
}

#[test]
fn more_restarts_than_a_fault_explains_are_violations() {
    let ended = json!({"at": 3.5, "event": "run", "whom": "web"});
    let mut history = fault(true);
    history.insert(4, ended.clone());
    assert_eq!(violations(&history), Vec::<String>::new());
    history.insert(4, ended.clone());
    assert!(violations(&history)[0].contains("without a cause"));
    // After the restart delay there may be a failed start.
    history[5]["at"] = json!(11.5);
    assert_eq!(violations(&history), Vec::<String>::new());
}
