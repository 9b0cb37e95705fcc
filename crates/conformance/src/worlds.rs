//! Parts of worlds that hosts with files and with a registry share (feature `worlds`).

mod registry;
mod unit_directory;

pub use registry::Registry;
pub use unit_directory::{DirectoryHost, UnitDirectory, absolute, obey_modes, set_mode};
