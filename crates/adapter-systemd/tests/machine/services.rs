//! Service states during start, run, pause and end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use companion_core::model::container::RestartPolicy;
use companion_core::model::revision::Revision;
use companion_core::model::service::{End, LoadedUnit, RunState, ServiceState, Verb};
use companion_core::model::unit::UnitFileState;
use companion_core::ports::{PortErrorKind, ServiceManager as _, UnitStore as _};

use super::guest::{Guest, podman, systemctl};

#[tokio::test]
async fn a_written_unit_is_loaded_from_its_path_and_runs_with_its_revision() {
    let guest = Guest::with("probe-life").await;
    let unit = guest.unit(0);
    assert_eq!(guest.file(&unit).await.state, UnitFileState::Absent);
    guest.units.write(&unit).await.unwrap();
    let file = guest.file(&unit).await;
    assert_eq!(file.state, UnitFileState::Current { revision: unit.revision });
    assert_eq!(guest.state().await, ServiceState::absent(), "written is not loaded");

    guest.services.reload().await.unwrap();
    let state = guest.state().await;
    assert_eq!(state.run, RunState::Down);
    assert_eq!((state.loaded(), state.running), (Some(unit.revision), None));

    guest.start().await;
    let state = guest.state().await;
    assert!(state.is_up() && !state.frozen && !state.busy, "{state:?}");
    assert_eq!((state.loaded(), state.running), (Some(unit.revision), Some(unit.revision)));
    assert!(state.since.is_some() && state.up_for < Duration::from_secs(60), "{state:?}");
    guest.start().await;
    assert!(guest.units.list().await.unwrap().contains(&guest.name));
    guest.remove().await;
    assert!(!guest.units.list().await.unwrap().contains(&guest.name));
}

#[tokio::test]
async fn a_new_revision_is_loaded_by_a_reload_and_running_after_a_restart() {
    let guest = Guest::with("probe-revision").await;
    let (old, new) = (guest.unit(0), guest.unit(1));
    guest.run(&old).await;
    guest.units.write(&new).await.unwrap();
    guest.services.reload().await.unwrap();
    let state = guest.state().await;
    assert_eq!((state.loaded(), state.running), (Some(new.revision), Some(old.revision)));
    guest.carry_out(Verb::Restart).await.unwrap();
    assert_eq!(guest.state().await.running, Some(new.revision));
    assert_eq!(
        guest.file(&old).await.state,
        UnitFileState::Current { revision: new.revision },
        "it is compared under the restart_epoch that it names"
    );
    guest.remove().await;
}

#[tokio::test]
async fn a_paused_container_is_seen_although_systemd_does_not() {
    let guest = Guest::with("probe-pause").await;
    guest.run(&guest.unit(0)).await;
    podman(&["pause", guest.name.as_str()]);
    let state = guest.state().await;
    assert!(state.frozen && state.is_up(), "{state:?}");
    podman(&["unpause", guest.name.as_str()]);
    assert!(!guest.state().await.frozen);
    let service = format!("{}.service", guest.name);
    systemctl(&["freeze", &service]);
    assert!(guest.state().await.frozen);
    systemctl(&["thaw", &service]);
    assert!(!guest.state().await.frozen);
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
    assert_eq!((&state.unit, state.run), (&LoadedUnit::Absent, RunState::Up));
    assert_eq!(state.running, Some(unit.revision));
    guest.stop().await;
    assert_eq!(guest.state().await, ServiceState::absent());
    for error in [
        guest.services.begin(&guest.name, Verb::Start).await.unwrap_err(),
        guest.services.begin(&guest.name, Verb::Stop).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), PortErrorKind::NotFound, "{}", error.chain());
    }
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
    let _done_or_failed = guest.carry_out(Verb::Start).await;
    let state = guest.until(ServiceState::is_down).await;
    assert_eq!(state.run, RunState::Failed, "{state:?}");
    assert!(state.restarts > 0, "{state:?}");
    assert!(matches!(state.last_end, Some(End::Exit(3) | End::StartLimit)), "{state:?}");
    guest.services.reset_failed(&guest.name).await.unwrap();
    assert_eq!(guest.state().await.run, RunState::Down);
    guest.remove().await;
}

#[tokio::test]
async fn the_invocation_id_matches_the_process_environment() {
    let guest = Guest::with("probe-run").await;
    let unit = guest.unit(0);
    let mut seen = BTreeSet::new();
    guest.units.write(&unit).await.unwrap();
    guest.services.reload().await.unwrap();
    assert_eq!(guest.state().await.run_id, None, "it never ran");
    for _ in 0..3 {
        guest.start().await;
        let state = guest.state().await;
        let id = state.run_id.clone().unwrap();
        assert_eq!(guest.environment("INVOCATION_ID"), Some(id.clone()), "{state:?}");
        assert_eq!(state.running, Some(unit.revision));
        assert!(seen.insert(id));
        guest.stop().await;
        let state = guest.state().await;
        assert_eq!(state.running, None, "{state:?}");
        assert!(state.run_id.is_none_or(|id| seen.contains(&id)), "of no other run");
    }
    guest.remove().await;
}

#[tokio::test]
async fn a_failed_service_keeps_its_invocation_and_reports_no_revision() {
    let guest = Guest::with("probe-ended").await;
    let mut unit = guest.unit(0);
    unit.container.restart = RestartPolicy::No;
    guest.run(&unit).await;
    let run = guest.state().await.run_id;
    podman(&["kill", "--signal", "KILL", guest.name.as_str()]);
    let state = guest.until(ServiceState::is_down).await;
    assert_eq!((state.run_id, state.running), (run.clone(), None));
    guest.start().await;
    let again = guest.state().await.run_id;
    assert!(again.is_some() && again != run);
    guest.remove().await;
}

#[tokio::test]
async fn revision_and_run_are_never_mixed_while_a_service_is_restarted() {
    let guest = Guest::with("probe-mixed").await;
    let mut runs = BTreeMap::new();
    for restart_epoch in 0..4 {
        let unit = guest.unit(restart_epoch);
        guest.units.write(&unit).await.unwrap();
        guest.services.reload().await.unwrap();
        let job = guest.services.begin(&guest.name, Verb::Restart).await.unwrap();
        let ended = guest.services.wait(job);
        tokio::pin!(ended);
        loop {
            tokio::select! {
                biased;
                result = &mut ended => {
                    result.unwrap();
                    break;
                }
                state = guest.state() => note(&mut runs, &state),
            }
        }
        note(&mut runs, &guest.state().await);
        guest.services.reset_failed(&guest.name).await.unwrap();
    }
    assert_eq!(runs.len(), 4, "{runs:?}");
    guest.remove().await;
}

/// Records the revision of a run, and fails if the run reported another before.
fn note(runs: &mut BTreeMap<String, Revision>, state: &ServiceState) {
    if let (Some(run), Some(revision)) = (&state.run_id, state.running) {
        assert_eq!(*runs.entry(run.clone()).or_insert(revision), revision, "{state:?}");
    }
}
