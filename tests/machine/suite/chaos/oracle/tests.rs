use serde_json::json;

use super::*;

fn run(at: f64, whom: &str) -> Value {
    json!({"at": at, "event": "run", "whom": whom})
}

/// One fault that ends a run, and is recovered from.
fn history() -> Vec<Value> {
    vec![
        json!({"at": 0.0, "event": "begin", "seconds": 10}),
        json!({"at": 1.0, "event": "fault", "number": 1, "kind": "k", "whom": "web", "may_end": true}),
        json!({"at": 2.0, "event": "over", "number": 1}),
        run(3.0, "web"),
        json!({"at": 12.5, "event": "recovered", "number": 1}),
        json!({"at": 60.0, "event": "end"}),
    ]
}

/// A change of the history, and words of each violation that it makes.
type Case = (&'static str, fn(&mut Vec<Value>), &'static [&'static str]);

const CASES: &[Case] = &[
    ("nothing wrong", |_| {}, &[]),
    ("restart during a harmless fault", |it| it[1]["may_end"] = false.into(), &[CAUSELESS]),
    ("restart long after the recovery", |it| it.insert(5, run(30.0, "web")), &[CAUSELESS]),
    ("restart of another companion", |it| it.insert(4, run(3.0, "other")), &[CAUSELESS]),
    ("one more restart", |it| it.insert(4, run(3.5, "web")), &[]),
    ("more restarts than the fault explains", |it| add_two(it, 3.5), &[CAUSELESS]),
    // There may be a failed start.
    ("as many after the restart delay", |it| add_two(it, 11.5), &[]),
    ("no recovery", |it| drop(it.remove(4)), &["never recovered"]),
    ("late recovery", |it| it[4]["at"] = json!(2.0 + LONGEST + 1.0), &["recovered after 91 s"]),
    (
        "panic",
        |it| it[2] = json!({"at": 2.0, "event": "injection panicked", "number": 1}),
        &["panicked", "never recovered"],
    ),
    (
        "no target",
        |it| it[2]["event"] = "fizzled".into(),
        &["0 faults were done in 10 s", "1 of 1 faults had no target"],
    ),
    ("too few faults", |it| it[0]["seconds"] = 11.into(), &["1 faults were done in 11 s"]),
    ("no fault", |it| drop(it.drain(1..5)), &["0 faults were done in 10 s"]),
    ("no beginning", |it| drop(it.remove(0)), &["the history has no beginning"]),
    ("no end", |it| drop(it.pop()), &["the history has no end"]),
    (
        "every other kind",
        |it| it.splice(5..5, others()).for_each(drop),
        &[
            "an unmanaged object",
            "left over",
            "the secret",
            "is not well",
            "the search for the secret",
        ],
    ),
];

const CAUSELESS: &str = "without a cause";

fn add_two(history: &mut Vec<Value>, last: f64) {
    history.splice(4..4, [run(3.5, "web"), run(last, "web")]);
}

fn others() -> [Value; 5] {
    ["unmanaged", "left over", "secret", "unwell at the end", "unsearched"]
        .map(|event| json!({"at": 50.0, "event": event}))
}

#[test]
fn every_kind_of_violation_is_reported() {
    for (what, change, words) in CASES {
        let mut changed = history();
        change(&mut changed);
        let found = violations(&changed);
        assert_eq!(found.len(), words.len(), "{what}: {found:?}");
        assert!(
            found.iter().zip(*words).all(|(it, words)| it.contains(words)),
            "{what}: {found:?}"
        );
    }
}

#[test]
fn recovery_time_starts_at_the_end_of_the_fault() {
    assert_eq!(faults(&history())[&1].recovery(), Some(10.5));
}
