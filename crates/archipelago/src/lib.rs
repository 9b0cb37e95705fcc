//! Archipelago's companions: catalog, hooks, backend manifests, and the calls a host program makes.

mod app;
mod bitcoin_ui;
pub mod catalog;
mod companions;
mod desired_store;
pub mod host;
pub mod manifest;
mod node;
mod record;

pub use app::AppId;
pub use bitcoin_ui::BitcoinUi;
pub use catalog::{Catalog, CatalogError};
pub use companions::{CompanionError, Companions, CompanionsError, Failures, failures};
pub use desired_store::RecordStore;
pub use node::{BITCOIN_UI_PORT, BitcoinRpc, CONTEXT_DIRECTORIES, INSECURE_REGISTRIES, Node};
