//! What the fake calls true, and what it does not.

use companion_core::model::hook::{ConfigId, Link};
use companion_core::ports::ContainerRuntime;
use companion_core::ports::Leadership as _;

use super::*;
use crate::ViolationKind;
use crate::world::Mismatch;
use crate::world::conditions::Disk;
use crate::world::units::UnitBytes;

impl Bench {
    fn mismatch(&self) -> Option<Mismatch> {
        self.host.mismatch().map(|(_, mismatch)| mismatch)
    }
}

#[tokio::test(start_paused = true)]
async fn companion_created_in_order_matches_the_desired_state() {
    let bench = Bench::new();
    bench.host.install(&bench.spec);
    assert_eq!(bench.mismatch(), Some(Mismatch::Image));
    bench.converge().await;
    assert_eq!(bench.mismatch(), None);
    assert_eq!(bench.host.all_violations(), []);
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_tampering_is_detected() {
    type Tamper = fn(&Bench);
    let ways: [(Tamper, Mismatch); 12] = [
        (|b| b.host.edit_unit(b.name()), Mismatch::UnitFile),
        (|b| b.host.expose_unit(b.name()), Mismatch::UnitFile),
        (|b| b.host.delete_unit(b.name()), Mismatch::UnitFile),
        (|b| b.host.put_unit(b.name(), UnitBytes::Empty), Mismatch::UnitFile),
        (|b| b.host.put_unit(b.name(), UnitBytes::Unmanaged), Mismatch::UnitFile),
        (|b| b.host.mask(b.name()), Mismatch::Loaded),
        (|b| b.host.shadow(b.name()), Mismatch::Loaded),
        (|b| b.host.kill_container(b.name()), Mismatch::Down),
        (|b| b.host.pause_container(b.name()), Mismatch::Paused),
        (|b| b.host.rotate_credentials(), Mismatch::Config),
        (|b| b.host.expose_config(b.output(), 0o644), Mismatch::Config),
        (|b| b.host.change_context(&path("/opt/ui")), Mismatch::Image),
    ];
    for (number, (tamper, mismatch)) in ways.into_iter().enumerate() {
        let bench = Bench::new();
        bench.host.install(&bench.spec);
        bench.converge().await;
        tamper(&bench);
        assert_eq!(bench.mismatch(), Some(mismatch), "way {number}");
    }
}

#[tokio::test(start_paused = true)]
async fn process_of_a_tampered_unit_is_stale_after_the_file_is_restored() {
    let bench = Bench::new();
    bench.host.install(&bench.spec);
    let unit = bench.converge().await;
    bench.host.edit_unit(bench.name());
    bench.host.reload().await.unwrap();
    bench.restart().await.unwrap();
    bench.host.write(&unit).await.unwrap();
    bench.host.reload().await.unwrap();
    assert_eq!(bench.mismatch(), Some(Mismatch::Running));
    let state = bench.state().await;
    assert_eq!(
        (state.loaded(), state.running),
        (Some(unit.revision), Some(unit.revision)),
        "the revision alone does not show it"
    );
}

#[tokio::test(start_paused = true)]
async fn removal_is_complete_only_when_nothing_remains() {
    let bench = Bench::new();
    bench.host.install(&bench.spec);
    bench.converge().await;
    bench.host.remove(bench.name());
    assert_eq!(bench.mismatch(), Some(Mismatch::LeftBehind));
    bench.stop().await.unwrap();
    UnitStore::remove(&bench.host, bench.name()).await.unwrap();
    bench.host.reload().await.unwrap();
    assert_eq!(bench.mismatch(), Some(Mismatch::LeftBehind));
    HookRunner::remove(&bench.host, bench.hook()).await.unwrap();
    assert_eq!(bench.mismatch(), None);
}

#[tokio::test(start_paused = true)]
async fn change_after_a_finished_removal_is_a_violation() {
    let bench = Bench::new();
    let unit = bench.prepare().await;
    bench.host.removal_finished(bench.name());
    bench.host.write(&unit).await.unwrap();
    assert_eq!(kinds(&bench), [ViolationKind::EffectAfterRemoval]);
    bench.host.install(&bench.spec);
    bench.host.write(&unit).await.unwrap();
    assert_eq!(bench.host.violations().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_start_between_a_write_and_its_reload_is_a_violation() {
    let bench = Bench::new();
    let mut unit = bench.converge().await;
    bench.host.delete_unit(bench.name());
    bench.host.write(&unit).await.unwrap();
    bench.restart().await.unwrap();
    let starts = || {
        let all = bench.host.all_violations();
        all.iter().filter(|one| one.kind == ViolationKind::StartBeforeReload).count()
    };
    assert_eq!(starts(), 0, "what is loaded is what was written");
    unit.description = "Another page".to_owned();
    bench.host.write(&unit).await.unwrap();
    bench.restart().await.unwrap();
    assert_eq!(starts(), 1);
}

#[tokio::test(start_paused = true)]
async fn start_without_an_image_is_a_violation_if_the_caller_could_know() {
    let bench = Bench::new();
    bench.converge().await;
    bench.host.remove_image(bench.reference());
    bench.host.pause_container(bench.name());
    bench.restart().await.unwrap_err();
    assert_eq!(bench.host.violations(), []);
    assert_eq!(bench.host.all_violations().len(), 1);
    let sources = [(bench.name().clone(), bench.spec.image.clone())].into();
    ImageProvider::observe(&bench.host, &sources).await;
    bench.restart().await.unwrap_err();
    assert_eq!(kinds(&bench), [ViolationKind::StartWithoutImage]);
}

#[tokio::test(start_paused = true)]
async fn replacing_an_unmanaged_container_by_a_start_is_a_violation() {
    let bench = Bench::new();
    let unit = bench.prepare().await;
    bench.host.write(&unit).await.unwrap();
    bench.host.reload().await.unwrap();
    bench.host.put_unmanaged_container(bench.name());
    let names = [bench.name().clone()].into();
    ContainerRuntime::observe(&bench.host, &names).await;
    bench.start().await.unwrap();
    assert_eq!(kinds(&bench), [ViolationKind::UnmanagedContainerReplaced]);
    assert_eq!(bench.host.world().unmanaged_replaced(), 1);
}

fn kinds(bench: &Bench) -> Vec<ViolationKind> {
    bench.host.violations().iter().map(|violation| violation.kind).collect()
}

#[tokio::test(start_paused = true)]
async fn removing_an_unmanaged_container_is_a_violation() {
    let bench = Bench::new();
    let names = [bench.name().clone()].into();
    bench.host.put_unmanaged_container(bench.name());
    assert!(ContainerRuntime::remove(&bench.host, bench.name()).await.is_err());
    assert_eq!(kinds(&bench), [], "nobody had looked at it yet");
    ContainerRuntime::observe(&bench.host, &names).await;
    assert!(ContainerRuntime::remove(&bench.host, bench.name()).await.is_err());
    assert_eq!(kinds(&bench), [ViolationKind::UnmanagedContainerTouched]);
}

#[tokio::test(start_paused = true)]
async fn any_request_to_an_unmanaged_service_is_a_violation() {
    let bench = Bench::new();
    bench.host.put_unit(bench.name(), UnitBytes::Unmanaged);
    bench.host.reload_by_others();
    let wanted = [(bench.name().clone(), None)].into();
    UnitStore::observe(&bench.host, &wanted).await;
    bench.state().await;
    bench.start().await.unwrap();
    bench.state().await;
    bench.restart().await.unwrap();
    bench.state().await;
    bench.stop().await.unwrap();
    bench.state().await;
    bench.host.reset_failed(bench.name()).await.unwrap();
    assert_eq!(kinds(&bench), [ViolationKind::UnmanagedServiceTouched; 4]);
    bench.host.shadow(bench.name());
    bench.start().await.unwrap();
    assert_eq!(bench.host.violations().len(), 4, "that it is shadowed was not seen yet");
}

#[tokio::test(start_paused = true)]
async fn rendering_to_or_removing_a_directory_is_a_violation() {
    let bench = Bench::new();
    bench.host.install(&bench.spec);
    bench.prepare().await;
    bench.host.put_directory_at_config(&bench.hook().output);
    bench.host.render(bench.hook()).await.unwrap();
    assert_eq!(kinds(&bench), [], "nobody had looked at it yet");
    let state = HookRunner::observe(&bench.host, bench.hook()).await.unwrap();
    assert_eq!(state.link, Link::Unmanaged);
    bench.host.render(bench.hook()).await.unwrap();
    assert!(HookRunner::remove(&bench.host, bench.hook()).await.is_err(), "the files go first");
    assert!(HookRunner::remove(&bench.host, bench.hook()).await.is_err());
    assert_eq!(kinds(&bench), [ViolationKind::UnmanagedConfigTouched; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_could_change_nothing_is_a_violation() {
    let bench = Bench::new();
    bench.converge().await;
    bench.state().await;
    bench.restart().await.unwrap();
    assert_eq!(kinds(&bench), [ViolationKind::RestartWithoutCause]);
    // Each of these is a separate cause.
    for fault in [
        |bench: &Bench| bench.host.pause_container(bench.name()),
        |bench: &Bench| bench.host.edit_config(&bench.hook().output),
        |bench: &Bench| {
            bench.host.edit_unit(bench.name());
            bench.host.kill_container(bench.name());
        },
    ] {
        fault(&bench);
        bench.state().await;
        bench.restart().await.unwrap();
    }
    assert_eq!(bench.host.all_violations().len(), 1);
    // And these are none.
    for fault in [
        |bench: &Bench| bench.host.remove_image(bench.reference()),
        |bench: &Bench| bench.host.expose_unit(bench.name()),
        |bench: &Bench| bench.host.delete_config(&bench.hook().output),
    ] {
        let bench = Bench::new();
        bench.converge().await;
        fault(&bench);
        bench.state().await;
        let _failed_or_done = bench.restart().await;
        assert_eq!(kinds(&bench), [ViolationKind::RestartWithoutCause]);
    }
}

#[tokio::test(start_paused = true)]
async fn commit_for_a_removed_companion_is_a_violation() {
    let bench = Bench::new();
    bench.host.install(&bench.spec);
    let rendered = bench.host.render(bench.hook()).await.unwrap();
    bench.host.remove(bench.name());
    bench.host.removal_finished(bench.name());
    bench.host.commit(bench.hook(), rendered, &[]).await.unwrap();
    assert_eq!(kinds(&bench), [ViolationKind::EffectAfterRemoval]);
    assert_eq!(bench.host.violations()[0].companion.as_ref(), Some(bench.name()));
}

#[tokio::test(start_paused = true)]
async fn a_removal_of_what_the_loaded_unit_names_is_a_violation() {
    let bench = Bench::new();
    bench.host.install(&bench.spec);
    let unit = bench.converge().await;
    let used = unit.revision.config.unwrap();
    bench.host.sweep(bench.hook(), used).await.unwrap();
    assert_eq!(kinds(&bench), []);
    bench.state().await;
    UnitStore::observe(&bench.host, &[(unit.name.clone(), None)].into()).await;
    let other = ConfigId { epoch: 7, ..used };
    bench.host.sweep(bench.hook(), other).await.unwrap();
    bench.host.prune(&[unit.image]).await.unwrap();
    assert_eq!(kinds(&bench), [ViolationKind::UsedInputRemoved; 2]);
}

#[tokio::test(start_paused = true)]
async fn effect_of_an_actor_that_does_not_lead_is_a_violation() {
    let bench = Bench::new();
    bench.host.require_leader(true);
    {
        let _leads = bench.host.acquire().await.unwrap();
        bench.host.reload().await.unwrap();
        assert_eq!(bench.host.violations(), []);
        bench.host.as_actor(1).reload().await.unwrap();
    }
    bench.host.reload().await.unwrap();
    assert_eq!(kinds(&bench), [ViolationKind::EffectWithoutLeader; 2]);
}

#[tokio::test(start_paused = true)]
async fn processes_with_different_inputs_desire_different_specifications() {
    let bench = Bench::new();
    let other = bench.host.deciding_with(|spec| {
        let description = "another page".to_owned();
        CompanionSpec { description, ..spec }
    });
    bench.host.install(&bench.spec);
    bench.converge().await;
    assert_eq!(bench.host.mismatch(), None);
    assert_eq!(other.mismatch(), Some((bench.name().clone(), Mismatch::UnitFile)));
    let desired = other.as_actor(1).load().await.unwrap();
    assert_eq!(desired.companion(bench.name()).unwrap().spec().description, "another page");
    assert_eq!(bench.host.loaded(1), desired);
    assert_ne!(bench.host.load().await.unwrap(), desired);
}

#[tokio::test(start_paused = true)]
async fn intent_that_the_disk_does_not_take_is_not_recorded() {
    let bench = Bench::new();
    for disk in [Disk::Full, Disk::ReadOnly, Disk::Denied] {
        bench.host.change(|world, _| world.conditions.disk = disk);
        assert!(bench.host.record_install(&bench.spec).await.is_err());
        assert!(bench.host.load().await.unwrap().present().next().is_none());
    }
}
