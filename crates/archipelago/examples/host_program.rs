//! A host program: it has its apps' companions installed, and keeps them true for as long as it runs.

use archipelago_companions::host::SystemdPodman;
use archipelago_companions::{AppId, Catalog, Companions, RESYNC, Scope};
use tokio_util::sync::CancellationToken;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let apps: Vec<AppId> =
        std::env::args().skip(1).map(|app| app.parse()).collect::<Result<_, _>>()?;
    let companions =
        Companions::connect(SystemdPodman::new(Scope::User), Catalog::builtin()).await?;
    for error in companions.reconcile(&apps).await? {
        tracing::warn!("{error}");
    }
    let shutdown = CancellationToken::new();
    companions.run(RESYNC, shutdown, |_round| ()).await?;
    Ok(())
}
