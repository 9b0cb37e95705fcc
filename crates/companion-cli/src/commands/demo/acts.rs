//! The scenarios of the demo, in order: the fault, and the promised cost of its repair.

use std::time::Duration;

use adapter_fake::Counts;
use companion_core::model::companion::CompanionSpec;
use tokio::time::sleep;

use super::stage::{Scene, Stage};
use crate::error::CommandResult;

/// The three companions.
struct Specs {
    bitcoin: CompanionSpec,
    lnd: CompanionSpec,
    electrs: CompanionSpec,
}

/// Runs all scenarios.
pub(super) async fn play_all(stage: &mut Stage<'_>) -> CommandResult<()> {
    let specs = Specs {
        bitcoin: stage.spec("archy-bitcoin-ui")?,
        lnd: stage.spec("archy-lnd-ui")?,
        electrs: stage.spec("archy-electrs-ui")?,
    };
    install(stage, &specs).await;
    crash_of_the_manager(stage).await;
    killed_container(stage, &specs).await;
    deleted_unit(stage, &specs).await;
    edited_unit(stage, &specs).await;
    frozen_container(stage, &specs).await;
    rotated_password(stage).await;
    changed_dockerfile(stage, &specs).await;
    registry_down(stage, &specs).await;
    power_cut(stage).await;
    removal(stage, &specs).await;
    quiet_hour(stage).await;
    Ok(())
}

async fn install(stage: &mut Stage<'_>, specs: &Specs) {
    let scene = Scene {
        title: "three apps are installed",
        happened: "The manager crashes right after it wrote the first unit; it is started again.",
        promise: "each image built once, each unit written once",
        keeps: |cost| (cost.builds, cost.unit_writes) == (3, 3) && cost.restarts == 0,
    };
    let deed = async |stage: &mut Stage<'_>| {
        for spec in [&specs.bitcoin, &specs.lnd, &specs.electrs] {
            stage.host.install(spec);
        }
        stage.manager_starts();
        stage.until(|host| host.counts().unit_writes > 0).await;
        stage.manager_crashes().await;
        sleep(Duration::from_secs(2)).await;
        stage.manager_starts();
    };
    stage.play(scene, deed).await;
}

/// Returns whether the manager changed nothing on the host.
fn nothing(cost: &Counts) -> bool {
    *cost == Counts { processes: cost.processes, ..Counts::default() }
}

async fn crash_of_the_manager(stage: &mut Stage<'_>) {
    let scene = Scene {
        title: "the manager crashes",
        happened: "It is killed, and started again a minute later. The companions keep running.",
        promise: "no write, reload or restart",
        keeps: nothing,
    };
    let deed = async |stage: &mut Stage<'_>| {
        stage.manager_crashes().await;
        sleep(Duration::from_secs(60)).await;
        stage.manager_starts();
    };
    stage.play(scene, deed).await;
}

async fn killed_container(stage: &mut Stage<'_>, specs: &Specs) {
    let scene = Scene {
        title: "a container is killed",
        happened: "The container of archy-lnd-ui is killed.",
        promise: "by systemd itself (Restart=always, RestartSec=10), without the manager",
        keeps: nothing,
    };
    let deed = async |stage: &mut Stage<'_>| stage.host.kill_container(&specs.lnd.name);
    stage.play(scene, deed).await;
}

async fn deleted_unit(stage: &mut Stage<'_>, specs: &Specs) {
    let scene = Scene {
        title: "a unit file is deleted",
        happened: "A user deletes archy-lnd-ui.container; its container keeps running.",
        promise: "one write, one reload, no restart",
        keeps: |cost| (cost.unit_writes, cost.reloads, cost.restarts, cost.starts) == (1, 1, 0, 0),
    };
    let deed = async |stage: &mut Stage<'_>| stage.host.delete_unit(&specs.lnd.name);
    stage.play(scene, deed).await;
}

async fn edited_unit(stage: &mut Stage<'_>, specs: &Specs) {
    let scene = Scene {
        title: "a unit file is edited",
        happened: "A user edits archy-electrs-ui.container, reloads systemd and restarts it.",
        promise: "one write, one reload, one restart",
        keeps: |cost| (cost.unit_writes, cost.reloads, cost.restarts) == (1, 1, 1),
    };
    let deed = async |stage: &mut Stage<'_>| {
        stage.host.edit_unit(&specs.electrs.name);
        stage.host.reload_by_others();
        stage.host.kill_container(&specs.electrs.name);
    };
    stage.play(scene, deed).await;
}

async fn frozen_container(stage: &mut Stage<'_>, specs: &Specs) {
    let scene = Scene {
        title: "a container is frozen",
        happened: "A user pauses archy-electrs-ui: systemd reports it as running, but it does not respond.",
        promise: "one restart and no other change",
        keeps: |cost| (cost.unit_writes, cost.reloads, cost.restarts) == (0, 0, 1),
    };
    let deed = async |stage: &mut Stage<'_>| stage.host.pause_container(&specs.electrs.name);
    stage.play(scene, deed).await;
}

async fn rotated_password(stage: &mut Stage<'_>) {
    let scene = Scene {
        title: "the password is rotated",
        happened: "The node's RPC password changes; archy-bitcoin-ui still uses the old one.",
        promise: "one render, one restart, no other companion restarted",
        keeps: |cost| (cost.config_writes, cost.restarts, cost.starts) == (1, 1, 0),
    };
    let deed = async |stage: &mut Stage<'_>| stage.host.rotate_credentials();
    stage.play(scene, deed).await;
}

async fn changed_dockerfile(stage: &mut Stage<'_>, specs: &Specs) {
    let scene = Scene {
        title: "a Dockerfile changes",
        happened: "The build context of archy-lnd-ui changes.",
        promise: "one build while the old container serves, then one restart",
        keeps: |cost| (cost.builds, cost.restarts, cost.network) == (1, 1, 0),
    };
    let context = specs.lnd.image.build.as_ref().and_then(|build| build.contexts.first());
    let deed = async |stage: &mut Stage<'_>| {
        if let Some(context) = context {
            stage.host.change_context(context);
        }
    };
    stage.play(scene, deed).await;
}

async fn registry_down(stage: &mut Stage<'_>, specs: &Specs) {
    let scene = Scene {
        title: "the registry is down",
        happened: "The registry is unreachable; a unit is deleted and its service stopped.",
        promise: "without the network",
        keeps: |cost| (cost.network, cost.pulls, cost.builds) == (0, 0, 0),
    };
    let deed = async |stage: &mut Stage<'_>| {
        if let Some(pull) = &specs.lnd.image.pull {
            stage.host.registry_down(pull.reference.registry());
        }
        stage.host.delete_unit(&specs.lnd.name);
        stage.host.stop_service(&specs.lnd.name);
    };
    stage.play(scene, deed).await;
}

async fn power_cut(stage: &mut Stage<'_>) {
    let scene = Scene {
        title: "the power fails",
        happened: "The machine loses power and boots again, and the manager with it.",
        promise: "from the files on disk, without a write",
        keeps: |cost| (cost.unit_writes, cost.config_writes, cost.builds) == (0, 0, 0),
    };
    let deed = async |stage: &mut Stage<'_>| {
        stage.manager_crashes().await;
        stage.host.power_loss();
        sleep(Duration::from_secs(5)).await;
        stage.manager_starts();
    };
    stage.play(scene, deed).await;
}

async fn removal(stage: &mut Stage<'_>, specs: &Specs) {
    let scene = Scene {
        title: "an app is removed",
        happened: "bitcoin-core is removed; the manager crashes during the removal and is started again.",
        promise: "no service, unit, container or rendered password remains",
        keeps: |cost| cost.unit_removals == 1 && cost.config_removals == 1 && cost.restarts == 0,
    };
    let deed = async |stage: &mut Stage<'_>| {
        let before = stage.host.counts();
        stage.host.remove(&specs.bitcoin.name);
        stage.until(|host| host.counts().since(before).stops > 0).await;
        stage.manager_crashes().await;
        sleep(Duration::from_secs(2)).await;
        stage.manager_starts();
    };
    stage.play(scene, deed).await;
}

async fn quiet_hour(stage: &mut Stage<'_>) {
    let scene = Scene {
        title: "nothing happens for an hour",
        happened: "The manager resyncs every 30 s, 120 times.",
        promise: "no action, and no process started",
        keeps: |cost| *cost == Counts::default(),
    };
    let deed = async |_: &mut Stage<'_>| sleep(Duration::from_secs(3600)).await;
    stage.play(scene, deed).await;
}
