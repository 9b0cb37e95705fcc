//! The checker of plans: for each rule a plan that breaks it, made from a good one.

use super::*;
use crate::check::{Rule, STEPS_LIMIT};
use crate::plan::{CompanionStep, Step};

/// The rules that a plan of these steps breaks in `setup`.
fn broken(setup: &Setup, steps: Vec<impl Into<Step>>) -> Vec<Rule> {
    let steps = steps.into_iter().map(Into::into).collect();
    let plan = Plan { steps, ..Plan::default() };
    let found = check(&plan, &setup.desired, &setup.observed());
    found.into_iter().map(|violation| violation.rule).collect()
}

fn step(action: Action) -> CompanionStep {
    let work = action.work();
    CompanionStep {
        companion: name(),
        generation: Generation(1),
        action,
        work,
        reason: Reason::NotRunning,
        input: Fingerprint::of(b""),
        after_load: false,
    }
}

fn start(setup: &Setup) -> CompanionStep {
    let condition = Condition { loaded: setup.revision, need: Need::NotRunning };
    step(Action::StartUnit(condition))
}

fn down() -> Setup {
    let mut setup = Setup::converged();
    setup.down(RunState::Down);
    setup
}

fn lost() -> (Setup, Vec<Step>) {
    let mut setup = down();
    setup.file(UnitFileState::Absent);
    let steps = setup.plan().steps;
    assert_eq!(steps.len(), 3, "write, load, start");
    (setup, steps)
}

#[test]
fn a_good_plan_breaks_none() {
    let setup = down();
    assert_eq!(broken(&setup, vec![start(&setup)]), []);
}

#[test]
fn a_step_of_another_generation_is_seen() {
    let setup = down();
    let old = CompanionStep { generation: Generation(0), ..start(&setup) };
    assert_eq!(broken(&setup, vec![old]), [Rule::OnlyWhatIsDesired]);
}

#[test]
fn removing_a_desired_companion_is_a_violation() {
    assert_eq!(broken(&down(), vec![step(Action::RemoveUnit)])[0], Rule::OneDirection);
}

#[test]
fn a_restart_is_cancelled_only_for_an_unmanaged_container() {
    let mut setup = down();
    assert_eq!(broken(&setup, vec![step(Action::StopUnit)]), [Rule::OneDirection]);
    let condition = Condition { loaded: setup.revision, need: Need::BetweenRestarts };
    let cancel = step(Action::CancelRestart(condition));
    setup.down(RunState::BetweenRestarts);
    assert_eq!(broken(&setup, vec![cancel.clone()]), [Rule::NoCauselessRestart]);
    setup.unmanaged_container();
    assert_eq!(broken(&setup, vec![cancel.clone()]), []);
    setup.service().run = RunState::Up;
    assert_eq!(broken(&setup, vec![cancel]), [Rule::NoCauselessRestart]);
}

#[test]
fn a_step_on_something_unmanaged_is_seen() {
    let mut setup = down();
    setup.file(UnitFileState::Unmanaged { what: "a file".to_owned() });
    assert_eq!(broken(&setup, vec![start(&setup)]), [Rule::NothingUnmanaged]);
    let mut setup = down();
    setup.unmanaged_container();
    assert_eq!(broken(&setup, vec![start(&setup)]), [Rule::NothingUnmanaged]);
}

#[test]
fn a_step_on_something_unknown_is_seen() {
    let mut setup = down();
    setup.seen.unit = Observation::Unknown("unreadable".to_owned());
    assert_eq!(broken(&setup, vec![start(&setup)]), [Rule::NothingOnUnknown]);
}

#[test]
fn a_removal_of_what_was_not_read_is_seen() {
    let unread = || Some("unreadable".to_owned());
    for error in [None, unread()] {
        let mut setup = Setup::removed();
        setup.down(RunState::Down);
        setup.seen.container = error.clone().map(Observation::Unknown);
        setup.seen.hook = error.map(Observation::Unknown);
        for action in [Action::RemoveContainer, Action::RemoveConfig(hook())] {
            let taken = CompanionStep { generation: Generation(2), ..step(action) };
            assert_eq!(broken(&setup, vec![taken.clone()]), [Rule::NothingOnUnknown], "{taken:?}");
        }
    }
    let mut setup = down();
    setup.seen.container = unread().map(Observation::Unknown);
    assert_eq!(broken(&setup, vec![start(&setup)]), [Rule::NothingOnUnknown]);
}

#[test]
fn a_start_before_its_load_is_seen() {
    let (setup, mut steps) = lost();
    steps.swap(1, 2);
    assert_eq!(broken(&setup, steps), [Rule::OneLoadInOrder]);
}

#[test]
fn a_start_that_would_not_wait_for_its_load_is_seen() {
    let (setup, mut steps) = lost();
    let Step::Companion(start) = &mut steps[2] else { panic!("{steps:?}") };
    start.after_load = false;
    assert_eq!(broken(&setup, steps), [Rule::OneLoadInOrder]);
}

#[test]
fn a_write_without_a_load_and_a_second_load_are_seen() {
    let (setup, mut steps) = lost();
    let load = steps.remove(1);
    assert_eq!(broken(&setup, steps.clone()), [Rule::OneLoadInOrder]);
    steps.insert(1, load.clone());
    steps.insert(1, load);
    assert_eq!(broken(&setup, steps), [Rule::OneLoadInOrder]);
}

#[test]
fn a_start_without_image_or_configuration_is_seen() {
    let mut setup = down();
    setup.image().present = None;
    assert_eq!(broken(&setup, vec![start(&setup)]), [Rule::StagesBelowFirst]);
    let mut setup = down();
    setup.hook(unrendered());
    assert_eq!(broken(&setup, vec![start(&setup)]), [Rule::StagesBelowFirst]);
}

#[test]
fn a_restart_without_a_cause_is_seen() {
    let setup = Setup::converged();
    let condition = Condition { loaded: setup.revision, need: Need::OtherRevision };
    let restart = step(Action::RestartUnit(condition));
    assert_eq!(broken(&setup, vec![restart]), [Rule::NoCauselessRestart]);
}

#[test]
fn the_same_step_twice_is_seen() {
    let setup = down();
    assert_eq!(broken(&setup, vec![start(&setup), start(&setup)]), [Rule::Bounded]);
}

#[test]
fn a_step_on_a_masked_unit_is_seen() {
    let mut setup = down();
    setup.held();
    assert_eq!(broken(&setup, vec![start(&setup)]), [Rule::HoldIsRespected]);
}

#[test]
fn starting_running_work_again_is_a_violation() {
    let mut setup = down();
    setup.begin(Work::Service);
    assert_eq!(broken(&setup, vec![start(&setup)]), [Rule::NoSecondWork]);
}

#[test]
fn too_many_steps_for_a_companion_are_a_violation_with_its_name() {
    let setup = Setup::converged();
    let prune = |n: usize| {
        let id = ImageId::new(&(n + 1).to_string().repeat(64)).unwrap();
        step(Action::PruneImages(vec![id]))
    };
    let many = |count: usize| (1..=count).map(prune).collect::<Vec<_>>();
    assert_eq!(broken(&setup, many(STEPS_LIMIT)), []);
    assert_eq!(broken(&setup, many(STEPS_LIMIT + 1)), [Rule::Bounded]);
    let steps = many(STEPS_LIMIT + 1).into_iter().map(Step::from).collect();
    let plan = Plan { steps, ..Plan::default() };
    let told = check(&plan, &setup.desired, &setup.observed())[0].to_string();
    assert_eq!(told, "Bounded for `web`");
}

#[test]
fn write_after_the_load_without_a_start_is_a_violation() {
    let (setup, mut steps) = lost();
    steps.truncate(2);
    assert_eq!(broken(&setup, steps.clone()), []);
    steps.reverse();
    assert_eq!(broken(&setup, steps), [Rule::OneLoadInOrder]);
}

#[test]
fn start_before_a_required_load_without_a_write_is_a_violation() {
    let (setup, mut steps) = lost();
    steps.remove(0);
    assert_eq!(broken(&setup, steps.clone()), []);
    steps.reverse();
    assert_eq!(broken(&setup, steps), [Rule::OneLoadInOrder]);
}

#[test]
fn a_start_may_come_before_the_load_that_only_another_companion_needs() {
    let (setup, mut steps) = lost();
    let other = CompanionName::new("other").unwrap();
    let started = CompanionStep { companion: other, ..start(&down()) };
    steps.truncate(2);
    steps.insert(0, started.into());
    assert!(!broken(&setup, steps).contains(&Rule::OneLoadInOrder));
}

#[test]
fn removing_an_image_or_file_in_use_is_a_violation() {
    let setup = Setup::converged();
    let other = ImageId::new(&"2".repeat(64)).unwrap();
    let pruned = |id: ImageId| broken(&setup, vec![step(Action::PruneImages(vec![id]))]);
    assert_eq!(pruned(image().id), [Rule::NothingInUse]);
    assert_eq!(pruned(other), []);
    let swept = |keep| broken(&setup, vec![step(Action::SweepConfigs { hook: hook(), keep })]);
    assert_eq!(swept(ConfigId { epoch: 1, ..config() }), [Rule::NothingInUse]);
    assert_eq!(swept(config()), []);
}

#[test]
fn rendering_with_an_unread_unit_or_service_is_a_violation() {
    let render = || step(Action::RunHook { hook: hook(), claimed: Vec::new() });
    let unread = "unreadable".to_owned();
    let mut setup = Setup::converged();
    setup.seen.service = Observation::Unknown(unread.clone());
    assert_eq!(broken(&setup, vec![render()]), [Rule::NothingOnUnknown]);
    let mut setup = Setup::converged();
    setup.seen.unit = Observation::Unknown(unread);
    assert!(broken(&setup, vec![render()]).contains(&Rule::NothingOnUnknown));
    assert_eq!(broken(&Setup::converged(), vec![render()]), []);
}

#[test]
fn removal_of_a_unit_after_the_load_is_a_violation() {
    let mut setup = Setup::removed();
    setup.down(RunState::Down);
    let removal = CompanionStep { generation: Generation(2), ..step(Action::RemoveUnit) };
    let (_, steps) = lost();
    let load = steps[1].clone();
    let in_order = |steps: Vec<Step>| !broken(&setup, steps).contains(&Rule::OneLoadInOrder);
    assert!(in_order(vec![removal.clone().into(), load.clone()]));
    assert!(!in_order(vec![load, removal.into()]));
}

/// A host without a loaded stage starts what was written.
#[test]
fn order_without_a_loaded_stage_is_write_then_start() {
    let (mut setup, steps) = lost();
    setup.traits = HostTraits::NONE;
    let [write, _load, start] = steps.as_slice() else { panic!("{steps:?}") };
    let Step::Companion(start) = start else { panic!("{start:?}") };
    let start: Step = CompanionStep { after_load: false, ..start.clone() }.into();
    assert_eq!(broken(&setup, vec![write.clone(), start.clone()]), []);
    assert_eq!(broken(&setup, vec![start, write.clone()]), [Rule::OneLoadInOrder]);
}
