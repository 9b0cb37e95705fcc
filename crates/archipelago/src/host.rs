//! The host below the companions: [`Backend`], which wires its adapters, and what every backend shares.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use adapter_hooks::{ConfigHook, FileHooks, HookError, HostKey};
use async_trait::async_trait;
use companion_core::model::container::HostName;
use companion_core::model::desired::Target;
use companion_core::model::hook::{HookName, Rendered};
use companion_core::model::image::ImageSource;
use companion_core::ports::{DesiredStore as _, Host, Leadership, PortError, PortResult};
use durable_dir::{Dir, Trust};

use crate::desired_store::RecordStore;
use crate::inputs::Inputs;
use crate::page::Page;

#[cfg(feature = "podman")]
mod podman;

#[cfg(feature = "podman")]
pub use podman::{PODMAN_FLOOR, SystemdPodman};

/// A kind of host: its name, its directories, and the wiring of its adapters.
///
/// [`Options::new`](crate::Options::new) takes one. `SystemdPodman` (feature `podman`) is the one of
/// Archipelago; a program brings an implementation for any other host.
#[async_trait]
pub trait Backend: Send + Sync {
    /// The name, such as `user`.
    fn name(&self) -> &'static str;

    /// The usual directory of the desired state, its lock and the host key; `None` if there is none. The default is
    /// [`user_state_dir`].
    fn state_dir(&self) -> Option<PathBuf> {
        user_state_dir()
    }

    /// The directory of the leader's lock.
    ///
    /// One lock belongs to what is controlled, wherever the state directories are, so two state directories
    /// cannot lead the same host. Only a host that nobody else can reach may keep it in `state_dir`.
    ///
    /// # Errors
    /// `Unavailable` without such a directory.
    fn leader_dir(&self, state_dir: &Path) -> PortResult<PathBuf>;

    /// Checks that the host answers, before a command that only looks; changes nothing. The default checks nothing.
    ///
    /// # Errors
    /// [`HostError`] of a host that does not answer.
    async fn reach(&self) -> Result<(), HostError> {
        Ok(())
    }

    /// Wires the adapters of the host. Nothing may be written before all prerequisites were found.
    ///
    /// # Errors
    /// [`HostError`] for a missing prerequisite.
    async fn open(&self, wiring: Wiring) -> Result<Host, HostError>;

    /// Removes what interrupted work left on the host, and returns the number of files: those of the state directory
    /// and of rendered configuration ([`sweep`], the default), and those of the adapters.
    ///
    /// The caller leads, so nobody else writes these files.
    ///
    /// # Errors
    /// The error of the first that could not be swept.
    async fn sweep(&self, store: &RecordStore) -> PortResult<usize> {
        sweep(store).await
    }

    /// Removes the images that were built here for `sources`, which no companion needs, and returns their number. The
    /// default removes none.
    ///
    /// # Errors
    /// The error of the first that could not be removed.
    async fn remove_images(&self, _sources: &[ImageSource]) -> PortResult<usize> {
        Ok(0)
    }

    /// Waits for the end of the last external call. The default returns immediately.
    async fn settled(&self) {}
}

/// What a backend wires into its host.
pub struct Wiring {
    /// The desired state.
    pub store: Arc<RecordStore>,
    /// The leadership.
    pub leadership: Arc<dyn Leadership>,
    /// The hooks of the program.
    pub(crate) hooks: Vec<(HookName, Arc<dyn ConfigHook>)>,
}

impl Wiring {
    /// The runner of the built-in hooks and of those that the program added. Creates the state directory and the
    /// host key.
    ///
    /// # Errors
    /// [`HostError::Prerequisite`].
    pub fn hooks(&self) -> Result<FileHooks, HostError> {
        let unusable = |error| HostError::prerequisite("failed to use the state directory", error);
        let dir = Dir::create(self.store.dir(), 0o700, Trust::Owned).map_err(unusable)?;
        let mut hooks = FileHooks::new(HostKey::load_or_create(&dir).map_err(unusable)?);
        let refused = |error| HostError::prerequisite("failed to register a hook", error);
        for page in Page::ALL {
            let name = HookName::new(page.base())
                .map_err(|error| HostError::prerequisite("a built-in name is invalid", error))?;
            let live = LivePage { page, inputs: Arc::clone(self.store.inputs()) };
            hooks.register(name, Arc::new(live)).map_err(refused)?;
        }
        for (name, hook) in &self.hooks {
            hooks.register(name.clone(), Arc::clone(hook)).map_err(refused)?;
        }
        Ok(hooks)
    }
}

/// The error of connecting to a host. Nothing was changed; running companions keep running.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Something is missing on the host, such as a supported Podman.
    #[error("{message}")]
    Prerequisite {
        /// What is missing.
        message: String,
        /// Why.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The service manager cannot be reached.
    #[error("{manager} cannot be reached")]
    ServiceManager {
        /// Whose it is.
        manager: &'static str,
        /// Why not.
        #[source]
        source: PortError,
    },
}

impl HostError {
    /// A missing prerequisite, and why it is missing.
    pub fn prerequisite(
        message: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Prerequisite { message: message.into(), source: Some(source.into()) }
    }
}

/// Returns the state directory of a user: `$XDG_STATE_HOME/companion`, else `~/.local/state/companion`.
pub fn user_state_dir() -> Option<PathBuf> {
    Some(user_dir("XDG_STATE_HOME", ".local/state")?.join("companion"))
}

/// The usual catalog file of a user, which need not exist: `companion/catalog.toml` in `XDG_CONFIG_HOME`, else in
/// `~/.config`.
pub fn user_catalog() -> Option<PathBuf> {
    Some(user_dir("XDG_CONFIG_HOME", ".config")?.join("companion/catalog.toml"))
}

/// Returns a base directory of this user, `usual` in the home unless `variable` says otherwise; relative paths are ignored
/// (XDG Base Directory Specification).
pub fn user_dir(variable: &str, usual: &str) -> Option<PathBuf> {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(usual)))
}

/// Removes what interrupted work left: temporary files of the state directory and of rendered configuration, and the
/// files of an incomplete removal. Returns the number of files.
///
/// The caller leads, so nobody else writes these files.
///
/// # Errors
/// The error of the first that could not be swept.
pub async fn sweep(store: &RecordStore) -> PortResult<usize> {
    let mut swept = store.sweep().await?;
    let desired = store.load().await?;
    for target in desired.targets.values() {
        if let Some(hook) = target.hook() {
            let unwanted = matches!(target, Target::Removed(_));
            swept += adapter_hooks::sweep(hook, unwanted).await?;
        }
    }
    Ok(swept)
}

/// The hook of a page with the node, the machine's name and its IPv6 as they are at each rendering.
struct LivePage {
    page: Page,
    inputs: Arc<Inputs>,
}

impl ConfigHook for LivePage {
    fn render(&self) -> Result<Rendered, HookError> {
        self.page.render(self.inputs.catalog().node(), machine_name(), has_ipv6())
    }

    fn inputs(&self) -> Vec<PathBuf> {
        self.page.inputs(self.inputs.catalog().node())
    }
}

/// The machine's own name, if it is a host name.
fn machine_name() -> Option<HostName> {
    let name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    HostName::new(name).ok().filter(|name| name.as_str() != "localhost")
}

/// Whether the kernel has IPv6: nginx does not start when it cannot make a configured socket.
fn has_ipv6() -> bool {
    std::path::Path::new("/proc/net/if_inet6").exists()
}

#[cfg(test)]
mod tests;
