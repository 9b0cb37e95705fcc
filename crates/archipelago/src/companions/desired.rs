//! What intents concern, and intents about many apps at once: all that are installed, or all that a file names.

use std::collections::BTreeSet;

use companion_core::model::companion::CompanionName;
use companion_core::model::desired::Generation;
use companion_core::ports::PortResult;

use super::{Companions, CompanionsError};
use crate::app::AppId;
use crate::catalog::Catalog;
use crate::desired_store::RecordStore;
use crate::record::Record;

/// The companions that an intent concerns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Concerned {
    /// Companions to run. One that is not in the desired state, because its app was never installed or was removed
    /// meanwhile, counts as failed.
    pub present: BTreeSet<CompanionName>,
    /// Companions to remove; a missing one counts as removed.
    pub removed: BTreeSet<CompanionName>,
}

impl Concerned {
    /// An intent that `present` run.
    pub fn present(present: BTreeSet<CompanionName>) -> Self {
        Self { present, ..Self::default() }
    }

    /// An intent that nothing of `removed` is left.
    pub fn removed(removed: BTreeSet<CompanionName>) -> Self {
        Self { removed, ..Self::default() }
    }

    /// All of them.
    pub fn names(&self) -> BTreeSet<CompanionName> {
        &self.present | &self.removed
    }
}

impl Companions {
    /// Records in one step that `installed` are installed and `removed` are removed; returns the generation and the
    /// companions of both. One of `installed` that is recorded
    /// so already, or has no companions, is no new intent; a repeated removal is.
    ///
    /// # Errors
    /// [`CompanionsError::Record`], [`CompanionsError::OtherLeader`].
    pub async fn record_apps(
        &self,
        installed: &[AppId],
        removed: &[AppId],
    ) -> Result<(Generation, Concerned), CompanionsError> {
        let (installed, removed, by) = (installed.to_vec(), removed.to_vec(), self.by.clone());
        self.store.known_catalog().await.map_err(CompanionsError::Record)?;
        self.record(move |record: &mut Record, catalog: &Catalog| {
            let mut changed = false;
            let mut concerned = Concerned::default();
            for app in &installed {
                let companions = catalog.companions_for(app);
                if !companions.is_empty() && record.is_installed(app) != Some(true) {
                    record.install(app, &by, catalog);
                    changed = true;
                }
                concerned.present.extend(companions);
            }
            for app in &removed {
                concerned.removed.extend(record.remove(app, &by, catalog));
                changed = true;
            }
            (changed, concerned)
        })
        .await
    }
}

impl RecordStore {
    /// The apps that are recorded as installed.
    ///
    /// # Errors
    /// As [`load`](companion_core::ports::DesiredStore::load).
    pub async fn installed(&self) -> PortResult<BTreeSet<AppId>> {
        Ok(self.read().await?.installed().cloned().collect())
    }
}
