//! One connection to systemd's bus: opened on demand, reopened after it broke, with signals received throughout.
//!
//! zbus never reconnects, and systemd forgets a disconnected client. One [`Session`] therefore owns everything that
//! depends on a connection: the subscription and the received job results. This module repeats no call; the caller
//! finds out whether a call took effect before the connection broke.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, mem};

use companion_core::model::companion::CompanionName;
use companion_core::ports::Hint;
use tokio::sync::{Mutex, Notify, watch};
use tokio::task::AbortHandle;
use zbus::export::ordered_stream::OrderedStreamExt as _;
use zbus::fdo::DBusProxy;
use zbus::message::Type;
use zbus::proxy::CacheProperties;
use zbus::{Connection, MatchRule, Message, MessageStream};

use crate::dbus::{DESTINATION, JobRemoved, MANAGER, ManagerProxy, UNIT};
use crate::error::BusError;

mod job_log;

pub(crate) use job_log::JobLog;

/// The path above all unit objects.
const UNITS_PATH: &str = "/org/freedesktop/systemd1/unit";

/// Opens a connection.
type Connector = Arc<
    dyn Fn() -> Pin<Box<dyn Future<Output = Result<Connection, BusError>> + Send>> + Send + Sync,
>;

/// The bus of systemd.
pub(crate) struct Bus {
    connector: Connector,
    /// The time limit for opening a connection and for each setup call.
    limit: Duration,
    session: Mutex<Option<Arc<Session>>>,
    units: Arc<WatchedUnits>,
}

/// The units whose changes are reported.
pub(crate) struct WatchedUnits {
    state: StdMutex<Changes>,
    changed: Notify,
}

struct Changes {
    /// The companions by the paths of their units' objects.
    watched: HashMap<String, CompanionName>,
    /// What was not reported yet.
    pending: Hint,
    /// Whether the manager reloads for this program. What else the reload changed, such as a drop-in of the operator, is
    /// found by the resync: reading all units again after each repair would cost more than the repair.
    is_own_reload: bool,
}

/// A reload by this program, until it is dropped.
pub(crate) struct OwnReload<'u>(&'u WatchedUnits);

impl Drop for OwnReload<'_> {
    fn drop(&mut self) {
        self.0.state().is_own_reload = false;
    }
}

impl Default for WatchedUnits {
    fn default() -> Self {
        let changes =
            Changes { watched: HashMap::new(), pending: Hint::NONE, is_own_reload: false };
        Self { state: StdMutex::new(changes), changed: Notify::new() }
    }
}

impl WatchedUnits {
    /// Reports changes of the unit object at `path`, which is of `name`, from now on.
    pub(crate) fn add(&self, name: &CompanionName, path: &str) {
        let watched = &mut self.state().watched;
        if path.starts_with(UNITS_PATH) && watched.get(path) != Some(name) {
            watched.insert(path.to_owned(), name.clone());
        }
    }

    /// Waits until one of them changed, or another program had all units loaded again, since this last returned.
    pub(crate) async fn changed(&self) -> Hint {
        self.changed.notified().await;
        mem::replace(&mut self.state().pending, Hint::NONE)
    }

    /// Reports no reload until the result is dropped.
    pub(crate) fn own_reload(&self) -> OwnReload<'_> {
        self.state().is_own_reload = true;
        OwnReload(self)
    }

    /// Takes a signal: `PropertiesChanged` of a unit, or `Reloading` of the manager.
    fn note(&self, signal: &Message) {
        let header = signal.header();
        let path = header.path().map(|path| path.as_str()).unwrap_or_default();
        let state = self.state();
        let hint = match state.watched.get(path) {
            Some(name) => Hint::Companions(BTreeSet::from([name.clone()])),
            None if path.starts_with(UNITS_PATH) || state.is_own_reload => return,
            None => Hint::All,
        };
        drop(state);
        self.report(hint);
    }

    fn report(&self, hint: Hint) {
        self.state().pending.merge(hint);
        self.changed.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, Changes> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bus {
    /// Creates a bus that uses the first of `addresses` that answers; does not connect yet.
    pub(crate) fn at(addresses: Vec<String>, limit: Duration) -> Self {
        let connect = move || -> Pin<Box<dyn Future<Output = _> + Send>> {
            Box::pin(connect_to_first(addresses.clone()))
        };
        Self::with(Arc::new(connect), limit)
    }

    /// Creates a bus over connections of `connector`.
    pub(crate) fn with(connector: Connector, limit: Duration) -> Self {
        Self { connector, limit, session: Mutex::new(None), units: Arc::default() }
    }

    /// Returns the units whose changes are reported.
    pub(crate) fn units(&self) -> &WatchedUnits {
        &self.units
    }

    /// Returns the current connection, or opens a new one.
    pub(crate) async fn session(&self) -> Result<Arc<Session>, BusError> {
        let mut slot = self.session.lock().await;
        if let Some(session) = slot.as_ref().filter(|session| session.is_alive()) {
            return Ok(session.clone());
        }
        if slot.take().is_some() {
            // Signals were lost.
            self.units.report(Hint::All);
        }
        let opened = Session::open(&self.connector, Arc::clone(&self.units));
        let opened = tokio::time::timeout(self.limit, opened).await;
        let session = Arc::new(opened.map_err(|_| BusError::TimedOut(self.limit))??);
        *slot = Some(session.clone());
        Ok(session)
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bus")
    }
}

async fn connect_to_first(addresses: Vec<String>) -> Result<Connection, BusError> {
    let mut failure = None;
    for address in addresses {
        let builder = zbus::connection::Builder::address(address.as_str());
        match builder.build().await {
            Ok(connection) => return Ok(connection),
            Err(error) => {
                let source = Box::new(BusError::from(error));
                failure.get_or_insert(BusError::Connect { address, source });
            }
        }
    }
    Err(failure.unwrap_or(BusError::Closed))
}

/// A connection with its subscription.
pub(crate) struct Session {
    connection: Connection,
    jobs: watch::Receiver<JobLog>,
    listener: AbortHandle,
}

/// How long systemd may take to appear on a newly started bus, and how often to check.
const OWNER_TIMEOUT: Duration = Duration::from_secs(3);
const OWNER_POLL: Duration = Duration::from_millis(50);

/// Returns the owner of systemd's name on the bus.
///
/// A bus that was activated by this connection exists shortly before systemd takes its name, so the function waits for
/// an owner.
async fn owner_of(
    bus: &DBusProxy<'_>,
    name: &zbus::names::BusName<'_>,
) -> Result<zbus::names::OwnedUniqueName, BusError> {
    let deadline = tokio::time::Instant::now() + OWNER_TIMEOUT;
    loop {
        match bus.get_name_owner(name.clone()).await {
            Err(zbus::fdo::Error::NameHasNoOwner(_)) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(OWNER_POLL).await;
            }
            answer => return Ok(answer?),
        }
    }
}

impl Session {
    /// Connects; returns once no signal can be missed: match rules first, then the subscription.
    async fn open(connector: &Connector, units: Arc<WatchedUnits>) -> Result<Self, BusError> {
        let connection = connector().await?;
        let (owners, systemd) = if connection.is_bus() {
            let owners = MessageStream::for_match_rule(owner_rule()?, &connection, None).await?;
            let bus = DBusProxy::builder(&connection)
                .cache_properties(CacheProperties::No)
                .build()
                .await?;
            let name = zbus::names::BusName::try_from(DESTINATION)?;
            (Some(owners), Some(owner_of(&bus, &name).await?))
        } else {
            (None, None)
        };
        let signals = |interface: &'static str, member: &'static str| {
            let rule = MatchRule::builder().msg_type(Type::Signal).interface(interface);
            match &systemd {
                // The unique name, because only that can be compared here: any client may send signals.
                Some(systemd) => rule.member(member).sender(systemd.clone()),
                None => rule.member(member),
            }
        };
        let stream = |rule: zbus::Result<MatchRule<'static>>| async {
            MessageStream::for_match_rule(rule?, &connection, None).await
        };
        let removed = stream(signals(MANAGER, "JobRemoved").build()).await?;
        let reloads = stream(signals(MANAGER, "Reloading").build()).await?;
        let changes = signals("org.freedesktop.DBus.Properties", "PropertiesChanged");
        // systemd sends one for the type of each unit, and then one for this interface.
        let changes = stream(changes.path_namespace(UNITS_PATH).add_arg(UNIT).build()).await?;
        let signals = Signals { removed, owners, reloads, changes };
        let (sender, jobs) = watch::channel(JobLog::default());
        let listener = tokio::spawn(listen(signals, sender, units)).abort_handle();
        let session = Self { connection, jobs, listener };
        session.manager().await?.subscribe().await?;
        Ok(session)
    }

    /// Returns whether the connection is open and its signals are received.
    pub(crate) fn is_alive(&self) -> bool {
        !self.connection.is_closed() && !self.listener.is_finished()
    }

    /// Returns the connection.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Returns the job results received on this connection.
    pub(crate) fn jobs(&self) -> watch::Receiver<JobLog> {
        self.jobs.clone()
    }

    /// Waits until no more signals are received.
    pub(crate) async fn closed(&self) {
        let mut jobs = self.jobs();
        while jobs.changed().await.is_ok() {}
    }

    /// Returns a proxy for the manager object.
    pub(crate) async fn manager(&self) -> Result<ManagerProxy<'_>, BusError> {
        let builder = ManagerProxy::builder(&self.connection);
        Ok(builder.cache_properties(CacheProperties::No).build().await?)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

fn owner_rule() -> Result<MatchRule<'static>, BusError> {
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender("org.freedesktop.DBus")
        .interface("org.freedesktop.DBus")
        .member("NameOwnerChanged")
        .add_arg(DESTINATION);
    Ok(rule.build()?)
}

/// The received signals.
struct Signals {
    removed: MessageStream,
    owners: Option<MessageStream>,
    reloads: MessageStream,
    changes: MessageStream,
}

/// Records job results and changes of units until the connection closes or systemd changes: after `daemon-reexec` or a
/// restart the manager has lost the subscription.
async fn listen(mut signals: Signals, log: watch::Sender<JobLog>, units: Arc<WatchedUnits>) {
    loop {
        let (message, is_job) = tokio::select! {
            message = signals.removed.next() => (message, true),
            message = signals.reloads.next() => (message, false),
            message = signals.changes.next() => (message, false),
            () = owner_change(&mut signals.owners) => return,
        };
        match message {
            Some(Ok(message)) if is_job => note(&message, &log),
            Some(Ok(message)) => units.note(&message),
            Some(Err(error)) => {
                tracing::debug!(%error, "failed to receive a D-Bus signal");
                return;
            }
            None => return,
        }
    }
}

async fn owner_change(owners: &mut Option<MessageStream>) {
    match owners {
        Some(stream) => {
            stream.next().await;
        }
        None => std::future::pending().await,
    }
}

fn note(message: &Message, log: &watch::Sender<JobLog>) {
    match message.body().deserialize::<JobRemoved>() {
        Ok(removed) => log.send_modify(|log| log.note(removed)),
        // Polling finds the end of that job.
        Err(error) => tracing::warn!(%error, "cannot parse a `JobRemoved` signal"),
    }
}
