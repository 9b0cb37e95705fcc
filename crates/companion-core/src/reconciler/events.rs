//! Events of a reconcile, and their sink.

use std::time::Duration;

use super::{Outcome, Reconcile, ReconcileError};
use crate::model::companion::CompanionName;
use crate::model::observed::Work;
use crate::plan::Step;

/// An event.
#[derive(Debug)]
pub enum Event<'e> {
    /// A step is about to start.
    StepBegun(&'e Step),
    /// A step finished, or continues as a task.
    StepEnded(&'e Step, &'e Outcome),
    /// Work of an earlier reconcile ended, with its error if it failed.
    WorkEnded(&'e CompanionName, Work, Option<&'e str>),
    /// A reconcile finished, or could not start, and how long it took.
    Reconciled(&'e Result<Reconcile, ReconcileError>, Duration),
}

/// Receives events. It must return immediately.
pub trait EventSink: Send + Sync {
    /// Handles one event.
    fn on_event(&self, event: &Event<'_>);
}

/// Discards all events.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEvents;

impl EventSink for NoEvents {
    fn on_event(&self, _event: &Event<'_>) {}
}
