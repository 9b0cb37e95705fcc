//! The oracle: compares the host and the cost of a run with the run without a crash.
//!
//! It is independent of the planner. Permitted differences are listed here; everything else must be equal.

use std::collections::BTreeMap;

use adapter_fake::world::containers::Container;
use adapter_fake::world::desired::{Intent, SpecId, Specs};
use adapter_fake::world::files::RenderedFile;
use adapter_fake::world::services::{Phase, Run};
use adapter_fake::world::units::{Load, UnitBytes, UnitText};
use adapter_fake::{Counts, Journal, Method, Port, World};
use companion_core::model::companion::CompanionName;
use companion_core::model::image::ImageState;
use companion_core::model::revision::Revision;

use super::workloads::specifications;

/// The final host, by companion, without permitted differences: timestamps, generations, restart epochs of units that
/// were restored more than once, counters of the service manager, and images of companions that are not desired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remains(BTreeMap<CompanionName, Companion>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Companion {
    intent: Option<(bool, Option<SpecId>)>,
    image: Option<ImageState>,
    config: Option<RenderedFile>,
    file: Option<UnitBytes>,
    load: Load,
    up: bool,
    run: Option<Run>,
    container: Option<Container>,
}

impl Remains {
    /// The final state in `world` for the desired `specs`.
    pub(super) fn of(world: &World, specs: &Specs) -> Self {
        let names = specifications().into_iter().map(|spec| spec.name);
        Self(
            names
                .filter_map(|name| Some((name.clone(), companion(world, specs, &name)?)))
                .collect(),
        )
    }

    /// Returns the difference from the run without a crash.
    pub(super) fn compare(&self, undisturbed: &Self) -> Result<(), String> {
        if self == undisturbed {
            return Ok(());
        }
        let differs = self.0.iter().find(|(name, it)| undisturbed.0.get(name) != Some(it));
        let usual = differs.and_then(|(name, _)| undisturbed.0.get(name));
        Err(format!("final state {differs:?}\nwithout a crash {usual:?}"))
    }
}

fn companion(world: &World, specs: &Specs, name: &CompanionName) -> Option<Companion> {
    let slot = world.slot(name)?;
    let wanted = match slot.intent {
        Some(Intent::Exists { spec, .. }) => specs.get(spec),
        Some(Intent::Absent { .. }) | None => None,
    };
    let hooks = specifications().into_iter().filter(|spec| spec.name == *name);
    let mut outputs = hooks.filter_map(|spec| Some(spec.hook?.output));
    Some(Companion {
        intent: slot.intent.map(|intent| match intent {
            Intent::Exists { spec, .. } => (true, Some(spec)),
            Intent::Absent { spec, .. } => (false, spec),
        }),
        image: wanted.and_then(|spec| world.image_state(&spec.image).ok()),
        config: outputs.find_map(|output| world.files.rendered(&output)),
        file: slot.file.now().cloned().map(first_bytes),
        load: first_load(slot.load.clone()),
        up: matches!(slot.service.phase, Phase::Running { .. }),
        run: slot.service.run.map(first_run),
        container: slot.container,
    })
}

fn first_bytes(bytes: UnitBytes) -> UnitBytes {
    match bytes {
        UnitBytes::Ours(text) => UnitBytes::Ours(first_text(text)),
        other => other,
    }
}

fn first_load(load: Load) -> Load {
    match load {
        Load::Ours(text) => Load::Ours(first_text(text)),
        other => other,
    }
}

/// The same with restart epochs reset; the mounted file is identified by its digest in the revision.
fn first_text(text: UnitText) -> UnitText {
    UnitText { revision: first(text.revision), mounts: Vec::new(), ..text }
}

fn first(revision: Revision) -> Revision {
    revision.with_restart_epoch(0).with_config_epoch(0)
}

fn first_run(run: Run) -> Run {
    Run { revision: run.revision.map(first), ..run }
}

/// Returns an effect for `name` alone, for which no intent was recorded.
pub(super) fn nothing_was_done_for(name: &CompanionName, journal: &Journal) -> Result<(), String> {
    let acts = |port, method| match (port, method) {
        (_, Method::Observe | Method::List | Method::Wait | Method::Load) => false,
        (Port::Desired | Port::Leadership, _) => false,
        (Port::Units | Port::Services | Port::Images | Port::Hooks | Port::Containers, _) => true,
    };
    let mut calls = journal.entries().map(|entry| &entry.call);
    match calls.find(|call| call.companion.as_ref() == Some(name) && acts(call.port, call.method)) {
        None => Ok(()),
        Some(call) => Err(format!("{call} for a companion without an intent")),
    }
}

/// Returns the effect for which a run with this number of crashes exceeds the permitted cost. Each crash may repeat
/// each effect once, because the state of an interrupted action is inferred. It may add one unit write and one
/// reload, because an unverified run loses its claim first. In-flight work of the `touched` companions, work undone
/// by a boot, and a reload may be repeated once per companion, because a restarted manager may see their intents one
/// by one.
pub(super) fn is_worth(
    counts: Counts,
    without: Counts,
    touched: usize,
    crashes: usize,
) -> Result<(), String> {
    let crashes = u32::try_from(crashes).unwrap_or(u32::MAX);
    let each = u32::try_from(touched).unwrap_or(u32::MAX);
    let effects = |counts: Counts| {
        [
            ("unit writes", counts.unit_writes, 2),
            ("unit removals", counts.unit_removals, 1),
            ("reloads", counts.reloads, each + 1),
            ("starts and restarts", counts.starts + counts.restarts, each),
            ("stops", counts.stops, each),
            ("resets", counts.resets, 1),
            ("builds", counts.builds, each),
            ("pulls", counts.pulls, each),
            ("prunes", counts.prunes, 1),
            ("renders", counts.renders, each),
            ("config writes", counts.config_writes, 1),
            ("config removals", counts.config_removals, 1),
            ("container removals", counts.container_removals, 1),
        ]
    };
    for ((what, had, more), (_, usual, _)) in effects(counts).into_iter().zip(effects(without)) {
        if had > usual + more * crashes {
            return Err(format!("{had} {what} with {crashes} crash(es), {usual} without"));
        }
    }
    Ok(())
}
