//! Who leads, with which inputs, and how often what it wants of a unit changes.
//!
//! Two processes with different inputs that both decide undo each other's work for as long as they run.
//! So a unit says something else at most once for an intent, and once for a leader with other inputs.

use std::collections::BTreeMap;
use std::sync::Mutex;

use adapter_fake::world::units::{UnitBytes, UnitText};
use adapter_fake::{Inputs, World};
use companion_core::model::companion::{CompanionName, CompanionSpec};
use companion_core::model::hook::{HookProgram, HookSpec, TemplateValue};
use companion_core::model::revision::{Fingerprint, Revision};
use proptest::prelude::*;

use crate::case::{INTENTS_AND_LEADERS, case, config};
use crate::convergence::verdict;

/// How many different inputs there are.
pub(crate) const INPUTS: u8 = 4;

/// The inputs of that number: another catalog has another specification and another configuration, and
/// an option is an argument of every build.
pub(crate) fn inputs(number: u8) -> Inputs {
    let (another_catalog, option) = (number & 1 != 0, number & 2 != 0);
    Inputs::new(move |mut spec: CompanionSpec| {
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
    })
}

/// What a unit says of its specification and its configuration, and of its image.
type Said = [Fingerprint; 2];

/// How often each part may change for one cause. A companion that is down is started with the image that
/// there is while a newer one is built.
const CHANGES: [u32; 2] = [1, 2];

/// What the unit of one companion said last, and how often each part of it may change by now.
#[derive(Debug, Clone, Default)]
struct Account {
    said: Option<Said>,
    left: [u32; 2],
}

impl Account {
    /// There is a cause for changes, besides up to `earlier` causes that may not have led to any yet.
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

/// Keeps account of what units say.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Accounts>);

impl Ledger {
    /// An intent was recorded for `name`. A pass that is `under_way` may still carry out the one before.
    pub(crate) fn intended(&self, name: &CompanionName, under_way: bool) {
        let mut accounts = self.0.lock().unwrap();
        accounts.of.entry(name.clone()).or_default().allow(u32::from(under_way));
    }

    /// The unit of `name` was written while a process with those inputs led; says what is wrong with that.
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
                return Some(format!("the unit of `{name}` changes, and nothing was asked for"));
            };
            left[part] = rest;
        }
        None
    }
}

proptest! {
    #![proptest_config(config(300))]

    /// The watch keeps the [`Ledger`] in every case that nothing else disturbs: see
    /// [`Case::is_undisturbed`](crate::case::Case::is_undisturbed).
    #[test]
    fn unit_changes_once_for_an_intent_and_once_for_a_leader_with_other_inputs(
        case in case(INTENTS_AND_LEADERS, 40),
    ) {
        prop_assert!(case.is_undisturbed());
        let verdict = verdict(&case);
        prop_assert!(verdict.is_ok(), "{}", verdict.unwrap_err());
    }
}
