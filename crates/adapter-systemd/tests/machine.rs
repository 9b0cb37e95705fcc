//! Both adapters against a real systemd, generator and Podman. Changes the user's units and containers, hence the feature `machine`:
//! built outside, copied into a throwaway machine, and run there with `--test-threads=1`, as an ordinary user for the user's manager or as
//! root for the system's. The image must be in that user's storage.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of these tests fail by panicking, too"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use adapter_systemd::{Limits, QuadletDir, Scope, SystemdManager, inspect};
use companion_core::model::companion::CompanionName;
use companion_core::model::container::{ContainerSpec, RestartPolicy};
use companion_core::model::image::ImageRef;
use companion_core::model::revision::{Fingerprint, Revision};
use companion_core::model::unit::{
    ActiveState, JobResult, LoadState, ServiceResult, ServiceState, UnitFile, UnitFileState,
    UnitSpec,
};
use companion_core::ports::{Job, PortErrorKind, ServiceManager as _, UnitStore as _};

const IMAGE: &str = "localhost/companion-base:latest";

/// Whose manager it is.
fn scope() -> Scope {
    if rustix::process::geteuid().is_root() { Scope::System } else { Scope::User }
}

/// One companion on the machine, with nothing left of an earlier one.
struct Guest {
    units: QuadletDir,
    services: SystemdManager,
    name: CompanionName,
}

impl Guest {
    async fn with(name: &str) -> Self {
        let version = output("podman", &["--version"]).parse().unwrap();
        let units = QuadletDir::new(scope(), version).unwrap();
        let services = SystemdManager::new(scope());
        let guest = Self { units, services, name: CompanionName::new(name).unwrap() };
        // A test that failed half-way leaves anything.
        systemctl(&["unmask", &format!("{name}.service")]);
        let _nothing_there = std::fs::remove_file(guest.path());
        if let Ok(job) = guest.services.stop(&guest.name).await {
            let _ended = guest.services.wait(job).await.unwrap();
        }
        guest.services.reload().await.unwrap();
        guest.services.reset_failed(&guest.name).await.unwrap();
        guest
    }

    fn path(&self) -> PathBuf {
        self.units.path().join(format!("{}.container", self.name))
    }

    fn unit(&self, incarnation: u32) -> UnitSpec {
        UnitSpec {
            name: self.name.clone(),
            description: format!("Archipelago companion UI: {}", self.name),
            image: ImageRef::new(IMAGE).unwrap(),
            container: ContainerSpec { restart_delay: Some(10), ..ContainerSpec::default() },
            revision: Revision {
                spec: Fingerprint::of(b"spec"),
                image: Fingerprint::of(b"image"),
                config: None,
                incarnation,
            },
        }
    }

    async fn file(&self, wanted: &UnitSpec) -> UnitFile {
        let asked = BTreeMap::from([(self.name.clone(), Some(wanted.clone()))]);
        self.units.observe(&asked).await.remove(&self.name).unwrap().unwrap()
    }

    async fn state(&self) -> ServiceState {
        let asked = BTreeSet::from([self.name.clone()]);
        self.services.observe(&asked).await.unwrap().remove(&self.name).unwrap()
    }

    async fn start(&self) -> JobResult {
        let job = self.services.start(&self.name).await.unwrap();
        self.services.wait(job).await.unwrap()
    }

    async fn stop(&self) -> JobResult {
        let job = self.services.stop(&self.name).await.unwrap();
        self.services.wait(job).await.unwrap()
    }

    /// Writes and loads `unit`, and starts it.
    async fn run(&self, unit: &UnitSpec) {
        self.units.write(unit).await.unwrap();
        self.services.reload().await.unwrap();
        assert_eq!(self.start().await, JobResult::Done);
    }

    /// Asks until the state fits, for half a minute.
    async fn until(&self, fits: impl Fn(&ServiceState) -> bool) -> ServiceState {
        for _ in 0..150 {
            let state = self.state().await;
            if fits(&state) {
                return state;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("it stays {:?}", self.state().await);
    }

    async fn remove(&self) {
        let _result = self.stop().await;
        self.units.remove(&self.name).await.unwrap();
        self.services.reload().await.unwrap();
        self.services.reset_failed(&self.name).await.unwrap();
        assert_eq!(self.state().await, ServiceState::not_found());
    }
}

fn runtime_dir() -> PathBuf {
    match scope() {
        Scope::User => PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR").unwrap()),
        Scope::System => PathBuf::from("/run"),
    }
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn systemctl(arguments: &[&str]) {
    let whose = match scope() {
        Scope::User => "--user",
        Scope::System => "--system",
    };
    Command::new("systemctl").args([whose, "--quiet"]).args(arguments).status().unwrap();
}

fn podman(arguments: &[&str]) {
    let status = Command::new("podman").args(arguments).status().unwrap();
    assert!(status.success(), "podman {arguments:?}");
}

#[tokio::test]
async fn a_written_unit_is_loaded_from_where_it_lies_and_runs_under_its_revision() {
    let guest = Guest::with("probe-life").await;
    let unit = guest.unit(0);
    assert_eq!(guest.file(&unit).await.state, UnitFileState::Absent);
    guest.units.write(&unit).await.unwrap();
    let file = guest.file(&unit).await;
    assert_eq!(file.state, UnitFileState::Current { revision: unit.revision });
    assert_eq!(guest.state().await, ServiceState::not_found(), "written is not loaded");

    guest.services.reload().await.unwrap();
    let state = guest.state().await;
    assert_eq!((state.load, state.active), (LoadState::Loaded, ActiveState::Inactive));
    assert_eq!(state.source.as_deref(), Some(file.location.as_str()));
    assert_eq!((state.loaded, state.running), (Some(unit.revision), None));

    assert_eq!(guest.start().await, JobResult::Done);
    let state = guest.state().await;
    assert!(state.is_running() && !state.paused && !state.job_pending, "{state:?}");
    assert_eq!((state.loaded, state.running), (Some(unit.revision), Some(unit.revision)));
    assert!(state.since.is_some() && state.active_for < Duration::from_secs(60), "{state:?}");
    assert_eq!(guest.start().await, JobResult::Done, "starting what runs is done at once");
    assert!(guest.units.list().await.unwrap().contains(&guest.name));
    guest.remove().await;
    assert!(!guest.units.list().await.unwrap().contains(&guest.name));
}

#[tokio::test]
async fn a_new_revision_shows_first_in_the_loaded_unit_and_after_a_restart_in_the_process() {
    let guest = Guest::with("probe-revision").await;
    let (old, new) = (guest.unit(0), guest.unit(1));
    guest.run(&old).await;
    guest.units.write(&new).await.unwrap();
    guest.services.reload().await.unwrap();
    let state = guest.state().await;
    assert_eq!((state.loaded, state.running), (Some(new.revision), Some(old.revision)));
    let job = guest.services.restart(&guest.name).await.unwrap();
    assert_eq!(guest.services.wait(job).await.unwrap(), JobResult::Done);
    assert_eq!(guest.state().await.running, Some(new.revision));
    assert_eq!(
        guest.file(&old).await.state,
        UnitFileState::Current { revision: new.revision },
        "it is compared under the incarnation that it names"
    );
    guest.remove().await;
}

#[tokio::test]
async fn a_paused_container_is_seen_although_systemd_does_not() {
    let guest = Guest::with("probe-pause").await;
    guest.run(&guest.unit(0)).await;
    podman(&["pause", guest.name.as_str()]);
    let state = guest.state().await;
    assert!(state.paused && state.is_running(), "{state:?}");
    podman(&["unpause", guest.name.as_str()]);
    assert!(!guest.state().await.paused);
    let service = format!("{}.service", guest.name);
    systemctl(&["freeze", &service]);
    assert!(guest.state().await.paused);
    systemctl(&["thaw", &service]);
    assert!(!guest.state().await.paused);
    guest.remove().await;
}

#[tokio::test]
async fn a_service_outlives_its_unit_and_can_still_be_stopped() {
    let guest = Guest::with("probe-orphan").await;
    let unit = guest.unit(0);
    guest.run(&unit).await;
    guest.units.remove(&guest.name).await.unwrap();
    guest.services.reload().await.unwrap();
    let state = guest.state().await;
    assert_eq!((&state.load, &state.active), (&LoadState::NotFound, &ActiveState::Active));
    assert_eq!(state.running, Some(unit.revision));
    assert_eq!(guest.stop().await, JobResult::Done);
    assert_eq!(guest.state().await, ServiceState::not_found());
    for error in [
        guest.services.start(&guest.name).await.unwrap_err(),
        guest.services.stop(&guest.name).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), PortErrorKind::NotFound, "{}", error.chain());
    }
}

#[tokio::test]
async fn a_unit_that_the_generator_refuses_is_not_found_after_a_reload() {
    let guest = Guest::with("probe-refused").await;
    let unit = guest.unit(0);
    let text = guest.units.text(&unit).unwrap();
    std::fs::create_dir_all(guest.units.path()).unwrap();
    std::fs::write(guest.path(), text.replace("Pull=", "Pulll=")).unwrap();
    guest.services.reload().await.unwrap();
    assert_eq!(guest.state().await, ServiceState::not_found());
    assert_eq!(
        guest.file(&unit).await.state,
        UnitFileState::Drifted { revision: Some(unit.revision) }
    );
    guest.run(&unit).await;
    guest.remove().await;
}

#[tokio::test]
async fn a_masked_unit_is_reported_and_not_started() {
    let guest = Guest::with("probe-masked").await;
    guest.units.write(&guest.unit(0)).await.unwrap();
    let service = format!("{}.service", guest.name);
    systemctl(&["mask", &service]);
    guest.services.reload().await.unwrap();
    assert_eq!(guest.state().await.load, LoadState::Masked);
    let error = guest.services.start(&guest.name).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Denied, "{}", error.chain());
    systemctl(&["unmask", &service]);
    guest.remove().await;
}

#[tokio::test]
async fn a_service_that_was_started_too_often_stays_down_until_it_is_reset() {
    let guest = Guest::with("probe-limit").await;
    let mut unit = guest.unit(0);
    unit.container.restart_delay = None;
    unit.container.restart = RestartPolicy::Always;
    unit.container.command = vec!["/bin/false".to_owned()];
    unit.container.entrypoint = vec!["/bin/sh".to_owned(), "-c".to_owned(), "exit 3".to_owned()];
    guest.units.write(&unit).await.unwrap();
    guest.services.reload().await.unwrap();
    let _done_or_failed = guest.start().await;
    let state = guest.until(ServiceState::is_down).await;
    assert_eq!(state.active, ActiveState::Failed, "{state:?}");
    assert_eq!(state.exit_status, Some(3), "{state:?}");
    assert!(state.restarts > 0, "{state:?}");
    assert!(
        matches!(state.result, ServiceResult::ExitCode | ServiceResult::StartLimitHit),
        "{state:?}"
    );
    guest.services.reset_failed(&guest.name).await.unwrap();
    assert_eq!(guest.state().await.active, ActiveState::Inactive);
    guest.remove().await;
}

#[tokio::test]
async fn what_the_operator_changed_is_told_apart_by_the_mark() {
    let guest = Guest::with("probe-edited").await;
    let unit = guest.unit(0);
    guest.units.write(&unit).await.unwrap();
    std::fs::set_permissions(guest.path(), Permissions::from_mode(0o666)).unwrap();
    let drifted = UnitFileState::Drifted { revision: Some(unit.revision) };
    assert_eq!(guest.file(&unit).await.state, drifted);
    guest.units.write(&unit).await.unwrap();
    assert_eq!(guest.file(&unit).await.state, UnitFileState::Current { revision: unit.revision });
    std::fs::write(guest.path(), "[Container]\nImage=localhost/other\n").unwrap();
    assert!(matches!(guest.file(&unit).await.state, UnitFileState::Foreign { .. }));
    assert_eq!(guest.units.write(&unit).await.unwrap_err().kind(), PortErrorKind::Conflict);
    assert_eq!(guest.units.remove(&guest.name).await.unwrap_err().kind(), PortErrorKind::Conflict);
    std::fs::remove_file(guest.path()).unwrap();
    guest.services.reload().await.unwrap();
}

#[tokio::test]
async fn a_unit_that_shadows_ours_is_seen_by_its_source() {
    let guest = Guest::with("probe-shadow").await;
    let unit = guest.unit(0);
    guest.units.write(&unit).await.unwrap();
    let shadow = runtime_dir().join("containers/systemd/probe-shadow.container");
    std::fs::create_dir_all(shadow.parent().unwrap()).unwrap();
    std::fs::write(&shadow, "[Container]\nImage=localhost/other\n").unwrap();
    guest.services.reload().await.unwrap();
    let state = guest.state().await;
    std::fs::remove_file(&shadow).unwrap();
    assert_eq!(state.source.as_deref(), shadow.to_str());
    assert_ne!(state.source, Some(guest.file(&unit).await.location));
    guest.services.reload().await.unwrap();
    assert_eq!(guest.state().await.source, Some(guest.file(&unit).await.location));
    guest.units.remove(&guest.name).await.unwrap();
    guest.services.reload().await.unwrap();
}

#[tokio::test]
async fn a_hundred_names_are_asked_for_in_one_call() {
    let guest = Guest::with("probe-many").await;
    guest.units.write(&guest.unit(0)).await.unwrap();
    guest.services.reload().await.unwrap();
    let mut names: BTreeSet<CompanionName> =
        (0..99).map(|n| CompanionName::new(format!("probe-none-{n}")).unwrap()).collect();
    names.insert(guest.name.clone());
    let states = guest.services.observe(&names).await.unwrap();
    assert_eq!(states.len(), 100);
    let loaded = states.values().filter(|state| **state != ServiceState::not_found()).count();
    assert_eq!(loaded, 1);
    guest.units.remove(&guest.name).await.unwrap();
    guest.services.reload().await.unwrap();
}

#[tokio::test]
async fn a_reexecuted_systemd_is_found_again() {
    let guest = Guest::with("probe-reexec").await;
    guest.run(&guest.unit(0)).await;
    let before = guest.state().await;
    for _ in 0..3 {
        systemctl(&["daemon-reexec"]);
        let state = guest.state().await;
        assert!(state.is_running() && state.restarts == before.restarts, "{state:?}");
        let job = guest.services.restart(&guest.name).await.unwrap();
        assert_eq!(guest.services.wait(job).await.unwrap(), JobResult::Done);
    }
    guest.remove().await;
}

#[tokio::test]
async fn ends_of_jobs_are_seen_while_others_reload() {
    let guest = Guest::with("probe-storm").await;
    guest.run(&guest.unit(0)).await;
    let storm = std::thread::spawn(|| {
        for _ in 0..40 {
            systemctl(&["daemon-reload"]);
        }
    });
    for _ in 0..5 {
        assert_eq!(guest.stop().await, JobResult::Done);
        assert_eq!(guest.start().await, JobResult::Done);
    }
    storm.join().unwrap();
    guest.remove().await;
}

#[tokio::test]
async fn a_job_that_systemd_has_forgotten_is_judged_by_what_it_left() {
    let guest = Guest::with("probe-forgotten").await;
    guest.run(&guest.unit(0)).await;
    let limits = Limits { poll: Duration::from_millis(50), ..Limits::default() };
    let other = SystemdManager::with_limits(scope(), limits);
    for (kind, result) in [("start", JobResult::Done), ("stop", JobResult::Other)] {
        let id = format!("{kind} /org/freedesktop/systemd1/job/4000000");
        let job = Job { id, companion: guest.name.clone() };
        assert_eq!(other.wait(job).await.unwrap(), result, "{kind}");
    }
    guest.remove().await;
}

#[tokio::test]
async fn the_host_says_what_it_has() {
    let health = inspect(scope()).await;
    let systemd = health.systemd.unwrap();
    assert!(systemd.version.starts_with("25"), "{systemd:?}");
    let (linger, generator) = match scope() {
        Scope::User => (Some(true), "podman-user-generator"),
        Scope::System => (None, "podman-system-generator"),
    };
    assert_eq!(health.linger, linger);
    assert!(health.unified_cgroups);
    assert!(health.generator.unwrap().ends_with(generator));
    assert_eq!(systemd.unit_dir, health.unit_dir.ok());
}

#[tokio::test]
async fn nothing_is_left_of_the_checks() {
    let guest = Guest::with("probe-sweep").await;
    guest.units.write(&guest.unit(0)).await.unwrap();
    assert_eq!(guest.units.sweep().await.unwrap(), 0);
    guest.units.remove(&guest.name).await.unwrap();
    let stage = format!("companion-stage-{}", rustix::process::geteuid());
    let staged = std::fs::read_dir(runtime_dir().join(stage)).unwrap();
    assert_eq!(staged.count(), 0);
}
