//! `PodmanContainers` on the guest's Podman.

use std::sync::Arc;

use adapter_podman::{Podman, PodmanContainers};
use async_trait::async_trait;
use companion_conformance::container_runtime::ContainerWorld;
use companion_conformance::{Arranged, HostWorld};
use companion_core::model::companion::CompanionName;
use companion_core::ports::ContainerRuntime;

use super::guest::{BASE, InOrder, RUNS, name, podman};

pub(crate) struct Containers {
    #[expect(dead_code, reason = "held for what its drop does, never read")]
    in_order: InOrder,
}

impl Containers {
    pub(crate) async fn new() -> Self {
        Self { in_order: InOrder::put() }
    }
}

/// The containers of the guest.
pub(crate) fn real_containers() -> Arc<dyn ContainerRuntime> {
    Arc::new(PodmanContainers::new(Podman::from_environment()))
}

/// Runs `script` in a container of that name.
fn run(name: &CompanionName, label: &str, script: &str) {
    let entrypoint = format!(r#"--entrypoint=["/bin/sh","-c","{script}"]"#);
    let label = format!("--label={label}");
    podman(&[
        "run",
        "--detach",
        "--network=none",
        "--name",
        name.as_str(),
        &label,
        &entrypoint,
        BASE,
    ]);
}

fn label(name: &CompanionName) -> String {
    format!("companion.name={name}")
}

impl HostWorld for Containers {}

#[async_trait]
impl ContainerWorld for Containers {
    fn containers(&self) -> Arc<dyn ContainerRuntime> {
        real_containers()
    }
    fn name(&self, number: u8) -> CompanionName {
        name(number)
    }
    async fn run_ours(&self, name: &CompanionName) {
        run(name, &label(name), RUNS);
    }
    async fn leave_ours(&self, name: &CompanionName) {
        run(name, &label(name), "exit 0");
        podman(&["wait", name.as_str()]);
    }
    async fn run_unmanaged(&self, name: &CompanionName) {
        run(name, "made.by=somebody", RUNS);
    }
    async fn pause(&self, name: &CompanionName) {
        podman(&["pause", name.as_str()]);
    }
    async fn without_host(&self) -> Arranged<Arc<dyn ContainerRuntime>> {
        let podman = Podman::from_environment().with_program("/nowhere/podman");
        Ok(Arc::new(PodmanContainers::new(podman)))
    }
}
