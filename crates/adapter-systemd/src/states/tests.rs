use proptest::prelude::*;

use super::*;

const REVISION: &str = "00000000000000aa-00000000000000bb-none-2";

fn value<'a>(value: impl Into<Variant<'a>>) -> OwnedVariant {
    value.into().try_into().unwrap()
}

/// A running service's properties, with some replaced.
fn properties(replaced: &[(&str, OwnedVariant)]) -> Properties {
    let no_job = (0_u32, zbus::ObjectPath::from_static_str_unchecked("/"));
    let mut all = HashMap::from([
        ("LoadState", value("loaded")),
        ("ActiveState", value("active")),
        ("SubState", value("running")),
        ("SourcePath", value("/u/a.container")),
        ("ActiveEnterTimestampMonotonic", value(60_000_000_u64)),
        ("StateChangeTimestamp", value(1_700_000_000_999_999_u64)),
        ("InvocationID", value(vec![0xab_u8, 0x01])),
        ("LoadError", value(("", ""))),
        ("DropInPaths", value(Vec::<String>::new())),
        ("Job", value(no_job)),
        ("Result", value("success")),
        ("NRestarts", value(3_u32)),
        ("MainPID", value(42_u32)),
        ("ControlGroup", value("/a.slice/a.service")),
        ("ExecMainCode", value(0_i32)),
        ("ExecMainStatus", value(0_i32)),
        ("Environment", value(vec![format!("COMPANION_REVISION={REVISION}")])),
    ]);
    for (name, value) in replaced {
        all.insert(name, value.try_clone().unwrap());
    }
    let owned: HashMap<String, OwnedVariant> =
        all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Properties::from(owned)
}

/// Reads one set of properties as both interfaces, at 90 s on the monotonic clock.
fn state(replaced: &[(&str, OwnedVariant)]) -> Result<ServiceState, PropertyError> {
    let all = properties(replaced);
    service_state(&all, &all, &ProcessFacts::default(), Duration::from_secs(90))
}

#[test]
fn a_running_service_says_since_when_and_from_what() {
    let state = state(&[]).unwrap();
    assert_eq!(state.active_for, Duration::from_secs(30));
    assert_eq!(state.since, Some(1_700_000_000));
    assert_eq!(state.source.as_deref(), Some("/u/a.container"));
    assert_eq!(state.loaded, Some(REVISION.parse().unwrap()));
    assert_eq!((state.restarts, state.job_pending), (3, false));
    assert_eq!((state.exit_status, state.load_error), (None, None));
}

#[test]
fn the_invocation_id_has_the_form_of_the_environment_variable() {
    assert_eq!(state(&[]).unwrap().invocation.as_deref(), Some("ab01"));
    let never = state(&[("InvocationID", value(Vec::<u8>::new()))]).unwrap();
    assert_eq!(never.invocation, None);
    // systemd 257 keeps the ID of a run that ended until the next one.
    let failed = state(&[("ActiveState", value("failed")), ("MainPID", value(0_u32))]).unwrap();
    assert_eq!((failed.invocation.as_deref(), failed.running), (Some("ab01"), None));
}

#[test]
fn a_stopped_service_has_no_active_time() {
    for active in ["inactive", "failed", "activating", "deactivating", "maintenance", "new"] {
        let state = state(&[("ActiveState", value(active))]).unwrap();
        assert_eq!(state.active_for, Duration::ZERO, "{active}");
    }
    let never = state(&[("ActiveEnterTimestampMonotonic", value(0_u64))]).unwrap();
    assert_eq!(never.active_for, Duration::ZERO);
    let later = state(&[("ActiveEnterTimestampMonotonic", value(u64::MAX))]).unwrap();
    assert_eq!(later.active_for, Duration::ZERO);
}

#[test]
fn an_exit_status_is_one_only_after_the_process_ended() {
    let status = ("ExecMainStatus", value(137_i32));
    assert_eq!(state(&[(status.0, value(137_i32))]).unwrap().exit_status, None);
    let ended = state(&[status, ("ExecMainCode", value(2_i32))]).unwrap();
    assert_eq!(ended.exit_status, Some(137));
}

#[test]
fn a_pending_job_and_a_load_error_are_reported() {
    let job = (17_u32, zbus::ObjectPath::from_static_str_unchecked("/job"));
    let error = (
        "org.freedesktop.systemd1.BadUnitSetting",
        "Unit a.service has a bad\u{1b} unit file setting.",
    );
    let state = state(&[("Job", value(job)), ("LoadError", value(error))]).unwrap();
    assert!(state.job_pending);
    assert_eq!(
        state.load_error.as_deref(),
        Some("Unit a.service has a bad\\u{1b} unit file setting.")
    );
}

#[test]
fn an_environment_without_a_valid_revision_has_none() {
    for entries in [
        vec![],
        vec!["COMPANION_REVISION="],
        vec!["COMPANION_REVISION=x"],
        vec!["COMPANION_REVISIONS=00000000000000aa-00000000000000bb-none-2"],
    ] {
        assert_eq!(state(&[("Environment", value(entries))]).unwrap().loaded, None);
    }
    let twice = vec!["COMPANION_REVISION=x".to_owned(), format!("COMPANION_REVISION={REVISION}")];
    assert!(state(&[("Environment", value(twice))]).unwrap().loaded.is_some());
}

#[test]
fn a_property_that_is_missing_or_of_another_type_is_named() {
    for name in
        ["LoadState", "ActiveState", "Job", "NRestarts", "Environment", "LoadError", "Result"]
    {
        assert_eq!(state(&[(name, value(1.5_f64))]).unwrap_err(), PropertyError::WrongType(name));
    }
    let empty = Properties::default();
    let missing = service_state(&empty, &empty, &ProcessFacts::default(), Duration::ZERO);
    assert_eq!(missing.unwrap_err(), PropertyError::Missing("ActiveState"));
}

#[test]
fn nothing_is_looked_at_where_nothing_runs() {
    let all = properties(&[("MainPID", value(0_u32)), ("ControlGroup", value(""))]);
    assert_eq!(subject(&all, &all).unwrap(), None);
    let all = properties(&[]);
    let found = subject(&all, &all).unwrap().unwrap();
    assert_eq!((found.main_pid, found.invocation.as_str()), (42, "ab01"));
}

#[test]
fn an_unannounced_end_is_inferred_and_ambiguity_is_not_a_success() {
    use JobKind::{Restart, Start, Stop};
    for (kind, active, sub, result) in [
        (Start, "active", "running", JobResult::Done),
        (Restart, "reloading", "running", JobResult::Done),
        (Start, "failed", "failed", JobResult::Failed),
        (Restart, "activating", "auto-restart", JobResult::Failed),
        (Start, "failed", "failed-before-auto-restart", JobResult::Failed),
        (Start, "inactive", "dead", JobResult::Other),
        (Start, "activating", "start", JobResult::Other),
        (Start, "new", "newer", JobResult::Other),
        (Stop, "inactive", "dead", JobResult::Done),
        (Stop, "failed", "failed", JobResult::Done),
        (Stop, "inactive", "dead-before-auto-restart", JobResult::Other),
        (Stop, "active", "running", JobResult::Other),
        (Stop, "deactivating", "stop-sigterm", JobResult::Other),
    ] {
        let inferred = kind.inferred(&ActiveState::from_word(active), &SubState::from_word(sub));
        assert_eq!(inferred, result, "{kind:?} {active} {sub}");
    }
}

proptest! {
    #[test]
    fn any_environment_can_be_searched(bytes: Vec<u8>) {
        let found = revision_in(bytes.split(|byte| *byte == 0));
        prop_assert!(found.is_none() || bytes.starts_with(b"COMPANION_REVISION="));
    }
}
