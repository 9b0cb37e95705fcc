//! Service states during a restart and a freeze, and systemd's own properties.

use std::collections::BTreeMap;

use adapter_systemd::{Scope, inspect};
use companion_core::model::revision::Revision;
use companion_core::model::service::{ServiceState, Verb};
use companion_core::ports::{ServiceManager as _, UnitStore as _};

use super::guest::{Guest, scope, systemctl};

#[tokio::test]
async fn a_service_that_systemd_froze_is_frozen_until_it_is_thawed() {
    let guest = Guest::with("probe-pause").await;
    guest.units.write(&guest.unit(0)).await.unwrap();
    guest.services.reload().await.unwrap();
    guest.carry_out(Verb::Start).await;
    let service = format!("{}.service", guest.name);
    systemctl(&["freeze", &service]);
    assert!(guest.state().await.frozen);
    systemctl(&["thaw", &service]);
    assert!(!guest.state().await.frozen);
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

#[tokio::test]
async fn systemd_reports_its_facts() {
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
    assert!(systemd.differing.is_empty(), "{:?}", systemd.differing);
}
