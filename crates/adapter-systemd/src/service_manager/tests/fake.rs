//! A fake systemd with scripted replies over a socket pair: requires the subscription, and can reply late, wrongly or
//! not at all.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use zbus::export::ordered_stream::OrderedStreamExt as _;
use zbus::message::Type;
use zbus::{Connection, Message, MessageStream, ObjectPath, OwnedObjectPath, OwnedVariant};

use quadlet::PodmanVersion;

use super::super::{KernelFiles, Limits, QuadletDir, Scope, SystemdManager};
use crate::bus::Bus;
use crate::dbus::{DESTINATION, JobRemoved, MANAGER, SERVICE, UNIT, UnitRow};
use crate::error::BusError;
use crate::journal::Journal;
use crate::states::tests::{FakeUnit, UNIT_DIR, value};

/// The outcome of a queued job.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum JobCourse {
    /// It ends with this result before the reply to the queueing call.
    EndsFirst(&'static str),
    /// It ends without a signal.
    #[default]
    EndsUnheard,
}

/// The units, and the received calls.
#[derive(Default)]
pub(super) struct World {
    pub(super) units: BTreeMap<String, FakeUnit>,
    /// The unit's state after its first interface was read.
    pub(super) next: BTreeMap<String, FakeUnit>,
    pub(super) course: JobCourse,
    /// Rejected methods, with the error name.
    pub(super) refused: BTreeMap<&'static str, &'static str>,
    /// Methods that never get a reply.
    pub(super) unanswered: BTreeSet<&'static str>,
    /// Methods at which the connection is closed, once each.
    pub(super) closed_at: BTreeSet<&'static str>,
    pub(super) calls: Vec<String>,
    pub(super) connections: usize,
    /// The maximum number of concurrent reloads.
    pub(super) concurrent_reloads: usize,
    reloading: usize,
    /// The server's end of the last connection.
    server: Option<Connection>,
    /// The number of reloads, for when the units were loaded.
    pub(super) reloads: u64,
}

/// The fake and its client.
pub(super) struct Fake {
    world: Arc<Mutex<World>>,
}

impl Fake {
    pub(super) fn new() -> Self {
        let world = World { course: JobCourse::EndsFirst("done"), ..World::default() };
        Self { world: Arc::new(Mutex::new(world)) }
    }

    pub(super) fn with(self, name: &str, unit: FakeUnit) -> Self {
        self.world().units.insert(format!("{name}.service"), unit);
        self
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Returns how often a method was called.
    pub(super) fn count(&self, method: &str) -> usize {
        self.world().calls.iter().filter(|call| *call == method).count()
    }

    /// Sends `PropertiesChanged` of a unit on the last connection.
    pub(super) async fn announce_change(&self, unit: &str) {
        let server = self.world().server.clone().unwrap();
        announce_change(&server, unit).await;
    }

    /// Announces that all units are loaded again.
    pub(super) async fn announce_reload(&self) {
        let server = self.world().server.clone().unwrap();
        announce_reloading(&server, true).await;
    }

    pub(super) fn manager(&self) -> SystemdManager {
        let limits = Limits { poll: Duration::from_millis(5), ..Limits::default() };
        self.manager_with(limits, KernelFiles::default())
    }

    pub(super) fn manager_with(&self, limits: Limits, files: KernelFiles) -> SystemdManager {
        let world = self.world.clone();
        let connector = move || {
            let world = world.clone();
            Box::pin(connect(world)) as std::pin::Pin<Box<dyn Future<Output = _> + Send>>
        };
        // Without a unit, a reload has nothing to lose.
        let units = QuadletDir::at(UNIT_DIR, Scope::User, PodmanVersion::new(5, 4, 2));
        let bus = Bus::with(Arc::new(connector), limits.call);
        SystemdManager::over(bus, limits, files, Journal::of(Scope::User), Ok(units))
    }
}

async fn connect(world: Arc<Mutex<World>>) -> Result<Connection, BusError> {
    let (ours, theirs) = UnixStream::pair().unwrap();
    world.lock().unwrap().connections += 1;
    tokio::spawn(async move {
        let builder = zbus::connection::Builder::unix_stream(theirs).p2p();
        // The stream is created with the connection, because the client calls immediately.
        let stream = builder.server(zbus::Guid::generate()).build_message_stream().await.unwrap();
        let server = Connection::from(&stream);
        world.lock().unwrap().server = Some(server.clone());
        let _ended =
            tokio::time::timeout(Duration::from_secs(60), serve(server, stream, world)).await;
    });
    Ok(zbus::connection::Builder::unix_stream(ours).p2p().build().await?)
}

/// Handles each call in a separate task, so that pending calls do not block others.
async fn serve(server: Connection, mut stream: MessageStream, world: Arc<Mutex<World>>) {
    let subscribed = Arc::new(Mutex::new(false));
    while let Some(Ok(message)) = stream.next().await {
        if message.message_type() != Type::MethodCall {
            continue;
        }
        let method = message.header().member().unwrap().to_string();
        {
            let mut world = world.lock().unwrap();
            world.calls.push(method.clone());
            if world.closed_at.remove(method.as_str()) {
                break;
            }
            if world.unanswered.contains(method.as_str()) {
                continue;
            }
        }
        let answering = Answering {
            server: server.clone(),
            world: world.clone(),
            subscribed: subscribed.clone(),
            message,
        };
        tokio::spawn(answering.answer(method));
    }
    server.close().await.unwrap();
}

struct Answering {
    server: Connection,
    world: Arc<Mutex<World>>,
    subscribed: Arc<Mutex<bool>>,
    message: Message,
}

impl Answering {
    async fn answer(self, method: String) {
        let refusal = self.world.lock().unwrap().refused.get(method.as_str()).copied();
        if let Some(name) = refusal {
            return self.refuse(name).await;
        }
        match method.as_str() {
            "Subscribe" => {
                *self.subscribed.lock().unwrap() = true;
                self.reply(&()).await;
            }
            "ListUnitsByNames" => self.list().await,
            "LoadUnit" => {
                let name: String = self.message.body().deserialize().unwrap();
                self.reply(&unit_path(&name)).await;
            }
            "StartUnit" | "StopUnit" | "RestartUnit" => self.queue().await,
            "Reload" => self.reload().await,
            "ResetFailedUnit" => self.reply(&()).await,
            "GetAll" => self.properties().await,
            "Get" => {
                let loaded = self.world.lock().unwrap().reloads;
                self.reply(&value(loaded)).await;
            }
            other => panic!("unexpected call of `{other}`"),
        }
    }

    async fn list(&self) {
        let names: Vec<String> = self.message.body().deserialize().unwrap();
        let rows: Vec<UnitRow> = {
            let world = self.world.lock().unwrap();
            let row = |name: String| {
                let found = world.units.get(&name);
                let word = |property, otherwise: &str| {
                    found.map_or_else(|| otherwise.to_owned(), |unit| unit.word(property))
                };
                UnitRow {
                    description: String::new(),
                    load_state: word("LoadState", "not-found"),
                    active_state: word("ActiveState", "inactive"),
                    sub_state: word("SubState", "dead"),
                    following: String::new(),
                    path: unit_path(&name),
                    job_id: 0,
                    job_type: String::new(),
                    job_path: ObjectPath::from_static_str_unchecked("/").into(),
                    name: found.map_or(name, |unit| unit.listed_as.clone()),
                }
            };
            names.into_iter().map(row).collect()
        };
        self.reply(&rows).await;
    }

    async fn queue(&self) {
        let (unit, mode): (String, String) = self.message.body().deserialize().unwrap();
        assert_eq!(mode, "replace");
        let path = "/org/freedesktop/systemd1/job/7";
        let course = self.world.lock().unwrap().course;
        if let JobCourse::EndsFirst(result) = course {
            self.announce(path, &unit, result).await;
        }
        self.reply(&ObjectPath::try_from(path).unwrap()).await;
    }

    async fn announce(&self, path: &str, unit: &str, result: &str) {
        if !*self.subscribed.lock().unwrap() {
            return;
        }
        let end = JobRemoved {
            id: 7,
            job: ObjectPath::try_from(path).unwrap().into(),
            unit: unit.to_owned(),
            result: result.to_owned(),
        };
        // systemd announces the unit's `Job` first.
        announce_change(&self.server, unit).await;
        let root = "/org/freedesktop/systemd1";
        let to_all = None::<&str>;
        self.server.emit_signal(to_all, root, MANAGER, "JobRemoved", &end).await.unwrap();
    }

    async fn reload(&self) {
        {
            let mut world = self.world.lock().unwrap();
            world.reloading += 1;
            world.concurrent_reloads = world.concurrent_reloads.max(world.reloading);
        }
        announce_reloading(&self.server, true).await;
        // Leaves time for a second one to arrive.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        {
            let mut world = self.world.lock().unwrap();
            world.reloading -= 1;
            world.reloads += 1;
        }
        announce_reloading(&self.server, false).await;
        self.reply(&()).await;
    }

    async fn properties(&self) {
        let interface: String = self.message.body().deserialize().unwrap();
        let path = self.message.header().path().unwrap().to_string();
        let found = {
            let mut world = self.world.lock().unwrap();
            let name = world.units.keys().find(|name| unit_path(name).as_str() == path).cloned();
            let next = name.as_ref().and_then(|name| world.next.remove(name));
            let unit = name.as_ref().and_then(|name| world.units.get_key_value(name));
            let found = match (interface.as_str(), unit) {
                (UNIT, Some((_, unit))) => Some(unit.unit.clone()),
                (SERVICE, Some((_, unit))) => Some(unit.service.clone()),
                _ => None,
            };
            if let (Some(name), Some(next)) = (name, next) {
                world.units.insert(name, next);
            }
            found
        };
        match found {
            Some(properties) => self.reply(&properties).await,
            None => self.refuse("org.freedesktop.DBus.Error.UnknownObject").await,
        }
    }

    async fn reply(&self, body: &(impl serde::Serialize + zbus::DynamicType)) {
        // The test may have ended and closed the connection.
        let _sent = self.server.reply(&self.message.header(), body).await;
    }

    async fn refuse(&self, name: &str) {
        let header = self.message.header();
        let _sent = self.server.reply_error(&header, name, &"because of the test").await;
    }
}

fn unit_path(name: &str) -> OwnedObjectPath {
    assert_ne!(name, DESTINATION);
    let escaped: String = name
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
            other => format!("_{other:02x}"),
        })
        .collect();
    ObjectPath::try_from(format!("/org/freedesktop/systemd1/unit/{escaped}")).unwrap().into()
}

async fn announce_reloading(server: &Connection, is_active: bool) {
    let (to_all, path) = (None::<&str>, "/org/freedesktop/systemd1");
    server.emit_signal(to_all, path, MANAGER, "Reloading", &(is_active,)).await.unwrap();
}

async fn announce_change(server: &Connection, unit: &str) {
    let interface = "org.freedesktop.DBus.Properties";
    let (changed, invalidated) = (HashMap::<String, OwnedVariant>::new(), Vec::<String>::new());
    let body = (UNIT, changed, invalidated);
    let (to_all, path) = (None::<&str>, unit_path(unit));
    server.emit_signal(to_all, path, interface, "PropertiesChanged", &body).await.unwrap();
}
