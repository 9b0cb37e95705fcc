//! `UnitStore` on Quadlet files and `ServiceManager` on systemd over D-Bus, for a user's or the system's manager.
//!
//! Quadlet's part is done by the host itself: a `<name>.container` file lies in the [`Scope`]'s directory, Podman's generator makes a
//! `<name>.service` of it at each reload, and systemd runs that. So there are two adapters that meet on the disk:
//!
//! ```text
//!   UnitSpec ── unit_text ──► quadlet text ── generator (dry run) ──► <name>.container      QuadletDir: UnitStore
//!                                                                          │ reload
//!   ServiceState ◄── states ◄── properties, /proc, cgroup ◄── <name>.service                SystemdManager: ServiceManager
//! ```
//!
//! No process is started but the generator, before a write and before a reload, and `journalctl`, once for each run that failed. Files are read and written through `durable-dir`; systemd is
//! asked over D-Bus, and the two facts it does not have (the environment of the running process, and whether a container's cgroup is
//! frozen) are read from procfs and cgroupfs.
//!
//! In reading order:
//!
//! | module | decides |
//! |---|---|
//! | `scope` | whose manager, and with it the directory, the bus and the target |
//! | `unit_text` | what each setting of a unit becomes in Quadlet, and the mark |
//! | `selinux` | which mounts are relabelled where SELinux is enforced |
//! | `host_facts` | what else the text depends on: [`HostFacts`] |
//! | `rendering` | the whole text, and how a file that nobody edited is told from one that somebody did |
//! | `mark` | whose a file is: ours, current, outdated or drifted, or unmanaged |
//! | `generator` | where the host's generator is, and what it says about a unit |
//! | `unit_store` | [`QuadletDir`]: the port over the six above |
//! | `dbus` | the methods and properties of systemd that are used |
//! | `bus` | one connection, made again when it broke, and the ends of jobs seen on it |
//! | `states` | what the properties mean |
//! | `processes` | what only procfs and cgroupfs know |
//! | `process` | how one program is run to its end |
//! | `journal` | what a run that failed logged last |
//! | `reload_check` | what a reload would lose, and that it is then held back: [`unloadable_units`] |
//! | `service_manager` | [`SystemdManager`]: the port over the seven above |
//! | `health` | what a host lacks, for a person: [`inspect`] |
//!
//! Requires systemd 235 (`NRestarts`) and, for units to mean anything, Podman 4.4 and cgroup v2.

mod blocking;
mod bus;
mod dbus;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod generator;
mod health;
mod host_facts;
mod journal;
mod mark;
mod process;
mod processes;
mod reload_check;
mod rendering;
mod scope;
mod selinux;
mod service_manager;
mod states;
mod unit_store;
mod unit_text;

pub use blocking::Stuck;
pub use generator::{Generator, GeneratorError};
pub use health::{ScopeHealth, SystemdFacts, inspect};
pub use host_facts::HostFacts;
pub use reload_check::{UnloadableFile, UnloadableUnits, unloadable_units};
pub use rendering::{RenderedUnit, render_unit};
pub use scope::{Scope, ScopeError};
pub use service_manager::{Limits, SystemdManager};
pub use unit_store::QuadletDir;
pub use unit_text::container_unit;
