//! What is told while it happens, and who is told.

use super::{Outcome, Reconcile, ReconcileError};
use crate::model::companion::CompanionName;
use crate::model::observed::Work;
use crate::plan::Step;

/// What happens, told while it happens.
#[derive(Debug)]
pub enum Event<'e> {
    /// A step is about to be taken.
    StepBegun(&'e Step),
    /// A step was taken, or goes on by itself.
    StepEnded(&'e Step, &'e Outcome),
    /// Work that an earlier reconcile began has ended, with its error if it failed.
    WorkEnded(&'e CompanionName, Work, Option<&'e str>),
    /// A reconcile ended, or could not be made.
    Reconciled(&'e Result<Reconcile, ReconcileError>),
}

/// Who is told what happens. It must return at once.
pub trait EventSink: Send + Sync {
    /// Takes one event.
    fn on_event(&self, event: &Event<'_>);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEvents;

impl EventSink for NoEvents {
    fn on_event(&self, _event: &Event<'_>) {}
}
