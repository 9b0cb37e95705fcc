//! The first form of the desired state, which recorded a removal with the app and not with the companion.

use std::collections::{BTreeMap, BTreeSet};

use companion_core::model::companion::CompanionName;
use companion_core::model::desired::Generation;
use companion_core::model::hook::HookSpec;
use serde::Deserialize;

use super::{AppIntent, CompanionRecord, VERSION};
use crate::app::AppId;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    #[serde(rename = "version")]
    _version: u32,
    generation: Generation,
    apps: BTreeMap<AppId, AppIntent>,
    companions: BTreeMap<CompanionName, Generation>,
    #[serde(default)]
    known: BTreeMap<CompanionName, Known>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    apps: BTreeSet<AppId>,
    #[serde(default)]
    hook: Option<HookSpec>,
}

impl From<Record> for super::Record {
    fn from(earlier: Record) -> Self {
        let Record { generation, apps, companions, mut known, .. } = earlier;
        let companion = |(name, generation): (CompanionName, Generation)| {
            let Known { apps: of_apps, hook } = known.remove(&name).unwrap_or_default();
            let same = |(_, intent): &(&AppId, &AppIntent)| intent.generation == generation;
            let by_intent = apps.iter().find(same);
            let removed = by_intent.is_some_and(|(_, intent)| !intent.installed);
            let mut of_apps = of_apps;
            of_apps.extend(by_intent.map(|(app, _)| app.clone()));
            (name, CompanionRecord { generation, removed, apps: of_apps, hook })
        };
        let companions = companions.into_iter().map(companion).collect();
        Self { version: VERSION, generation, apps, companions }
    }
}
