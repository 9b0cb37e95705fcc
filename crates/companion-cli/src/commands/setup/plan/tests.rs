use super::*;

fn running() -> ServiceState {
    ServiceState {
        load: "loaded".into(),
        active: "active".into(),
        sub: "running".into(),
        unit_file: "enabled".into(),
        ..ServiceState::default()
    }
}

fn found(unit: FoundUnit, state: ServiceState) -> Found {
    Found {
        unit,
        unit_path: "/u/companion.service".into(),
        catalog: FoundCatalog::Present,
        catalog_path: "/c/catalog.toml".into(),
        state,
        is_current: true,
        systemctl: "systemctl --user",
    }
}

/// The changes of a plan, as commands.
fn changes(plan: &[Entry]) -> Vec<String> {
    let change = |entry: &Entry| match entry {
        Entry::Change(change) => Some(format!("{} {}", change.step(), change.texts().1)),
        Entry::Row(_) => None,
    };
    plan.iter().filter_map(change).collect()
}

#[test]
fn setup_of_a_complete_installation_changes_nothing() {
    assert!(changes(&setup(&found(FoundUnit::Same, running()), true)).is_empty());
    let packaged = FoundUnit::Packaged("/usr/lib/systemd/user/companion.service".into());
    assert!(changes(&setup(&found(packaged, running()), true)).is_empty());
}

#[test]
fn setup_of_a_new_account_plans_all_changes_in_order() {
    let state = ServiceState { load: "not-found".into(), ..ServiceState::default() };
    let new = Found { catalog: FoundCatalog::Absent, ..found(FoundUnit::Absent, state) };
    let all = [
        "catalog write /c/catalog.toml",
        "unit write /u/companion.service",
        "service enable",
        "systemd reload",
    ];
    assert_eq!(changes(&setup(&new, false)), all);
    assert_eq!(changes(&setup(&new, true)), [&all[..], &["service start"]].concat());
}

#[test]
fn changed_unit_or_replaced_program_restarts_the_daemon_once() {
    let outdated = setup(&found(FoundUnit::Outdated, running()), true);
    let expected = [
        "unit replace /u/companion.service",
        "systemd reload",
        "service restart, because its unit changed",
    ];
    assert_eq!(changes(&outdated), expected);
    let old = Found { is_current: false, ..found(FoundUnit::Same, running()) };
    assert_eq!(changes(&setup(&old, true)), ["service restart, because its program was replaced"]);
    assert!(changes(&setup(&old, false)).is_empty(), "--no-start restarts nothing either");
}

#[test]
fn written_but_unloaded_unit_is_loaded() {
    let state = ServiceState { needs_reload: true, ..running() };
    let expected = ["systemd reload", "service restart, because its unit changed"];
    assert_eq!(changes(&setup(&found(FoundUnit::Same, state), true)), expected);
    let state = ServiceState { load: "not-found".into(), ..ServiceState::default() };
    let expected = ["service enable", "systemd reload", "service start"];
    assert_eq!(changes(&setup(&found(FoundUnit::Same, state), true)), expected);
}

#[test]
fn a_unit_is_loaded_again_after_it_was_enabled() {
    let state = ServiceState { unit_file: "disabled".into(), ..running() };
    let expected = ["service enable", "systemd reload"];
    assert_eq!(changes(&setup(&found(FoundUnit::Same, state), true)), expected);
}

#[test]
fn a_failing_daemon_is_restarted() {
    let state =
        ServiceState { active: "activating".into(), sub: "auto-restart".into(), ..running() };
    let expected = ["service restart, because it was failing"];
    assert_eq!(changes(&setup(&found(FoundUnit::Same, state), true)), expected);
}

#[test]
fn unmanaged_unit_and_its_service_are_left_alone() {
    let why = "was not written by companion".to_owned();
    let unmanaged = FoundUnit::Unmanaged { why, fix: "companion setup --force replaces it".into() };
    for plan in [
        setup(&found(unmanaged.clone(), ServiceState::default()), true),
        removal(&found(unmanaged.clone(), running())),
    ] {
        assert!(changes(&plan).is_empty());
        let Some(Entry::Row(row)) = plan.last() else { panic!("{plan:?}") };
        assert_eq!((row.step, row.outcome), ("unit", Outcome::LeftAlone));
        assert!(row.text.starts_with("/u/companion.service was not written"), "{row:?}");
        assert!(row.fix.is_some());
    }
}

#[test]
fn catalog_without_the_given_options_is_reported_and_setup_continues() {
    let lacks = FoundCatalog::Lacks { what: "lacks it".into(), fix: "add it".into() };
    let plan = setup(&Found { catalog: lacks, ..found(FoundUnit::Absent, running()) }, true);
    let Entry::Row(row) = &plan[0] else { panic!("{plan:?}") };
    assert_eq!((row.step, row.outcome), ("catalog", Outcome::LeftAlone));
    assert_eq!(changes(&plan).len(), 3);
}

#[test]
fn unit_that_hides_the_unit_of_a_package_is_deleted() {
    let hides = FoundUnit::HidesPackaged("/usr/lib/systemd/user/companion.service".into());
    let expected = [
        "service disable",
        "unit delete /u/companion.service",
        "service enable",
        "systemd reload",
        "service restart, because its unit changed",
    ];
    assert_eq!(changes(&setup(&found(hides, running()), true)), expected);
}

#[test]
fn removal_stops_the_daemon_before_it_deletes_the_unit() {
    let expected =
        ["service stop", "service disable", "unit delete /u/companion.service", "systemd reload"];
    assert_eq!(changes(&removal(&found(FoundUnit::Same, running()))), expected);
    assert!(changes(&removal(&found(FoundUnit::Absent, ServiceState::default()))).is_empty());
    let packaged = FoundUnit::Packaged("/usr/lib/systemd/user/companion.service".into());
    let expected = ["service stop", "service disable", "systemd reload"];
    assert_eq!(changes(&removal(&found(packaged, running()))), expected);
}
