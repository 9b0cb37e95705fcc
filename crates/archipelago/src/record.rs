//! The record of wishes: which apps are installed, since which generation, durably.
//!
//! It is one small file, replaced whole. A record that cannot be understood is never acted on: not
//! knowing what is wanted is not the same as nothing being wanted.

use std::collections::{BTreeMap, BTreeSet};

use companion_core::model::companion::CompanionName;
use companion_core::model::desired::{
    DesiredCompanion, DesiredState, Generation, RemovedCompanion,
};
use serde::{Deserialize, Serialize};

use crate::app::AppId;
use crate::catalog::Catalog;

/// The version of the record's form that this code writes.
const VERSION: u32 = 1;

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
    }

    /// Records that `app` is to be gone, and returns the companions that go with it: those that no
    /// other installed app has too.
    pub(crate) fn remove(&mut self, app: &AppId, catalog: &Catalog) -> BTreeSet<CompanionName> {
        let generation = self.next_generation();
        let before = self.apps.insert(app.clone(), AppWish { installed: false, generation });
        let kept = self.wanted(catalog);
        // Those that came with the app, for one that the catalog does not know any more.
        let came_with = self.companions.iter().filter(|(_, wished)| {
            before.is_some_and(|before| before.installed && before.generation == **wished)
        });
        let mut gone = catalog.companions_for(app);
        gone.extend(came_with.map(|(name, _)| name.clone()));
        gone.retain(|name| !kept.contains(name));
        for name in &gone {
            self.companions.insert(name.clone(), generation);
        }
        gone
    }

    /// Takes in the companions that the catalog newly has for installed apps; says whether any.
    pub(crate) fn adopt_catalog(&mut self, catalog: &Catalog) -> bool {
        let new: Vec<_> = self
            .wanted(catalog)
            .into_iter()
            .filter(|name| !self.companions.contains_key(name))
            .collect();
        if new.is_empty() {
            return false;
        }
        let generation = self.next_generation();
        self.companions.extend(new.into_iter().map(|name| (name, generation)));
        true
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
        // A companion that the catalog has no more is superfluous, unless the catalog lacks a whole app
        // that is installed: then it may be that app's, and a file that was not read removes nothing.
        let blind = self.installed().any(|app| catalog.companions_for(app).is_empty());
        let wished_away = |generation: &Generation| {
            self.apps.values().any(|wish| !wish.installed && wish.generation == *generation)
        };
        for (name, generation) in &self.companions {
            let superfluous = wished_away(generation) || !blind;
            if superfluous && !desired.companions.contains_key(name) {
                let hook = catalog.companion(name).and_then(|spec| spec.hook.clone());
                let removed = RemovedCompanion { generation: *generation, hook };
                desired.removed.insert(name.clone(), removed);
            }
        }
        desired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(id: &str) -> AppId {
        AppId::new(id).unwrap()
    }

    fn names<'n>(names: impl Iterator<Item = &'n CompanionName>) -> Vec<&'n str> {
        names.map(CompanionName::as_str).collect()
    }

    #[test]
    fn what_was_installed_is_desired() {
        let (mut record, catalog) = (Record::default(), Catalog::builtin());
        record.install(&app("lnd"), &catalog);
        let desired = record.desired(&catalog);
        assert_eq!(names(desired.companions.keys()), ["archy-lnd-ui"]);
        assert!(desired.removed.is_empty());
    }

    #[test]
    fn what_was_removed_is_to_be_gone_with_a_larger_generation() {
        let (mut record, catalog) = (Record::default(), Catalog::builtin());
        record.install(&app("lnd"), &catalog);
        let before = record.desired(&catalog);
        let name = before.companions.keys().next().unwrap();
        record.remove(&app("lnd"), &catalog);
        let after = record.desired(&catalog);
        assert_eq!(names(after.removed.keys()), ["archy-lnd-ui"]);
        assert!(after.generation(name) > before.generation(name));
    }

    #[test]
    fn a_companion_of_two_apps_goes_with_the_last_of_them() {
        let (mut record, catalog) = (Record::default(), Catalog::builtin());
        record.install(&app("bitcoin-core"), &catalog);
        record.install(&app("bitcoin-knots"), &catalog);
        assert!(record.remove(&app("bitcoin-core"), &catalog).is_empty());
        assert_eq!(names(record.desired(&catalog).companions.keys()), ["archy-bitcoin-ui"]);
        assert_eq!(
            names(record.remove(&app("bitcoin-knots"), &catalog).iter()),
            ["archy-bitcoin-ui"]
        );
        assert_eq!(names(record.desired(&catalog).removed.keys()), ["archy-bitcoin-ui"]);
    }

    /// A catalog that has two companions of users' own besides the built-in ones.
    fn larger_catalog() -> Catalog {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("catalog.toml");
        let entry = |name: &str| {
            format!(
                "[[companion]]\nname = \"{name}-ui\"\napps = [\"{name}\"]\nimage = {{ base = \"x\" }}\n"
            )
        };
        std::fs::write(&file, [entry("one"), entry("two")].concat()).unwrap();
        Catalog::with_files(&[file]).unwrap()
    }

    #[test]
    fn a_catalog_file_that_was_not_read_removes_nothing() {
        let mut record = Record::default();
        for id in ["one", "two", "lnd"] {
            record.install(&app(id), &larger_catalog());
        }
        let desired = record.desired(&Catalog::builtin());
        assert_eq!(names(desired.companions.keys()), ["archy-lnd-ui"]);
        assert!(desired.removed.is_empty());
        record.remove(&app("lnd"), &Catalog::builtin());
        let desired = record.desired(&Catalog::builtin());
        assert_eq!(names(desired.removed.keys()), ["archy-lnd-ui"]);
    }

    #[test]
    fn an_app_that_the_catalog_does_not_know_any_more_can_be_removed() {
        let mut record = Record::default();
        for id in ["one", "two"] {
            record.install(&app(id), &larger_catalog());
        }
        assert_eq!(names(record.remove(&app("one"), &Catalog::builtin()).iter()), ["one-ui"]);
        let desired = record.desired(&Catalog::builtin());
        assert_eq!(names(desired.removed.keys()), ["one-ui"]);
    }

    #[test]
    fn a_companion_that_a_known_app_has_no_more_is_to_be_gone() {
        let mut record = Record::default();
        record.install(&app("lnd"), &Catalog::builtin());
        record.companions.insert(CompanionName::new("archy-old-lnd-ui").unwrap(), Generation(1));
        let desired = record.desired(&Catalog::builtin());
        assert_eq!(names(desired.removed.keys()), ["archy-old-lnd-ui"]);
    }

    #[test]
    fn what_was_never_wished_is_neither_desired_nor_to_be_gone() {
        assert_eq!(Record::default().desired(&Catalog::builtin()), DesiredState::default());
    }

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        let (mut record, catalog) = (Record::default(), Catalog::builtin());
        record.install(&app("lnd"), &catalog);
        record.remove(&app("bitcoin"), &catalog);
        assert_eq!(Record::from_bytes(&record.to_bytes().unwrap()), Ok(record));
    }

    #[test]
    fn a_damaged_or_newer_record_is_refused() {
        let mut bytes = Record::default().to_bytes().unwrap();
        bytes.truncate(bytes.len() / 2);
        for bad in [&b""[..], &b"{}"[..], &b"\0\0\0\0"[..], &bytes] {
            assert!(Record::from_bytes(bad).unwrap_err().contains("damaged"), "{bad:?}");
        }
        let newer = br#"{"version":2,"shape":"unknown"}"#;
        assert!(Record::from_bytes(newer).unwrap_err().contains("version is 2"));
    }

    #[test]
    fn a_record_that_names_other_files_is_refused() {
        let hostile = br#"{"version":1,"generation":1,"apps":{},"companions":{"../../.ssh/id":1}}"#;
        assert!(Record::from_bytes(hostile).is_err());
        let hostile = br#"{"version":1,"generation":1,"apps":{},"companions":{"dbus":1}}"#;
        assert!(Record::from_bytes(hostile).is_err());
    }
}
