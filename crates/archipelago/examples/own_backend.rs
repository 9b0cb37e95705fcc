//! A host of the program's own below the same calls. This one is the fake host; one for Docker would wire the
//! adapters of Docker.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use adapter_fake::FakeHost;
use archipelago_companions::catalog::BITCOIN_UI_HOOK;
use archipelago_companions::host::{Backend, HostError, Wiring};
use archipelago_companions::{Options, RecordStore};
use async_trait::async_trait;
use companion_core::model::hook::HookName;
use companion_core::ports::{Host, PortResult};

struct Own(FakeHost);

#[async_trait]
impl Backend for Own {
    fn name(&self) -> &'static str {
        "own"
    }

    // Only this process has the fake host; for a real one the directory belongs to the host.
    fn leader_dir(&self, state_dir: &Path) -> PortResult<PathBuf> {
        Ok(state_dir.join("leader"))
    }

    // A host with files would take `wiring.hooks()`.
    async fn open(&self, wiring: Wiring) -> Result<Host, HostError> {
        let Wiring { store, leadership, .. } = wiring;
        Ok(Host { desired: store, leadership, ..self.0.ports() })
    }

    // The default sweeps the files that the catalog names, which belong to the real host.
    async fn sweep(&self, _store: &RecordStore) -> PortResult<usize> {
        Ok(0)
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> anyhow::Result<()> {
    let state = tempfile::tempdir()?;
    let host = FakeHost::default();
    host.register_hook(&HookName::new(BITCOIN_UI_HOOK)?, "what it renders");
    host.put_context(&"/opt/archipelago/docker/bitcoin-ui".to_owned().try_into()?, "a Dockerfile");
    let companions = Options::new(Own(host.clone()))
        .with_state_dir(state.path())
        .with_listener(Arc::new(|event| tracing::info!("{}", event.action)))
        .connect()
        .await?;
    let failures = companions.install_for(&"bitcoin-knots".parse()?).await?;
    anyhow::ensure!(failures.is_empty(), "{failures:?}");
    anyhow::ensure!(host.counts().starts == 1);
    Ok(())
}
