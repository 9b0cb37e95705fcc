//! Build contexts and their digests, and reads of files that may hang.

pub mod context;
mod file_identity;
mod reader;
pub mod text;

pub use context::{Context, ContextError, Contexts};
pub use file_identity::FileIdentity;
pub use reader::{NoAnswer, Reader};
