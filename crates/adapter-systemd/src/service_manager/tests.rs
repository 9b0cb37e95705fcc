use std::fs;
use std::path::Path;

use companion_core::model::service::LoadedUnit;

use super::*;
use crate::states::tests::{FakeUnit, value};
use fake::{Fake, JobCourse};

mod fake;
mod known;
mod reloads;

const REVISION: &str = "00000000000000aa-00000000000000bb-none-2";

fn name(text: &str) -> CompanionName {
    CompanionName::new(text).unwrap()
}

fn names(texts: &[&str]) -> BTreeSet<CompanionName> {
    texts.iter().map(|text| name(text)).collect()
}

/// Returns an answer without failed entries.
fn read(
    states: BTreeMap<CompanionName, PortResult<ServiceState>>,
) -> BTreeMap<CompanionName, ServiceState> {
    states.into_iter().map(|(name, state)| (name, state.unwrap())).collect()
}

/// Returns the error of an answer about one name.
fn unread(mut states: BTreeMap<CompanionName, PortResult<ServiceState>>) -> PortError {
    assert_eq!(states.len(), 1);
    states.pop_first().unwrap().1.unwrap_err()
}

fn running(text: &str) -> FakeUnit {
    FakeUnit::in_state(text, "loaded", "active", "running")
}

#[tokio::test]
async fn services_are_read_with_one_list_and_two_calls_per_loaded_unit() {
    let texts: Vec<String> = (0..100).map(|n| format!("a{n}")).collect();
    let fake = texts.iter().fold(Fake::new(), |fake, text| fake.with(text, running(text)));
    let outlived = FakeUnit::in_state("b", "not-found", "active", "running");
    let fake = fake.with("b", outlived);
    let asked = texts.iter().map(String::as_str).chain(["b", "c"]).collect::<Vec<_>>();
    let mut states = read(fake.manager().observe(&names(&asked)).await);
    assert_eq!((fake.count("ListUnitsByNames"), fake.count("GetAll")), (1, 202));
    assert_eq!(states.remove(&name("c")), Some(ServiceState::absent()));
    assert!(states.values().all(ServiceState::is_up) && states.len() == 101);
    assert_eq!(states[&name("b")].unit, LoadedUnit::Absent, "the service outlived its unit");
    assert_eq!(states[&name("a0")].restarts, 3);
}

#[tokio::test]
async fn a_unit_that_is_listed_under_an_alias_is_not_taken_for_absent() {
    let mut unit = running("a");
    unit.listed_as = "nickname.service".to_owned();
    let fake = Fake::new().with("a", unit);
    let states = read(fake.manager().observe(&names(&["a"])).await);
    assert!(states[&name("a")].is_up());
}

#[tokio::test]
async fn a_unit_whose_answer_is_not_understood_hides_no_other() {
    let mut broken = running("a");
    broken.service.remove("NRestarts");
    let mut alias = running("b");
    alias.listed_as = "nickname.service".to_owned();
    let fake = Fake::new().with("a", broken).with("b", alias).with("c", running("c"));
    fake.world().refused.insert("LoadUnit", "org.freedesktop.DBus.Error.AccessDenied");
    let states = fake.manager().observe(&names(&["a", "b", "c", "d"])).await;
    let kind = |text: &str| states[&name(text)].as_ref().map_err(|error| error.kind());
    assert_eq!(kind("a").err(), Some(PortErrorKind::Unavailable));
    assert_eq!(kind("b").err(), Some(PortErrorKind::Denied));
    assert!(kind("c").unwrap().is_up());
    assert_eq!(kind("d"), Ok(&ServiceState::absent()));
    let text = states[&name("a")].as_ref().unwrap_err().chain();
    assert!(text.contains("`a.service`"), "{text}");
}

/// The kernel's files below `place`.
fn kernel(place: &Path) -> KernelFiles {
    KernelFiles { proc: place.join("proc"), cgroup: place.join("cgroup") }
}

/// Puts a process of the run `0xab, run` and the given restart epoch into the files of the kernel.
fn start(place: &Path, pid: u32, (run, restart_epoch): (u8, u32), started: u64) {
    let process = place.join(format!("proc/{pid}"));
    fs::create_dir_all(&process).unwrap();
    let revision = format!("00000000000000aa-00000000000000bb-none-{restart_epoch}");
    let environ = format!("INVOCATION_ID=ab{run:02x}\0COMPANION_REVISION={revision}\0");
    fs::write(process.join("environ"), environ).unwrap();
    let fields = ["0"; 18].join(" ");
    fs::write(process.join("stat"), format!("{pid} (a b) S {fields} {started} 0 0")).unwrap();
}

/// A running service with the main process `pid`, in the run `0xab, run`.
fn in_run(text: &str, run: u8, pid: u32) -> FakeUnit {
    let mut unit = running(text);
    unit.unit.insert("InvocationID".to_owned(), value(vec![0xab, run]));
    unit.service.insert("MainPID".to_owned(), value(pid));
    unit.service.insert("ControlGroup".to_owned(), value(format!("/s/{text}.service")));
    unit
}

#[tokio::test]
async fn loaded_and_running_revision_are_read_from_where_each_is_kept() {
    let place = tempfile::tempdir().unwrap();
    start(place.path(), 4242, (0xcd, 1), 1);
    let mut unit = in_run("a", 0xcd, 4242);
    let environment = vec![format!("COMPANION_REVISION={REVISION}")];
    unit.service.insert("Environment".to_owned(), value(environment));
    let fake = Fake::new().with("a", unit);
    let manager = fake.manager_with(Limits::default(), kernel(place.path()));
    let states = read(manager.observe(&names(&["a"])).await);
    let state = &states[&name("a")];
    assert_eq!(state.loaded(), Some(REVISION.parse().unwrap()));
    assert_eq!(state.running.map(|revision| revision.restart_epoch), Some(1));
    assert_eq!(state.run_id.as_deref(), Some("abcd"));
}

#[tokio::test]
async fn a_service_that_is_restarted_while_it_is_read_is_read_again() {
    // With and without the previous run's main process.
    for has_previous in [true, false] {
        let place = tempfile::tempdir().unwrap();
        start(place.path(), 42, (2, 2), 2);
        if has_previous {
            start(place.path(), 41, (1, 1), 1);
        }
        let fake = Fake::new().with("a", in_run("a", 1, 41));
        fake.world().next.insert("a.service".to_owned(), in_run("a", 2, 42));
        let manager = fake.manager_with(Limits::default(), kernel(place.path()));
        let states = read(manager.observe(&names(&["a"])).await);
        let state = &states[&name("a")];
        assert_eq!(state.running.map(|revision| revision.restart_epoch), Some(2));
        assert_eq!(state.run_id.as_deref(), Some("ab02"));
        assert_eq!(fake.count("GetAll"), 4);
    }
}

#[tokio::test]
async fn a_service_that_is_never_of_one_run_is_reported_without_a_revision() {
    let place = tempfile::tempdir().unwrap();
    start(place.path(), 41, (1, 1), 1);
    let fake = Fake::new().with("a", in_run("a", 2, 41));
    let manager = fake.manager_with(Limits::default(), kernel(place.path()));
    let states = read(manager.observe(&names(&["a"])).await);
    assert_eq!(states[&name("a")].running, None);
    assert_eq!(fake.count("GetAll"), 6);
}

#[tokio::test]
async fn an_end_that_overtakes_the_reply_is_not_lost() {
    let words = [
        ("done", true),
        ("canceled", true),
        ("skipped", true),
        ("failed", false),
        ("timeout", false),
        ("dependency", false),
        ("new", false),
    ];
    for (word, is_done) in words {
        let fake = Fake::new().with("a", running("a"));
        fake.world().course = JobCourse::EndsFirst(word);
        let manager = fake.manager();
        let job = manager.begin(&name("a"), Verb::Start).await.unwrap();
        assert_eq!(manager.wait(job).await.is_ok(), is_done, "{word}");
        assert_eq!(fake.count("GetAll"), 0, "the signal sufficed");
    }
}

#[tokio::test]
async fn the_subscription_comes_before_the_first_job_and_once() {
    let fake = Fake::new().with("a", running("a"));
    let manager = fake.manager();
    let job = manager.begin(&name("a"), Verb::Restart).await.unwrap();
    manager.wait(job).await.unwrap();
    let job = manager.begin(&name("a"), Verb::Stop).await.unwrap();
    manager.wait(job).await.unwrap();
    assert_eq!(fake.world().calls, ["Subscribe", "RestartUnit", "StopUnit"]);
}

#[tokio::test]
async fn a_job_end_without_a_signal_is_found_by_polling() {
    for (active, sub, result) in [
        ("active", "running", None),
        ("failed", "failed", Some("failed")),
        ("activating", "auto-restart", Some("failed")),
        ("inactive", "dead", Some("unknown")),
    ] {
        let fake = Fake::new().with("a", FakeUnit::in_state("a", "loaded", active, sub));
        fake.world().course = JobCourse::EndsUnheard;
        let manager = fake.manager();
        let job = manager.begin(&name("a"), Verb::Start).await.unwrap();
        let error = manager.wait(job).await.err().map(|error| error.chain());
        let expected =
            result.map(|result| format!("job for `a.service` finished with result `{result}`"));
        assert_eq!(error, expected, "{active}");
    }
}

#[tokio::test]
async fn only_ends_of_jobs_of_observed_units_are_reported_as_changes() {
    const SOON: Duration = Duration::from_millis(50);
    let fake = Fake::new().with("a", running("a")).with("b", running("b"));
    let manager = fake.manager();
    read(manager.observe(&names(&["a"])).await);
    let carried_out = |text| {
        let manager = &manager;
        async move {
            let job = manager.begin(&name(text), Verb::Restart).await.unwrap();
            manager.wait(job).await.unwrap();
        }
    };
    assert!(tokio::time::timeout(SOON, manager.changed()).await.is_err(), "nothing happened");
    // Before the call, too: a change between two calls is not lost.
    carried_out("a").await;
    assert_eq!(manager.changed().await, Hint::Companions(names(&["a"])));
    carried_out("b").await;
    assert!(tokio::time::timeout(SOON, manager.changed()).await.is_err(), "not of a companion");
}

#[tokio::test]
async fn a_broken_connection_fails_once_and_is_reopened_with_its_subscription() {
    let fake = Fake::new().with("a", running("a"));
    fake.world().closed_at.insert("ListUnitsByNames");
    let manager = fake.manager();
    let error = unread(manager.observe(&names(&["a"])).await);
    assert_eq!(error.kind(), PortErrorKind::Transient, "{}", error.chain());
    read(manager.observe(&names(&["a"])).await);
    assert_eq!(fake.count("Subscribe"), 2);
    assert_eq!(fake.world().connections, 2);
    assert_eq!(manager.changed().await, Hint::All, "signals may have been lost");
}

#[tokio::test]
async fn a_connection_that_breaks_at_a_start_does_not_start_twice() {
    let fake = Fake::new().with("a", running("a"));
    fake.world().closed_at.insert("StartUnit");
    let manager = fake.manager();
    let error = manager.begin(&name("a"), Verb::Start).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Transient, "{}", error.chain());
    assert_eq!(fake.count("StartUnit"), 1);
}

#[tokio::test]
async fn a_job_is_waited_for_across_a_broken_connection() {
    let fake = Fake::new().with("a", running("a"));
    {
        let mut world = fake.world();
        world.course = JobCourse::EndsUnheard;
        world.closed_at.insert("GetAll");
    }
    let manager = fake.manager();
    let job = manager.begin(&name("a"), Verb::Start).await.unwrap();
    manager.wait(job).await.unwrap();
    assert_eq!(fake.world().connections, 2);
}

#[tokio::test]
async fn every_wait_for_a_reply_has_a_time_limit() {
    for method in ["Subscribe", "ListUnitsByNames", "GetAll"] {
        let fake = Fake::new().with("a", running("a"));
        fake.world().unanswered.insert(method);
        let limits = Limits { call: Duration::from_millis(50), ..Limits::default() };
        let manager = fake.manager_with(limits, KernelFiles::default());
        let error = unread(manager.observe(&names(&["a"])).await);
        assert_eq!(error.kind(), PortErrorKind::Transient, "{method}");
    }
}

#[tokio::test]
async fn systemds_error_name_determines_the_error_kind() {
    for (method, error, kind) in [
        ("StartUnit", "org.freedesktop.systemd1.BadUnitSetting", PortErrorKind::Invalid),
        ("Subscribe", "org.freedesktop.DBus.Error.AccessDenied", PortErrorKind::Denied),
    ] {
        let fake = Fake::new();
        fake.world().refused.insert(method, error);
        let refused = fake.manager().begin(&name("a"), Verb::Start).await.unwrap_err();
        assert_eq!(refused.kind(), kind, "{error}");
        let chain = refused.chain();
        assert!(chain.contains("because of the test") && chain.contains("`a.service`"), "{chain}");
    }
}

#[tokio::test]
async fn a_unit_that_is_not_loaded_has_nothing_to_forget() {
    let fake = Fake::new();
    fake.world().refused.insert("ResetFailedUnit", "org.freedesktop.systemd1.NoSuchUnit");
    fake.manager().reset_failed(&name("a")).await.unwrap();
    fake.world().refused.insert("ResetFailedUnit", "org.freedesktop.DBus.Error.AccessDenied");
    let error = fake.manager().reset_failed(&name("a")).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Denied);
}

#[tokio::test]
async fn another_adapters_job_is_refused() {
    for id in ["", "start", "start nowhere", "leap /org/freedesktop/systemd1/job/1"] {
        let job = Job { id: id.to_owned(), companion: name("a") };
        let error = Fake::new().manager().wait(job).await.unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::Invalid, "{id}");
    }
}

#[tokio::test]
async fn without_a_bus_the_address_is_named() {
    let place = tempfile::tempdir().unwrap();
    let address = format!("unix:path={}/bus", place.path().display());
    let bus = Bus::at(vec![address.clone()], Duration::from_secs(5));
    let manager = SystemdManager::over(
        bus,
        Limits::default(),
        KernelFiles::default(),
        Journal::of(Scope::User),
        Ok(QuadletDir::at(place.path(), Scope::User, quadlet::PodmanVersion::FLOOR)),
    );
    let error = unread(manager.observe(&names(&["a"])).await);
    assert_eq!(error.kind(), PortErrorKind::Unavailable);
    assert!(error.chain().contains(&address), "{}", error.chain());
}
