//! Counterexamples that the properties found, each named by the behaviour that it violated.

use std::time::Duration;

use adapter_fake::{Fault as FailingCall, Method, Mode, Port};
use companion_core::ports::PortErrorKind;
use companion_tests::faults::Fault;

use crate::case::{Case, run};
use crate::companions::{Kind, MOST, Profile};
use crate::convergence::verdict;
use crate::differential::compared;
use crate::metamorphic::{crash_equals_one_converge, second_converge_changes};
use crate::operations::Operation;
use crate::operations::Operation::{
    CallsFail, CommandDies, Crash, HandOver, Heal, Install, Intent, PowerLoss, Remove, Resync,
    Sleep, Together,
};
use crate::supervised::supervise;

fn fault(at: usize, fault: Fault) -> Operation {
    Operation::Fault { at, fault }
}

/// A pulled companion at every place but these.
fn profiles<const N: usize>(others: [(usize, Kind, u8, u8); N]) -> [Profile; MOST] {
    let mut profiles = [Profile { kind: Kind::Pulled, text: 0, restart: 0 }; MOST];
    for (at, kind, text, restart) in others {
        profiles[at] = Profile { kind, text, restart };
    }
    profiles
}

/// A case whose daemon keeps its memory after `operations`.
fn remembers(
    installed: bool,
    profiles: [Profile; MOST],
    operations: impl Into<Vec<Operation>>,
) -> Case {
    Case { installed, profiles, forgets: false, ..Case::of(operations) }
}

#[test]
fn companion_is_installed_on_an_empty_host() {
    for at in 0..4 {
        assert_eq!(verdict(&Case::of([Install { at, version: 0 }])), Ok(()));
    }
}

/// The record was read without a timeout, and a hanging file system blocked the daemon forever.
#[test]
fn unresponsive_desired_state_times_out() {
    for (port, method) in [(Port::Desired, Method::Load), (Port::Leadership, Method::Acquire)] {
        let hangs =
            FailingCall { times: 3, ..FailingCall::once(port, method, Mode::Hang).after(3) };
        let hangs = CallsFail(hangs);
        assert_eq!(verdict(&Case::of([hangs, Install { at: 0, version: 0 }])), Ok(()));
    }
}

/// A service that was starting with a missing configuration was recorded as started with the later one.
#[test]
fn configuration_replaced_by_a_directory_at_boot_is_restored() {
    let directory = fault(0, Fault::LinkDirectory);
    let loss = PowerLoss { after: 0, outcome: 0 };
    for forgets in [false, true] {
        let case = Case { forgets, ..Case::of_running([directory.clone(), loss.clone(), Resync]) };
        assert_eq!(verdict(&case), Ok(()));
    }
}

/// A daemon without memory treats runs with a stale configuration as unverified, and writes each unit once more than
/// one that observed their start.
#[test]
fn credentials_changed_after_a_boot_cause_one_more_write() {
    let case = Case {
        profiles: [2, 0, 0, 2].map(Profile::of),
        ..Case::of_running([fault(0, Fault::Rebooted), fault(0, Fault::CredentialsRotated)])
    };
    assert_eq!(compared(&case), Ok(()));
}

/// The file was repaired and the container kept running with the edited content.
#[test]
fn container_started_with_an_edited_configuration_is_replaced() {
    let edit = fault(0, Fault::ConfigEdited);
    let kill = fault(0, Fault::ContainerKilled);
    assert_eq!(
        verdict(&Case::of_running([edit.clone(), fault(0, Fault::Rebooted), Resync])),
        Ok(())
    );
    assert_eq!(verdict(&Case::of_running([edit, kill, Sleep(30), Resync])), Ok(()));
}

/// The container had been started from the edited unit and reported the current revision.
#[test]
fn units_edited_concurrently_and_deleted_after_a_boot_are_unverified() {
    let edit = |at| fault(at, Fault::UnitEdited);
    let delete = fault(1, Fault::UnitDeleted);
    let case = [
        Install { at: 1, version: 0 },
        Resync,
        edit(1),
        edit(0),
        fault(0, Fault::Rebooted),
        delete,
    ];
    assert_eq!(verdict(&Case::of(case)), Ok(()));
}

/// A container that started between the last observation and the rename read the previous file.
#[test]
fn start_during_configuration_replacement_runs_the_new_one() {
    let edit = fault(0, Fault::ConfigEdited);
    let kill = fault(0, Fault::ContainerKilled);
    for after in [1, 5, 10, 25] {
        let late = Mode::Delay(Duration::from_secs(after));
        let late = CallsFail(FailingCall::once(Port::Hooks, Method::Commit, late));
        let case = Case::of_running([edit.clone(), kill.clone(), late, Resync]);
        assert_eq!(verdict(&case), Ok(()), "{after}");
    }
}

/// A removal with nothing left but an unmanaged unit was not resumed after that unit was removed.
#[test]
fn pending_deletion_resumes_after_the_unmanaged_unit_is_removed() {
    let together = |version| Together { at: 1, version, stalls: 0 };
    let garble = fault(1, Fault::UnitGarbled);
    let loss = PowerLoss { after: 0, outcome: 0 };
    let operations = [together(Some(0)), garble, together(None), loss, Resync];
    let mut case = Case { forgets: false, ..Case::of(operations) };
    case.profiles = [0; 4].map(Profile::of);
    for kind in 0..5 {
        case.profiles[1] = Profile::of(kind);
        assert_eq!(verdict(&case), Ok(()), "{kind}");
    }
}

/// It reported the revision of the image that had the tag before and after.
#[test]
fn unmanaged_image_started_at_boot_is_replaced() {
    let put = fault(0, Fault::TagMoved);
    assert_eq!(verdict(&Case::of_running([put, fault(0, Fault::Rebooted), Resync])), Ok(()));
}

/// The oracle considered a world-writable file to differ from the loaded unit.
#[test]
fn service_with_an_insecure_unwritable_unit_is_started() {
    let of_third = |is| fault(2, is);
    let loss = PowerLoss { after: 0, outcome: 0 };
    let (refuse, expose) = (of_third(Fault::UnitRefused), of_third(Fault::UnitExposed));
    let mut case = Case::of_running([refuse, loss, expose, Resync, Heal, Crash { after: 0 }]);
    case.profiles = [0; 4].map(Profile::of);
    assert_eq!(verdict(&Case { forgets: false, ..case }), Ok(()));
}

/// A reload removed the unit of a starting service before its owner was known: the removal was reported as finished,
/// and then the service ran.
#[test]
fn removal_stops_a_service_that_starts_during_the_reload() {
    let loss = PowerLoss { after: 0, outcome: 0 };
    let garble = fault(3, Fault::UnitGarbled);
    let case = Case::of_running([loss, garble, Heal, Remove { at: 0 }]);
    assert_eq!(verdict(&case), Ok(()));
}

/// An unmanaged unit took the name of a starting service, was loaded, and removed: the removal was reported as
/// finished while the start continued.
#[test]
fn a_removal_waits_for_a_start_whose_unit_was_replaced() {
    let install = CommandDies { at: 3, version: Some(0), after: 0 };
    let remove = CommandDies { at: 3, version: None, after: 0 };
    let unmanaged = fault(3, Fault::UnitUnmanaged);
    let loss = PowerLoss { after: 4, outcome: 0 };
    let of = Case::of([install, loss, unmanaged, Heal, remove, Resync]);
    let case = Case { profiles: [0, 0, 0, 0].map(Profile::of), ..of };
    assert_eq!(verdict(&case), Ok(()));
}

#[test]
fn build_that_failed_long_ago_is_repeated_once() {
    let fails = [Fault::BuildFails, Fault::RegistryDown].map(|is| fault(1, is));
    let [build, registry] = fails;
    let operations = [
        build,
        registry,
        Install { at: 1, version: 0 },
        Install { at: 0, version: 0 },
        Sleep(1000),
        Resync,
    ];
    let case = remembers(false, profiles([(1, Kind::Built, 0, 0)]), operations);
    assert_eq!(verdict(&case), Ok(()));
    assert_eq!(compared(&case), Ok(()));
}

#[test]
fn removal_cut_off_without_a_generator_is_completed() {
    let template = profiles([(3, Kind::Template, 9, 2)]);
    let dies = CommandDies { at: 3, version: None, after: 7 };
    let missing = fault(3, Fault::GeneratorMissing);
    assert_eq!(verdict(&remembers(true, template, [missing.clone(), dies])), Ok(()));
    let template = profiles([(3, Kind::Template, 2, 2)]);
    let operations = [Remove { at: 3 }, missing, HandOver { after: 15, inputs: 0 }];
    assert_eq!(run(supervise(&remembers(true, template, operations))), Ok(()));
}

#[test]
fn directory_at_the_link_does_not_delay_an_installation() {
    let template = profiles([(3, Kind::Template, 2, 0)]);
    let directory = fault(3, Fault::LinkDirectory);
    let installs = [3, 0].map(|at| Install { at, version: 0 });
    let [first, second] = installs;
    let case = remembers(false, template, [directory.clone(), first, second]);
    assert_eq!(verdict(&case), Ok(()));
    let dies = CommandDies { at: 3, version: Some(0), after: 0 };
    let case = remembers(false, template, [dies, directory, Crash { after: 1 }]);
    assert_eq!(run(supervise(&case)), Ok(()));
}

#[test]
fn moved_tag_and_rotated_credentials_cost_no_more_than_their_repair() {
    let mixed = profiles([(1, Kind::Built, 6, 0), (3, Kind::Template, 2, 0)]);
    let operations = [fault(1, Fault::TagMoved), fault(0, Fault::CredentialsRotated)];
    assert_eq!(compared(&remembers(true, mixed, operations)), Ok(()));
    let template = profiles([(0, Kind::Template, 1, 1)]);
    let operations = [Install { at: 0, version: 0 }, fault(0, Fault::ConfigDeleted)];
    assert_eq!(compared(&remembers(false, template, operations)), Ok(()));
}

#[test]
fn failing_reloads_before_a_removal_cost_one_more_attempt_each() {
    let fails = Mode::Error(PortErrorKind::Transient);
    let fails = FailingCall::once(Port::Services, Method::Reload, fails);
    let fail = CallsFail(FailingCall { times: 3, ..fails });
    let template = profiles([(2, Kind::Template, 8, 0)]);
    let operations = [Install { at: 2, version: 0 }, fail, Remove { at: 2 }];
    assert_eq!(compared(&remembers(false, template, operations)), Ok(()));
}

/// The unit changed more often than the intents and the leaders with other inputs explain.
#[test]
fn leaders_and_concurrent_intents_change_a_unit_once_each() {
    let together = |at, version, stalls| Together { at, version, stalls };
    let hand_over = |after, inputs| HandOver { after, inputs };
    let install = |at, version| Install { at, version };
    let intent = |at| Intent { at, version: Some(0) };
    let cases = [
        remembers(
            true,
            profiles([(3, Kind::Built, 8, 0)]),
            [Remove { at: 3 }, hand_over(0, 2), Resync, install(3, 1)],
        ),
        remembers(
            false,
            profiles([(1, Kind::Template, 15, 2), (3, Kind::Registered, 3, 2)]),
            [install(3, 0), intent(1), together(2, Some(0), 96_724_984_986_591)],
        ),
        remembers(
            false,
            profiles([(3, Kind::Pulled, 2, 2)]),
            [together(3, Some(1), 0), hand_over(1, 3), together(3, Some(2), 84_318_152_202_285)],
        ),
        remembers(
            true,
            profiles([(1, Kind::Built, 1, 1), (2, Kind::Built, 2, 2), (3, Kind::Pulled, 12, 0)]),
            [
                hand_over(0, 3),
                together(2, None, 2_654_435_769),
                hand_over(0, 0),
                Crash { after: 2 },
                install(2, 0),
            ],
        ),
        remembers(
            true,
            profiles([(3, Kind::Template, 7, 3)]),
            [install(3, 3), intent(3), together(3, Some(3), 61_521_857_818_113)],
        ),
    ];
    for case in cases {
        assert!(case.is_undisturbed());
        assert_eq!(verdict(&case), Ok(()), "{case:?}");
    }
}

#[test]
fn changed_context_and_an_immediate_crash_end_as_without_the_crash() {
    let case = remembers(false, profiles([(2, Kind::Built, 0, 0)]), []);
    let [whole, cut] = crash_equals_one_converge(&case, &[fault(2, Fault::ContextChanged)], 0);
    assert_eq!(whole, cut);
}

#[test]
fn limited_reloads_leave_nothing_for_a_second_converge() {
    let limited = fault(0, Fault::ReloadsLimited);
    let operations = [limited, Install { at: 0, version: 1 }, Remove { at: 3 }];
    let case = remembers(true, profiles([(3, Kind::Template, 12, 2)]), operations);
    let [before, after] = second_converge_changes(&case);
    assert_eq!(before, after);
}
