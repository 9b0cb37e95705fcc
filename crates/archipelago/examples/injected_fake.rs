//! The same calls on the fake host: what a host program's own tests do.

use std::sync::Arc;

use adapter_fake::FakeHost;
use archipelago_companions::catalog::BITCOIN_UI_HOOK;
use archipelago_companions::{Catalog, Companions, RecordStore};
use companion_core::model::hook::HookName;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let state = tempfile::tempdir()?;
    let store = Arc::new(RecordStore::new(state.path(), Arc::new(Catalog::builtin())));
    let host = FakeHost::default();
    host.register_hook(&HookName::new(BITCOIN_UI_HOOK)?, "what it renders");
    host.put_context(&"/opt/archipelago/docker/bitcoin-ui".to_owned().try_into()?, "a Dockerfile");
    let companions = Companions::on(store, host.ports());
    let failures = companions.install_for(&"bitcoin-knots".parse()?).await?;
    anyhow::ensure!(failures.is_empty(), "{failures:?}");
    anyhow::ensure!(host.counts().starts == 1);
    Ok(())
}
