//! The methods and signals of systemd that this crate uses (org.freedesktop.systemd1(5)).
//!
//! No property is cached: many properties of systemd never announce a change.

use serde::Deserialize;
use zbus::{OwnedObjectPath, Type};

/// systemd's name on the bus.
pub(crate) const DESTINATION: &str = "org.freedesktop.systemd1";
/// The interface of the manager object.
pub(crate) const MANAGER: &str = "org.freedesktop.systemd1.Manager";
/// The interface of every unit.
pub(crate) const UNIT: &str = "org.freedesktop.systemd1.Unit";
/// The additional interface of a service.
pub(crate) const SERVICE: &str = "org.freedesktop.systemd1.Service";
/// The interface of a job.
pub(crate) const JOB: &str = "org.freedesktop.systemd1.Job";

/// The manager object.
#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
pub(crate) trait Manager {
    /// Subscribes to signals; systemd sends none without a subscribed client.
    fn subscribe(&self) -> zbus::Result<()>;

    /// Lists the named units in the order of the names, loading them if necessary.
    fn list_units_by_names(&self, names: &[String]) -> zbus::Result<Vec<UnitRow>>;

    /// Returns a unit's object, loading the unit if necessary; a unit that is not found also has an object.
    fn load_unit(&self, name: &str) -> zbus::Result<OwnedObjectPath>;

    /// Queues a start job and returns its object.
    fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;

    /// Queues a stop job and returns its object.
    fn stop_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;

    /// Queues a restart job and returns its object.
    fn restart_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;

    /// Runs the generators and reloads all units; returns when the reload is complete.
    fn reload(&self) -> zbus::Result<()>;

    /// Resets a unit's failed state and start counter.
    fn reset_failed_unit(&self, name: &str) -> zbus::Result<()>;

    /// When the units were last loaded, in microseconds of the monotonic clock: differs after each reload.
    #[zbus(property)]
    fn units_load_timestamp_monotonic(&self) -> zbus::Result<u64>;
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
