//! A crash at every point that a piece of work reaches, on the real thing.
//!
//! A test build of the command (feature `crash-points`) ends itself by SIGABRT at a named point: before or
//! after an acting call of a port, and on a file's way to its name. Each piece of work is first done once
//! to see which points it passes, then again for each of them with a crash there. After each crash the
//! ordinary command makes one pass, and all must be as if nothing had happened: converged, quiet, nothing
//! left over, and a companion that had no part in it running in the very run that it was in.
//!
//! A start takes three seconds until it counts as one, so that each run of the suite does each different
//! point once, and two of each piece of work; `COMPANION_CRASHES=all` does every point in every piece,
//! and a part of a piece's name every point in it.
//!
//! What a power cut takes from the disk is not shown here: the page cache outlives a process. The point
//! `file.written` is a crash before the first `fsync`; `../run` cuts the whole machine's power besides.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Instant;

use crate::guest::{Ran, archy, podman, property, root, tell, until};
use crate::node::{self, COMPANION, STATE, UNITS, companion};

mod kills;
mod workloads;

use workloads::{BYSTANDER, Workload, all, leave, stage};

/// The test build of the command.
const CRASHING: &str = "/usr/local/lib/companion-machine/companion-crash-points";
/// What each leader writes in the same way; crashes there are among the plans of one piece of work alone.
const PUBLISHED: [&str; 4] =
    ["leader.json", "status.json", "events.jsonl", "last-good-catalog.json"];
/// Where it says which points it passed.
const TRACE: &str = "/home/archy/passed";

/// The least numbers of plans, of all and of those at each run; fewer would mean that points are no
/// longer reached.
const LEAST: usize = 300;
const LEAST_USUALLY: usize = 50;

/// A crash: the `nth` passing of `point`, at work on `what`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Plan {
    point: String,
    what: String,
    nth: usize,
}

impl Plan {
    /// What makes it another one than the same point elsewhere: the kind of file that was worked on.
    fn class(&self) -> (String, String) {
        let file = self.what.rsplit('/').next().unwrap_or_default();
        let rendered = file.strip_prefix("web.conf.").map(|_id| "rendered");
        let kind = rendered.or_else(|| file.rsplit('.').next()).unwrap_or_default();
        let staged = if self.what.starts_with("staged") { "staged " } else { "" };
        let worked_on = if self.point.starts_with("file.") {
            format!("{staged}{kind}")
        } else if self.point.starts_with("lock.") {
            file.to_owned()
        } else {
            String::new()
        };
        (self.point.clone(), worked_on)
    }
}

#[test]
fn the_program_as_it_is_delivered_has_no_points_to_crash_at() {
    let has = |program: &str| {
        let bytes = fs::read(program).unwrap();
        bytes.windows(18).any(|part| part == b"COMPANION_ABORT_AT")
    };
    assert!(has(CRASHING) && !has(COMPANION));
}

#[test]
fn after_a_crash_at_any_point_one_pass_of_the_ordinary_command_mends_all() {
    let begun = Instant::now();
    stage();
    let run = property(BYSTANDER, "InvocationID");
    let which = std::env::var("COMPANION_CRASHES").unwrap_or_default();
    let (every, named) = (which == "all", !which.is_empty() && which != "all");
    let (mut known, mut crashed, mut not_reached) = (0, 0, 0);
    let mut reached = BTreeMap::<String, usize>::new();
    let mut classes = BTreeSet::new();
    for workload in all().into_iter().filter(|one| !named || one.name.contains(&which)) {
        let (since, plans) = (Instant::now(), plans(&workload));
        known += plans.len();
        let before = crashed;
        for (index, plan) in plans.iter().enumerate() {
            let spread = index == plans.len() / 3 || index == plans.len() * 2 / 3;
            if classes.contains(&plan.class()) && !(every || named || spread) {
                continue;
            }
            let did_crash = crash(&workload, plan);
            recover(&workload, plan);
            assert_eq!(property(BYSTANDER, "InvocationID"), run, "{}: {plan:?}", workload.name);
            // Where none came, a later plan of its kind is tried.
            if did_crash {
                classes.insert(plan.class());
                *reached.entry(plan.point.clone()).or_default() += 1;
                crashed += 1;
            } else {
                not_reached += 1;
            }
        }
        let (name, seconds) = (workload.name, since.elapsed().as_secs());
        let done = format!("{} of {} plans in {seconds} s", crashed - before, plans.len());
        tell(&format!("crashes of `{name}`"), &done);
    }
    leave();
    let listed = archy(&[CRASHING, "crash-points"]).good();
    let missed: Vec<_> = listed.lines().filter(|point| !reached.contains_key(*point)).collect();
    let done = format!("{crashed} of {known} crashed, {not_reached} not reached again");
    tell("plans", &format!("{done}, in {} s", begun.elapsed().as_secs()));
    tell("by point", &format!("{reached:?}"));
    if named {
        return;
    }
    assert!(missed.is_empty(), "no work reaches {missed:?}");
    assert!(known >= LEAST && crashed >= LEAST_USUALLY, "{crashed} of {known} plans");
}

/// Does the work once without a crash, and returns one plan for each different thing that it passed.
fn plans(workload: &Workload) -> Vec<Plan> {
    (workload.prepare)();
    let _none = fs::remove_file(TRACE);
    let variable = format!("COMPANION_CRASH_TRACE={TRACE}");
    let ran = test_build(&variable, workload.command);
    assert!(ran.status == Some(0) && (workload.is_done)(), "{}: {ran}", workload.name);
    let mut passed = BTreeMap::<String, usize>::new();
    let mut plans = Vec::<Plan>::new();
    for line in fs::read_to_string(TRACE).unwrap().lines() {
        let (point, what) = line.split_once(' ').unwrap();
        // A unit that is staged for the generator to judge is in a directory of a new name each time.
        let name = what.rsplit('/').next().unwrap();
        let what = if what.contains("/companion-stage-") {
            format!("staged {name}")
        } else {
            what.to_owned()
        };
        let nth = passed.entry(point.to_owned()).or_default();
        *nth += 1;
        let known = plans.iter().any(|plan| plan.point == point && plan.what == what);
        if !known && (!PUBLISHED.contains(&name) || workload.publishes) {
            plans.push(Plan { point: point.to_owned(), what, nth: *nth });
        }
    }
    plans
}

fn test_build(variable: &str, arguments: &[&str]) -> Ran {
    archy(&[&["env", variable, CRASHING], arguments].concat())
}

/// Begins the work anew and ends it at the point; returns whether it came there.
fn crash(workload: &Workload, plan: &Plan) -> bool {
    (workload.prepare)();
    let variable = format!("COMPANION_ABORT_AT={}:{}", plan.point, plan.nth);
    let ran = test_build(&variable, workload.command);
    // 128 and the signal's number is how `timeout` tells of it; 6 is SIGABRT.
    let ended = ran.status == Some(134) || ran.status.is_none();
    // A reconcile more or less is a matter of time; then the last passings of a point may not come.
    assert!(ended || (ran.status == Some(0) && plan.nth > 1), "{}: {plan:?}: {ran}", workload.name);
    ended
}

/// One pass of the ordinary command, then the work itself if it had not even been recorded.
fn recover(workload: &Workload, plan: &Plan) {
    let place = || format!("`{}` crashed at {plan:?}", workload.name);
    let pass = companion(workload.mend);
    assert_eq!(pass.status, Some(0), "{}: {pass}", place());
    if !(workload.is_done)() {
        let again = companion(workload.command);
        assert!(again.status == Some(0) && (workload.is_done)(), "{}: {again}", place());
    }
    let quiet = companion(&["--json", "plan"]);
    let looked: serde_json::Value = serde_json::from_str(&quiet.stdout)
        .unwrap_or_else(|error| unreadable(&place(), &quiet, &error));
    assert_eq!(looked["steps"].as_array().map(Vec::len), Some(0), "{}: {quiet}", place());
    // A build that the crash left alone comes to its own end.
    let gone = || strays().is_empty().then_some(());
    until(&format!("no podman is left: {}", place()), 60, gone);
    assert_eq!(leftovers(), Vec::<String>::new(), "{}", place());
}

fn unreadable(place: &str, ran: &Ran, error: &serde_json::Error) -> serde_json::Value {
    panic!("{place}: {error}: {ran}")
}

/// What any cut-off work could leave, configuration that nobody wants, and rendered files that were replaced.
fn leftovers() -> Vec<String> {
    let script = r#"
        for place in "$1"/*/; do
            test -e "$place/web.conf" || test ! -d "$place" || echo "$place"
            for file in "$place"web.conf.*; do
                test ! -e "$file" || test "$file" -ef "$place/web.conf" || echo "$file"
            done
        done
    "#;
    let empty = archy(&["sh", "-ec", script, "sh", workloads::RENDERED]).good();
    let mut found = node::leftovers(&[workloads::RENDERED, UNITS, STATE]);
    found.extend(empty.lines().map(str::to_owned));
    found
}

/// Processes of archy's that a crash left behind: builds, pulls, and what they started.
fn strays() -> Vec<String> {
    let listed = root(&["ps", "-u", "archy", "-o", "args="]);
    let stray = |line: &&str| {
        // Without an argument it is the pause process, which keeps the user's namespace.
        let (program, _arguments) = line.split_once(' ').unwrap_or_default();
        let program = program.rsplit('/').next();
        matches!(program, Some("podman" | "buildah" | "companion" | "companion-crash-points"))
    };
    listed.stdout.lines().filter(stray).map(str::to_owned).collect()
}

/// Whether archy has a container of this name.
fn container_exists(name: &str) -> bool {
    podman(&["container", "exists", name]).status == Some(0)
}
