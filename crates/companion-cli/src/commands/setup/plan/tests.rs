use super::*;
use crate::service::tests::running;

fn unloaded() -> ServiceState {
    ServiceState { load: "not-found".into(), ..ServiceState::default() }
}

fn found(unit: FoundUnit, state: ServiceState) -> Found {
    let (unit_path, systemctl) = ("/u/companion.service".into(), "systemctl --user");
    Found { unit, unit_path, state, is_current: true, systemctl }
}

fn packaged() -> FoundUnit {
    FoundUnit::Packaged("/usr/lib/systemd/user/companion.service".into())
}

/// The changes of a plan, as commands.
fn changes(plan: &[Row]) -> Vec<String> {
    let changes = plan.iter().filter(|row| row.change.is_some());
    changes.map(|row| format!("{} {}", row.step, row.text)).collect()
}

#[test]
fn setup_makes_the_missing_changes_in_order() {
    use FoundUnit::{Absent, HidesPackaged, Same};
    let unread = ServiceState { needs_reload: true, ..running() };
    let disabled = ServiceState { unit_file: "disabled".into(), ..running() };
    let (active, sub) = ("activating".into(), "auto-restart".into());
    let failing = ServiceState { active, sub, ..running() };
    for (unit, state, expected) in [
        (Same, running(), &[][..]),
        (packaged(), running(), &[]),
        (
            Absent,
            unloaded(),
            &[
                "unit write /u/companion.service",
                "service enable",
                "systemd reload",
                "service start",
            ],
        ),
        (Same, unloaded(), &["service enable", "systemd reload", "service start"]),
        (Same, unread, &["systemd reload", "service restart, because its unit changed"]),
        // systemd loads the symlinks of a unit with the unit.
        (Same, disabled, &["service enable", "systemd reload"]),
        (Same, failing, &["service restart, because it was failing"]),
        (
            HidesPackaged("/usr/lib/systemd/user/companion.service".into()),
            running(),
            &[
                "service disable",
                "unit delete /u/companion.service",
                "service enable",
                "systemd reload",
                "service restart, because its unit changed",
            ],
        ),
    ] {
        let found = found(unit, state);
        assert_eq!(changes(&setup(&found, true)), expected, "{found:?}");
        let runs =
            |change: &&str| change.starts_with("service start") || change.contains("restart");
        let unstarted: Vec<_> = expected.iter().copied().filter(|change| !runs(change)).collect();
        assert_eq!(changes(&setup(&found, false)), unstarted, "--no-start: {found:?}");
    }
}

#[test]
fn removal_stops_the_daemon_before_it_deletes_the_unit() {
    let own =
        ["service stop", "service disable", "unit delete /u/companion.service", "systemd reload"];
    for (unit, state, expected) in [
        (FoundUnit::Same, running(), &own[..]),
        (FoundUnit::Absent, unloaded(), &[]),
        (packaged(), running(), &["service stop", "service disable", "systemd reload"]),
    ] {
        let found = found(unit, state);
        assert_eq!(changes(&removal(&found)), expected, "{found:?}");
    }
}
