//! Tables: every combination of stage states of one companion, however unlikely, as the start of an undisturbed host;
//! and every pair of two companions.

#![expect(clippy::panic, reason = "a table fails if its state cannot be set up")]

use adapter_fake::World;
use adapter_fake::world::containers::{Container, Status};
use adapter_fake::world::durable::Durable;
use adapter_fake::world::services::{Phase, Run, Service};
use adapter_fake::world::units::{Damage, Load, UnitBytes, UnitText};
use companion_core::model::companion::CompanionSpec;
use companion_core::model::desired::{DesiredCompanion, Generation};
use companion_core::model::hook::ConfigId;
use companion_core::model::image::PresentImage;
use companion_core::model::service::End;
use companion_core::plan::{Action, Plan};

use super::host::Simulation;
use super::liveness::{Liveness, put_right};
use super::reached::Reached;
use super::setup::{ORIGIN, Setup};
use super::state::Leader;
use crate::node::{config, context};

macro_rules! layer {
    ($(#[$doc:meta])* $name:ident { $($variant:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the names are self-explanatory")]
        pub enum $name { $($variant,)* }
        impl $name {
            /// All values.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];
        }
    };
}

layer! {
    /// The desired state.
    Intended { Absent, First, Second }
}
layer! {
    /// The rendered configuration.
    Config { Current, None, Unlinked, Edited, Writable, WrongMode }
}
layer! {
    /// The image.
    ImageIs { Current, None, Outdated }
}
layer! {
    /// The unit file.
    File { First, None, Second, Outdated, Edited, Spoilt, WrongMode, Empty, Unmanaged, Garbage }
}
layer! {
    /// The loaded unit.
    Loaded { First, None, Second, Outdated, Edited, Unmanaged, Broken }
}
layer! {
    /// The running service and its container.
    Runs {
        First, Dead, Second, Outdated, Edited, Paused, Failed, StartLimit, Waiting, LeftContainer,
        UnmanagedContainer,
    }
}

/// One state of one companion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the stage of that name")]
pub struct Start {
    pub intended: Intended,
    pub config: Config,
    pub image: ImageIs,
    pub file: File,
    pub loaded: Loaded,
    pub runs: Runs,
}

impl Start {
    /// Every state.
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for &intended in Intended::ALL {
            for &config in Config::ALL {
                for &image in ImageIs::ALL {
                    for &file in File::ALL {
                        for &loaded in Loaded::ALL {
                            let start =
                                |&runs| Self { intended, config, image, file, loaded, runs };
                            all.extend(Runs::ALL.iter().map(start));
                        }
                    }
                }
            }
        }
        all
    }

    /// Every state with correct image and configuration, and one representative of each kind of damage.
    pub fn classes() -> Vec<Self> {
        let file = [File::First, File::None, File::Second, File::Edited, File::Unmanaged];
        let loaded = [Loaded::First, Loaded::None, Loaded::Second, Loaded::Edited];
        let runs = [Runs::First, Runs::Dead, Runs::Second, Runs::Failed];
        let mut all = Self::all();
        all.retain(|start| {
            start.config == Config::Current
                && start.image == ImageIs::Current
                && start.intended != Intended::Second
                && file.contains(&start.file)
                && loaded.contains(&start.loaded)
                && runs.contains(&start.runs)
        });
        all
    }

    /// Puts the companion at `at` of `setup` into this state.
    pub fn lay_out(
        self,
        simulation: &Simulation,
        setup: &Setup,
        at: usize,
        world: &World,
    ) -> World {
        let mut world = self.intent(simulation, setup, at, world);
        let spec = setup.spec(at, 0);
        let (image, config) = make_lower_layers(&mut world, spec);
        let unit = |version| {
            let companion = DesiredCompanion::new(setup.spec(at, version).clone(), Generation(0));
            companion.unit(&image.id, companion.revision(&image, config))
        };
        let text = |version, renderer| UnitText::of(&unit(version), renderer);
        let (first, second) = (text(0, world.renderer), text(1, world.renderer));
        // The rendering of an earlier release or Podman for the same specification.
        let outdated = text(0, world.renderer + 1);
        let damaged = |damage| UnitText { damage, ..first.clone() };
        // A repaired unit has the next restart epoch. A unit that was edited and restored by the same user has the
        // same epoch and is indistinguishable.
        let edited = self.runs == Runs::Edited;
        let again = |after: bool| {
            let revision = first.revision.with_restart_epoch(u32::from(after));
            UnitText { revision, ..first.clone() }
        };
        let mut slot = world.slot(&spec.name).cloned().unwrap_or_default();
        slot.file = Durable::synced(match self.file {
            File::None => None,
            File::First => Some(UnitBytes::Ours(again(edited || self.loaded == Loaded::Edited))),
            File::Second => Some(UnitBytes::Ours(second.clone())),
            File::Outdated => Some(UnitBytes::Ours(outdated.clone())),
            File::Edited => Some(UnitBytes::Ours(damaged(Damage::Edited))),
            File::Spoilt => Some(UnitBytes::Ours(damaged(Damage::Spoilt))),
            File::WrongMode => Some(UnitBytes::Ours(UnitText {
                damage: Damage::ModeChanged,
                ..again(edited || self.loaded == Loaded::Edited)
            })),
            File::Empty => Some(UnitBytes::Empty),
            File::Unmanaged => Some(UnitBytes::Unmanaged),
            File::Garbage => Some(UnitBytes::Garbage),
        });
        slot.load = match self.loaded {
            Loaded::None => Load::NotFound,
            Loaded::First => Load::Ours(again(edited)),
            Loaded::Second => Load::Ours(second.clone()),
            Loaded::Outdated => Load::Ours(outdated.clone()),
            Loaded::Edited => Load::Ours(damaged(Damage::Edited)),
            Loaded::Unmanaged => Load::Unmanaged,
            Loaded::Broken => Load::Broken,
        };
        let ran = |text: &UnitText, tampered| run(&world, spec, text, tampered);
        (slot.service, slot.container) = match self.runs {
            Runs::First => up(ran(&first, false), Status::Running),
            Runs::Second => up(ran(&second, false), Status::Running),
            Runs::Outdated => up(ran(&outdated, false), Status::Running),
            Runs::Edited => up(ran(&first, true), Status::Running),
            Runs::Paused => up(ran(&first, false), Status::Paused),
            Runs::Dead => (Service::default(), None),
            Runs::Failed => down(Phase::Failed, Some(End::Exit(1))),
            Runs::StartLimit => down(Phase::Failed, Some(End::StartLimit)),
            Runs::Waiting => {
                let until = ORIGIN + std::time::Duration::from_secs(10);
                down(Phase::Waiting { until }, Some(End::Exit(1)))
            }
            Runs::LeftContainer => left(true, Status::Exited),
            Runs::UnmanagedContainer => left(false, Status::Running),
        };
        world.place(&spec.name, slot);
        self.spoil_lower_layers(&mut world, spec);
        world
    }

    fn intent(self, simulation: &Simulation, setup: &Setup, at: usize, world: &World) -> World {
        let version = usize::from(self.intended == Intended::Second);
        simulation.changed(world, |host| {
            host.install(setup.spec(at, version));
            if self.intended == Intended::Absent {
                host.remove(&setup.names[at]);
            }
        })
    }

    fn spoil_lower_layers(self, world: &mut World, spec: &CompanionSpec) {
        match self.image {
            ImageIs::Current => {}
            ImageIs::None => {
                let built = spec.image.build.iter().map(|build| &build.reference);
                let pulled = spec.image.pull.iter().map(|pull| &pull.reference);
                built.chain(pulled).for_each(|reference| world.remove_image(reference));
            }
            ImageIs::Outdated => world.change_context(&context(spec.name.as_str())),
        }
        match self.config {
            Config::Current => {}
            Config::None => world.delete_config(&config()),
            Config::Unlinked => world.unlink_config(&config()),
            Config::Edited => world.edit_config(&config()),
            Config::Writable => world.expose_config(&config(), 0o666),
            Config::WrongMode => world.expose_config(&config(), 0o644),
        }
    }
}

/// Sets the image and the configuration of `spec` to the desired state.
fn make_lower_layers(world: &mut World, spec: &CompanionSpec) -> (PresentImage, Option<ConfigId>) {
    let image = match (&spec.image.build, &spec.image.pull) {
        (Some(_), _) => world.build_image(&spec.image),
        (None, Some(_)) => world.pull_image(&spec.image),
        (None, None) => panic!("`{}` has an image", spec.name),
    };
    let image = image.unwrap_or_else(|error| panic!("{error}"));
    let config = spec.hook.as_ref().map(|hook| {
        let bytes = world.render(hook).unwrap_or_else(|error| panic!("{error}"));
        let (_, id) = world.commit(hook, &bytes, &[]).unwrap_or_else(|error| panic!("{error}"));
        world.sync_rendered(hook);
        id
    });
    (image, config)
}

fn run(world: &World, spec: &CompanionSpec, text: &UnitText, tampered: bool) -> Run {
    let hook = spec.hook.as_ref();
    let config = hook.and_then(|hook| world.files.rendered(&hook.output));
    Run {
        revision: Some(text.revision),
        contents: Some(text.contents),
        tampered,
        image: world.images.find(&text.image),
        config: config.map(|file| file.content),
    }
}

fn up(run: Run, status: Status) -> (Service, Option<Container>) {
    let mut service = Service::default();
    service.phase = Phase::Running { ends: None };
    service.run = Some(run);
    (service, Some(Container { ours: true, status }))
}

fn down(phase: Phase, last_end: Option<End>) -> (Service, Option<Container>) {
    let mut service = Service::default();
    service.phase = phase;
    service.last_end = last_end;
    (service, None)
}

fn left(ours: bool, status: Status) -> (Service, Option<Container>) {
    (Service::default(), Some(Container { ours, status }))
}

/// The result of a table.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// The number of start states.
    pub starts: usize,
    /// The most converges of one state.
    pub worst_converges: u8,
    /// Reached coverage goals.
    pub reached: Reached,
    /// The first violation.
    pub wrong: Option<String>,
}

/// Follows every start state of the companion at `at`, unchanged and after the operator fixed everything that only
/// the operator can fix.
pub fn singles(at: usize) -> Table {
    let setup = Setup::new(2, false);
    let simulation = Simulation::new(&setup);
    let mut liveness = Liveness::new(&setup, &simulation);
    let empty = setup.world();
    let mut table = Table::default();
    for start in Start::all() {
        table.starts += 1;
        let world = start.lay_out(&simulation, &setup, at, &empty);
        let right = put_right(&setup, &world);
        for world in [world, right] {
            let wrong = liveness.check(&simulation, &world, &Leader::default());
            if let Some(wrong) = wrong {
                table.wrong = Some(format!("{start:?}: {wrong}"));
                return table;
            }
        }
    }
    (table.worst_converges, table.reached) = (liveness.worst, liveness.reached);
    table
}

/// Plans every pair of the start states `of`: the decisions for one companion are independent of the other's state,
/// except for the shared reload. With `follow`, also follows every pair to its end.
pub fn pairs(of: &[Start], follow: bool) -> Table {
    let setup = Setup::new(2, false);
    let simulation = Simulation::new(&setup);
    let mut liveness = Liveness::new(&setup, &simulation);
    let mut table = Table::default();
    let empty = setup.world();
    let decided = |world: &World, at: usize| {
        let mut leader = Leader::default();
        let came = simulation.begin_round(world, &mut leader, None);
        came.result.flatten().map(|reconcile| decision(&reconcile.plan, &setup, at))
    };
    let firsts: Vec<World> =
        of.iter().map(|start| start.lay_out(&simulation, &setup, 0, &empty)).collect();
    let alone = |at: usize| -> Vec<_> {
        let laid = |start: &Start| start.lay_out(&simulation, &setup, at, &empty);
        of.iter().map(|start| decided(&laid(start), at)).collect()
    };
    let alone = [alone(0), alone(1)];
    for (one, first) in firsts.iter().enumerate() {
        for (two, start) in of.iter().enumerate() {
            table.starts += 1;
            let world = start.lay_out(&simulation, &setup, 1, first);
            let same = [(0, one), (1, two)];
            let same = same.iter().all(|(at, state)| decided(&world, *at) == alone[*at][*state]);
            let wrong = (!same).then(|| "it changes what is decided".to_owned()).or_else(|| {
                let world = put_right(&setup, &world);
                let chain = || liveness.check(&simulation, &world, &Leader::default());
                follow.then(chain).flatten()
            });
            if let Some(wrong) = wrong {
                table.wrong = Some(format!("{:?} with {start:?}: {wrong}", of[one]));
                return table;
            }
        }
    }
    (table.worst_converges, table.reached) = (liveness.worst, liveness.reached);
    table
}

/// The decisions of `plan` for the companion at `at`, without the generations, which order the intents.
fn decision(plan: &Plan, setup: &Setup, at: usize) -> (Vec<String>, Vec<String>) {
    let name = &setup.names[at];
    // The reason of the load is that of one of the companions that need it.
    let steps = plan.serving(name).map(|step| match &step.action {
        Action::LoadUnits => "load".to_owned(),
        action => format!("{}: {action:?}", step.reason),
    });
    let blocked = plan.blocked(name).map(|blocked| blocked.waiting_on.to_string());
    (steps.collect(), blocked.collect())
}
