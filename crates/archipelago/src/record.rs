//! The desired state on disk: which apps are installed, and what became of each companion.
//!
//! It is one small file, replaced whole. A file that cannot be understood is never acted on: not
//! knowing what is desired is not the same as nothing being desired.

use std::collections::{BTreeMap, BTreeSet};

use companion_core::model::companion::CompanionName;
use companion_core::model::desired::{
    DesiredCompanion, DesiredState, Generation, RemovedCompanion, Target,
};
use companion_core::model::hook::HookSpec;
use serde::{Deserialize, Serialize};

use crate::app::AppId;
use crate::catalog::Catalog;

/// The version of the form that this code writes.
pub(crate) const VERSION: u32 = 2;

/// The most bytes of the file.
pub(crate) const RECORD_LIMIT: usize = 1024 * 1024;

/// The most characters of the name of who recorded an intent.
const AUTHOR_LIMIT: usize = 128;

/// The desired state, as intents recorded it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    version: u32,
    /// The generation of the last intent.
    generation: Generation,
    /// The last intent for each app that was ever installed.
    apps: BTreeMap<AppId, AppIntent>,
    /// The companions that were ever desired.
    companions: BTreeMap<CompanionName, CompanionRecord>,
}

/// The last intent for one app. A removed app stays recorded, so that a list of installed apps which is
/// older than the removal cannot bring it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AppIntent {
    installed: bool,
    generation: Generation,
    /// Who recorded it, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    by: String,
}

/// What is known of one companion, so that it can be removed when no catalog has it any more.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CompanionRecord {
    /// The generation of the last intent about it.
    generation: Generation,
    /// Whether that was its removal. It stays so until the companion is desired again, whatever becomes
    /// of its app and of the catalog meanwhile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    removed: bool,
    /// The apps it belonged to when the catalog last had it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    apps: BTreeSet<AppId>,
    /// The hook that its configuration was rendered by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hook: Option<HookSpec>,
}

impl Default for Record {
    fn default() -> Self {
        let (apps, companions) = (BTreeMap::new(), BTreeMap::new());
        Self { version: VERSION, generation: Generation::default(), apps, companions }
    }
}

impl Record {
    /// A record without intents whose next generation is greater than `generation`: where the file was
    /// lost, a leader may have published generations of the one before.
    pub(crate) fn after(generation: Generation) -> Self {
        Self { generation, ..Self::default() }
    }

    /// Reads the desired state from its file's bytes.
    ///
    /// The error is for people and quotes nothing of the file.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let damaged = |error: serde_json::Error| {
            format!("damaged at line {}, column {}", error.line(), error.column())
        };
        let Versioned { version } = serde_json::from_slice(bytes).map_err(damaged)?;
        match version {
            VERSION => serde_json::from_slice(bytes).map_err(damaged),
            newer if newer > VERSION => Err(format!(
                "its version is {newer}, but this program supports version {VERSION}; upgrade companion"
            )),
            older => Err(format!("its version {older} is no longer supported")),
        }
    }

    /// The bytes of the file.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// The generation of the last intent.
    pub(crate) fn generation(&self) -> Generation {
        self.generation
    }

    /// Whether `app` is recorded as installed; `None` when there was never an intent about it.
    pub(crate) fn is_installed(&self, app: &AppId) -> Option<bool> {
        self.apps.get(app).map(|intent| intent.installed)
    }

    /// The apps that are to be installed.
    pub(crate) fn installed(&self) -> impl Iterator<Item = &AppId> {
        self.apps.iter().filter(|(_, intent)| intent.installed).map(|(app, _)| app)
    }

    /// Each intent that is the last one for its app: its generation, and what it is for people, such as
    /// `install lnd (companion, uid 1000)`.
    pub(crate) fn intents(&self) -> BTreeMap<Generation, String> {
        let words = |(app, intent): (&AppId, &AppIntent)| {
            let verb = if intent.installed { "install" } else { "remove" };
            let by = if intent.by.is_empty() { String::new() } else { format!(" ({})", intent.by) };
            (intent.generation, format!("{verb} {}{by}", app.as_str()))
        };
        self.apps.iter().map(words).collect()
    }

    /// Records that `app` is to have its companions.
    ///
    /// It is a new intent even when it was recorded before: whoever says "install" again does not want
    /// to wait for a back-off.
    pub(crate) fn install(&mut self, app: &AppId, by: &str, catalog: &Catalog) {
        let generation = self.next_generation();
        self.intend(app, true, generation, by);
        for name in catalog.companions_for(app) {
            self.desire(&name, generation);
        }
        self.note_catalog(catalog);
    }

    /// Records that `app` is to be removed, and returns the companions that go with it: those that no
    /// other installed app has too.
    ///
    /// A repeated removal names the same ones, whatever today's catalog knows of them: the first may
    /// have been recorded and not carried out.
    pub(crate) fn remove(
        &mut self,
        app: &AppId,
        by: &str,
        catalog: &Catalog,
    ) -> BTreeSet<CompanionName> {
        let generation = self.next_generation();
        self.intend(app, false, generation, by);
        let of_app = self.companions.iter().filter(|(_, known)| known.apps.contains(app));
        let mut removed = catalog.companions_for(app);
        removed.extend(of_app.map(|(name, _)| name.clone()));
        let kept = self.wanted(catalog);
        removed.retain(|name| !kept.contains(name) && !self.is_kept_unseen(name, catalog));
        for name in &removed {
            let known = self.companions.entry(name.clone()).or_default();
            (known.generation, known.removed) = (generation, true);
        }
        removed
    }

    /// Records everything again with a new generation, so that no back-off is waited for.
    pub(crate) fn renew(&mut self) {
        let generation = self.next_generation();
        self.companions.values_mut().for_each(|known| known.generation = generation);
    }

    /// Records an intent about nothing but the leader's attention: when its generation was observed,
    /// everything that was read before it was read again.
    pub(crate) fn touch(&mut self) {
        self.next_generation();
    }

    fn intend(&mut self, app: &AppId, installed: bool, generation: Generation, by: &str) {
        let by = by.chars().filter(|c| !c.is_control()).take(AUTHOR_LIMIT).collect();
        self.apps.insert(app.clone(), AppIntent { installed, generation, by });
    }

    fn desire(&mut self, name: &CompanionName, generation: Generation) {
        let known = self.companions.entry(name.clone()).or_default();
        (known.generation, known.removed) = (generation, false);
    }

    /// Whether `name`, which the catalog does not know, belonged to an app that is installed.
    fn is_kept_unseen(&self, name: &CompanionName, catalog: &Catalog) -> bool {
        let known = self.companions.get(name).filter(|_| catalog.companion(name).is_none());
        known.is_some_and(|known| self.installed().any(|app| known.apps.contains(app)))
    }

    /// Takes in the companions that the catalog newly has for installed apps, and what it newly says
    /// of those that are desired; says whether any.
    pub(crate) fn sync_catalog(&mut self, catalog: &Catalog) -> bool {
        let is_new =
            |name: &CompanionName| self.companions.get(name).is_none_or(|known| known.removed);
        let new: Vec<_> = self.wanted(catalog).into_iter().filter(is_new).collect();
        if !new.is_empty() {
            let generation = self.next_generation();
            new.iter().for_each(|name| self.desire(name, generation));
        }
        self.note_catalog(catalog) || !new.is_empty()
    }

    /// Notes what the catalog says of the companions that are desired; says whether anything is new.
    ///
    /// One hook is known of each: when the catalog moves the output of a companion that is desired, the
    /// file at its former place is recorded nowhere any more, and stays until somebody removes it. That of a
    /// companion without a hook is the last one, whose file is removed with the companion.
    fn note_catalog(&mut self, catalog: &Catalog) -> bool {
        let mut noted = false;
        for name in self.wanted(catalog) {
            let Some(spec) = catalog.companion(&name) else { continue };
            let apps = catalog.apps().filter(|(_, names)| names.contains(&name));
            let apps: BTreeSet<_> = apps.map(|(app, _)| app.clone()).collect();
            let known = self.companions.entry(name).or_default();
            let hook = spec.hook.as_ref().or(known.hook.as_ref());
            if (&known.apps, known.hook.as_ref()) != (&apps, hook) {
                (known.hook, known.apps) = (hook.cloned(), apps);
                noted = true;
            }
        }
        noted
    }

    fn wanted(&self, catalog: &Catalog) -> BTreeSet<CompanionName> {
        self.installed().flat_map(|app| catalog.companions_for(app)).collect()
    }

    fn next_generation(&mut self) -> Generation {
        self.generation = Generation(self.generation.0.saturating_add(1));
        self.generation
    }

    /// The desired state that the intents and the catalog give together.
    pub(crate) fn desired(&self, catalog: &Catalog) -> DesiredState {
        let mut desired = DesiredState { latest: self.generation, ..DesiredState::default() };
        for name in self.wanted(catalog) {
            if let Some(spec) = catalog.companion(&name) {
                let generation = self.companions.get(&name).map(|known| known.generation);
                let generation = generation.unwrap_or_default();
                let companion = DesiredCompanion::new(spec.clone(), generation);
                desired.targets.insert(name, Target::Present(companion));
            }
        }
        // Only what was removed by an intent is to be removed. What the catalog has no more for an installed
        // app is left alone: a file that was not read must remove nothing.
        for (name, known) in self.companions.iter().filter(|(_, known)| known.removed) {
            if !desired.targets.contains_key(name) {
                let hook = rendered_hook(name, known, catalog);
                let removed = RemovedCompanion { generation: known.generation, hook };
                desired.targets.insert(name.clone(), Target::Removed(removed));
            }
        }
        desired
    }
}

/// The hook whose file goes with a removed companion: the recorded one, because the catalog's may have
/// changed since, if it may be believed, else the catalog's.
fn rendered_hook(
    name: &CompanionName,
    known: &CompanionRecord,
    catalog: &Catalog,
) -> Option<HookSpec> {
    let named = catalog.companion(name).and_then(|spec| spec.hook.clone());
    let is_named = |hook: &HookSpec| named.as_ref().is_some_and(|it| it.output == hook.output);
    let believed = |hook: &HookSpec| !is_named(hook) && catalog.may_have_rendered(name, hook);
    known.hook.clone().filter(believed).or(named)
}

#[cfg(test)]
mod tests;
