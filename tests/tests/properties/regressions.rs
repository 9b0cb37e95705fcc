//! Counterexamples that the properties found, each named by the behaviour that it violated.

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
fn companion_is_installed_on_an_empty_host() {
    for at in 0..4 {
        assert_eq!(verdict(&Case::told([Install { at, version: 0 }])), Ok(()));
    }
}

/// The record was read without a timeout, and a hanging file system blocked the daemon forever.
#[test]
fn unresponsive_desired_state_times_out() {
    for (port, method) in [(Port::Desired, Method::Load), (Port::Leadership, Method::Acquire)] {
        let hangs = Fault(Trouble { port, method, skip: 3, times: 3, how: How::Hangs });
        assert_eq!(verdict(&Case::told([hangs, Install { at: 0, version: 0 }])), Ok(()));
    }
}

/// A service that was starting with a missing configuration was recorded as started with the later one.
#[test]
fn configuration_replaced_by_a_directory_at_boot_is_restored() {
    let directory = Tamper { at: 0, with: Tampering::PutDirectoryAtConfig };
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
    let case =
        Case { profiles: [2, 0, 0, 2].map(Profile::of), ..Case::of_running([Reboot, Rotate]) };
    assert_eq!(compared(&case), Ok(()));
}

/// The file was repaired and the container kept running with the edited content.
#[test]
fn container_started_with_an_edited_configuration_is_replaced() {
    let edit = Tamper { at: 0, with: Tampering::EditConfig };
    let kill = Tamper { at: 0, with: Tampering::KillContainer };
    assert_eq!(verdict(&Case::of_running([edit.clone(), Reboot, Resync])), Ok(()));
    assert_eq!(verdict(&Case::of_running([edit, kill, Sleep(30), Resync])), Ok(()));
}

/// The container had been started from the edited unit and reported the current revision.
#[test]
fn units_edited_concurrently_and_deleted_after_a_boot_are_unverified() {
    let edit = |at| Tamper { at, with: Tampering::EditUnit };
    let delete = Tamper { at: 1, with: Tampering::DeleteUnit };
    let case = [Install { at: 1, version: 0 }, Resync, edit(1), edit(0), Reboot, delete];
    assert_eq!(verdict(&Case::told(case)), Ok(()));
}

/// A container that started between the last observation and the rename read the previous file.
#[test]
fn start_during_configuration_replacement_runs_the_new_one() {
    let edit = Tamper { at: 0, with: Tampering::EditConfig };
    let kill = Tamper { at: 0, with: Tampering::KillContainer };
    for after in [1, 5, 10, 25] {
        let (port, method) = (Port::Hooks, Method::Commit);
        let late = Fault(Trouble { port, method, skip: 0, times: 1, how: How::Late(after) });
        let case = Case::of_running([edit.clone(), kill.clone(), late, Resync]);
        assert_eq!(verdict(&case), Ok(()), "{after}");
    }
}

/// A removal with nothing left but an unmanaged unit was not resumed after that unit was removed.
#[test]
fn pending_deletion_resumes_after_the_unmanaged_unit_is_removed() {
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

/// It reported the revision of the image that had the tag before and after.
#[test]
fn unmanaged_image_started_at_boot_is_replaced() {
    let put = Tamper { at: 0, with: Tampering::PutImage };
    assert_eq!(verdict(&Case::of_running([put, Reboot, Resync])), Ok(()));
}

/// The oracle considered a world-writable file to differ from the loaded unit.
#[test]
fn service_with_an_insecure_unwritable_unit_is_started() {
    let tamper = |with| Tamper { at: 2, with };
    let loss = PowerLoss { after: 0, outcome: 0 };
    let (refuse, expose) = (tamper(Tampering::RefuseUnit), tamper(Tampering::ExposeUnit));
    let mut case = Case::of_running([refuse, loss, expose, Resync, Heal, Crash { after: 0 }]);
    case.profiles = [0; 4].map(Profile::of);
    assert_eq!(verdict(&Case { forgets: false, ..case }), Ok(()));
}

/// A reload removed the unit of a starting service before its owner was known: the removal was reported as finished,
/// and then the service ran.
#[test]
fn removal_stops_a_service_that_starts_during_the_reload() {
    let loss = PowerLoss { after: 0, outcome: 0 };
    let garble = Tamper { at: 3, with: Tampering::GarbleUnit };
    let case = Case::of_running([loss, garble, Heal, Remove { at: 0 }]);
    assert_eq!(verdict(&case), Ok(()));
}

/// An unmanaged unit took the name of a starting service, was loaded, and removed: the removal was reported as
/// finished while the start continued.
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
