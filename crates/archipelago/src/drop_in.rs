//! The calls of Archipelago's `companion.rs`, with its signatures, on top of [`Companions`].
//!
//! `docs/replacing-companion-rs.md` says how to put this module in the place of that one. New programs call [`Companions`]
//! itself, which has types for names and distinguishes a failed companion from a call that could not be made.
//!
//! The node's settings are those of `~/.config/companion/catalog.toml`, as for the command, and apply as soon as the file
//! changes.
//!
//! - For an app without companions, and for an invalid app ID, the result is empty.
//! - Without `XDG_RUNTIME_DIR` there is no user manager to talk to: nothing is done, and the result is empty.
//! - The app's companions, of the catalog in force, have failed with the cause when the host cannot be reached. While no
//!   catalog can be read, it is unknown which companions an app has, and each app is named instead.

use std::env;

use companion_core::error_chain::chain;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::app::AppId;
use crate::companions::{Companions, Failures, Options};
use crate::desired_store::RecordStore;
use crate::host::{HostError, SystemdPodman, user_catalog};
use crate::leader::Settings;
use crate::{RESYNC, Scope};

/// The companions of this process; the host is connected to at the first call that needs it.
static OWN: OnceCell<DropIn> = OnceCell::const_new();

/// Installs the companions of `app` on the host of this user. Returns the companions that failed, each with its error.
pub async fn install_for(app: &str) -> Vec<(String, anyhow::Error)> {
    match own().await {
        Ok(Some(own)) => own.install_for(app).await,
        Ok(None) => Vec::new(),
        Err(error) => unconnected(&[app.to_owned()], error).await,
    }
}

/// Removes the companions of `app` that no other app needs. What fails is logged, and tried again by the next
/// [`reconcile`].
///
/// Call it before the containers of the app are removed.
pub async fn remove_for(app: &str) {
    match own().await {
        Ok(Some(own)) => own.remove_for(app).await,
        Ok(None) => {}
        Err(error) => tracing::warn!("the companions of {app:?} were not removed: {error}"),
    }
}

/// Repairs the companions of the apps in `installed`: to be called at the start and every 30 s. Returns the companions
/// that are not ready, each with its error.
pub async fn reconcile(installed: &[String]) -> Vec<(String, anyhow::Error)> {
    match own().await {
        Ok(Some(own)) => own.reconcile(installed).await,
        Ok(None) => Vec::new(),
        Err(error) => unconnected(installed, error).await,
    }
}

/// Repairs the companions as soon as something changes, and every 30 s, until `shutdown`. Takes the place of a loop around
/// [`reconcile`].
///
/// # Errors
/// When the host cannot be reached, or another process decides about it.
pub async fn run(shutdown: CancellationToken) -> anyhow::Result<()> {
    match own().await? {
        Some(own) => Ok(own.companions.run(RESYNC, shutdown, |_reconcile| ()).await?),
        None => Ok(()),
    }
}

/// Returns the companions of this process; `None` where there is no user manager.
async fn own() -> Result<Option<&'static DropIn>, HostError> {
    if env::var_os("XDG_RUNTIME_DIR").is_none_or(|directory| directory.is_empty()) {
        return Ok(None);
    }
    let connect = async || options().connect().await.map(DropIn::new);
    OWN.get_or_try_init(connect).await.map(Some)
}

fn options() -> Options {
    let options = Options::new(SystemdPodman::new(Scope::User));
    options.with_settings(Settings::default(), user_catalog())
}

/// The companions of `apps` have failed, because the host could not be connected to.
async fn unconnected(apps: &[String], error: HostError) -> Vec<(String, anyhow::Error)> {
    all_failed(options().store().ok().as_deref(), apps, &error).await
}

/// The same calls on companions of the program's own, such as those of a test.
pub struct DropIn {
    companions: Companions,
}

impl DropIn {
    /// The calls on `companions`.
    pub fn new(companions: Companions) -> Self {
        Self { companions }
    }

    /// As the function [`install_for`].
    pub async fn install_for(&self, app: &str) -> Vec<(String, anyhow::Error)> {
        let Ok(id) = AppId::new(app) else { return Vec::new() };
        match self.companions.install_for(&id).await {
            Ok(failures) => named(failures),
            Err(error) => {
                all_failed(Some(self.companions.store()), &[app.to_owned()], &error).await
            }
        }
    }

    /// As the function [`remove_for`].
    pub async fn remove_for(&self, app: &str) {
        let Ok(id) = AppId::new(app) else { return };
        match self.companions.remove_for(&id).await {
            Ok(failures) => {
                for error in failures {
                    tracing::warn!("{} was not removed: {error}", error.companion);
                }
            }
            Err(error) => tracing::warn!("the companions of {id} were not removed: {error}"),
        }
    }

    /// As the function [`reconcile`].
    pub async fn reconcile(&self, installed: &[String]) -> Vec<(String, anyhow::Error)> {
        let apps: Vec<AppId> = ids(installed).collect();
        match self.companions.reconcile(&apps).await {
            Ok(failures) => named(failures),
            Err(error) => all_failed(Some(self.companions.store()), installed, &error).await,
        }
    }
}

/// The app ids among `texts`.
fn ids(texts: &[String]) -> impl Iterator<Item = AppId> {
    texts.iter().filter_map(|text| AppId::new(text.as_str()).ok())
}

fn named(failures: Failures) -> Vec<(String, anyhow::Error)> {
    failures.into_iter().map(|error| (error.companion.to_string(), error.into())).collect()
}

/// All companions of `apps` have failed, because of `error`; the apps themselves while it is unknown which they have.
async fn all_failed(
    store: Option<&RecordStore>,
    apps: &[String],
    error: &(dyn std::error::Error + Send + Sync),
) -> Vec<(String, anyhow::Error)> {
    let catalog = match store {
        Some(store) => store.known_catalog().await.ok(),
        None => None,
    };
    let names = ids(apps).flat_map(|app| match &catalog {
        Some(catalog) => catalog.companions_for(&app).iter().map(ToString::to_string).collect(),
        None => vec![app.to_string()],
    });
    let cause = chain(error);
    names.map(|name| (name, anyhow::Error::msg(cause.clone()))).collect()
}

#[cfg(test)]
mod tests;
