//! The calls to each port, on mocks: an unexpected call panics.

use std::sync::Arc;

use companion_core::model::desired::{DesiredCompanion, DesiredState, Generation, Target};
use companion_core::model::hook::{ConfigId, HookState, Link, Rendering};
use companion_core::model::host::HostTraits;
use companion_core::model::image::ImageState;
use companion_core::model::revision::Fingerprint;
use companion_core::model::service::ServiceState;
use companion_core::model::unit::{ContainerState, UnitFile, UnitFileState};
use companion_core::ports::container_runtime::MockContainerRuntime;
use companion_core::ports::desired_store::MockDesiredStore;
use companion_core::ports::hook_runner::MockHookRunner;
use companion_core::ports::image_provider::MockImageProvider;
use companion_core::ports::leadership::MockLeadership;
use companion_core::ports::service_manager::MockServiceManager;
use companion_core::ports::unit_store::MockUnitStore;
use companion_core::ports::{Acquired, Host};
use companion_core::reconciler::{Outcome, Reconciler};
use companion_tests::node::viewer;

/// An empty host that answers every read and expects no other call.
#[derive(Default)]
struct Reads {
    units: MockUnitStore,
    services: MockServiceManager,
    images: MockImageProvider,
    hooks: MockHookRunner,
    containers: MockContainerRuntime,
    desired: MockDesiredStore,
    leadership: MockLeadership,
}

fn reads() -> Reads {
    let mut host = Reads::default();
    host.desired.expect_load().returning(|| {
        let companion = DesiredCompanion::new(viewer(), Generation(1));
        let targets = [(viewer().name, Target::Present(companion))].into();
        Ok(DesiredState { targets, ..DesiredState::default() })
    });
    host.units.expect_list().returning(|| Ok([].into()));
    host.units.expect_observe().returning(|names| {
        let absent = || UnitFile {
            state: UnitFileState::Absent,
            location: "/units/x".to_owned(),
            rendering: None,
            drop_ins: Vec::new(),
        };
        names.keys().map(|name| (name.clone(), Ok(absent()))).collect()
    });
    host.services.expect_observe().returning(|names| {
        names.iter().map(|name| (name.clone(), Ok(ServiceState::absent()))).collect()
    });
    host.images.expect_observe().returning(|sources| {
        let nothing =
            || ImageState { context: None, present: None, damaged: false, dangling: Vec::new() };
        sources.keys().map(|name| (name.clone(), Ok(nothing()))).collect()
    });
    host.hooks.expect_observe().returning(|_hook| {
        let rendering = Rendering::Outdated { input: Fingerprint::of(b"input") };
        Ok(HookState { rendering, files: [].into(), link: Link::Absent })
    });
    host.containers.expect_observe().returning(|names| {
        names.iter().map(|name| (name.clone(), Ok(ContainerState::Absent))).collect()
    });
    host
}

fn reconciler(host: Reads) -> Reconciler {
    Reconciler::new(Host {
        units: Arc::new(host.units),
        services: Arc::new(host.services),
        images: Arc::new(host.images),
        hooks: Arc::new(host.hooks),
        containers: Arc::new(host.containers),
        desired: Arc::new(host.desired),
        leadership: Arc::new(host.leadership),
        traits: HostTraits::ALL,
    })
}

#[tokio::test(start_paused = true)]
async fn dry_run_calls_read_methods_only_and_takes_no_leadership() {
    let reconcile = reconciler(reads()).dry_run().await.unwrap();
    let verbs: Vec<_> = reconcile.plan.steps.iter().map(|step| step.action.verb()).collect();
    assert_eq!(verbs, ["run-hook", "ensure-image"]);
}

#[tokio::test(start_paused = true)]
async fn reconcile_calls_only_the_write_methods_of_its_steps() {
    let mut host = reads();
    host.leadership.expect_acquire().times(1).returning(|| Ok(Acquired::Leading(Box::new(()))));
    host.hooks.expect_render().times(1).returning(|_hook| {
        Ok(companion_core::model::hook::Rendered::new(b"configuration".to_vec()))
    });
    host.hooks.expect_commit().times(1).returning(|_, _, claimed| {
        assert!(claimed.is_empty(), "nothing runs yet");
        Ok(ConfigId { digest: Fingerprint::of(b"configuration"), epoch: 0 })
    });
    host.images.expect_ensure().times(1).returning(|_source| {
        let kind = companion_core::ports::PortErrorKind::Transient;
        Err(companion_core::ports::PortError::new(kind, "the registry is down"))
    });
    let reconciler = reconciler(host);
    let reconcile = reconciler.reconcile_once().await.unwrap();
    assert_eq!(reconcile.outcomes, [Outcome::Started, Outcome::Started]);
    // Both run to completion; a mock panics on drop if an expected call is missing.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    reconciler.shut_down().await;
}
