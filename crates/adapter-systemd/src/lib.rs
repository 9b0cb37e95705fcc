//! `UnitStore` on Quadlet files and `ServiceManager` on systemd over D-Bus, for a user's or the system's manager.
//!
//! Quadlet runs on the host: a `<name>.container` file is in the [`Scope`]'s directory, Podman's generator generates a
//! `<name>.service` from it at each reload, and systemd runs the service. Two adapters meet on the disk:
//!
//! ```text
//!   UnitSpec ── unit_text ──► quadlet text ── generator (dry run) ──► <name>.container      QuadletDir: UnitStore
//!                                                                          │ reload
//!   ServiceState ◄── states ◄── properties, /proc, cgroup ◄── <name>.service                SystemdManager: ServiceManager
//! ```
//!
//! The crate starts two programs: the generator, before a write and before a reload, and `journalctl`, once for each
//! failed run. It accesses files through `durable-dir` and systemd over D-Bus, and reads two facts from procfs and
//! cgroupfs: the environment of the running process, and whether a container's cgroup is frozen.
//!
//! In reading order:
//!
//! | module | decides |
//! |---|---|
//! | `scope` | the service manager, and with it the directory, the bus and the target |
//! | `unit_text` | how Quadlet expresses each setting of a unit, and the ownership label |
//! | `probe`, `selinux` | the command of a health check, and which mounts are relabelled |
//! | `generator` | where the host's generator is, and how to interpret its output |
//! | `unit_store` | [`QuadletDir`]: the port over the five above and `host_files::units`, which decides about the files |
//! | `dbus` | the methods and properties of systemd that are used |
//! | `bus` | one connection, reopened after it broke, and the job results received on it |
//! | `states` | how to interpret the properties |
//! | `processes` | facts that only procfs and cgroupfs have |
//! | `process` | how to run one program |
//! | `journal` | the last log lines of a failed run |
//! | `reload_check` | whether a reload would lose units and must be skipped: [`unloadable_units`] |
//! | `service_manager` | [`SystemdManager`]: the port over the seven above |
//! | `environment` | which base directories differ between this process and systemd: [`differing_directories`] |
//! | `health` | health checks of the host, for people: [`inspect`] |
//!
//! Requires systemd 235 (`NRestarts`), Podman 4.4 and cgroup v2.

mod bus;
mod dbus;
mod environment;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
#[path = "../tests/fuzzing/entry.rs"]
pub mod fuzzing;
mod generator;
mod health;
mod journal;
mod probe;
mod process;
mod processes;
mod reload_check;
mod scope;
mod selinux;
mod service_manager;
mod states;
mod unit_store;
mod unit_text;

pub use environment::{DifferingDirectory, differing_directories};
pub use health::{ScopeHealth, SystemdFacts, inspect};
pub use reload_check::{SameContainer, UnloadableFile, UnloadableUnits, unloadable_units};
pub use scope::{Scope, ScopeError};
pub use service_manager::{Limits, SystemdManager};
pub use unit_store::QuadletDir;
pub use unit_text::{RenderedUnit, container_unit, render_unit};
