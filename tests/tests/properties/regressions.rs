//! Counterexamples that the properties found, each as the sentence that it breaks.

use adapter_fake::{Method, Port};

use crate::case::Case;
use crate::companions::Profile;
use crate::convergence::verdict;
use crate::differential::compared;
use crate::operations::Operation::{
    CommandDies, Crash, Fault, Heal, Install, PowerLoss, Reboot, Remove, Resync, Rotate, Sleep,
    Tamper, Together,
};
use crate::operations::{How, Trouble};
use crate::tamperings::Tampering;

#[test]
fn one_companion_on_a_bare_host_is_installed() {
    for at in 0..4 {
        assert_eq!(verdict(&Case::told([Install { at, version: 0 }])), Ok(()));
    }
}

/// The record was read without a limit, and a file system that hangs held up the daemon for ever.
#[test]
fn a_record_that_never_answers_holds_up_nobody_for_ever() {
    for (port, method) in [(Port::Desired, Method::Load), (Port::Leadership, Method::Acquire)] {
        let hangs = Fault(Trouble { port, method, skip: 3, times: 3, how: How::Hangs });
        assert_eq!(verdict(&Case::told([hangs, Install { at: 0, version: 0 }])), Ok(()));
    }
}

/// A service that was starting while its configuration was none had one in the end, and had not.
#[test]
fn a_configuration_that_was_a_directory_at_boot_is_what_runs_in_the_end() {
    let directory = Tamper { at: 0, with: Tampering::PutDirectoryAtConfig };
    let loss = PowerLoss { after: 0, outcome: 0 };
    for forgets in [false, true] {
        let case = Case { forgets, ..Case::of_running([directory.clone(), loss.clone(), Resync]) };
        assert_eq!(verdict(&case), Ok(()));
    }
}

/// A daemon that knows nothing doubts what runs when it finds a configuration stale, and so writes each
/// unit once more than one that saw the runs begin.
#[test]
fn credentials_that_change_after_a_boot_cost_each_companion_one_write_more() {
    let case =
        Case { profiles: [2, 0, 0, 2].map(Profile::of), ..Case::of_running([Reboot, Rotate]) };
    assert_eq!(compared(&case), Ok(()));
}

/// The file was put right again and the container went on with what somebody had written into it.
#[test]
fn a_configuration_that_was_edited_and_started_is_not_what_runs_in_the_end() {
    let edit = Tamper { at: 0, with: Tampering::EditConfig };
    let kill = Tamper { at: 0, with: Tampering::KillContainer };
    assert_eq!(verdict(&Case::of_running([edit.clone(), Reboot, Resync])), Ok(()));
    assert_eq!(verdict(&Case::of_running([edit, kill, Sleep(30), Resync])), Ok(()));
}

/// What ran had been started from the edit, and claimed the true revision.
#[test]
fn what_was_edited_while_another_was_too_and_booted_and_deleted_is_not_believed() {
    let edit = |at| Tamper { at, with: Tampering::EditUnit };
    let delete = Tamper { at: 1, with: Tampering::DeleteUnit };
    let case = [Install { at: 1, version: 0 }, Resync, edit(1), edit(0), Reboot, delete];
    assert_eq!(verdict(&Case::told(case)), Ok(()));
}

/// What began between the last look at the service and the rename read what was replaced.
#[test]
fn a_service_that_starts_while_its_configuration_is_put_in_place_runs_the_true_one() {
    let edit = Tamper { at: 0, with: Tampering::EditConfig };
    let kill = Tamper { at: 0, with: Tampering::KillContainer };
    for after in [1, 5, 10, 25] {
        let (port, method) = (Port::Hooks, Method::Commit);
        let late = Fault(Trouble { port, method, skip: 0, times: 1, how: How::Late(after) });
        let case = Case::of_running([edit.clone(), kill.clone(), late, Resync]);
        assert_eq!(verdict(&case), Ok(()), "{after}");
    }
}

/// What nothing was left of beneath a stranger's unit was not looked for again when that was gone.
#[test]
fn what_was_removed_beneath_a_strangers_unit_is_looked_for_when_that_is_gone() {
    let together = |version| Together { at: 1, version, stalls: 0 };
    let garble = Tamper { at: 1, with: Tampering::GarbleUnit };
    let loss = PowerLoss { after: 0, outcome: 0 };
    let operations = [together(Some(0)), garble, together(None), loss, Resync];
    let mut case = Case { forgets: false, ..Case::told(operations) };
    case.profiles = [0; 4].map(Profile::of);
    for kind in 0..5 {
        case.profiles[1] = Profile::of(kind);
        assert_eq!(verdict(&case), Ok(()), "{kind}");
    }
}

/// It claimed the revision of the image that went by the name before and after.
#[test]
fn a_strangers_image_from_which_a_boot_started_is_not_what_runs_in_the_end() {
    let put = Tamper { at: 0, with: Tampering::PutImage };
    assert_eq!(verdict(&Case::of_running([put, Reboot, Resync])), Ok(()));
}

/// The oracle took a file that everyone may write for another one than what was loaded.
#[test]
fn service_whose_unit_is_exposed_and_cannot_be_written_is_started() {
    let tamper = |with| Tamper { at: 2, with };
    let loss = PowerLoss { after: 0, outcome: 0 };
    let (refuse, expose) = (tamper(Tampering::RefuseUnit), tamper(Tampering::ExposeUnit));
    let mut case = Case::of_running([refuse, loss, expose, Resync, Heal, Crash { after: 0 }]);
    case.profiles = [0; 4].map(Profile::of);
    assert_eq!(verdict(&Case { forgets: false, ..case }), Ok(()));
}

/// It was just being started when a reload took its unit away, and nothing said yet whose it was: the
/// removal was reported as finished, and then it ran.
#[test]
fn what_starts_while_its_unit_is_reloaded_away_is_gone_when_its_removal_says_so() {
    let loss = PowerLoss { after: 0, outcome: 0 };
    let garble = Tamper { at: 3, with: Tampering::GarbleUnit };
    let case = Case::of_running([loss, garble, Heal, Remove { at: 0 }]);
    assert_eq!(verdict(&case), Ok(()));
}

/// An unmanaged unit took the name while ours was starting, was loaded, and went: the removal was reported
/// as done while the start went on.
#[test]
fn a_removal_waits_for_a_start_whose_unit_was_replaced() {
    let install = CommandDies { at: 3, version: Some(0), after: 0 };
    let remove = CommandDies { at: 3, version: None, after: 0 };
    let unmanaged = Tamper { at: 3, with: Tampering::PutUnmanagedUnit };
    let loss = PowerLoss { after: 4, outcome: 0 };
    let told = Case::told([install, loss, unmanaged, Heal, remove, Resync]);
    let case = Case { profiles: [0, 0, 0, 0].map(Profile::of), ..told };
    assert_eq!(verdict(&case), Ok(()));
}
