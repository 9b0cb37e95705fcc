//! The record of wishes: which apps are installed, since which generation, durably.
//!
//! It is one small file, replaced whole. A record that cannot be understood is never acted on: not
//! knowing what is wanted is not the same as nothing being wanted.

use std::collections::{BTreeMap, BTreeSet};

use companion_core::model::companion::CompanionName;
use companion_core::model::desired::{
    DesiredCompanion, DesiredState, Generation, RemovedCompanion,
};
use companion_core::model::hook::HookSpec;
use serde::{Deserialize, Serialize};

use crate::app::AppId;
use crate::catalog::Catalog;

/// The version of the record's form that this code writes.
pub(crate) const VERSION: u32 = 1;

/// The most bytes of a record.
pub(crate) const RECORD_LIMIT: usize = 1024 * 1024;

/// The wishes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    version: u32,
    /// The generation of the last wish.
    generation: Generation,
    /// What is wished for each app that was ever installed.
    apps: BTreeMap<AppId, AppWish>,
    /// The companions that were ever wanted, with the generation of the last wish about each.
    companions: BTreeMap<CompanionName, Generation>,
    /// What the catalog last said of each of them; a record of an earlier program has none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    known: BTreeMap<CompanionName, KnownCompanion>,
}

/// What the catalog last said of a companion, so that it can be removed when no catalog does any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownCompanion {
    /// The apps it belonged to.
    apps: BTreeSet<AppId>,
    /// The hook that its configuration was rendered by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hook: Option<HookSpec>,
}

/// What is wished for one app. A removed app stays on record, so that a list of installed apps which
/// is older than the removal cannot bring it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AppWish {
    installed: bool,
    generation: Generation,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            version: VERSION,
            generation: Generation::default(),
            apps: BTreeMap::new(),
            companions: BTreeMap::new(),
            known: BTreeMap::new(),
        }
    }
}

impl Record {
    /// Reads a record from its file's bytes.
    ///
    /// The error is for people and quotes nothing of the file.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let damaged = |error: serde_json::Error| {
            format!("it is damaged at line {}, column {}", error.line(), error.column())
        };
        let Versioned { version } = serde_json::from_slice(bytes).map_err(damaged)?;
        if version != VERSION {
            return Err(format!(
                "its version is {version}, and this program knows version {VERSION}"
            ));
        }
        serde_json::from_slice(bytes).map_err(damaged)
    }

    /// The bytes of the record's file.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Whether `app` is recorded as installed; `None` when there was never a wish about it.
    pub(crate) fn is_installed(&self, app: &AppId) -> Option<bool> {
        self.apps.get(app).map(|wish| wish.installed)
    }

    /// The apps that are to be installed.
    pub(crate) fn installed(&self) -> impl Iterator<Item = &AppId> {
        self.apps.iter().filter(|(_, wish)| wish.installed).map(|(app, _)| app)
    }

    /// Records that `app` is to have its companions.
    ///
    /// It is a new wish even when it was wished before: whoever says "install" again does not want to
    /// wait for a back-off.
    pub(crate) fn install(&mut self, app: &AppId, catalog: &Catalog) {
        let generation = self.next_generation();
        self.apps.insert(app.clone(), AppWish { installed: true, generation });
        for name in catalog.companions_for(app) {
            self.companions.insert(name, generation);
        }
        self.note_catalog(catalog);
    }

    /// Records that `app` is to be gone, and returns the companions that go with it: those that no
    /// other installed app has too.
    ///
    /// A repeated removal names the same ones, whatever today's catalog knows of them: the first may
    /// have been recorded and not carried out.
    pub(crate) fn remove(&mut self, app: &AppId, catalog: &Catalog) -> BTreeSet<CompanionName> {
        let generation = self.next_generation();
        let before = self.apps.insert(app.clone(), AppWish { installed: false, generation });
        // Those that came with the app, or went with it, for ones that the catalog does not know.
        let with_app = |(_, wished): &(&CompanionName, &Generation)| {
            before.is_some_and(|before| before.generation == **wished)
        };
        let of_app = self.known.iter().filter(|(_, known)| known.apps.contains(app));
        let mut gone = catalog.companions_for(app);
        gone.extend(self.companions.iter().filter(with_app).map(|(name, _)| name.clone()));
        gone.extend(of_app.map(|(name, _)| name.clone()));
        let kept = self.wanted(catalog);
        gone.retain(|name| !kept.contains(name) && !self.is_kept_unseen(name, catalog));
        for name in &gone {
            self.companions.insert(name.clone(), generation);
        }
        gone
    }

    /// Whether `name`, which the catalog does not know, belonged to an app that is installed.
    fn is_kept_unseen(&self, name: &CompanionName, catalog: &Catalog) -> bool {
        let known = self.known.get(name).filter(|_| catalog.companion(name).is_none());
        known.is_some_and(|known| self.installed().any(|app| known.apps.contains(app)))
    }

    /// Takes in the companions that the catalog newly has for installed apps, and what it newly says
    /// of those that are wanted; says whether any.
    pub(crate) fn adopt_catalog(&mut self, catalog: &Catalog) -> bool {
        let is_new = |name: &CompanionName| match self.companions.get(name) {
            None => true,
            Some(generation) => self.is_wished_away(*generation),
        };
        let new: Vec<_> = self.wanted(catalog).into_iter().filter(is_new).collect();
        if !new.is_empty() {
            let generation = self.next_generation();
            self.companions.extend(new.iter().map(|name| (name.clone(), generation)));
        }
        self.note_catalog(catalog) || !new.is_empty()
    }

    /// Notes what the catalog says of the companions that are wanted; says whether anything is new.
    ///
    /// One hook is known of each: when the catalog moves the output of a companion that is wanted, the
    /// file at its former place is in no record any more, and stays until somebody removes it.
    fn note_catalog(&mut self, catalog: &Catalog) -> bool {
        let mut noted = false;
        for name in self.wanted(catalog) {
            let Some(spec) = catalog.companion(&name) else { continue };
            let apps = catalog.apps().filter(|(_, names)| names.contains(&name));
            let apps = apps.map(|(app, _)| app.clone()).collect();
            let known = KnownCompanion { apps, hook: spec.hook.clone() };
            noted |= self.known.get(&name) != Some(&known);
            self.known.insert(name, known);
        }
        noted
    }

    /// Whether `generation` is that of a removal.
    fn is_wished_away(&self, generation: Generation) -> bool {
        self.apps.values().any(|wish| !wish.installed && wish.generation == generation)
    }

    fn wanted(&self, catalog: &Catalog) -> BTreeSet<CompanionName> {
        self.installed().flat_map(|app| catalog.companions_for(app)).collect()
    }

    fn next_generation(&mut self) -> Generation {
        self.generation = Generation(self.generation.0.saturating_add(1));
        self.generation
    }

    /// The desired state that the record and the catalog give together.
    pub(crate) fn desired(&self, catalog: &Catalog) -> DesiredState {
        let mut desired = DesiredState::default();
        for name in self.wanted(catalog) {
            if let Some(spec) = catalog.companion(&name) {
                let generation = self.companions.get(&name).copied().unwrap_or_default();
                desired.companions.insert(name, DesiredCompanion::new(spec.clone(), generation));
            }
        }
        // Only what was wished away is to be gone. What the catalog has no more for an installed app is
        // left alone: a file that was not read must remove nothing.
        for (name, generation) in &self.companions {
            if self.is_wished_away(*generation) && !desired.companions.contains_key(name) {
                let hook = self.rendered_hook(name, catalog);
                let removed = RemovedCompanion { generation: *generation, hook };
                desired.removed.insert(name.clone(), removed);
            }
        }
        desired
    }

    /// The hook whose file goes with a companion that was wished away: the recorded one, because the
    /// catalog's may have changed since, if it may be believed, else the catalog's.
    fn rendered_hook(&self, name: &CompanionName, catalog: &Catalog) -> Option<HookSpec> {
        let named = catalog.companion(name).and_then(|spec| spec.hook.clone());
        let recorded = self.known.get(name).and_then(|known| known.hook.clone());
        let is_named = |hook: &HookSpec| named.as_ref().is_some_and(|it| it.output == hook.output);
        let believed = |hook: &HookSpec| !is_named(hook) && catalog.may_have_rendered(name, hook);
        recorded.filter(believed).or(named)
    }
}

#[cfg(test)]
mod tests;
