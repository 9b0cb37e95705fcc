//! The life-cycle logic of companions and the ports it is run through.

pub mod check;
pub mod model;
pub mod plan;
pub mod planner;
pub mod ports;
pub mod reconciler;
pub mod status;
pub mod supervisor;
