//! The host of a case: its initial state, its processes, and its recovery.

use std::sync::Arc;
use std::time::Duration;

use adapter_fake::world::conditions::{Conditions, Delays};
use adapter_fake::world::containers::Container;
use adapter_fake::world::desired::{Intent as Recorded, Record};
use adapter_fake::world::images::Reach;
use adapter_fake::world::services::Behaviour;
use adapter_fake::world::units::UnitBytes;
use adapter_fake::{FakeHost, World};
use companion_core::model::companion::CompanionName;
use companion_core::model::service::Verb;
use companion_core::ports::{Host, PortResult};
use companion_core::reconciler::{EventSink, Limits, NoEvents, Reconciler};
use companion_tests::faults::{End, Fault};
use companion_tests::node::{REGISTRY, name};
use companion_tests::simulation::checks::Verdict;
use companion_tests::simulation::{Intent, ManagedHost, Saw};

use crate::case::Case;
use crate::companions::{
    MOST, Profile, context, named, output, pulled_as, registered, secret, spec, template,
};
use crate::leaders::{Ledger, inputs};

/// A wrapper between a reconciler and its host; usually none.
pub(crate) type Between = fn(Host) -> Host;

/// The inputs of a companion, without faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sources {
    rotations: u32,
    contexts: u32,
}

/// A host with companions, and its daemon.
pub(crate) struct Simulation {
    /// The host and its daemon.
    pub(crate) on: ManagedHost,
    pub(crate) profiles: [Profile; MOST],
    /// The last intent: a version, or removal.
    pub(crate) intents: [Option<Option<u8>>; MOST],
    /// Whether each performed operation recorded an intent.
    pub(crate) recorded: Vec<bool>,
    /// The number of recorded intents.
    pub(crate) records: usize,
    /// The host before the last operation.
    pub(crate) before: World,
    /// The inputs of commands.
    pub(crate) commands: u8,
    /// The inputs of the daemon.
    daemons: u8,
    /// The unit changes, if they are tracked.
    pub(crate) ledger: Option<Arc<Ledger>>,
    sources: [Sources; MOST],
}

/// Names of unmanaged objects.
pub(crate) fn unmanaged() -> [CompanionName; 2] {
    ["aa-unmanaged", "zz-unmanaged"].map(name)
}

impl Simulation {
    /// The host of `case`, in its initial state.
    pub(crate) fn of(case: &Case) -> Self {
        Self::with(case, |host| host, Arc::new(NoEvents))
    }

    pub(crate) fn with(case: &Case, between: Between, sink: Arc<dyn EventSink>) -> Self {
        let world = if case.is_bare { World::without_traits() } else { World::new() };
        let host = FakeHost::new(world);
        host.require_leader(true);
        let before = host.world();
        let wiring = move |host: &FakeHost| {
            let (limits, jitter) = (Limits::default(), Box::new(|| 0));
            Arc::new(Reconciler::with(between(host.ports()), limits, Arc::clone(&sink), jitter))
        };
        let simulation = Self {
            on: ManagedHost::new(host, Box::new(wiring)),
            profiles: case.profiles,
            intents: [None; MOST],
            recorded: Vec::new(),
            records: 0,
            before,
            commands: case.commands,
            daemons: 0,
            ledger: None,
            sources: [Sources::default(); MOST],
        };
        simulation.put_unmanaged();
        simulation.put_registry();
        (0..MOST).for_each(|at| simulation.put_inputs(at));
        simulation
    }

    /// The same with daemons that run by themselves.
    pub(crate) fn supervised(self, saw: Saw) -> Self {
        Self { on: self.on.supervised(saw), ..self }
    }

    fn put_unmanaged(&self) {
        let [file, container] = unmanaged();
        self.on.host.put_unit(&file, UnitBytes::Unmanaged);
        self.on.host.reload_by_others();
        self.on.host.change(|world, now| {
            let started = world.queue(&file, Verb::Start, now);
            assert!(started.is_ok(), "the unmanaged unit starts");
        });
        self.on.host.put_unmanaged_container(&container);
    }

    fn put_registry(&self) {
        for at in 0..MOST {
            for version in [0, 1] {
                let image = pulled_as(at, version);
                self.on.host.publish(&image, &format!("published {image}"));
            }
        }
        self.on.host.set_registry(REGISTRY, Reach::Up);
    }

    /// Restores the prerequisites of the companion at `at`.
    fn put_inputs(&self, at: usize) {
        let Sources { rotations, contexts } = self.sources[at];
        self.on.host.put_input(&template(), "template");
        self.on.host.put_input(&secret(at), &format!("secret {rotations} of {at}"));
        self.on.host.register_hook(&registered(at), &format!("registered {rotations} of {at}"));
        self.on.host.put_context(&context(at), &format!("context {contexts} of {at}"));
    }

    /// Applies `fault` to the companion at `at`. Changed inputs stay as they are after [`Simulation::heal`].
    pub(crate) async fn apply(&mut self, at: usize, fault: Fault) -> Verdict {
        match fault {
            Fault::CredentialsRotated => self.rotate(),
            Fault::ContextChanged => {
                self.sources[at].contexts += 1;
                self.put_inputs(at);
            }
            _ => {
                let version = self.intents[at].flatten().unwrap_or(0);
                self.on.apply(fault, &spec(at, self.profiles[at], version)).await?;
            }
        }
        Ok(())
    }

    /// Changes the credentials of all hooks.
    pub(crate) fn rotate(&mut self) {
        for at in 0..MOST {
            self.sources[at].rotations += 1;
            let rotations = self.sources[at].rotations;
            self.on.host.put_input(&secret(at), &format!("secret {rotations} of {at}"));
            self.on.host.register_hook(&registered(at), &format!("registered {rotations} of {at}"));
        }
    }

    /// The host as a command sees it.
    pub(crate) fn command_host(&self) -> FakeHost {
        self.on.host.as_actor(1).deciding_with(inputs(self.commands))
    }

    /// A command without memory, and the host as it sees it.
    pub(crate) fn command(&self) -> (Arc<Reconciler>, FakeHost) {
        let host = self.command_host();
        (self.on.process(&host), host)
    }

    /// Kills the daemon and starts another.
    pub(crate) async fn restart_daemon(&mut self) -> Verdict {
        self.on.end(End::Killed).await?;
        self.on.start();
        Ok(())
    }

    /// Starts the next daemon, which has those inputs.
    pub(crate) fn hand_over(&mut self, number: u8) {
        self.daemons = number;
        self.on.host = self.on.host.deciding_with(inputs(number));
        self.on.start();
    }

    /// The inputs of an actor, by its number.
    pub(crate) fn inputs_of(&self) -> [u8; 2] {
        [self.daemons, self.commands]
    }

    /// Records an intent as a command does, durably or not at all.
    ///
    /// # Errors
    /// If the disk does not accept it.
    pub(crate) async fn intent(&mut self, at: usize, version: Option<u8>) -> PortResult<()> {
        self.asked(at, version).record(&self.on.host.as_actor(1)).await?;
        self.intended(at, version);
        self.ledger.iter().for_each(|ledger| ledger.intended(&named(at), false));
        Ok(())
    }

    /// The intent to install that version of the companion at `at`, or to remove it.
    pub(crate) fn asked(&self, at: usize, version: Option<u8>) -> Intent {
        match version {
            Some(version) => Intent::Install(spec(at, self.profiles[at], version).into()),
            None => Intent::Remove(named(at)),
        }
    }

    /// Notes that an intent was recorded.
    pub(crate) fn intended(&mut self, at: usize, version: Option<u8>) {
        self.intents[at] = Some(version);
        self.records += 1;
    }

    pub(crate) fn record(&mut self, at: usize, version: Option<u8>) {
        self.intended(at, version);
        self.ledger.iter().for_each(|ledger| ledger.intended(&named(at), false));
        match version {
            Some(version) => self.on.host.install(&spec(at, self.profiles[at], version)),
            None => self.on.host.remove(&named(at)),
        };
    }

    /// Advances the clock.
    pub(crate) async fn sleep(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// Ends all faults: removes obstacles and restores missing prerequisites. The inputs of companions stay as they
    /// are.
    pub(crate) fn heal(&mut self) {
        self.on.host.clear_faults();
        self.on.host.remove_gate();
        self.on.host.set_registry(REGISTRY, Reach::Up);
        let was_out = !self.on.host.world().conditions.bus;
        self.on.host.change(|world, _| {
            let Conditions { wall_offset, traits, .. } = world.conditions;
            let validates = traits.loads_units;
            world.conditions =
                Conditions { wall_offset, traits, validates, ..Conditions::default() };
            world.delays = Delays::default();
            world.record = Record::Readable;
        });
        if was_out {
            self.on.host.user_login();
        }
        for at in 0..MOST {
            self.put_inputs(at);
            self.heal_place(at);
        }
        self.heal_record();
    }

    fn heal_place(&self, at: usize) {
        let name = &named(at);
        self.on.host.break_hook(&output(at), None);
        self.on.host.unmask(name);
        self.on.host.crash_loop(name, false);
        self.on.host.refuse_unit(name, false);
        self.on.host.change(|world, _| *world.behaviour_mut(name) = Behaviour::default());
        let world = self.on.host.world();
        let Some(slot) = world.slot(name) else { return };
        if slot.shadowed {
            self.on.host.unshadow(name);
        }
        if slot.file.now().is_some_and(|file| !file.is_ours()) {
            self.on.host.delete_unit(name);
        }
        if matches!(slot.container, Some(Container { ours: false, .. })) {
            self.on.host.remove_container(name);
        }
        if world.files.is_directory(&output(at)) {
            self.on.host.unlink_config(&output(at));
        }
    }

    /// Lost intents are recorded again.
    fn heal_record(&mut self) {
        for at in 0..MOST {
            let Some(intended) = self.intents[at] else { continue };
            let world = self.on.host.world();
            let recorded = world.slot(&named(at)).and_then(|slot| slot.intent);
            let kept = match (recorded, intended) {
                (Some(Recorded::Exists { .. }), Some(_))
                | (Some(Recorded::Absent { .. }), None) => true,
                (Some(_) | None, _) => false,
            };
            if !kept {
                // A completely lost removal is requested again, so that its companion is known.
                let known = intended.unwrap_or(0);
                self.record(at, Some(known));
                self.record(at, intended);
            }
        }
    }
}
