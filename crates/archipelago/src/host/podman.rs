//! The host of systemd and Podman, in the scope of a user or of the system.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use adapter_podman::{ImageRecords, Podman, PodmanContainers, PodmanImages, remove_built};
use adapter_systemd::{
    DifferingDirectory, QuadletDir, Scope, SystemdManager, differing_directories,
};
use async_trait::async_trait;
use companion_core::error_chain::chain;
use companion_core::model::desired::DesiredState;
use companion_core::model::host::HostTraits;
use companion_core::model::image::{ImageRef, ImageSource};
use companion_core::ports::{DesiredStore, Host, PortError, PortErrorKind, PortResult};
use quadlet::PodmanVersion;
use tracing::{debug, info};

use super::{Backend, HostError, Wiring, user_state_dir};
use crate::desired_store::RecordStore;
use crate::leader::user_leader_dir;
use crate::published::EDITED_DIR;

/// The description of the previous manager's units, which are adopted.
const LEGACY_DESCRIPTION: &str = "Archipelago companion UI: ";

/// The oldest Podman that companions can be kept with, 4.4, the first with Quadlet.
///
/// No later feature is required: an option of `podman run` replaces a newer key such as `Pull=` (4.6), and the generator's
/// output decides, because its exit status means nothing before 4.6.
pub const PODMAN_FLOOR: PodmanVersion = PodmanVersion::FLOOR;

/// systemd, Quadlet and Podman of one scope.
#[derive(Clone)]
pub struct SystemdPodman {
    scope: Scope,
    podman: Podman,
}

impl SystemdPodman {
    /// The service manager and the `podman` of `scope`, in the environment of this process.
    pub fn new(scope: Scope) -> Self {
        Self { scope, podman: Podman::from_environment() }
    }

    /// The scope.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// The store of units, as it is wired into the host, for units of `version`.
    ///
    /// # Errors
    /// [`HostError::Prerequisite`] when it is not known where units go.
    pub fn units(&self, version: PodmanVersion) -> Result<QuadletDir, HostError> {
        let units = QuadletDir::new(self.scope, version)
            .map_err(|error| HostError::prerequisite("failed to find the unit directory", error))?;
        Ok(units.with_legacy_description(LEGACY_DESCRIPTION))
    }

    /// Podman's version, if units can be written for it.
    ///
    /// # Errors
    /// [`HostError::Prerequisite`] for a Podman that is missing or too old.
    pub async fn podman_version(&self) -> Result<PodmanVersion, HostError> {
        let text = self.podman.version().await.map_err(|error| {
            HostError::prerequisite("failed to query the version of podman", error)
        })?;
        let refuse = |why: &str| {
            let message = format!("podman {} is unsupported: {why}", text.escape_debug());
            HostError::Prerequisite { message, source: None }
        };
        let version: PodmanVersion =
            text.parse().map_err(|_| refuse("its version cannot be parsed"))?;
        if version < PODMAN_FLOOR {
            let why = format!("companions need {PODMAN_FLOOR} or newer, which has Quadlet");
            return Err(refuse(&why));
        }
        Ok(version)
    }

    /// Starts a container of `image` without a network, and removes it. Returns `false` if the image is not present.
    ///
    /// # Errors
    /// Podman's own message if it cannot start a container of that image.
    pub async fn try_start(&self, image: &ImageRef) -> PortResult<bool> {
        self.podman.try_start(image).await.map_err(|error| {
            PortError::new(error.kind(), format!("no container of {image} starts"))
                .with_source(error)
        })
    }

    /// Asks the service manager for its environment: whether it can be reached at all, and whether it finds the same
    /// directories as this process.
    async fn services(&self) -> Result<SystemdManager, HostError> {
        let manager = match self.scope {
            Scope::User => "the user's systemd",
            Scope::System => "the system's systemd",
        };
        let unreachable = |source| HostError::ServiceManager { manager, source };
        let differing = differing_directories(self.scope).await.map_err(unreachable)?;
        match differing.into_iter().find(DifferingDirectory::is_fatal) {
            None => Ok(SystemdManager::new(self.scope)),
            Some(directory) => {
                let message =
                    format!("{manager} would find neither units nor images of this process");
                Err(HostError::prerequisite(message, directory))
            }
        }
    }
}

#[async_trait]
impl Backend for SystemdPodman {
    fn name(&self) -> &'static str {
        match self.scope {
            Scope::User => "user",
            Scope::System => "system",
        }
    }

    /// For a user [`user_state_dir`]; for the system `/var/lib/companion`.
    fn state_dir(&self) -> Option<PathBuf> {
        match self.scope {
            Scope::User => user_state_dir(),
            Scope::System => Some(PathBuf::from("/var/lib/companion")),
        }
    }

    /// For a user [`user_leader_dir`]; for the system `/run/companion`.
    fn leader_dir(&self, _state_dir: &Path) -> PortResult<PathBuf> {
        match self.scope {
            Scope::User => user_leader_dir(),
            Scope::System => Ok(PathBuf::from("/run/companion")),
        }
    }

    async fn reach(&self) -> Result<(), HostError> {
        self.services().await.map(|_services| ())
    }

    /// Asks Podman for its version too, because units are written for it. Nothing else is contacted.
    async fn open(&self, wiring: Wiring) -> Result<Host, HostError> {
        let services = self.services().await?;
        let version = self.podman_version().await?;
        let hooks = wiring.hooks()?;
        let Wiring { store, leadership, .. } = wiring;
        let units = self.units(version)?.with_edited_copies(store.dir().join(EDITED_DIR));
        let records = image_records(&store);
        let desired = LiveHost { store, backend: self.clone(), units: units.clone() };
        Ok(Host {
            units: Arc::new(units.clone()),
            services: Arc::new(services.with_units(units)),
            images: Arc::new(PodmanImages::new(self.podman.clone(), records)),
            hooks: Arc::new(hooks),
            containers: Arc::new(PodmanContainers::new(self.podman.clone())),
            desired: Arc::new(desired),
            leadership,
            traits: HostTraits { host_loopback: self.scope == Scope::User, ..HostTraits::ALL },
        })
    }

    /// Also stops the builds, pulls and archives that outlived the previous leader.
    async fn sweep(&self, store: &RecordStore) -> PortResult<usize> {
        match self.podman.end_orphans().await {
            0 => {}
            count => info!("stopped {count} orphaned podman call(s)"),
        }
        let units = self.units(PODMAN_FLOOR).map_err(|error| {
            PortError::new(PortErrorKind::Unavailable, "failed to sweep the unit directory")
                .with_source(error)
        })?;
        let swept = units.with_edited_copies(store.dir().join(EDITED_DIR)).sweep().await?;
        let archives = image_records(store).sweep().await?;
        Ok(swept + archives + super::sweep(store).await?)
    }

    async fn remove_images(&self, sources: &[ImageSource]) -> PortResult<usize> {
        remove_built(&self.podman, sources).await
    }

    async fn settled(&self) {
        self.podman.settled().await;
    }
}

/// The records and archives of images, in the state directory, with the size limit of the current catalog.
fn image_records(store: &RecordStore) -> ImageRecords {
    let inputs = Arc::clone(store.inputs());
    let limit = move || u64::from(inputs.catalog().node().image_archive_mib) * 1024 * 1024;
    ImageRecords::new(store.dir().join("images"), limit)
}

/// The desired state of a real host. The version of Podman that units are written for is read again with it.
struct LiveHost {
    store: Arc<RecordStore>,
    backend: SystemdPodman,
    units: QuadletDir,
}

#[async_trait]
impl DesiredStore for LiveHost {
    async fn load(&self) -> PortResult<DesiredState> {
        // A Podman that is away for the moment of its upgrade is still the one before.
        match self.backend.podman_version().await {
            Ok(version) => self.units.set_podman_version(version),
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
