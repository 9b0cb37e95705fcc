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
    history.insert(5, json!({"at": 30.0, "event": "run", "whom": "web"}));
    assert_eq!(violations(&history).len(), 1);
}

#[test]
fn another_ones_run_is_not_excused_by_the_fault() {
    let mut history = fault(true);
    history.insert(4, json!({"at": 3.0, "event": "run", "whom": "other"}));
    assert_eq!(violations(&history).len(), 1);
}

#[test]
fn what_never_recovers_or_takes_too_long_is_a_violation() {
    let mut history = fault(true);
    history.remove(4);
    assert!(violations(&history)[0].contains("never recovered"));
    let mut history = fault(true);
    history[4]["at"] = json!(2.0 + LONGEST + 1.0);
    assert_eq!(violations(&history).len(), 1);
}

#[test]
fn a_touched_stranger_a_leftover_a_secret_somebody_unwell_and_a_missing_end_are_violations() {
    let mut history = fault(true);
    history.pop();
    for event in ["stranger", "left over", "secret", "unwell at the end", "unsearched"] {
        history.push(json!({"at": 50.0, "event": event}));
    }
    assert_eq!(violations(&history).len(), 6);
}

#[test]
fn a_fault_that_found_nothing_to_harm_need_not_be_recovered_from_and_is_not_counted_as_done() {
    let mut history = fault(true);
    history[2]["event"] = json!("fizzled");
    history.remove(4);
    assert!(faults(&history)[&1].fizzled);
    let wrong = violations(&history);
    assert_eq!(wrong, ["0 faults were done in 10 s", "1 of 1 faults found nothing to harm"]);
}

#[test]
fn a_harm_that_panicked_is_a_violation() {
    let mut history = fault(true);
    history.insert(2, json!({"at": 1.5, "event": "harm panicked", "number": 1}));
    assert!(violations(&history)[0].contains("panicked"));
}

#[test]
fn too_few_faults_are_a_violation_and_so_are_none() {
    let mut history = fault(true);
    history[0]["seconds"] = json!(11);
    assert_eq!(violations(&history), ["1 faults were done in 11 s"]);
    let empty = [json!({"event": "begin", "seconds": 0}), json!({"event": "end"})];
    assert_eq!(violations(&empty), ["0 faults were done in 0 s"]);
    assert_eq!(violations(&empty[1..]), ["the history has no beginning"]);
}

#[test]
fn more_ends_of_runs_than_a_fault_explains_are_violations() {
    let ended = json!({"at": 3.5, "event": "run", "whom": "web"});
    let mut history = fault(true);
    history.insert(4, ended.clone());
    assert_eq!(violations(&history), Vec::<String>::new());
    history.insert(4, ended.clone());
    assert!(violations(&history)[0].contains("without a cause"));
    // After the delay of a restart there may have been a start in vain.
    history[5]["at"] = json!(11.5);
    assert_eq!(violations(&history), Vec::<String>::new());
}
