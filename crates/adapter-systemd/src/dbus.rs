//! The methods and signals of systemd that are used (org.freedesktop.systemd1(5)), and nothing else.
//!
//! No property is cached: many of systemd's never announce a change, and a cache would be the memory of what this process saw.

use serde::Deserialize;
use zbus::{OwnedObjectPath, Type};

/// systemd's name on the bus.
pub(crate) const DESTINATION: &str = "org.freedesktop.systemd1";
/// The interface of the manager's object.
pub(crate) const MANAGER: &str = "org.freedesktop.systemd1.Manager";
/// The interface that every unit has.
pub(crate) const UNIT: &str = "org.freedesktop.systemd1.Unit";
/// The interface that a service has besides.
pub(crate) const SERVICE: &str = "org.freedesktop.systemd1.Service";
/// The interface that a job has.
pub(crate) const JOB: &str = "org.freedesktop.systemd1.Job";

/// The manager's object.
#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
pub(crate) trait Manager {
    /// Asks for signals; without a client that did, systemd sends none at all.
    fn subscribe(&self) -> zbus::Result<()>;

    /// Lists the named units, loading those that are not, in the order of the names.
    fn list_units_by_names(&self, names: &[String]) -> zbus::Result<Vec<UnitRow>>;

    /// Returns a unit's object, loading it if need be; one that is not found has an object as well.
    fn load_unit(&self, name: &str) -> zbus::Result<OwnedObjectPath>;

    /// Queues a start and returns the job's object.
    fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;

    /// Queues a stop and returns the job's object.
    fn stop_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;

    /// Queues a restart and returns the job's object.
    fn restart_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;

    /// Runs the generators and loads all units again; answers when that is done.
    fn reload(&self) -> zbus::Result<()>;

    /// Forgets a unit's failure and its count of starts.
    fn reset_failed_unit(&self, name: &str) -> zbus::Result<()>;
}

/// A row of `ListUnitsByNames`, `(ssssssouso)`.
#[derive(Debug, Clone, Deserialize, serde::Serialize, Type)]
pub(crate) struct UnitRow {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) load_state: String,
    pub(crate) active_state: String,
    pub(crate) sub_state: String,
    pub(crate) following: String,
    pub(crate) path: OwnedObjectPath,
    pub(crate) job_id: u32,
    pub(crate) job_type: String,
    pub(crate) job_path: OwnedObjectPath,
}

/// The arguments of the signal `JobRemoved`, `(uoss)`.
#[derive(Debug, Clone, Deserialize, serde::Serialize, Type)]
pub(crate) struct JobRemoved {
    pub(crate) id: u32,
    pub(crate) job: OwnedObjectPath,
    pub(crate) unit: String,
    pub(crate) result: String,
}
