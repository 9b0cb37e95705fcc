//! What a boot, a loss of power and a logout leave.

use companion_core::model::service::RunState;

use super::*;
use crate::faults::BeforeSync;
use crate::journal::Method;
use crate::world::units::UnitBytes;

#[tokio::test(start_paused = true)]
async fn a_companion_comes_back_by_itself_after_a_reboot() {
    let bench = Bench::new();
    bench.host.install(&bench.spec);
    bench.converge().await;
    let before = bench.host.counts();
    bench.host.reboot();
    bench.pass(SECOND).await;
    assert_eq!(bench.host.mismatch(), None);
    assert_eq!(bench.host.counts(), before);
}

#[tokio::test(start_paused = true)]
async fn unsynced_writes_are_lost_on_a_power_loss() {
    let bench = Bench::new();
    let unit = bench.prepare().await;
    bench.host.set_gate(std::sync::Arc::new(BeforeSync));
    let write = tokio::time::timeout(SECOND, bench.host.write(&unit)).await;
    assert!(write.is_err(), "the gate holds it");
    let file = |host: &FakeHost| host.world().slot(&unit.name).unwrap().file.now().cloned();
    assert!(file(&bench.host).is_some());
    bench.host.power_loss();
    assert_eq!(file(&bench.host), None);
    let writes = bench.host.journal().calls(crate::Port::Units, Method::Write);
    assert_eq!((writes, bench.host.counts().unit_writes), (1, 1));
}

/// Has two units written one after the other, each held up before it is synced.
async fn two_units_that_are_not_synced(bench: &Bench) -> [UnitSpec; 2] {
    let first = bench.prepare().await;
    let second = UnitSpec { name: CompanionName::new("zz").unwrap(), ..first.clone() };
    bench.host.set_gate(std::sync::Arc::new(BeforeSync));
    for unit in [&first, &second] {
        assert!(tokio::time::timeout(SECOND, bench.host.write(unit)).await.is_err());
    }
    bench.host.remove_gate();
    [first, second]
}

#[tokio::test(start_paused = true)]
async fn any_unsynced_file_may_survive_a_power_loss() {
    let mut seen = std::collections::BTreeSet::new();
    for outcome in 0..4 {
        let bench = Bench::new();
        let units = two_units_that_are_not_synced(&bench).await;
        assert_eq!(bench.host.world().power_loss_outcomes(), 4);
        bench.host.power_loss_leaving(outcome);
        let world = bench.host.world();
        seen.insert(units.map(|unit| world.slot(&unit.name).unwrap().file.now().is_some()));
        assert_eq!(world.power_loss_outcomes(), 1, "what survived is on the disk");
    }
    assert_eq!(seen.len(), 4, "none, each, both: {seen:?}");
}

#[tokio::test(start_paused = true)]
async fn the_last_change_of_a_file_that_survives_decides() {
    let mut seen = std::collections::BTreeSet::new();
    for outcome in 0..3 {
        let bench = Bench::new();
        let mut unit = bench.converge().await;
        bench.host.set_gate(std::sync::Arc::new(BeforeSync));
        for restart_epoch in [1, 2] {
            unit.revision.restart_epoch = restart_epoch;
            assert!(tokio::time::timeout(SECOND, bench.host.write(&unit)).await.is_err());
        }
        assert_eq!(bench.host.world().power_loss_outcomes(), 3);
        bench.host.power_loss_leaving(outcome);
        let world = bench.host.world();
        let Some(UnitBytes::Ours(text)) = world.slot(&unit.name).unwrap().file.now().cloned()
        else {
            panic!("one of the three is there");
        };
        seen.insert(text.revision.restart_epoch);
    }
    assert_eq!(seen, [0, 1, 2].into());
}

#[tokio::test(start_paused = true)]
async fn one_unit_that_is_synced_takes_all_others_with_it() {
    let bench = Bench::new();
    let [_, second] = two_units_that_are_not_synced(&bench).await;
    UnitStore::remove(&bench.host, &second.name).await.unwrap();
    assert_eq!(bench.host.world().power_loss_outcomes(), 1);
}

#[tokio::test(start_paused = true)]
async fn intent_is_durable_once_recorded_and_not_before() {
    let bench = Bench::new();
    bench.host.record_install(&bench.spec).await.unwrap();
    bench.host.set_gate(std::sync::Arc::new(BeforeSync));
    let removal = tokio::time::timeout(SECOND, bench.host.record_removal(bench.name())).await;
    assert!(removal.is_err(), "the gate holds it");
    let removed = || async { bench.host.load().await.unwrap().removed().count() };
    assert_eq!(removed().await, 1);
    bench.host.power_loss();
    assert_eq!(removed().await, 0, "the intent before it is back");
    bench.host.remove_gate();
    bench.host.record_removal(bench.name()).await.unwrap();
    bench.host.power_loss();
    assert_eq!(removed().await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_logout_without_lingering_takes_everything_and_the_bus() {
    let bench = Bench::new();
    bench.host.install(&bench.spec);
    bench.converge().await;
    bench.host.user_logout();
    assert_eq!(bench.host.mismatch(), None, "lingering users keep their services");
    bench.host.change(|world, _| world.conditions.linger = false);
    bench.host.user_logout();
    let names = [bench.name().clone()].into();
    let error = ServiceManager::observe(&bench.host, &names).await.remove(bench.name());
    assert_eq!(
        error.unwrap().unwrap_err().kind(),
        companion_core::ports::PortErrorKind::Unavailable
    );
    bench.host.user_login();
    bench.pass(SECOND).await;
    assert_eq!(bench.state().await.run, RunState::Up);
}
