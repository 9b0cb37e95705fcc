//! The checker of plans: for each rule a plan that breaks it, made from a good one.

use super::*;
use crate::check::{Rule, STEPS_LIMIT};

/// The rules that a plan of these steps breaks in `setup`.
fn broken(setup: &Setup, steps: Vec<Step>) -> Vec<Rule> {
    let plan = Plan { steps, ..Plan::default() };
    let found = check(&plan, &setup.desired, &setup.observed());
    found.into_iter().map(|violation| violation.rule).collect()
}

fn step(action: Action) -> Step {
    let work = action.work();
    let serves = vec![(name(), Fingerprint::of(b""))];
    Step { serves, generation: Generation(1), action, work, reason: Reason::NotRunning }
}

fn start() -> Step {
    let loaded = Setup::converged().revision;
    step(Action::StartUnit(Condition { loaded, need: Need::NotRunning }))
}

fn unread<T>() -> Observation<T> {
    Observation::Unknown("unreadable".to_owned())
}

/// A setup with one change, a step, and the rules that it breaks there.
type Case = (Setup, Step, &'static [Rule]);

#[track_caller]
fn each_breaks(cases: &[Case]) {
    for (setup, step, rules) in cases {
        assert_eq!(broken(setup, vec![step.clone()]), *rules, "{step:?} in {setup:?}");
    }
}

#[test]
fn start_that_its_host_does_not_allow_is_a_violation() {
    let old = Step { generation: Generation(0), ..start() };
    let down = |change: fn(&mut Setup)| {
        let mut setup = Setup::converged();
        setup.down(RunState::Down);
        change(&mut setup);
        setup
    };
    let unmanaged = |setup: &mut Setup| {
        setup.file(UnitFileState::Unmanaged { what: "a file".to_owned() });
    };
    let loaded = Setup::converged().revision;
    let restart = step(Action::RestartUnit(Condition { loaded, need: Need::OtherRevision }));
    each_breaks(&[
        (down(|_| {}), start(), &[]),
        (down(|_| {}), old, &[Rule::OnlyWhatIsDesired]),
        (down(unmanaged), start(), &[Rule::NothingUnmanaged]),
        (down(Setup::unmanaged_container), start(), &[Rule::NothingUnmanaged]),
        (down(|setup| setup.seen.unit = unread()), start(), &[Rule::NothingOnUnknown]),
        (down(|setup| setup.seen.container = Some(unread())), start(), &[Rule::NothingOnUnknown]),
        (down(|setup| setup.image().present = None), start(), &[Rule::StagesBelowFirst]),
        (down(|setup| setup.hook(unrendered())), start(), &[Rule::StagesBelowFirst]),
        (down(Setup::held), start(), &[Rule::HoldIsRespected]),
        (down(|setup| setup.begin(Work::Service)), start(), &[Rule::NoSecondWork]),
        (Setup::converged(), restart, &[Rule::NoCauselessRestart]),
    ]);
}

#[test]
fn a_restart_is_cancelled_only_for_an_unmanaged_container() {
    let loaded = Setup::converged().revision;
    let condition = Condition { loaded, need: Need::BetweenRestarts };
    let cancel = step(Action::StopUnit(Some(condition)));
    let in_state = |run, is_unmanaged: bool| {
        let mut setup = Setup::converged();
        setup.down(run);
        if is_unmanaged {
            setup.unmanaged_container();
        }
        setup
    };
    let stop = step(Action::StopUnit(None));
    each_breaks(&[
        (in_state(RunState::Down, false), stop, &[Rule::OneDirection]),
        (in_state(RunState::BetweenRestarts, false), cancel.clone(), &[Rule::NoCauselessRestart]),
        (in_state(RunState::BetweenRestarts, true), cancel.clone(), &[]),
        (in_state(RunState::Up, true), cancel, &[Rule::NoCauselessRestart]),
    ]);
}

#[test]
fn change_of_what_is_unread_or_in_use_is_a_violation() {
    let removed = |change: fn(&mut Setup)| {
        let mut setup = Setup::removed();
        setup.down(RunState::Down);
        change(&mut setup);
        setup
    };
    let removal = |action| Step { generation: Generation(2), ..step(action) };
    let container = || removal(Action::RemoveContainer);
    let unrender = || removal(Action::RemoveConfig(hook()));
    let render = || step(Action::RunHook { hook: hook(), claimed: Vec::new() });
    let (mut no_service, mut no_unit) = (Setup::converged(), Setup::converged());
    no_service.seen.service = unread();
    no_unit.seen.unit = unread();
    let other = ImageId::new(&"2".repeat(64)).unwrap();
    let prune = |id| step(Action::PruneImages(vec![id]));
    let sweep = |keep| step(Action::SweepConfigs { hook: hook(), keep });
    each_breaks(&[
        (removed(|it| it.seen.container = None), container(), &[Rule::NothingOnUnknown]),
        (removed(|it| it.seen.container = Some(unread())), container(), &[Rule::NothingOnUnknown]),
        (removed(|it| it.seen.hook = None), unrender(), &[Rule::NothingOnUnknown]),
        (removed(|it| it.seen.hook = Some(unread())), unrender(), &[Rule::NothingOnUnknown]),
        (removed(|_| {}), unrender(), &[]),
        (no_service, render(), &[Rule::NothingOnUnknown]),
        (no_unit, render(), &[Rule::NothingOnUnknown]),
        (Setup::converged(), render(), &[]),
        (Setup::converged(), prune(image().id), &[Rule::NothingInUse]),
        (Setup::converged(), prune(other), &[]),
        (Setup::converged(), sweep(ConfigId { epoch: 1, ..config() }), &[Rule::NothingInUse]),
        (Setup::converged(), sweep(config()), &[]),
    ]);
    let removes_desired = broken(&Setup::converged(), vec![step(Action::RemoveUnit)]);
    assert_eq!(removes_desired, [Rule::OneDirection, Rule::OneLoadInOrder]);
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
    assert_eq!(broken(&setup, vec![prune(1), prune(1)]), [Rule::Bounded], "twice the same");
    let plan = Plan { steps: many(STEPS_LIMIT + 1), ..Plan::default() };
    let message = check(&plan, &setup.desired, &setup.observed())[0].to_string();
    assert_eq!(message, "Bounded for `web`");
}

/// A lost unit, and the steps that write, load and start it.
fn lost() -> (Setup, [Step; 3]) {
    let mut setup = Setup::converged();
    setup.down(RunState::Down);
    setup.file(UnitFileState::Absent);
    let steps = setup.plan().steps.try_into().unwrap();
    (setup, steps)
}

#[test]
fn units_are_written_then_loaded_once_then_started() {
    let (setup, [write, load, start]) = lost();
    let for_nobody = Step { serves: Vec::new(), ..load.clone() };
    let in_order =
        [vec![&write, &load, &start], vec![&write, &load], vec![&load, &start], vec![&start]];
    let out_of_order = [
        vec![&write, &start, &load],
        vec![&write, &start],
        vec![&write, &load, &load, &start],
        vec![&write, &for_nobody, &start],
        vec![&load, &write],
        vec![&start, &load],
    ];
    let found = |steps: Vec<&Step>| broken(&setup, steps.into_iter().cloned().collect());
    in_order.into_iter().for_each(|steps| assert_eq!(found(steps), []));
    for steps in out_of_order {
        assert_eq!(found(steps.clone()), [Rule::OneLoadInOrder], "{steps:?}");
    }
}

#[test]
fn a_start_may_come_before_the_load_that_only_another_companion_needs() {
    let (setup, [write, load, mut start]) = lost();
    start.serves[0].0 = CompanionName::new("other").unwrap();
    assert!(!broken(&setup, vec![start, write, load]).contains(&Rule::OneLoadInOrder));
}

#[test]
fn removal_of_a_unit_after_the_load_is_a_violation() {
    let mut setup = Setup::removed();
    setup.down(RunState::Down);
    let removal = Step { generation: Generation(2), ..step(Action::RemoveUnit) };
    let (_, [_, load, _]) = lost();
    assert_eq!(broken(&setup, vec![removal.clone(), load.clone()]), []);
    assert_eq!(broken(&setup, vec![load, removal]), [Rule::OneLoadInOrder]);
}

/// A host without a loaded stage starts what was written.
#[test]
fn order_without_a_loaded_stage_is_write_then_start() {
    let (mut setup, [write, load, start]) = lost();
    setup.traits = HostTraits::NONE;
    assert_eq!(broken(&setup, vec![write.clone(), start.clone()]), []);
    assert_eq!(broken(&setup, vec![start, write.clone()]), [Rule::OneLoadInOrder]);
    assert_eq!(broken(&setup, vec![write, load]), [Rule::OneLoadInOrder]);
}
