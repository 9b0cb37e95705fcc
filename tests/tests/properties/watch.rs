//! A gate at every effect: checks the effect against the current host, and stops or delays its actor.
//!
//! It is independent of the planner. An effect is valid depending on the record that its actor read last and the
//! current host; the fake itself reports restarts without a cause.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adapter_fake::faults::EffectPoint;
use adapter_fake::world::services::Phase;
use adapter_fake::world::units::{Damage, Load, UnitBytes, UnitText};
use adapter_fake::{FakeHost, Gate, Method, Port, Stage as At, World};
use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::desired::DesiredState;
use tokio::sync::Notify;

use crate::leaders::Ledger;
use crate::simulation::Simulation;

/// Where an actor is stopped, and its delays before that.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Course {
    /// The point at which all actors stop permanently.
    pub(crate) stop_at: Option<u64>,
    /// The digits, of base 4, of the delay at each point: none, 1, 5 and 40 s.
    pub(crate) stalls: u64,
    /// Whether reads may return an older host: then no effect counts as causeless.
    pub(crate) misled: bool,
}

#[derive(Default)]
struct Notes {
    points: u64,
    effects: BTreeMap<CompanionName, u32>,
    reloads: u32,
    complaints: Vec<String>,
}

/// The gate at every effect of one operation.
pub(crate) struct Watch {
    host: FakeHost,
    ledger: Option<Arc<Ledger>>,
    /// By actor.
    inputs: [u8; 2],
    course: Course,
    notes: Mutex<Notes>,
    /// Notified when the actors stop.
    pub(crate) reached: Notify,
}

impl Watch {
    pub(crate) fn new(simulation: &Simulation, course: Course) -> Self {
        Self {
            host: simulation.on.host.clone(),
            ledger: simulation.ledger.clone(),
            inputs: simulation.inputs_of(),
            course,
            notes: Mutex::default(),
            reached: Notify::new(),
        }
    }

    /// The violation in the unit that was just written, if any.
    fn wrong_text(&self, point: &EffectPoint) -> Option<String> {
        let ledger = self.ledger.as_ref()?;
        let leader = self.host.leader()?;
        let name = point.call.companion.as_ref()?;
        ledger.written(name, &self.host.world(), self.inputs[usize::from(leader)])
    }

    /// The first violation, if any.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.notes.lock().unwrap().complaints.clone()
    }

    /// The most effects for one companion, and the number of reloads.
    pub(crate) fn effects(&self) -> (u32, u32) {
        let notes = self.notes.lock().unwrap();
        (notes.effects.values().copied().max().unwrap_or(0), notes.reloads)
    }
}

#[async_trait]
impl Gate for Watch {
    async fn pass(&self, point: &EffectPoint) {
        let number = {
            let mut notes = self.notes.lock().unwrap();
            if point.stage == At::Unsynced && point.call.method == Method::Write {
                notes.complaints.extend(self.wrong_text(point));
            }
            if point.stage == At::Before {
                notes.reloads += u32::from(point.call.method == Method::Reload);
                let name = point.call.companion.as_ref();
                if let Some(name) = name.filter(|_| point.call.port != Port::Desired) {
                    let (world, desired) = (self.host.world(), self.host.loaded(point.actor));
                    *notes.effects.entry(name.clone()).or_default() += 1;
                    let wrong = wrong_with(point, name, &world, &desired, self.course.misled);
                    notes.complaints.extend(wrong);
                }
            }
            notes.points += 1;
            notes.points - 1
        };
        if self.course.stop_at == Some(number) {
            self.reached.notify_one();
            std::future::pending().await
        }
        let digit = (self.course.stalls >> (2 * (number % 32))) & 3;
        let stall = [0, 1, 5, 40][usize::try_from(digit).unwrap_or(0)];
        if stall > 0 {
            tokio::time::sleep(Duration::from_secs(stall)).await;
        }
    }
}

/// The violation of an effect that is about to happen for `name`, if any.
fn wrong_with(
    point: &EffectPoint,
    name: &CompanionName,
    world: &World,
    desired: &DesiredState,
    misled: bool,
) -> Option<String> {
    let slot = world.slot(name)?;
    let runs = matches!(slot.service.phase, Phase::Running { .. });
    let loaded_is_on_disk = match (&slot.load, slot.file.now()) {
        // Its mode is irrelevant to the service manager.
        (Load::Ours(loaded), Some(UnitBytes::Ours(file))) => {
            loaded == file
                || (file.damage == Damage::ModeChanged
                    && *loaded == UnitText { damage: Damage::None, ..file.clone() })
        }
        _ => false,
    };
    let call = &point.call;
    let makes = match (call.port, call.method) {
        (Port::Units, Method::Write)
        | (Port::Hooks, Method::Commit)
        | (Port::Services, Method::Start | Method::Restart) => true,
        // The cancellation of a restart that would replace an unmanaged container.
        (Port::Services, Method::Stop) if desired.companion(name).is_some() && !runs => {
            let is_unmanaged = slot.container.as_ref().is_some_and(|container| !container.ours);
            let wrong = format!("{call}, but no unmanaged container has its name");
            return (!is_unmanaged && !misled).then_some(wrong);
        }
        (Port::Units | Port::Containers | Port::Hooks, Method::Remove)
        | (Port::Services, Method::Stop) => false,
        _ => return None,
    };
    let is_desired =
        if makes { desired.companion(name).is_some() } else { desired.removal(name).is_some() };
    if !is_desired {
        return Some(format!("{call}, but actor {} does not desire it", point.actor));
    }
    if misled {
        return None;
    }
    let restart = call.method == Method::Restart;
    if call.method == Method::Start && runs {
        return Some(format!("{call}, but it runs"));
    }
    if (restart || call.method == Method::Start) && !loaded_is_on_disk {
        return Some(format!("{call}, but the loaded unit differs from the file"));
    }
    None
}
