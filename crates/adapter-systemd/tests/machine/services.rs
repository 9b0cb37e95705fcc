//! Service states during start, run, pause and end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use companion_core::model::container::RestartPolicy;
use companion_core::model::revision::Revision;
use companion_core::model::unit::{
    ActiveState, JobResult, LoadState, ServiceResult, ServiceState, UnitFileState,
};
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
    assert_eq!(
        guest.start().await,
        JobResult::Done,
        "starting a running service completes immediately"
    );
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
    assert_eq!((state.loaded, state.running), (Some(new.revision), Some(old.revision)));
    let job = guest.services.restart(&guest.name).await.unwrap();
    assert_eq!(guest.services.wait(job).await.unwrap(), JobResult::Done);
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
async fn the_invocation_id_matches_the_process_environment() {
    let guest = Guest::with("probe-run").await;
    let unit = guest.unit(0);
    let mut seen = BTreeSet::new();
    guest.units.write(&unit).await.unwrap();
    guest.services.reload().await.unwrap();
    assert_eq!(guest.state().await.invocation, None, "it never ran");
    for _ in 0..3 {
        assert_eq!(guest.start().await, JobResult::Done);
        let state = guest.state().await;
        let id = state.invocation.clone().unwrap();
        assert_eq!(guest.environment("INVOCATION_ID"), Some(id.clone()), "{state:?}");
        assert_eq!(state.running, Some(unit.revision));
        assert!(seen.insert(id));
        assert_eq!(guest.stop().await, JobResult::Done);
        let state = guest.state().await;
        assert_eq!(state.running, None, "{state:?}");
        assert!(state.invocation.is_none_or(|id| seen.contains(&id)), "of no other run");
    }
    guest.remove().await;
}

#[tokio::test]
async fn a_failed_service_keeps_its_invocation_and_reports_no_revision() {
    let guest = Guest::with("probe-ended").await;
    let mut unit = guest.unit(0);
    unit.container.restart = RestartPolicy::No;
    guest.run(&unit).await;
    let run = guest.state().await.invocation;
    podman(&["kill", "--signal", "KILL", guest.name.as_str()]);
    let state = guest.until(ServiceState::is_down).await;
    assert_eq!((state.invocation, state.running), (run.clone(), None));
    assert_eq!(guest.start().await, JobResult::Done);
    let again = guest.state().await.invocation;
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
        let job = guest.services.restart(&guest.name).await.unwrap();
        let ended = guest.services.wait(job);
        tokio::pin!(ended);
        loop {
            tokio::select! {
                biased;
                result = &mut ended => {
                    assert_eq!(result.unwrap(), JobResult::Done);
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
    if let (Some(run), Some(revision)) = (&state.invocation, state.running) {
        assert_eq!(*runs.entry(run.clone()).or_insert(revision), revision, "{state:?}");
    }
}
