//! Keeps archives of the images of desired companions up to date, while the companions already run.

use std::sync::Arc;

use companion_core::error_chain::chain;
use companion_core::model::desired::DesiredState;
use companion_core::model::image::{ImageId, ImageSource};
use companion_core::model::revision::Fingerprint;
use companion_core::reconciler::{Reconcile, Reconciler};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

/// What archives depend on: the inputs, which limit their size, the sources of the images, and the images.
type Basis = (Option<Fingerprint>, Vec<ImageSource>, Vec<Option<ImageId>>);

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
                let (_, sources, _) = changes.borrow_and_update().clone();
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
        let basis = (Some(inputs), sources(&reconcile.desired), present.collect());
        if *self.basis.borrow() != basis {
            self.basis.send_replace(basis);
        }
    }
}

/// Returns the images of all desired companions.
pub(super) fn sources(desired: &DesiredState) -> Vec<ImageSource> {
    desired.present().map(|(_, companion)| companion.spec().image.clone()).collect()
}

/// A failure affects no companion, and the next change tries again.
pub(super) async fn keep(reconciler: &Reconciler, sources: &[ImageSource]) {
    match reconciler.host().images.keep_archives(sources).await {
        Ok(0) => {}
        Ok(count) => info!("removed {count} archive(s) of images that no companion needs"),
        Err(error) => warn!("{}", chain(&error)),
    }
}
