//! The host that a command works on, wired: a real one, or the embedded one.

use std::collections::BTreeSet;
use std::sync::Arc;

use adapter_podman::Podman;
use adapter_systemd::{Scope, SystemdManager};
use archipelago::host::{connect, units};
use archipelago::leader::{Heartbeat, LeaderInfo, LeaderLock, Role, Settings, leader_dir};
use archipelago::{Companions, RecordStore};
use companion_core::model::companion::CompanionName;
use companion_core::ports::{Host, PortError, PortErrorKind, ServiceManager as _, UnitStore as _};
use companion_core::reconciler::{EventSink, Reconciler, Silent};
use companion_core::supervisor::TICK;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::config::{Config, HostKind};
use crate::error::{CommandError, CommandResult, chain};
use crate::output::Output;

pub(crate) mod sim;

/// A host with its companions, for as long as a command takes.
pub(crate) struct Session {
    /// The calls.
    pub(crate) companions: Companions,
    /// The record of wishes.
    pub(crate) store: Arc<RecordStore>,
    podman: Option<Podman>,
    /// Where the embedded host's record is, removed with the session.
    _state: Option<tempfile::TempDir>,
}

impl Session {
    /// Wires the host that `config` names, and shows what is done to `events`.
    ///
    /// # Errors
    /// What the host lacks; nothing is recorded or done then.
    pub(crate) async fn open(
        config: &Config,
        output: &Output,
        events: Arc<dyn EventSink>,
    ) -> CommandResult<Self> {
        match config.host {
            HostKind::Real(scope) => Reached::of(config, scope).await?.into_session(events).await,
            HostKind::Sim => Self::open_embedded(config, output, events),
        }
    }

    /// The same for a command that only looks; `None` when nothing was ever recorded and nothing of
    /// ours is on the host, which takes neither Podman nor a state directory to see.
    pub(crate) async fn open_to_look(
        config: &Config,
        output: &Output,
    ) -> CommandResult<Option<Self>> {
        let events = Arc::new(Silent);
        match config.host {
            HostKind::Real(scope) => {
                let reached = Reached::of(config, scope).await?;
                if is_untouched(scope, &reached.store).await? {
                    return Ok(None);
                }
                reached.into_session(events).await.map(Some)
            }
            HostKind::Sim => Self::open_embedded(config, output, events).map(Some),
        }
    }

    fn open_embedded(
        config: &Config,
        output: &Output,
        events: Arc<dyn EventSink>,
    ) -> CommandResult<Self> {
        let catalog = Arc::new(config.catalog()?);
        output.note("this is the embedded host: it begins empty and ends with the command");
        let state = tempfile::Builder::new().prefix("companion-sim-").tempdir();
        let state = state.map_err(|error| {
            CommandError::failure(format!("failed to make a directory: {error}"))
        })?;
        let dir = config.given_state_dir().unwrap_or_else(|| state.path());
        let dir = std::path::absolute(dir).map_err(|error| {
            CommandError::input(format!("`--state-dir {}`: {error}", dir.display()))
        })?;
        let host = sim::host(&catalog).ports();
        let store = Arc::new(RecordStore::new(dir, catalog));
        let host = Host { desired: Arc::clone(&store) as _, ..host };
        Ok(Self::wired(store, host, events, None, Some(state)))
    }

    fn wired(
        store: Arc<RecordStore>,
        host: Host,
        events: Arc<dyn EventSink>,
        podman: Option<Podman>,
        state: Option<tempfile::TempDir>,
    ) -> Self {
        #[cfg(feature = "crash-points")]
        let host = crate::crash_points::around(host);
        let reconciler = Arc::new(Reconciler::telling(host, events));
        let companions = Companions::new(Arc::clone(&store), reconciler);
        Self { companions, store, podman, _state: state }
    }

    /// Removes what a crash left behind, so that whoever works next finds the host as it should be.
    pub(crate) async fn sweep(&self, config: &Config) {
        let HostKind::Real(scope) = config.host else { return };
        match archipelago::host::sweep(scope, &self.store).await {
            Ok(0) => {}
            Ok(count) => info!("swept {count} leftover(s) of work that was cut off"),
            // They harm nobody, and whoever works next tries again.
            Err(error) => warn!("{}", chain(&error)),
        }
    }

    /// Does `work`, unless SIGINT or SIGTERM comes first: then what was begun is ended softly.
    ///
    /// # Errors
    /// As `work`, and when it was interrupted, with what then is true of the `wish`.
    pub(crate) async fn unless_interrupted<T>(
        &self,
        wish: WishIs,
        work: impl Future<Output = CommandResult<T>>,
    ) -> CommandResult<T> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                CommandError::failure(format!("failed to listen for signals: {error}"))
            })
        };
        let mut interrupt = listen(SignalKind::interrupt())?;
        let mut terminate = listen(SignalKind::terminate())?;
        tokio::select! {
            result = work => return result,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        self.companions.reconciler().shut_down().await;
        self.settled().await;
        Err(wish.interrupted())
    }

    /// Ends the builds and pulls that a process of ours began which was killed; returns how many.
    pub(crate) async fn end_orphans(&self) -> usize {
        match &self.podman {
            Some(podman) => podman.end_orphans().await,
            None => 0,
        }
    }

    /// Waits until no podman of ours is left: killing one that writes to the image store can damage
    /// the store.
    pub(crate) async fn settled(&self) {
        if let Some(podman) = &self.podman {
            podman.settled().await;
        }
    }
}

/// How far a command has come with its wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WishIs {
    /// It is being recorded, or waits for that.
    Pending,
    /// It is recorded.
    Recorded,
    /// The command has none.
    None,
}

impl WishIs {
    fn interrupted(self) -> CommandError {
        match self {
            Self::Pending => CommandError::failure("interrupted; the wish may not be recorded")
                .hinted("`companion status` shows what is"),
            Self::Recorded => CommandError::failure("interrupted; what was wished is recorded")
                .hinted("`companion reconcile` carries on"),
            Self::None => CommandError::failure("interrupted"),
        }
    }
}

/// A name that no companion has.
const NOBODY: &str = "no-such-companion";

/// A real host whose service manager answered.
struct Reached {
    scope: Scope,
    store: Arc<RecordStore>,
    /// Used on, because its connection stands.
    systemd: SystemdManager,
}

impl Reached {
    /// Asks the service manager of `scope` for a unit that nobody has: whether it can be reached at
    /// all. Of one that is loaded it would tell all properties, which takes it a millisecond.
    async fn of(config: &Config, scope: Scope) -> CommandResult<Self> {
        let catalog = Arc::new(config.catalog()?);
        let store = Arc::new(RecordStore::new(config.state_dir(scope)?, catalog));
        let systemd = SystemdManager::new(scope);
        let name =
            CompanionName::new(NOBODY).map_err(|error| CommandError::failure(chain(&error)))?;
        let names = BTreeSet::from([name]);
        match systemd.observe(&names).await.into_values().find_map(Result::err) {
            None => Ok(Self { scope, store, systemd }),
            Some(error) => Err(unreachable(scope, &error)),
        }
    }

    async fn into_session(self, events: Arc<dyn EventSink>) -> CommandResult<Session> {
        let Self { scope, store, systemd } = self;
        let podman = Podman::from_environment();
        let version = env!("CARGO_PKG_VERSION");
        let dir = store.dir();
        let settings = Settings::default();
        let info = LeaderInfo::of_this_process("companion", Role::Command, version, dir, settings);
        let heartbeat = Arc::new(Heartbeat::new(TICK));
        let lock = Arc::new(LeaderLock::new(leader_dir(scope)?, info, heartbeat));
        let host = connect(scope, Arc::clone(&store), podman.clone(), lock).await?;
        let host = Host { services: Arc::new(systemd), ..host };
        Ok(Session::wired(store, host, events, Some(podman), None))
    }
}

fn unreachable(scope: Scope, error: &PortError) -> CommandError {
    let manager = match scope {
        Scope::User => "the user's systemd",
        Scope::System => "the system's systemd",
    };
    let message = format!("{manager} cannot be reached: {}", chain(error));
    match error.kind() {
        PortErrorKind::Unavailable | PortErrorKind::Denied => CommandError::host(message)
            .hinted("`companion doctor` says what this host lacks")
            .hinted("`--host sim` is an embedded host to try things on"),
        PortErrorKind::Transient
        | PortErrorKind::NotFound
        | PortErrorKind::Conflict
        | PortErrorKind::Invalid => CommandError::failure(message),
    }
}

/// Whether nothing was ever recorded and no unit is ours.
async fn is_untouched(scope: Scope, store: &RecordStore) -> CommandResult<bool> {
    use companion_core::ports::DesiredStore as _;
    let desired = store.load().await?;
    if !desired.companions.is_empty() || !desired.removed.is_empty() {
        return Ok(false);
    }
    // The version matters for what units say, not for whose they are.
    let units = units(scope, archipelago::host::PODMAN_FLOOR)?;
    Ok(units.list().await?.is_empty())
}

#[cfg(test)]
mod tests {
    use archipelago::Catalog;
    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn an_interruption_claims_a_wish_to_be_recorded_only_after_it_was() {
        let (catalog, state) = (Catalog::builtin(), tempfile::tempdir().unwrap());
        let host = sim::host(&catalog).ports();
        let store = Arc::new(RecordStore::new(state.path(), Arc::new(catalog)));
        let session = Session::wired(store, host, Arc::new(Silent), None, Some(state));
        for (wish, said) in [
            (WishIs::Pending, "interrupted; the wish may not be recorded"),
            (WishIs::Recorded, "interrupted; what was wished is recorded"),
            (WishIs::None, "interrupted"),
        ] {
            let work = async {
                // The work begins when the signals are listened for already.
                kill_process(getpid(), Signal::INT).unwrap();
                std::future::pending::<CommandResult<()>>().await
            };
            let error = session.unless_interrupted(wish, work).await.unwrap_err();
            assert_eq!(error.to_string(), said);
        }
    }
}
