//! Archipelago's companions: catalog, hooks, backend manifests, and the calls a host program makes.
//!
//! ```no_run
//! # #[cfg(feature = "podman")]
//! # async fn host_program() -> anyhow::Result<()> {
//! use archipelago_companions::host::SystemdPodman;
//! use archipelago_companions::{Catalog, Companions, Scope};
//!
//! let host = SystemdPodman::new(Scope::User);
//! let companions = Companions::connect(host, Catalog::builtin()).await?;
//! for error in companions.install_for(&"bitcoin-knots".parse()?).await? {
//!     tracing::warn!("{error}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! | module | decides |
//! |---|---|
//! | [`catalog`] | the known companions and the apps they belong to |
//! | [`manifest`] | the conversion of an app's backend into a companion |
//! | `companions` | [`Companions`]: install, remove, reconcile |
//! | `desired_store`, `record` | [`RecordStore`]: the desired state on disk and its lock |
//! | `page` | the built-in pages and their configuration; `page::bitcoin` has the credentials of the node |
//! | [`metrics`] | what a leader counts, as text for Prometheus |
//! | `drop_in` | the calls of Archipelago's `companion.rs`, with the feature `drop-in` |
//! | [`host`] | [`Backend`](host::Backend): a kind of host; the one of systemd and Podman |

mod app;
pub mod catalog;
mod companions;
mod desired_store;
#[cfg(feature = "drop-in")]
pub mod drop_in;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod host;
pub mod inputs;
pub mod leader;
pub mod manifest;
pub mod metrics;
mod node;
mod page;
pub mod published;
mod record;

pub use adapter_hooks::{ConfigHook, HookError};
#[cfg(feature = "podman")]
pub use adapter_systemd::Scope;
pub use app::AppId;
pub use catalog::{Catalog, CatalogError};
pub use companion_core::supervisor::RESYNC;
pub use companions::{
    CompanionError, Companions, CompanionsError, Concerned, Converged, Failures, Options, Reloaded,
    StepReport, failures_of,
};
pub use desired_store::RecordStore;
pub use node::{
    ARCHIPELAGO_REGISTRY, BitcoinRpc, CONTEXT_DIRECTORIES, Electrs, Fedimint, Lnd, Node, PagePorts,
};
