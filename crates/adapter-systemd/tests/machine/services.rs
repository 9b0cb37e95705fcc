//! Service states during start, run, pause and end.

use std::collections::{BTreeMap, BTreeSet};

use companion_core::model::container::RestartPolicy;
use companion_core::model::revision::Revision;
use companion_core::model::service::{ServiceState, Verb};
use companion_core::ports::{ServiceManager as _, UnitStore as _};

use super::guest::{Guest, podman, systemctl};

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
