//! The scenarios of the demo, in order: the fault, and the promised cost of its repair.

use adapter_fake::{Counts, FakeHost};

use super::simulation::Specs;

/// A scenario.
#[derive(Debug)]
pub(super) struct Scenario {
    /// A short title.
    pub(super) title: &'static str,
    /// The fault, in one sentence.
    pub(super) happened: &'static str,
    /// The events that are the fault.
    pub(super) events: &'static [Event],
    /// The promise about the repair.
    pub(super) promise: &'static str,
    /// Returns whether the cost keeps the promise.
    pub(super) keeps: fn(&Counts) -> bool,
}

/// An event of a scenario.
#[derive(Debug)]
pub(super) enum Event {
    /// Something happens to the host.
    Host(fn(&FakeHost, &Specs)),
    /// The manager is started, as `companion run` is.
    ManagerStarts,
    /// The manager is aborted with all its work.
    ManagerCrashes,
    /// Nothing happens for this many seconds.
    Pause(u64),
    /// Nothing else happens until the cost of this scenario is reached.
    Until(fn(&Counts) -> bool),
}

use Event::{Host, ManagerCrashes, ManagerStarts, Pause, Until};

/// Returns whether the manager changed nothing on the host.
fn nothing(cost: &Counts) -> bool {
    *cost == Counts { processes: cost.processes, ..Counts::default() }
}

/// The scenarios.
pub(super) static SCENARIOS: [Scenario; 12] = [
    Scenario {
        title: "three apps are installed",
        happened: "The manager crashes right after it wrote the first unit; it is started again.",
        events: &[
            Host(|host, specs| {
                for spec in [&specs.bitcoin, &specs.lnd, &specs.electrs] {
                    host.install(spec);
                }
            }),
            ManagerStarts,
            Until(|cost| cost.unit_writes > 0),
            ManagerCrashes,
            Pause(2),
            ManagerStarts,
        ],
        promise: "each image built once, each unit written once",
        keeps: |cost| (cost.builds, cost.unit_writes) == (3, 3) && cost.restarts == 0,
    },
    Scenario {
        title: "the manager crashes",
        happened: "It is killed, and started again a minute later. The companions keep running.",
        events: &[ManagerCrashes, Pause(60), ManagerStarts],
        promise: "no write, reload or restart",
        keeps: nothing,
    },
    Scenario {
        title: "a container is killed",
        happened: "The container of archy-lnd-ui is killed.",
        events: &[Host(|host, specs| host.kill_container(&specs.lnd.name))],
        promise: "by systemd itself (Restart=always, RestartSec=10), without the manager",
        keeps: nothing,
    },
    Scenario {
        title: "a unit file is deleted",
        happened: "A user deletes archy-lnd-ui.container; its container keeps running.",
        events: &[Host(|host, specs| host.delete_unit(&specs.lnd.name))],
        promise: "one write, one reload, no restart",
        keeps: |cost| (cost.unit_writes, cost.reloads, cost.restarts, cost.starts) == (1, 1, 0, 0),
    },
    Scenario {
        title: "a unit file is edited",
        happened: "A user edits archy-electrs-ui.container, reloads systemd and restarts it.",
        events: &[Host(|host, specs| {
            host.edit_unit(&specs.electrs.name);
            host.reload_by_others();
            host.kill_container(&specs.electrs.name);
        })],
        promise: "one write, one reload, one restart",
        keeps: |cost| (cost.unit_writes, cost.reloads, cost.restarts) == (1, 1, 1),
    },
    Scenario {
        title: "a container is frozen",
        happened: "A user pauses archy-electrs-ui: systemd reports it as running, but it does not respond.",
        events: &[Host(|host, specs| host.pause_container(&specs.electrs.name))],
        promise: "one restart and no other change",
        keeps: |cost| (cost.unit_writes, cost.reloads, cost.restarts) == (0, 0, 1),
    },
    Scenario {
        title: "the password is rotated",
        happened: "The node's RPC password changes; archy-bitcoin-ui still uses the old one.",
        events: &[Host(|host, _| host.rotate_credentials())],
        promise: "one render, one restart, no other companion restarted",
        keeps: |cost| (cost.config_writes, cost.restarts, cost.starts) == (1, 1, 0),
    },
    Scenario {
        title: "a Dockerfile changes",
        happened: "The build context of archy-lnd-ui changes.",
        events: &[Host(|host, specs| {
            let build = specs.lnd.image.build.iter();
            build.flat_map(|it| it.contexts.first()).for_each(|it| {
                host.change_context(it);
            });
        })],
        promise: "one build while the old container serves, then one restart",
        keeps: |cost| (cost.builds, cost.restarts, cost.network) == (1, 1, 0),
    },
    Scenario {
        title: "the registry is down",
        happened: "The registry is unreachable; a unit is deleted and its service stopped.",
        events: &[Host(|host, specs| {
            let pull = specs.lnd.image.pull.iter();
            pull.for_each(|pull| host.registry_down(pull.reference.registry()));
            host.delete_unit(&specs.lnd.name);
            host.stop_service(&specs.lnd.name);
        })],
        promise: "without the network",
        keeps: |cost| (cost.network, cost.pulls, cost.builds) == (0, 0, 0),
    },
    Scenario {
        title: "the power fails",
        happened: "The machine loses power and boots again, and the manager with it.",
        events: &[ManagerCrashes, Host(|host, _| host.power_loss()), Pause(5), ManagerStarts],
        promise: "from the files on disk, without a write",
        keeps: |cost| (cost.unit_writes, cost.config_writes, cost.builds) == (0, 0, 0),
    },
    Scenario {
        title: "an app is removed",
        happened: "bitcoin-core is removed; the manager crashes during the removal and is started again.",
        events: &[
            Host(|host, specs| {
                host.remove(&specs.bitcoin.name);
            }),
            Until(|cost| cost.stops > 0),
            ManagerCrashes,
            Pause(2),
            ManagerStarts,
        ],
        promise: "no service, unit, container or rendered password remains",
        keeps: |cost| cost.unit_removals == 1 && cost.config_removals == 1 && cost.restarts == 0,
    },
    Scenario {
        title: "nothing happens for an hour",
        happened: "The manager resyncs every 30 s, 120 times.",
        events: &[Pause(3600)],
        promise: "no action, and no process started",
        keeps: |cost| *cost == Counts::default(),
    },
];
