//! What a boot, a loss of power and a logout leave.

use companion_core::model::unit::ActiveState;

use super::*;
use crate::faults::{EffectPoint, Gate, Stage};
use crate::journal::Method;

#[tokio::test(start_paused = true)]
async fn a_companion_comes_back_by_itself_after_a_reboot() {
    let bench = Bench::new();
    bench.host.install(&bench.spec);
    bench.converge().await;
    let before = bench.host.counts();
    bench.host.reboot();
    bench.pass(SECOND).await;
    assert_eq!(bench.host.untruth(), None);
    assert_eq!(bench.host.counts(), before);
}

#[tokio::test(start_paused = true)]
async fn what_was_written_and_returned_survives_a_loss_of_power() {
    let bench = Bench::new();
    bench.host.install(&bench.spec);
    bench.converge().await;
    bench.host.power_loss();
    bench.pass(SECOND).await;
    assert_eq!(bench.host.untruth(), None);
}

/// Stops whoever has made something that is not synced yet.
struct BeforeSync;

#[async_trait::async_trait]
impl Gate for BeforeSync {
    async fn pass(&self, point: &EffectPoint) {
        if point.stage == Stage::Unsynced {
            std::future::pending().await
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_synced_is_lost_with_the_power() {
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

#[tokio::test(start_paused = true)]
async fn a_logout_without_lingering_takes_everything_and_the_bus() {
    let bench = Bench::new();
    bench.host.install(&bench.spec);
    bench.converge().await;
    bench.host.user_logout();
    assert_eq!(bench.host.untruth(), None, "lingering users keep their services");
    bench.host.change(|world, _| world.conditions.linger = false);
    bench.host.user_logout();
    let names = [bench.name().clone()].into();
    let error = ServiceManager::observe(&bench.host, &names).await.unwrap_err();
    assert_eq!(error.kind(), companion_core::ports::PortErrorKind::Unavailable);
    bench.host.user_login();
    bench.pass(SECOND).await;
    assert_eq!(bench.state().await.active, ActiveState::Active);
}
