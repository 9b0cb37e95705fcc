//! The connection to systemd, its jobs, and systemd's own properties.

use std::time::Duration;

use adapter_systemd::{Limits, Scope, SystemdManager, inspect};
use companion_core::model::service::Verb;
use companion_core::ports::{Job, ServiceManager as _};

use super::guest::{Guest, scope, systemctl};

#[tokio::test]
async fn a_reexecuted_systemd_is_found_again() {
    let guest = Guest::with("probe-reexec").await;
    guest.run(&guest.unit(0)).await;
    let before = guest.state().await;
    for _ in 0..3 {
        systemctl(&["daemon-reexec"]);
        let state = guest.state().await;
        assert!(state.is_up() && state.restarts == before.restarts, "{state:?}");
        guest.carry_out(Verb::Restart).await.unwrap();
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
        guest.stop().await;
        guest.start().await;
    }
    storm.join().unwrap();
    guest.remove().await;
}

#[tokio::test]
async fn a_forgotten_jobs_result_is_inferred_from_the_unit_state() {
    let guest = Guest::with("probe-forgotten").await;
    guest.run(&guest.unit(0)).await;
    let limits = Limits { poll: Duration::from_millis(50), ..Limits::default() };
    let other = SystemdManager::with_limits(scope(), limits);
    for (verb, is_done) in [(Verb::Start, true), (Verb::Stop, false)] {
        let id = format!("{verb} /org/freedesktop/systemd1/job/4000000");
        let job = Job { id, companion: guest.name.clone() };
        assert_eq!(other.wait(job).await.is_ok(), is_done, "{verb}");
    }
    guest.remove().await;
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
