//! One connection to systemd's bus: made when it is needed, made again when it broke, and listened to all the while.
//!
//! zbus never reconnects, and systemd forgets a client that it lost, so everything that hangs on a connection lives and dies with one
//! [`Session`]: the subscription, and the ends of jobs that were seen. No call is repeated here: whether it had its effect before the
//! connection broke is for the caller to find out.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::task::AbortHandle;
use zbus::export::ordered_stream::OrderedStreamExt as _;
use zbus::fdo::DBusProxy;
use zbus::message::Type;
use zbus::proxy::CacheProperties;
use zbus::{Connection, MatchRule, Message, MessageStream};

use crate::dbus::{DESTINATION, JobRemoved, MANAGER, ManagerProxy};
use crate::error::BusError;

mod job_log;

pub(crate) use job_log::JobLog;

/// Makes a connection.
type Connector = Arc<
    dyn Fn() -> Pin<Box<dyn Future<Output = Result<Connection, BusError>> + Send>> + Send + Sync,
>;

/// The bus that systemd is on.
pub(crate) struct Bus {
    connector: Connector,
    /// The time for a connection, and for each of the calls that set it up.
    limit: Duration,
    session: Mutex<Option<Arc<Session>>>,
}

impl Bus {
    /// A bus at the first of `addresses` that answers; nothing is connected yet.
    pub(crate) fn at(addresses: Vec<String>, limit: Duration) -> Self {
        let connect = move || -> Pin<Box<dyn Future<Output = _> + Send>> {
            Box::pin(connect_to_first(addresses.clone()))
        };
        Self::with(Arc::new(connect), limit)
    }

    /// A bus over connections from elsewhere.
    pub(crate) fn with(connector: Connector, limit: Duration) -> Self {
        Self { connector, limit, session: Mutex::new(None) }
    }

    /// Returns the connection that stands, or a new one.
    pub(crate) async fn session(&self) -> Result<Arc<Session>, BusError> {
        let mut slot = self.session.lock().await;
        if let Some(session) = slot.as_ref().filter(|session| session.is_alive()) {
            return Ok(session.clone());
        }
        *slot = None;
        let opened = tokio::time::timeout(self.limit, Session::open(&self.connector)).await;
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

/// How long systemd may take to appear on a bus that was just started, and how often it is looked for.
const OWNER_PATIENCE: Duration = Duration::from_secs(3);
const OWNER_POLL: Duration = Duration::from_millis(50);

/// Returns who has systemd's name on the bus.
///
/// A bus that this very connection had started is there a moment before systemd took its name on it, so a missing owner is waited for.
async fn owner_of(
    bus: &DBusProxy<'_>,
    name: &zbus::names::BusName<'_>,
) -> Result<zbus::names::OwnedUniqueName, BusError> {
    let deadline = tokio::time::Instant::now() + OWNER_PATIENCE;
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
    /// Connects, and returns only when no signal can be missed any more: match rules first, then the subscription.
    async fn open(connector: &Connector) -> Result<Self, BusError> {
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
        let mut rule =
            MatchRule::builder().msg_type(Type::Signal).interface(MANAGER).member("JobRemoved");
        if let Some(systemd) = &systemd {
            // The unique name, because only that can be compared on this side: anyone on a bus may send a signal to anyone.
            rule = rule.sender(systemd.as_str());
        }
        let removed = MessageStream::for_match_rule(rule.build()?, &connection, None).await?;
        let (sender, jobs) = watch::channel(JobLog::default());
        let listener = tokio::spawn(listen(removed, owners, sender)).abort_handle();
        let session = Self { connection, jobs, listener };
        session.manager().await?.subscribe().await?;
        Ok(session)
    }

    /// Returns whether the connection stands and its signals are listened to.
    pub(crate) fn is_alive(&self) -> bool {
        !self.connection.is_closed() && !self.listener.is_finished()
    }

    /// The connection itself.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The ends of jobs that were seen on this connection.
    pub(crate) fn jobs(&self) -> watch::Receiver<JobLog> {
        self.jobs.clone()
    }

    /// The manager's object.
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

/// Notes the ends of jobs until the connection ends, or systemd is another one: `daemon-reexec` and a manager that was started anew
/// know nothing of a subscription.
async fn listen(
    mut removed: MessageStream,
    mut owners: Option<MessageStream>,
    log: watch::Sender<JobLog>,
) {
    loop {
        tokio::select! {
            message = removed.next() => match message {
                Some(Ok(message)) => note(&message, &log),
                Some(Err(error)) => {
                    tracing::debug!(%error, "a signal could not be received");
                    return;
                }
                None => return,
            },
            () = owner_change(&mut owners) => return,
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
        // The end of that job will be found by asking.
        Err(error) => tracing::warn!(%error, "a signal `JobRemoved` is not understood"),
    }
}
