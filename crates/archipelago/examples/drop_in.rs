//! A program with the calls of Archipelago's `companion.rs`: `docs/replacing-companion-rs.md`.
//!
//! `drop_in run APP…` repairs the companions of the apps at the start and every 30 s, as Archipelago's boot reconciler did;
//! `drop_in install APP` and `drop_in uninstall APP` are what its package manager did. They change the host of the user
//! who runs them. `drop_in check MANIFEST` says whether a backend's manifest goes together with the companions.

use std::path::Path;
use std::time::Duration;

// In Archipelago: `mod companion;` and the file go, and this line comes.
use archipelago_companions::drop_in as companion;
use archipelago_companions::manifest::BackendManifest;
use archipelago_companions::{Catalog, CatalogError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let apps: Vec<String> = arguments.collect();
    match command.as_str() {
        "install" => report(install(&apps).await),
        "uninstall" => {
            uninstall(&apps).await;
            Ok(())
        }
        "run" => {
            boot_reconciler(&apps).await;
            Ok(())
        }
        "check" => {
            let manifest = BackendManifest::read(Path::new(&apps.join(" ")))?;
            with_backend(&manifest)?;
            Ok(())
        }
        _ => anyhow::bail!("usage: drop_in run|install|uninstall APP… | check MANIFEST"),
    }
}

// [guide: install]
async fn install(apps: &[String]) -> Vec<(String, anyhow::Error)> {
    let mut failed = Vec::new();
    for app in apps {
        // The containers of the app have been installed before.
        failed.extend(companion::install_for(app).await);
    }
    failed
}
// [end]

// [guide: uninstall]
async fn uninstall(apps: &[String]) {
    for app in apps {
        // Before the containers of the app are removed.
        companion::remove_for(app).await;
    }
}
// [end]

// [guide: reconcile]
async fn boot_reconciler(installed: &[String]) {
    let mut ticks = tokio::time::interval(Duration::from_secs(30));
    loop {
        ticks.tick().await;
        for (name, error) in companion::reconcile(installed).await {
            tracing::warn!("{name}: {error:#}");
        }
    }
}
// [end]

// [guide: backend]
fn with_backend(manifest: &BackendManifest) -> Result<Catalog, CatalogError> {
    let mut catalog = Catalog::builtin();
    catalog.add_backend(manifest.app().clone(), manifest)?;
    Ok(catalog)
}
// [end]

fn report(failed: Vec<(String, anyhow::Error)>) -> anyhow::Result<()> {
    let failed: Vec<_> = failed.iter().map(|(name, error)| format!("{name}: {error:#}")).collect();
    anyhow::ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}
