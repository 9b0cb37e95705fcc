//! The life-cycle logic of companions and the ports it is run through.

pub mod model;
pub mod ports;
