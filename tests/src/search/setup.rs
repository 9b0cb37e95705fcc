//! The setting of a search: the companions, their versions, the initial host, and tampering.

use std::fmt;
use std::time::Duration;

use adapter_fake::World;
use adapter_fake::world::conditions::Delays;
use companion_core::model::companion::{CompanionName, CompanionSpec};
use companion_core::model::hook::{HookProgram, HookSpec, TemplateValue};

use crate::node::{Node, REGISTRY, config, context, indexer, password, viewer, wallet};

/// The clock time of every state of a search. Older timestamps make no difference: the longest lookback is the
/// interval of the start limit, 10 s.
pub const ORIGIN: Duration = Duration::from_secs(30);

/// The companions of a search, each in two versions.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The names, in order.
    pub names: Vec<CompanionName>,
    versions: Vec<[CompanionSpec; 2]>,
    delays: Delays,
}

/// The other version of the companion of `spec`: its container and the output of its hook differ.
pub fn other_version(mut spec: CompanionSpec) -> CompanionSpec {
    spec.container.read_only_root = !spec.container.read_only_root;
    if let Some(HookSpec { program: HookProgram::Template { values, .. }, .. }) = &mut spec.hook {
        let title = "title".to_owned();
        if values.remove(&title).is_none() {
            values.insert(title, TemplateValue::Text("a title".to_owned()));
        }
    }
    spec
}

impl Setup {
    /// The first `companions` of: one with a hook and a build, one that is only pulled, one that is built and
    /// publishes a port.
    pub fn new(companions: usize) -> Self {
        let first = [viewer(), indexer(), wallet()];
        let versions = first.into_iter().take(companions).map(|spec| {
            let second = other_version(spec.clone());
            [spec, second]
        });
        let versions: Vec<_> = versions.collect();
        let names = versions.iter().map(|[spec, _]| spec.name.clone()).collect();
        Self { names, versions, delays: Delays::none() }
    }

    /// The same on a host whose services start and stop slowly.
    #[must_use]
    pub fn with_slow_services(self) -> Self {
        let Delays { start, stop, .. } = Delays::default();
        Self { delays: Delays { start, stop, ..self.delays }, ..self }
    }

    /// Version `version`, 0 or 1, of the companion at `at`.
    pub fn spec(&self, at: usize, version: usize) -> &CompanionSpec {
        &self.versions[at][version]
    }

    /// The host with everything that the companions need, and no desired companion.
    pub fn world(&self) -> World {
        let mut world = Node::new().host.world();
        world.delays = self.delays;
        world
    }
}

macro_rules! tamperings {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A change from outside.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Tampering {
            $($(#[$doc])* $name,)*
        }

        impl Tampering {
            /// All changes.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

tamperings! {
    /// The unit has other content under a valid ownership label.
    EditUnit,
    /// The same, and the generator refuses it.
    SpoilUnit,
    /// The unit is world-writable.
    ExposeUnit,
    /// Another release of companion or Podman renders units differently, or as before.
    ChangeRenderer,
    /// The unit is deleted.
    DeleteUnit,
    /// The unit is truncated to zero bytes.
    TruncateUnit,
    /// An unmanaged unit replaces it.
    UnmanagedUnit,
    /// The unit is masked.
    Mask,
    /// The unit is unmasked.
    Unmask,
    /// A unit of its name shadows it.
    Shadow,
    /// The shadowing unit is removed.
    Unshadow,
    /// Another process reloads.
    Reload,
    /// The container is killed.
    Kill,
    /// The container is removed by force.
    RemoveContainer,
    /// The container is paused.
    Pause,
    /// An unmanaged container takes its name, if it is free.
    UnmanagedContainer,
    /// A managed container without a service remains, if its name is free.
    LeftContainer,
    /// The service is stopped by hand.
    Stop,
    /// The program exits right after each start.
    CrashLoop,
    /// The program stays up again.
    NoCrashLoop,
    /// The rendered file is deleted.
    DeleteConfig,
    /// The link to the rendered file is deleted.
    UnlinkConfig,
    /// The rendered file is changed.
    EditConfig,
    /// The rendered file is readable by others.
    ExposeConfig,
    /// The rendered file is writable by others.
    OpenConfig,
    /// A password changes.
    Rotate,
    /// The password is removed.
    LoseInput,
    /// The password is restored.
    GiveInput,
    /// The image is removed.
    RemoveImage,
    /// The build context changes.
    ChangeContext,
    /// The registry becomes unreachable.
    RegistryDown,
    /// The registry becomes reachable.
    RegistryUp,
    /// The desired-state record is lost.
    LoseRecord,
}

impl Tampering {
    /// Whether it affects the whole host instead of one companion.
    pub fn is_global(self) -> bool {
        matches!(
            self,
            Self::Reload
                | Self::ChangeRenderer
                | Self::DeleteConfig
                | Self::UnlinkConfig
                | Self::EditConfig
                | Self::ExposeConfig
                | Self::OpenConfig
                | Self::Rotate
                | Self::LoseInput
                | Self::GiveInput
                | Self::RegistryDown
                | Self::RegistryUp
                | Self::LoseRecord
        )
    }

    /// Applies it to `world`, or to the companion of `spec`.
    pub fn apply(self, world: &mut World, spec: &CompanionSpec) {
        let (name, now) = (&spec.name, ORIGIN);
        match self {
            Self::EditUnit => world.edit_unit(name),
            Self::SpoilUnit => world.spoil_unit(name),
            Self::ExposeUnit => world.expose_unit(name),
            Self::ChangeRenderer => world.change_renderer(),
            Self::DeleteUnit => world.delete_unit(name),
            Self::TruncateUnit => world.truncate_unit(name),
            Self::UnmanagedUnit => world.put_unmanaged_unit(name),
            Self::Mask => world.mask(name),
            Self::Unmask => world.unmask(name),
            Self::Shadow => world.shadow(name, now),
            Self::Unshadow => world.unshadow(name, now),
            Self::Reload => world.reload_by_others(now),
            Self::Kill => world.kill_container(name, now),
            Self::RemoveContainer => world.remove_container(name, now),
            Self::Pause => world.pause_container(name, now),
            Self::UnmanagedContainer => world.put_unmanaged_container(name, now),
            Self::LeftContainer => world.leave_container(name, now),
            Self::Stop => world.stop_service(name, now),
            Self::CrashLoop => world.crash_loop(name, true, now),
            Self::NoCrashLoop => world.crash_loop(name, false, now),
            Self::DeleteConfig => world.delete_config(&config()),
            Self::UnlinkConfig => world.unlink_config(&config()),
            Self::EditConfig => world.edit_config(&config()),
            Self::ExposeConfig => world.expose_config(&config(), 0o644),
            Self::OpenConfig => world.expose_config(&config(), 0o666),
            Self::Rotate => world.rotate_credentials(),
            Self::LoseInput => world.remove_input(&password()),
            Self::GiveInput => world.put_input(&password(), "first password"),
            Self::RemoveImage => {
                let built = spec.image.build.iter().map(|build| &build.reference);
                let pulled = spec.image.pull.iter().map(|pull| &pull.reference);
                built.chain(pulled).for_each(|reference| world.remove_image(reference));
            }
            Self::ChangeContext => world.change_context(&context(name.as_str())),
            Self::RegistryDown => world.registry_down(REGISTRY),
            Self::RegistryUp => world.registry_up(REGISTRY),
            Self::LoseRecord => world.lose_record(),
        }
    }
}

impl fmt::Display for Tampering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
