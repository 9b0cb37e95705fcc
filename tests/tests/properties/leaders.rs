//! The leader, its inputs, and how often the unit that it wants changes.
//!
//! Two leaders with different inputs undo each other's work as long as they run. So a unit changes at most once per
//! intent, and once per leader with other inputs.

use std::collections::BTreeMap;
use std::sync::Mutex;

use adapter_fake::World;
use adapter_fake::world::units::{UnitBytes, UnitText};
use companion_core::model::companion::{CompanionName, CompanionSpec};
use companion_core::model::hook::{HookProgram, HookSpec, TemplateValue};
use companion_core::model::revision::{Fingerprint, Revision};
use proptest::prelude::*;

use crate::case::{INTENTS_AND_LEADERS, case, config};
use crate::convergence::verdict;

/// The number of different inputs.
pub(crate) const INPUTS: u8 = 4;

/// The inputs of that number: another catalog has another specification and configuration, and an option is an
/// argument of every build.
pub(crate) fn inputs(number: u8) -> impl Fn(CompanionSpec) -> CompanionSpec + Send + Sync {
    let (another_catalog, option) = (number & 1 != 0, number & 2 != 0);
    move |mut spec: CompanionSpec| {
        if another_catalog {
            spec.container.read_only_root = !spec.container.read_only_root;
            if let Some(HookSpec { program: HookProgram::Template { values, .. }, .. }) =
                &mut spec.hook
            {
                values.insert("catalog".to_owned(), TemplateValue::Text("another".to_owned()));
            }
        }
        if option && let Some(build) = &mut spec.image.build {
            build.arguments.insert("OPTION".to_owned(), "set".to_owned());
        }
        spec
    }
}

/// The revision of the specification, configuration and image in a unit.
type Said = [Fingerprint; 2];

/// The maximum changes of each part for one cause. A stopped companion is started with the existing image while a
/// newer one is built.
const CHANGES: [u32; 2] = [1, 2];

/// The last unit of one companion, and the changes that each part may still have.
#[derive(Debug, Clone, Default)]
struct Account {
    said: Option<Said>,
    left: [u32; 2],
}

impl Account {
    /// Adds a cause for changes; up to `earlier` causes may still be without effect.
    fn allow(&mut self, earlier: u32) {
        for (left, changes) in self.left.iter_mut().zip(CHANGES) {
            *left = changes + (*left).min(earlier * changes);
        }
    }
}

fn said_by(text: &UnitText) -> Said {
    let Revision { spec, image, config, .. } = text.revision;
    [Fingerprint::of(format!("{spec:?} {config:?}").as_bytes()), image]
}

#[derive(Debug, Default)]
struct Accounts {
    of: BTreeMap<CompanionName, Account>,
    /// The inputs of the last leader that wrote a unit.
    inputs: u8,
}

/// Keeps account of unit changes.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Accounts>);

impl Ledger {
    /// Records an intent for `name`. A converge that is `under_way` may still apply the previous one.
    pub(crate) fn intended(&self, name: &CompanionName, under_way: bool) {
        let mut accounts = self.0.lock().unwrap();
        accounts.of.entry(name.clone()).or_default().allow(u32::from(under_way));
    }

    /// Records that a leader with those inputs wrote the unit of `name`; returns a violation, if any.
    pub(crate) fn written(
        &self,
        name: &CompanionName,
        world: &World,
        inputs: u8,
    ) -> Option<String> {
        let Some(UnitBytes::Ours(text)) = world.slot(name)?.file.now() else { return None };
        let Accounts { of, inputs: last } = &mut *self.0.lock().unwrap();
        if *last != inputs {
            *last = inputs;
            of.values_mut().for_each(|account| account.allow(1));
        }
        let Account { said, left } = of.entry(name.clone()).or_default();
        let says = said_by(text);
        let before = said.replace(says);
        let changed = |part: usize| before.is_none_or(|before| before[part] != says[part]);
        for part in (0..2).filter(|part| changed(*part)) {
            let Some(rest) = left[part].checked_sub(1) else {
                return Some(format!("the unit of `{name}` changes without an intent"));
            };
            left[part] = rest;
        }
        None
    }
}

proptest! {
    #![proptest_config(config(300))]

    /// The watch keeps the [`Ledger`] in every case without other disturbances: see
    /// [`Case::is_undisturbed`](crate::case::Case::is_undisturbed).
    #[test]
    fn unit_changes_once_per_intent_and_once_per_leader_input_change(
        case in case(INTENTS_AND_LEADERS, 40),
    ) {
        prop_assert!(case.is_undisturbed());
        let verdict = verdict(&case);
        prop_assert!(verdict.is_ok(), "{}", verdict.unwrap_err());
    }
}
