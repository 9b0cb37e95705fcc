use proptest::prelude::*;

use super::*;

const REVISION: &str = "00000000000000aa-00000000000000bb-none-2";

/// The unit directory, which does not exist.
pub(crate) const UNIT_DIR: &str = "/nonexistent";

/// The properties of a unit of systemd.
pub(crate) struct FakeUnit {
    pub(crate) unit: HashMap<String, OwnedVariant>,
    pub(crate) service: HashMap<String, OwnedVariant>,
    /// The name in the list of units.
    pub(crate) listed_as: String,
}

pub(crate) fn value<'a>(value: impl Into<Variant<'a>>) -> OwnedVariant {
    value.into().try_into().unwrap()
}

impl FakeUnit {
    /// A loaded service in the given state, in systemd's terms.
    pub(crate) fn in_state(name: &str, load: &str, active: &str, sub: &str) -> Self {
        let no_job = (0_u32, zbus::ObjectPath::from_static_str_unchecked("/"));
        let unit = [
            ("LoadState", value(load)),
            ("ActiveState", value(active)),
            ("SubState", value(sub)),
            ("SourcePath", value(format!("{UNIT_DIR}/{name}.container"))),
            ("FragmentPath", value(format!("/run/{name}.service"))),
            ("ActiveEnterTimestampMonotonic", value(1_u64)),
            ("StateChangeTimestamp", value(1_700_000_000_999_999_u64)),
            ("InvocationID", value(vec![0xab_u8, 0x01])),
            ("LoadError", value(("", ""))),
            ("DropInPaths", value(Vec::<String>::new())),
            ("Job", value(no_job)),
        ];
        let service = [
            ("Result", value("success")),
            ("NRestarts", value(3_u32)),
            ("MainPID", value(0_u32)),
            ("ControlGroup", value("")),
            ("ExecMainCode", value(0_i32)),
            ("ExecMainStatus", value(0_i32)),
            ("Environment", value(Vec::<String>::new())),
        ];
        let owned = |(name, value): (&str, OwnedVariant)| (name.to_owned(), value);
        Self {
            unit: unit.into_iter().map(owned).collect(),
            service: service.into_iter().map(owned).collect(),
            listed_as: format!("{name}.service"),
        }
    }

    pub(crate) fn word(&self, property: &str) -> String {
        <&str>::try_from(&self.unit[property]).unwrap().to_owned()
    }
}

/// A running service's properties, with some replaced.
fn properties(replaced: &[(&str, OwnedVariant)]) -> Properties {
    let FakeUnit { mut unit, service, .. } = FakeUnit::in_state("a", "loaded", "active", "running");
    unit.extend(service);
    let running = [
        ("ActiveEnterTimestampMonotonic", value(60_000_000_u64)),
        ("MainPID", value(42_u32)),
        ("Environment", value(vec![format!("COMPANION_REVISION={REVISION}")])),
    ];
    for (name, value) in running.iter().chain(replaced) {
        unit.insert((*name).to_owned(), value.try_clone().unwrap());
    }
    Properties::from(unit)
}

/// Reads one set of properties as both interfaces.
fn state(replaced: &[(&str, OwnedVariant)]) -> Result<ServiceState, BusError> {
    of(&properties(replaced))
}

/// In a unit store with `/nonexistent/a.container`, at 90 s on the monotonic clock.
fn of(all: &Properties) -> Result<ServiceState, BusError> {
    let (facts, now) = (ProcessFacts::default(), Duration::from_secs(90));
    service_state(all, all, &facts, now, Some("/nonexistent/a.container"))
}

#[test]
fn a_running_service_says_since_when_and_from_what() {
    let state = state(&[]).unwrap();
    assert_eq!(state.up_for, Duration::from_secs(30));
    assert_eq!(state.since, Some(1_700_000_000));
    assert_eq!(state.loaded(), Some(REVISION.parse().unwrap()));
    assert_eq!((state.run, state.message.as_str()), (RunState::Up, "active (running)"));
    assert_eq!((state.restarts, state.busy, state.last_end), (3, false, None));
    assert_eq!(state.drop_ins, [""; 0]);
}

#[test]
fn the_invocation_id_has_the_form_of_the_environment_variable() {
    assert_eq!(state(&[]).unwrap().run_id.as_deref(), Some("ab01"));
    let never = state(&[("InvocationID", value(Vec::<u8>::new()))]).unwrap();
    assert_eq!(never.run_id, None);
    // systemd 257 keeps the ID of a run that ended until the next one.
    let failed = state(&[("ActiveState", value("failed")), ("MainPID", value(0_u32))]).unwrap();
    assert_eq!((failed.run_id.as_deref(), failed.running), (Some("ab01"), None));
}

#[test]
fn a_stopped_service_has_no_active_time() {
    for active in ["inactive", "failed", "activating", "deactivating", "maintenance", "new"] {
        let state = state(&[("ActiveState", value(active))]).unwrap();
        assert_eq!(state.up_for, Duration::ZERO, "{active}");
    }
    let never = state(&[("ActiveEnterTimestampMonotonic", value(0_u64))]).unwrap();
    assert_eq!(never.up_for, Duration::ZERO);
    let later = state(&[("ActiveEnterTimestampMonotonic", value(u64::MAX))]).unwrap();
    assert_eq!(later.up_for, Duration::ZERO);
}

#[test]
fn last_end_is_known_only_after_the_process_ended() {
    let end = |result: &str, code: i32, status: i32| {
        let (code, status) = (value(code), value(status));
        let result = ("Result", value(result));
        state(&[result, ("ExecMainCode", code), ("ExecMainStatus", status)]).unwrap().last_end
    };
    assert_eq!(end("success", 0, 137), None);
    assert_eq!(end("success", 1, 0), Some(End::Success));
    assert_eq!(end("exit-code", 1, 3), Some(End::Exit(3)));
    assert_eq!(end("exit-code", 0, 0), Some(End::Other("exit-code".to_owned())), "not its own");
    assert_eq!(end("exit-code", 1, 0), Some(End::Other("exit-code".to_owned())), "not its own");
    assert_eq!(end("signal", 1, 3), Some(End::Other("signal".to_owned())), "not its own");
    assert_eq!(end("signal", 2, 9), Some(End::Signal(9)));
    assert_eq!(end("core-dump", 3, 11), Some(End::Signal(11)));
    assert_eq!(end("timeout", 0, 0), Some(End::TimedOut));
    assert_eq!(end("oom-kill", 2, 9), Some(End::OutOfMemory));
    assert_eq!(end("start-limit-hit", 1, 0), Some(End::StartLimit));
    assert_eq!(end("newer", 1, 1), Some(End::Other("newer".to_owned())));
}

#[test]
fn load_state_and_source_determine_the_loaded_unit() {
    let unit = |load: &str, source: &str| {
        state(&[("LoadState", value(load)), ("SourcePath", value(source))]).unwrap().unit
    };
    let here = "/nonexistent/a.container";
    let revision = Some(REVISION.parse().unwrap());
    let elsewhere = |place: &str| LoadedUnit::Elsewhere { place: place.to_owned() };
    assert_eq!(unit("loaded", here), LoadedUnit::FromStore { revision });
    assert_eq!(unit("loaded", "/v/a.container"), elsewhere("/v/a.container"));
    assert_eq!(unit("loaded", ""), elsewhere("/run/a.service"));
    assert_eq!(unit("not-found", here), LoadedUnit::Absent);
    assert!(matches!(unit("masked", ""), LoadedUnit::Held { .. }));
    let message = "load state `newer`".to_owned();
    assert_eq!(unit("newer", here), LoadedUnit::Unusable { message, revision });
    assert_eq!(unit("bad-setting", "/v/a.container"), elsewhere("/v/a.container"));
}

#[test]
fn active_state_and_substate_determine_the_run_state() {
    for (active, sub, run) in [
        ("active", "running", RunState::Up),
        ("reloading", "reload", RunState::Up),
        ("refreshing", "refresh", RunState::Up),
        ("inactive", "dead", RunState::Down),
        ("failed", "failed", RunState::Failed),
        ("activating", "start", RunState::Starting),
        ("activating", "auto-restart", RunState::BetweenRestarts),
        ("activating", "auto-restart-queued", RunState::BetweenRestarts),
        ("failed", "failed-before-auto-restart", RunState::BetweenRestarts),
        ("inactive", "dead-before-auto-restart", RunState::BetweenRestarts),
        ("deactivating", "stop-sigterm", RunState::Stopping),
        ("maintenance", "cleaning", RunState::Other),
        ("newer", "newest", RunState::Other),
    ] {
        assert_eq!(run_state(active, sub), run, "{active} {sub}");
    }
}

#[test]
fn a_pending_job_a_load_error_and_drop_ins_are_reported() {
    let job = (17_u32, zbus::ObjectPath::from_static_str_unchecked("/job"));
    let error = (
        "org.freedesktop.systemd1.BadUnitSetting",
        "Unit a.service has a bad\u{1b} unit file setting.",
    );
    let load = ("LoadState", value("bad-setting"));
    let paths = vec!["/etc/systemd/user/a.service.d/x.conf".to_owned(), "/y\n.conf".to_owned()];
    let drop_ins = ("DropInPaths", value(paths));
    let replaced = [("Job", value(job)), ("LoadError", value(error)), load, drop_ins];
    let state = state(&replaced).unwrap();
    assert!(state.busy);
    assert_eq!(state.drop_ins, ["/etc/systemd/user/a.service.d/x.conf", r"/y\n.conf"]);
    let message = "Unit a.service has a bad\\u{1b} unit file setting.".to_owned();
    let revision = Some(REVISION.parse().unwrap());
    assert_eq!(state.unit, LoadedUnit::Unusable { message, revision });
}

#[test]
fn an_environment_without_a_valid_revision_has_none() {
    for entries in [
        vec![],
        vec!["COMPANION_REVISION="],
        vec!["COMPANION_REVISION=x"],
        vec!["COMPANION_REVISIONS=00000000000000aa-00000000000000bb-none-2"],
    ] {
        assert_eq!(state(&[("Environment", value(entries))]).unwrap().loaded(), None);
    }
    let twice = vec!["COMPANION_REVISION=x".to_owned(), format!("COMPANION_REVISION={REVISION}")];
    assert!(state(&[("Environment", value(twice))]).unwrap().loaded().is_some());
}

#[test]
fn a_property_that_is_missing_or_of_another_type_is_named() {
    for name in
        ["LoadState", "ActiveState", "Job", "NRestarts", "Environment", "SourcePath", "Result"]
    {
        let error = state(&[(name, value(1.5_f64))]).unwrap_err().to_string();
        assert!(error.contains(&format!("`{name}` is of another type")), "{error}");
    }
    let missing = of(&Properties::default());
    assert!(missing.unwrap_err().to_string().contains("`ActiveState` is missing"));
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
    use Verb::{Restart, Start, Stop};
    for (verb, active, sub, result) in [
        (Start, "active", "running", "done"),
        (Restart, "reloading", "running", "done"),
        (Start, "failed", "failed", "failed"),
        (Restart, "activating", "auto-restart", "failed"),
        (Start, "failed", "failed-before-auto-restart", "failed"),
        (Start, "inactive", "dead", "unknown"),
        (Start, "activating", "start", "unknown"),
        (Start, "new", "newer", "unknown"),
        (Stop, "inactive", "dead", "done"),
        (Stop, "failed", "failed", "done"),
        (Stop, "inactive", "dead-before-auto-restart", "unknown"),
        (Stop, "active", "running", "unknown"),
        (Stop, "deactivating", "stop-sigterm", "unknown"),
    ] {
        let inferred = inferred_result(verb, run_state(active, sub));
        assert_eq!(inferred, result, "{verb} {active} {sub}");
    }
}

proptest! {
    #[test]
    fn any_environment_can_be_searched(bytes: Vec<u8>) {
        let found = revision_in(bytes.split(|byte| *byte == 0));
        prop_assert!(found.is_none() || bytes.starts_with(b"COMPANION_REVISION="));
    }
}
