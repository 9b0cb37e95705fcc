//! Keeps archives of the images of desired companions up to date, while the companions already run.

use std::sync::Arc;

use companion_core::error_chain::chain;
use companion_core::model::desired::{DesiredState, Target};
use companion_core::model::image::{ImageId, ImageSource};
use companion_core::model::revision::Fingerprint;
use companion_core::reconciler::{Reconcile, Reconciler};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

/// What archives depend on.
#[derive(Default, PartialEq)]
struct Basis {
    /// The inputs, which limit the size of archives.
    inputs: Option<Fingerprint>,
    sources: Vec<ImageSource>,
    present: Vec<Option<ImageId>>,
}

/// Keeps archives in the background of a daemon; dropped, it stops.
pub(super) struct Archives {
    basis: watch::Sender<Basis>,
    _task: AbortOnDropHandle<()>,
}

impl Archives {
    pub(super) fn start(reconciler: Arc<Reconciler>) -> Self {
        let (basis, mut changes) = watch::channel(Basis::default());
        let task = tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                let sources = changes.borrow_and_update().sources.clone();
                keep(&reconciler, &sources).await;
            }
        });
        Self { basis, _task: AbortOnDropHandle::new(task) }
    }

    /// Brings archives in line with what `reconcile` observed, if that differs from the last one.
    pub(super) fn update(&self, reconcile: &Reconcile, inputs: Fingerprint) {
        let present = reconcile.observed.companions.values().map(|companion| {
            let image = companion.image.as_ref()?.known()?;
            Some(image.present.as_ref()?.id.clone())
        });
        let basis = Basis {
            inputs: Some(inputs),
            sources: sources(&reconcile.desired),
            present: present.collect(),
        };
        self.basis.send_if_modified(|known| {
            let is_new = *known != basis;
            *known = basis;
            is_new
        });
    }
}

/// Returns the images of all desired companions.
pub(super) fn sources(desired: &DesiredState) -> Vec<ImageSource> {
    let present = desired.targets.values().filter_map(|target| match target {
        Target::Present(companion) => Some(companion.spec.image.clone()),
        Target::Removed(_) => None,
    });
    present.collect()
}

/// A failure harms no companion, and the next change tries again.
pub(super) async fn keep(reconciler: &Reconciler, sources: &[ImageSource]) {
    match reconciler.host().images.keep_archives(sources).await {
        Ok(0) => {}
        Ok(count) => info!("removed {count} archive(s) of images that no companion needs"),
        Err(error) => warn!("{}", chain(&error)),
    }
}
