//! Faults do what they say, to the calls that they name.

use companion_core::ports::{Hint, PortErrorKind};
use tokio::time::timeout;

use super::*;
use crate::Delivery;
use crate::faults::{EffectPoint, Fault, Gate, Mode, Stage};
use crate::journal::{Method, Outcome, Port};
use crate::world::units::UnitBytes;

#[tokio::test(start_paused = true)]
async fn fault_affects_the_nth_call_only() {
    let bench = Bench::new();
    let error = Mode::Error(PortErrorKind::Transient);
    bench.host.inject(Fault::once(Port::Services, Method::Reload, error).after(1));
    let mut kinds = Vec::new();
    for _ in 0..3 {
        kinds.push(bench.host.reload().await.err().map(|error| error.kind()));
    }
    assert_eq!(kinds, [None, Some(PortErrorKind::Transient), None]);
    assert_eq!(bench.host.counts().reloads, 2);
}

#[tokio::test(start_paused = true)]
async fn a_fault_after_the_effect_leaves_the_effect() {
    let bench = Bench::new();
    let unit = bench.prepare().await;
    let mode = Mode::ErrorAfterEffect(PortErrorKind::Transient);
    bench.host.inject(Fault::once(Port::Units, Method::Write, mode));
    assert!(bench.host.write(&unit).await.is_err());
    let names = [(unit.name.clone(), Some(unit.clone()))].into();
    let files = UnitStore::observe(&bench.host, &names).await;
    let state = &files[&unit.name].as_ref().unwrap().state;
    let revision = unit.revision;
    let current = companion_core::model::unit::UnitFileState::Current { revision };
    assert_eq!(*state, current);
}

#[tokio::test(start_paused = true)]
async fn hanging_call_is_recorded_without_a_result() {
    let bench = Bench::new();
    bench.host.inject(Fault::once(Port::Services, Method::Reload, Mode::Hang));
    let hung = tokio::time::timeout(3600 * SECOND, bench.host.reload()).await;
    assert!(hung.is_err());
    let journal = bench.host.journal();
    let last = journal.entries().next_back().unwrap();
    assert_eq!((last.call.method, last.outcome), (Method::Reload, Outcome::Started));
}

#[tokio::test(start_paused = true)]
async fn a_fault_for_one_companion_spares_the_others() {
    let bench = Bench::new();
    bench.converge().await;
    let other = CompanionName::new("other").unwrap();
    let error = Mode::Error(PortErrorKind::Denied);
    bench.host.inject(Fault::always(Port::Services, Method::Restart, error).only(&other));
    bench.restart().await.unwrap();
    let refused = bench.host.begin(&other, Verb::Restart).await.unwrap_err();
    assert_eq!(refused.kind(), PortErrorKind::Denied);
}

#[tokio::test(start_paused = true)]
async fn fault_for_one_companion_affects_only_its_entry_of_a_read() {
    let bench = Bench::new();
    bench.converge().await;
    let other = CompanionName::new("other").unwrap();
    let error = Mode::Error(PortErrorKind::Denied);
    bench.host.inject(Fault::once(Port::Services, Method::Observe, error).only(&other));
    let names = [bench.name().clone(), other.clone()].into();
    let states = ServiceManager::observe(&bench.host, &names).await;
    let kind = states[&other].as_ref().map_err(|error| error.kind());
    assert_eq!(kind, Err(PortErrorKind::Denied));
    assert!(states[bench.name()].as_ref().unwrap().is_up());
    let states = ServiceManager::observe(&bench.host, &names).await;
    assert!(states[&other].is_ok(), "it struck once");
}

#[tokio::test(start_paused = true)]
async fn a_read_can_be_answered_from_an_older_world() {
    let bench = Bench::new();
    bench.host.set_old_view(bench.host.world());
    bench.converge().await;
    bench.host.inject(Fault::once(Port::Services, Method::Observe, Mode::OldView));
    assert_eq!(bench.state().await, ServiceState::absent());
    assert!(bench.state().await.is_up());
}

#[tokio::test(start_paused = true)]
async fn state_hidden_by_an_older_world_is_unknown_to_the_caller() {
    let bench = Bench::new();
    let unit = bench.prepare().await;
    let names = [(unit.name.clone(), Some(unit.clone()))].into();
    bench.host.set_old_view(bench.host.world());
    bench.host.put_unit(&unit.name, UnitBytes::Unmanaged);
    UnitStore::observe(&bench.host, &names).await;
    bench.host.inject(Fault::once(Port::Units, Method::Observe, Mode::OldView));
    UnitStore::observe(&bench.host, &names).await;
    assert!(bench.host.write(&unit).await.is_err());
    assert_eq!(bench.host.violations(), []);
    UnitStore::observe(&bench.host, &names).await;
    assert!(bench.host.write(&unit).await.is_err());
    assert_eq!(bench.host.violations().len(), 1, "now it was seen");
}

#[tokio::test(start_paused = true)]
async fn events_arrive_or_are_lost_or_doubled_or_late() {
    let arrivals = async |delivery| {
        let bench = Bench::new();
        bench.host.report_tampering();
        bench.host.deliver_events(delivery);
        bench.host.delete_unit(bench.name());
        let begin = tokio::time::Instant::now();
        let mut seconds = Vec::new();
        let named = Hint::Companions([bench.name().clone()].into());
        while let Ok(hint) = timeout(60 * SECOND, ServiceManager::changed(&bench.host)).await {
            assert_eq!(hint, named);
            seconds.push(begin.elapsed().as_secs());
        }
        seconds
    };
    assert_eq!(arrivals(Delivery::Delivered).await, [0]);
    assert_eq!(arrivals(Delivery::Lost).await, [0; 0]);
    assert_eq!(arrivals(Delivery::Doubled).await, [0, 1]);
    assert_eq!(arrivals(Delivery::Late(10 * SECOND)).await, [10]);
}

#[tokio::test(start_paused = true)]
async fn only_a_changed_image_store_costs_a_process_to_read() {
    let bench = Bench::new();
    bench.converge().await;
    let sources = [(bench.name().clone(), bench.spec.image.clone())].into();
    ImageProvider::observe(&bench.host, &sources).await;
    let before = bench.host.counts();
    ImageProvider::observe(&bench.host, &sources).await;
    assert_eq!(bench.host.counts().since(before).processes, 0);
    bench.host.remove_image(bench.reference());
    ImageProvider::observe(&bench.host, &sources).await;
    assert_eq!(bench.host.counts().since(before).processes, 1);
}

/// Holds every effect of actor 1 until it is released.
#[derive(Default)]
struct HoldSecond {
    points: std::sync::Mutex<Vec<EffectPoint>>,
    open: tokio::sync::Notify,
}

#[async_trait::async_trait]
impl Gate for HoldSecond {
    async fn pass(&self, point: &EffectPoint) {
        self.points.lock().unwrap().push(point.clone());
        if point.actor == 1 && point.stage == Stage::Before {
            self.open.notified().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_gate_lets_one_actor_overtake_another() {
    let bench = Bench::new();
    let (mut unit, gate) = (bench.prepare().await, std::sync::Arc::new(HoldSecond::default()));
    bench.host.set_gate(gate.clone());
    let (second, slow) = (bench.host.as_actor(1), unit.clone());
    let held = tokio::spawn(async move { second.write(&slow).await });
    bench.pass(SECOND).await;
    unit.revision.restart_epoch = 1;
    bench.host.write(&unit).await.unwrap();
    gate.open.notify_one();
    held.await.unwrap().unwrap();
    let points = gate.points.lock().unwrap();
    let passed: Vec<_> = points.iter().map(|point| (point.actor, point.stage)).collect();
    let all = [Stage::Before, Stage::Unsynced, Stage::After];
    let first = all.map(|stage| (0, stage));
    let second = all.map(|stage| (1, stage));
    assert_eq!(passed[..1], second[..1]);
    assert_eq!(passed[1..4], first);
    assert_eq!(passed[4..], second[1..]);
    assert!(points.iter().map(|point| point.number).eq(0..6));
}
