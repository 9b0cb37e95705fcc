//! A crash at every point of each workload, on the real host.
//!
//! A test build of the command (`companion-crash-points`) kills itself by SIGABRT at a named point: before or after a
//! write call of a port, or during the write of a file. Each workload first runs without a crash to record its
//! points, then again with a crash at each of them. After each crash the ordinary command converges once, and the
//! host must be as without the crash: converged, idle, without stale files, and with an unrelated companion in the
//! same run as before.
//!
//! A start counts after three seconds, so each run of the suite tests each distinct point once, and two of each
//! workload; `COMPANION_CRASHES=all` tests every point of every workload, and a part of a workload's name every point
//! of that one.
//!
//! Data loss by a power cut is not covered here, because the page cache outlives a process: see `power_cuts.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Instant;

use crate::guest::{Ran, archy, log_value, property, root, until};
use crate::node::{self, STATE, UNITS, companion};

mod kills;
mod workloads;

use workloads::{BYSTANDER, Workload, all, leave, stage};

/// The test build of the command.
const CRASHING: &str = "/usr/local/lib/companion-machine/companion-crash-points";
/// Files that each leader writes in the same way; crashes there are part of one workload only.
const PUBLISHED: [&str; 4] =
    ["leader.json", "status.json", "events.jsonl", "last-good-catalog.json"];
/// Where it logs its points.
const TRACE: &str = "/home/archy/passed";

/// The minimum numbers of plans, of all and of those of each run; fewer mean that points are no longer reached.
const LEAST: usize = 300;
const LEAST_USUALLY: usize = 50;

/// A crash: occurrence `nth` of `point`, during work on `what`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Plan {
    point: String,
    what: String,
    nth: usize,
}

impl Plan {
    /// Distinguishes it from the same point elsewhere: the kind of file.
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
fn one_converge_repairs_the_host_after_a_crash_at_any_point() {
    let started = Instant::now();
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
            // If the point was not reached, a later plan of its kind runs.
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
        log_value(&format!("crashes of `{name}`"), &done);
    }
    leave();
    let listed = archy(&[CRASHING, "crash-points"]).good();
    let missed: Vec<_> = listed.lines().filter(|point| !reached.contains_key(*point)).collect();
    let done = format!("{crashed} of {known} crashed, {not_reached} not reached again");
    log_value("plans", &format!("{done}, in {} s", started.elapsed().as_secs()));
    log_value("by point", &format!("{reached:?}"));
    if named {
        return;
    }
    assert!(missed.is_empty(), "no work reaches {missed:?}");
    assert!(known >= LEAST && crashed >= LEAST_USUALLY, "{crashed} of {known} plans");
}

/// Runs the workload once without a crash, and returns one plan for each distinct point.
fn plans(workload: &Workload) -> Vec<Plan> {
    workload.prepare();
    let _none = fs::remove_file(TRACE);
    let variable = format!("COMPANION_CRASH_TRACE={TRACE}");
    let ran = test_build(&variable, workload.command);
    assert!(ran.status == Some(0) && (workload.is_done)(), "{}: {ran}", workload.name);
    let mut passed = BTreeMap::<String, usize>::new();
    let mut plans = Vec::<Plan>::new();
    for line in fs::read_to_string(TRACE).unwrap().lines() {
        let (point, what) = line.split_once(' ').unwrap();
        // The directory of a unit that is staged for the generator has a new name each time.
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

/// Restarts the workload and kills it at the point; returns whether the point was reached.
fn crash(workload: &Workload, plan: &Plan) -> bool {
    workload.prepare();
    let variable = format!("COMPANION_ABORT_AT={}:{}", plan.point, plan.nth);
    let ran = test_build(&variable, workload.command);
    // `timeout` exits with 128 plus the signal number; 6 is SIGABRT.
    let ended = ran.status == Some(134) || ran.status.is_none();
    // The number of reconciles depends on timing; the last occurrences of a point may be missing. So may be an archive that
    // is replaced: it is written after the companions run.
    let may_miss = plan.nth > 1 || plan.what.ends_with(".tar");
    assert!(ended || (ran.status == Some(0) && may_miss), "{}: {plan:?}: {ran}", workload.name);
    ended
}

/// One converge of the ordinary command, then the workload itself if it was not recorded.
fn recover(workload: &Workload, plan: &Plan) {
    let place = || format!("`{}` crashed at {plan:?}", workload.name);
    let ran = companion(workload.repair);
    assert_eq!(ran.status, Some(0), "{}: {ran}", place());
    if !(workload.is_done)() {
        let again = companion(workload.command);
        assert!(again.status == Some(0) && (workload.is_done)(), "{}: {again}", place());
    }
    let quiet = companion(&["--json", "plan"]);
    let looked: serde_json::Value = serde_json::from_str(&quiet.stdout).unwrap_or_default();
    assert_eq!(looked["steps"].as_array().map(Vec::len), Some(0), "{}: {quiet}", place());
    // A build that survived the crash ends by itself.
    let removed = || strays().is_empty().then_some(());
    until(&format!("no podman is left: {}", place()), 60, removed);
    assert_eq!(stale_files(), Vec::<String>::new(), "{}", place());
}

/// Objects that interrupted work may leave: temporary files, unwanted configuration, and replaced rendered files.
fn stale_files() -> Vec<String> {
    let script = r#"
        for place in "$1"/*/; do
            test -e "$place/web.conf" || test ! -d "$place" || echo "$place"
            for file in "$place"web.conf.*; do
                test ! -e "$file" || test "$file" -ef "$place/web.conf" || echo "$file"
            done
        done
    "#;
    let empty = archy(&["sh", "-ec", script, "sh", workloads::RENDERED]).good();
    let mut found = node::stale_files(&[workloads::RENDERED, UNITS, STATE]);
    found.extend(empty.lines().map(str::to_owned));
    found
}

/// Processes of archy's that survived a crash: builds, pulls, and their children.
fn strays() -> Vec<String> {
    let listed = root(&["ps", "-u", "archy", "-o", "args="]);
    let stray = |line: &&str| {
        // Without an argument it is the pause process, which holds the user namespace.
        let (program, _arguments) = line.split_once(' ').unwrap_or_default();
        let program = program.rsplit('/').next();
        matches!(program, Some("podman" | "buildah" | "companion" | "companion-crash-points"))
    };
    listed.stdout.lines().filter(stray).map(str::to_owned).collect()
}
