//! The real host: the adapters of systemd, Podman and the file system, wired together.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use adapter_hooks::{ConfigHook, FileHooks, HookError, HostKey, Readiness};
use adapter_podman::{Podman, PodmanContainers, PodmanError, PodmanImages};
use adapter_systemd::{
    DifferingDirectory, HostFacts, QuadletDir, Scope, ScopeError, SystemdManager,
    differing_directories,
};
use async_trait::async_trait;
use companion_core::error_chain::chain;
use companion_core::model::companion::{CompanionName, InvalidValue};
use companion_core::model::container::HostName;
use companion_core::model::desired::DesiredState;
use companion_core::model::hook::HookName;
use companion_core::model::host::HostTraits;
use companion_core::ports::{
    DesiredStore, Host, Leadership, PortError, PortResult, ServiceManager as _,
};
use durable_dir::{Dir, DirError, Trust};
use quadlet::PodmanVersion;
use tracing::debug;

use crate::bitcoin_ui::BitcoinUi;
use crate::catalog::BITCOIN_UI_HOOK;
use crate::desired_store::RecordStore;
use crate::inputs::Inputs;

/// The description of the previous manager's units, which are adopted.
const LEGACY_DESCRIPTION: &str = "Archipelago companion UI: ";

/// The error of connecting to a host. Nothing was changed; running companions keep running.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Podman is missing or does not answer.
    #[error("failed to query the version of podman")]
    Podman(#[source] PodmanError),
    /// Podman is of a version that cannot be written for.
    #[error("podman {version} is unsupported: {why}")]
    PodmanVersion {
        /// What it says its version is.
        version: String,
        /// Why not.
        why: String,
    },
    /// It is not known where the record goes.
    #[error("neither `XDG_STATE_HOME` nor `HOME` is an absolute path")]
    NoHome,
    /// The service manager cannot be reached.
    #[error("{manager} cannot be reached")]
    ServiceManager {
        /// Whose it is.
        manager: &'static str,
        /// Why not.
        #[source]
        source: PortError,
    },
    /// The service manager has another environment than this process: units and images would be written where
    /// systemd finds none.
    #[error(transparent)]
    Environment(DifferingDirectory),
    /// There is no place for the lock of the leader.
    #[error("failed to find the directory of the leader's lock")]
    Leadership(#[source] PortError),
    /// It is not known where units go.
    #[error("failed to find the unit directory")]
    UnitDir(#[source] ScopeError),
    /// The state directory cannot be used.
    #[error("failed to use the state directory")]
    State(#[source] DirError),
    /// Temporary files of an interrupted run could not be removed.
    #[error("failed to remove the temporary files of an interrupted run")]
    Sweep(#[source] PortError),
    /// A hook could not be registered.
    #[error("failed to register a hook")]
    Hook(#[source] HookError),
    /// A built-in name is not one.
    #[error("a built-in name is invalid")]
    Name(#[source] InvalidValue),
}

/// The oldest Podman that companions can be kept with, 4.4, the first with Quadlet.
///
/// What came later is not needed: an option of `podman run` stands in for a key such as `Pull=` (4.6),
/// and the generator is judged by what it says, because its exit status tells nothing before 4.6.
pub const PODMAN_FLOOR: PodmanVersion = PodmanVersion::FLOOR;

/// Returns the state directory of `scope`: the desired state, its lock and the host key.
///
/// For a user `$XDG_STATE_HOME/companion`, else `~/.local/state/companion`
/// (XDG Base Directory Specification); for the system `/var/lib/companion`.
pub fn state_dir(scope: Scope) -> Option<PathBuf> {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    match scope {
        Scope::System => Some(PathBuf::from("/var/lib/companion")),
        Scope::User => absolute("XDG_STATE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
            .map(|dir| dir.join("companion")),
    }
}

/// The store of units of `scope`, as it is wired into a real host: for rendering without one.
///
/// # Errors
/// [`HostError::UnitDir`].
pub fn units(scope: Scope, version: PodmanVersion) -> Result<QuadletDir, HostError> {
    let units = QuadletDir::new(scope, version).map_err(HostError::UnitDir)?;
    Ok(units.with_legacy_description(LEGACY_DESCRIPTION))
}

/// Wires the real adapters of `scope` around `store`, with a `podman` of the caller's, who can wait for
/// its last call to end ([`Podman::settled`]), and with the leadership that `leadership` takes.
///
/// The service manager is asked for a unit that nobody has, and Podman for its version, because units are
/// written for it. Nothing else is contacted.
///
/// # Errors
/// [`HostError`] for a missing prerequisite.
pub async fn connect(
    scope: Scope,
    store: Arc<RecordStore>,
    podman: Podman,
    leadership: Arc<dyn Leadership>,
) -> Result<Host, HostError> {
    let services = reach(scope).await?;
    let version = podman_version(&podman).await?;
    let hooks = hooks(&store)?;
    let units = units(scope, version)?;
    let desired = LiveHost { store, podman: podman.clone(), units: units.clone() };
    Ok(Host {
        units: Arc::new(units.clone()),
        services: Arc::new(services.with_units(units)),
        images: Arc::new(PodmanImages::new(podman.clone())),
        hooks: Arc::new(hooks),
        containers: Arc::new(PodmanContainers::new(podman)),
        desired: Arc::new(desired),
        leadership,
        traits: HostTraits::ALL,
    })
}

/// The desired state of a real host. What units are written for is read again with it: Podman may have
/// been upgraded since, or SELinux switched on.
struct LiveHost {
    store: Arc<RecordStore>,
    podman: Podman,
    units: QuadletDir,
}

#[async_trait]
impl DesiredStore for LiveHost {
    async fn load(&self) -> PortResult<DesiredState> {
        // A Podman that is away for the moment of its upgrade is still the one before.
        match podman_version(&self.podman).await {
            Ok(version) => {
                let facts = HostFacts::of_host(version).unwrap_or(version.into());
                self.units.set_facts(facts);
            }
            Err(error) => debug!(
                "failed to query podman; rendering units for its previous version: {}",
                chain(&error)
            ),
        }
        self.store.load().await
    }

    async fn changed(&self) {
        self.store.changed().await;
    }
}

/// A name that no companion has.
const NOBODY: &str = "no-such-companion";

/// Asks the service manager for a unit that nobody has: whether it can be reached at all. Of one that is
/// loaded it would return all properties, which takes it a millisecond. Then compares its environment with this
/// process's.
///
/// # Errors
/// [`HostError::ServiceManager`], [`HostError::Environment`].
pub async fn reach(scope: Scope) -> Result<SystemdManager, HostError> {
    let services = SystemdManager::new(scope);
    let name = CompanionName::new(NOBODY).map_err(HostError::Name)?;
    let answers = services.observe(&BTreeSet::from([name])).await;
    let manager = match scope {
        Scope::User => "the user's systemd",
        Scope::System => "the system's systemd",
    };
    let unreachable = |source| HostError::ServiceManager { manager, source };
    answers.into_values().collect::<PortResult<Vec<_>>>().map_err(unreachable)?;
    let differing = differing_directories(scope).await.map_err(unreachable)?;
    match differing.into_iter().find(DifferingDirectory::is_fatal) {
        None => Ok(services),
        Some(directory) => Err(HostError::Environment(directory)),
    }
}

/// Removes what work that was cut off left behind: temporary files of units, of the state directory and
/// of rendered configuration, and what a removal did not come to. Returns how many files.
///
/// The caller leads, so nobody else writes these files.
///
/// # Errors
/// [`HostError::UnitDir`], [`HostError::Sweep`] for the first that could not be swept.
pub async fn sweep(scope: Scope, store: &RecordStore) -> Result<usize, HostError> {
    let units = units(scope, PODMAN_FLOOR)?;
    sweep_files(&units, store).await.map_err(HostError::Sweep)
}

async fn sweep_files(units: &QuadletDir, store: &RecordStore) -> PortResult<usize> {
    let mut swept = store.sweep().await?;
    swept += units.sweep().await?;
    let desired = store.load().await?;
    let wanted = desired
        .present()
        .map(|(_, companion)| companion)
        .filter_map(|wanted| wanted.spec().hook.as_ref());
    let removed =
        desired.removed().map(|(_, removed)| removed).filter_map(|removed| removed.hook.as_ref());
    for (hook, unwanted) in wanted.map(|hook| (hook, false)).chain(removed.map(|hook| (hook, true)))
    {
        swept += adapter_hooks::sweep(hook, unwanted).await?;
    }
    Ok(swept)
}

/// Podman's version, if units can be written for it.
///
/// # Errors
/// [`HostError::Podman`], [`HostError::PodmanVersion`].
pub async fn podman_version(podman: &Podman) -> Result<PodmanVersion, HostError> {
    let text = podman.version().await.map_err(HostError::Podman)?;
    let refuse =
        |why: String| HostError::PodmanVersion { version: text.escape_debug().to_string(), why };
    let version: PodmanVersion =
        text.parse().map_err(|_| refuse("its version cannot be parsed".to_owned()))?;
    if version < PODMAN_FLOOR {
        return Err(refuse(format!("companions need {PODMAN_FLOOR} or newer, which has Quadlet")));
    }
    Ok(version)
}

fn hooks(store: &RecordStore) -> Result<FileHooks, HostError> {
    let dir = Dir::create(store.dir(), 0o700, Trust::Owned).map_err(HostError::State)?;
    let key = HostKey::load_or_create(&dir).map_err(HostError::State)?;
    let mut hooks = FileHooks::new(key);
    let name = HookName::new(BITCOIN_UI_HOOK).map_err(HostError::Name)?;
    hooks.register(name, LiveBitcoinUi(Arc::clone(store.inputs()))).map_err(HostError::Hook)?;
    Ok(hooks)
}

/// The bitcoin-ui hook with the node, the machine's name and its IPv6 as they are at each rendering.
struct LiveBitcoinUi(Arc<Inputs>);

impl LiveBitcoinUi {
    fn now(&self) -> BitcoinUi {
        BitcoinUi::new(self.0.catalog().node(), machine_name(), has_ipv6())
    }
}

impl ConfigHook for LiveBitcoinUi {
    fn render(&self) -> Result<Readiness, HookError> {
        self.now().render()
    }

    fn inputs(&self) -> Vec<PathBuf> {
        self.now().inputs()
    }
}

/// The machine's own name, if it is a host name.
fn machine_name() -> Option<HostName> {
    let name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    HostName::new(name).ok().filter(|name| name.as_str() != "localhost")
}

/// Whether the kernel has IPv6: nginx does not start when it cannot make a socket it is told to.
fn has_ipv6() -> bool {
    std::path::Path::new("/proc/net/if_inet6").exists()
}
