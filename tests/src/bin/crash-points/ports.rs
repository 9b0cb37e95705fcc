//! Ports that abort the process before or after a mutating call: a crash between any two effects. Read calls are
//! passed through.
//!
//! `durable-dir` reports the points within a file write.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::hook::{ConfigId, HookSpec, HookState, Rendered};
use companion_core::model::image::{ImageId, ImageSource, ImageState, PresentImage};
use companion_core::model::log::LogTail;
use companion_core::model::service::{ServiceState, Verb};
use companion_core::model::unit::{ContainerState, UnitFile, UnitSpec};
use companion_core::ports::{
    Acquired, ContainerRuntime, Hint, HookRunner, Host, ImageProvider, Job, Leadership, PortResult,
    ServiceManager, UnitStore,
};

use crate::crash_point;

/// The mutating calls; each has a crash point before and one after.
const CALLS: &str = "leadership.acquire units.write units.remove services.reload services.start services.stop \
     services.restart services.reset-failed images.ensure images.keep-archives images.prune hooks.render hooks.commit \
     hooks.sweep hooks.remove containers.remove";

/// Returns the names of all crash points.
pub(crate) fn points() -> impl Iterator<Item = String> {
    let calls =
        CALLS.split(' ').flat_map(|call| [format!("{call}.before"), format!("{call}.after")]);
    calls.chain(crash_point::POINTS.split(' ').map(str::to_owned))
}

/// Wraps `host` with crash points around every mutating call.
pub(crate) fn around(host: Host) -> Host {
    Host {
        units: Arc::new(Points(host.units)),
        services: Arc::new(Points(host.services)),
        images: Arc::new(Points(host.images)),
        hooks: Arc::new(Points(host.hooks)),
        containers: Arc::new(Points(host.containers)),
        desired: host.desired,
        leadership: Arc::new(Points(host.leadership)),
        traits: host.traits,
    }
}

struct Points<P: ?Sized>(Arc<P>);

/// Runs `work` between the two crash points of `call`.
async fn passing<T>(call: &str, what: &str, work: impl Future<Output = T>) -> T {
    crash_point::reached(&format!("{call}.before"), Path::new(""), what);
    let result = work.await;
    crash_point::reached(&format!("{call}.after"), Path::new(""), what);
    result
}

fn output(hook: &HookSpec) -> &str {
    hook.output.as_str()
}

#[async_trait]
impl UnitStore for Points<dyn UnitStore> {
    async fn observe(
        &self,
        names: &BTreeMap<CompanionName, Option<UnitSpec>>,
    ) -> BTreeMap<CompanionName, PortResult<UnitFile>> {
        self.0.observe(names).await
    }

    async fn list(&self) -> PortResult<BTreeSet<CompanionName>> {
        self.0.list().await
    }

    async fn write(&self, unit: &UnitSpec) -> PortResult<()> {
        passing("units.write", unit.name.as_str(), self.0.write(unit)).await
    }

    async fn prepare(&self, units: &[UnitSpec]) {
        self.0.prepare(units).await;
    }

    async fn remove(&self, name: &CompanionName) -> PortResult<()> {
        passing("units.remove", name.as_str(), self.0.remove(name)).await
    }

    async fn changed(&self) -> Hint {
        self.0.changed().await
    }
}

#[async_trait]
impl ServiceManager for Points<dyn ServiceManager> {
    async fn observe(
        &self,
        names: &BTreeSet<CompanionName>,
    ) -> BTreeMap<CompanionName, PortResult<ServiceState>> {
        self.0.observe(names).await
    }

    async fn log_tails(
        &self,
        ended: &BTreeMap<CompanionName, ServiceState>,
    ) -> BTreeMap<CompanionName, PortResult<LogTail>> {
        self.0.log_tails(ended).await
    }

    async fn reload(&self) -> PortResult<()> {
        passing("services.reload", "", self.0.reload()).await
    }

    async fn begin(&self, name: &CompanionName, verb: Verb) -> PortResult<Job> {
        let call = format!("services.{verb}");
        passing(&call, name.as_str(), self.0.begin(name, verb)).await
    }

    async fn wait(&self, job: Job) -> PortResult<()> {
        self.0.wait(job).await
    }

    async fn reset_failed(&self, name: &CompanionName) -> PortResult<()> {
        passing("services.reset-failed", name.as_str(), self.0.reset_failed(name)).await
    }

    async fn changed(&self) -> Hint {
        self.0.changed().await
    }
}

#[async_trait]
impl ImageProvider for Points<dyn ImageProvider> {
    async fn observe(
        &self,
        sources: &BTreeMap<CompanionName, ImageSource>,
    ) -> BTreeMap<CompanionName, PortResult<ImageState>> {
        self.0.observe(sources).await
    }

    async fn ensure(&self, source: &ImageSource) -> PortResult<PresentImage> {
        passing("images.ensure", "", self.0.ensure(source)).await
    }

    async fn keep_archives(&self, sources: &[ImageSource]) -> PortResult<usize> {
        passing("images.keep-archives", "", self.0.keep_archives(sources)).await
    }

    async fn prune(&self, dangling: &[ImageId]) -> PortResult<()> {
        passing("images.prune", "", self.0.prune(dangling)).await
    }

    async fn changed(&self) -> Hint {
        self.0.changed().await
    }
}

#[async_trait]
impl HookRunner for Points<dyn HookRunner> {
    async fn observe(&self, hook: &HookSpec) -> PortResult<HookState> {
        self.0.observe(hook).await
    }

    async fn render(&self, hook: &HookSpec) -> PortResult<Rendered> {
        passing("hooks.render", output(hook), self.0.render(hook)).await
    }

    async fn commit(
        &self,
        hook: &HookSpec,
        rendered: Rendered,
        claimed: &[ConfigId],
    ) -> PortResult<ConfigId> {
        passing("hooks.commit", output(hook), self.0.commit(hook, rendered, claimed)).await
    }

    async fn sweep(&self, hook: &HookSpec, keep: ConfigId) -> PortResult<()> {
        passing("hooks.sweep", output(hook), self.0.sweep(hook, keep)).await
    }

    async fn remove(&self, hook: &HookSpec) -> PortResult<()> {
        passing("hooks.remove", output(hook), self.0.remove(hook)).await
    }

    async fn changed(&self) -> Hint {
        self.0.changed().await
    }
}

#[async_trait]
impl ContainerRuntime for Points<dyn ContainerRuntime> {
    async fn observe(
        &self,
        names: &BTreeSet<CompanionName>,
    ) -> BTreeMap<CompanionName, PortResult<ContainerState>> {
        self.0.observe(names).await
    }

    async fn remove(&self, name: &CompanionName) -> PortResult<()> {
        passing("containers.remove", name.as_str(), self.0.remove(name)).await
    }
}

#[async_trait]
impl Leadership for Points<dyn Leadership> {
    async fn acquire(&self) -> PortResult<Acquired> {
        passing("leadership.acquire", "", self.0.acquire()).await
    }
}
