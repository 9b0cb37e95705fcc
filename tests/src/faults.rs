//! The faults: everything that users, other programs and the host do to a companion from outside.
//!
//! Every tier uses this list and these names. The properties draw from it, the search enumerates a subset, the soak
//! weights it, the crash plans cross with it, and the chaos run of the machine matches on it. A call that fails is a
//! different thing: [`adapter_fake::Fault`] lists those.

#![expect(clippy::panic, reason = "a fault outside the model fails the test")]

use std::fmt;
use std::time::Duration;

use adapter_fake::FakeHost;
use adapter_fake::world::conditions::{Conditions, Delays, Disk, Generator};
use adapter_fake::world::desired::Record;
use adapter_fake::world::files::RenderOutcome;
use adapter_fake::world::images::{BuildOutcome, Reach};
use adapter_fake::world::units::UnitBytes;
use companion_core::model::companion::CompanionSpec;

use crate::node::REGISTRY;

mod effects;
mod events;

use effects::{
    ONE_A_MINUTE, ONE_AN_HOUR, TEN_YEARS, conditions, config, contexts, damage_images,
    fail_service, leave_container, log_in, log_out, lose_input, misbehave, move_tag, nothing,
    remove_images, restore_context, restore_input, restore_program, set_record, set_start_delay,
};

/// What a fault concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One companion.
    One,
    /// One companion with a hook.
    Hook,
    /// One companion whose image is built.
    Build,
    /// All companions: what it changes is shared.
    Host,
}

/// How a host recovers from a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recovery {
    /// Without help, or there is nothing to repair.
    Itself,
    /// After its counterpart.
    After(Fault),
    /// After new intents.
    AfterIntents,
}

/// How the managers end in a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// They are killed.
    Killed,
    /// They are shut down.
    ShutDown,
}

/// What is done to the fake host on behalf of a companion.
type Effect = fn(&FakeHost, &CompanionSpec);

/// Declares the faults: name, scope, recovery, and the effect on the fake host unless it models none.
macro_rules! faults {
    ($($fault:ident: $name:literal, $scope:ident, $recovery:expr, $effect:expr;)*) => {
        /// A fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault {
            $(#[doc = concat!($name, ".")] $fault,)*
        }

        impl Fault {
            /// All faults.
            pub const ALL: &[Self] = &[$(Self::$fault,)*];

            /// Its name, the same in every output.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$fault => $name,)* }
            }

            /// What it concerns.
            pub const fn scope(self) -> Scope {
                match self { $(Self::$fault => Scope::$scope,)* }
            }

            const fn recovery(self) -> Recovery {
                use {Fault::*, Recovery::*};
                match self { $(Self::$fault => $recovery,)* }
            }

            fn effect(self) -> Option<Effect> {
                match self { $(Self::$fault => $effect,)* }
            }
        }
    };
}

faults! {
    UnitEdited: "unit edited", One, Itself, Some(|h, c| h.edit_unit(&c.name));
    UnitSpoilt: "unit edited, refused by the generator", One, Itself,
        Some(|h, c| h.spoil_unit(&c.name));
    UnitExposed: "unit writable by others", One, Itself, Some(|h, c| h.expose_unit(&c.name));
    UnitTouched: "unit with a time in 2038", One, Itself, None;
    UnitDeleted: "unit deleted", One, Itself, Some(|h, c| h.delete_unit(&c.name));
    UnitTruncated: "unit truncated", One, Itself, Some(|h, c| h.put_unit(&c.name, UnitBytes::Empty));
    UnitGarbled: "unit garbled", Host, After(UnitDeleted),
        Some(|h, c| h.put_unit(&c.name, UnitBytes::Garbage));
    UnitUnmanaged: "unmanaged unit", One, After(UnitDeleted),
        Some(|h, c| h.put_unit(&c.name, UnitBytes::Unmanaged));
    UnitUnmanagedRefused: "unmanaged unit, refused by the generator", One, After(UnitDeleted),
        Some(|h, c| h.put_unit(&c.name, UnitBytes::Refused));
    UnitDirectory: "directory at the unit", Host, After(UnitDeleted),
        Some(|h, c| h.put_unit(&c.name, UnitBytes::Directory));
    UnitUnreadable: "unit unreadable", Host, After(UnitDeleted),
        Some(|h, c| h.put_unit(&c.name, UnitBytes::Unreadable));
    UnitRefused: "unit refused by the generator", One, After(UnitAccepted),
        Some(|h, c| h.refuse_unit(&c.name, true));
    UnitAccepted: "unit accepted by the generator", One, Itself,
        Some(|h, c| h.refuse_unit(&c.name, false));
    RendererChanged: "renderer changed", Host, Itself, Some(|h, _| h.change_renderer());
    UnitMasked: "unit masked", One, After(UnitUnmasked), Some(|h, c| h.mask(&c.name));
    UnitUnmasked: "unit unmasked", One, Itself, Some(|h, c| h.unmask(&c.name));
    UnitShadowed: "unit shadowed", One, After(UnitUnshadowed), Some(|h, c| h.shadow(&c.name));
    UnitUnshadowed: "unit no longer shadowed", One, Itself, Some(|h, c| h.unshadow(&c.name));
    Reloaded: "reloaded by others", Host, Itself, Some(|h, _| h.reload_by_others());
    ContainerKilled: "container killed", One, Itself, Some(|h, c| h.kill_container(&c.name));
    ContainerRemoved: "container removed", One, Itself, Some(|h, c| h.remove_container(&c.name));
    ContainerPaused: "container paused", One, Itself, Some(|h, c| h.pause_container(&c.name));
    ContainerUnpaused: "container unpaused", One, Itself, Some(|h, c| h.unpause_container(&c.name));
    ContainerUnmanaged: "unmanaged container", One, After(ContainerRemoved),
        Some(|h, c| h.put_unmanaged_container(&c.name));
    ContainerTaken: "container replaced by another unit", One, After(ContainerRemoved),
        Some(|h, c| h.take_container(&c.name));
    ContainerLeft: "container left without a service", One, Itself,
        Some(leave_container);
    ServiceStopped: "service stopped", One, Itself, Some(|h, c| h.stop_service(&c.name));
    ServiceRestarted: "service restarted", One, Itself, None;
    ServiceFailed: "service failed", One, Itself, Some(fail_service);
    JobCancelled: "job cancelled", One, Itself, Some(|h, c| h.cancel_job(&c.name));
    CrashLoop: "crash loop", One, After(ProgramRestored), Some(|h, c| h.crash_loop(&c.name, true));
    StopIgnored: "stop ignored", One, After(ProgramRestored),
        Some(|h, c| misbehave(h, c, |it| it.ignores_stop = true));
    NeverReady: "service never ready", One, After(ProgramRestored),
        Some(|h, c| misbehave(h, c, |it| it.never_ready = true));
    StartsFail: "container cannot be created", One, After(ProgramRestored),
        Some(|h, c| misbehave(h, c, |it| it.start_fails = Some(126)));
    ProgramRestored: "program restored", One, Itself, Some(restore_program);
    ConfigDeleted: "configuration deleted", Hook, Itself,
        Some(|h, c| config(c, |path| h.delete_config(path)));
    ConfigEdited: "configuration edited", Hook, Itself,
        Some(|h, c| config(c, |path| h.edit_config(path)));
    ConfigReadable: "configuration readable by others", Hook, Itself,
        Some(|h, c| config(c, |path| h.expose_config(path, 0o644)));
    ConfigWritable: "configuration writable by others", Hook, Itself,
        Some(|h, c| config(c, |path| h.expose_config(path, 0o666)));
    ConfigDirectory: "directory at the configuration", Hook, After(ConfigDirectoryRemoved), None;
    ConfigDirectoryRemoved: "directory at the configuration removed", Hook, Itself, None;
    LinkDeleted: "link to the configuration deleted", Hook, Itself,
        Some(|h, c| config(c, |path| h.unlink_config(path)));
    LinkRedirected: "link to the configuration redirected", Hook, Itself, None;
    LinkReplaced: "file at the link to the configuration", Hook, Itself,
        Some(|h, c| config(c, |path| h.put_file_at_config(path)));
    LinkDirectory: "directory at the link to the configuration", Hook, After(LinkDeleted),
        Some(|h, c| config(c, |path| h.put_directory_at_config(path)));
    CredentialsRotated: "credentials rotated", Host, Itself, Some(|h, _| h.rotate_credentials());
    InputLost: "hook input missing", Hook, After(InputRestored), Some(lose_input);
    InputRestored: "hook input restored", Hook, Itself, Some(restore_input);
    HookFails: "hook fails", Hook, After(HookRestored),
        Some(|h, c| config(c, |path| h.break_hook(path, Some(RenderOutcome::Fails))));
    HookHangs: "hook hangs", Hook, After(HookRestored),
        Some(|h, c| config(c, |path| h.break_hook(path, Some(RenderOutcome::Hangs))));
    HookNonsense: "hook prints invalid output", Hook, After(HookRestored),
        Some(|h, c| config(c, |path| h.break_hook(path, Some(RenderOutcome::Nonsense))));
    HookRestored: "hook restored", Hook, Itself,
        Some(|h, c| config(c, |path| h.break_hook(path, None)));
    ContextChanged: "build context changed", Build, Itself,
        Some(|h, c| contexts(c, |path| h.change_context(path)));
    ContextRemoved: "build context missing", Build, After(ContextRestored),
        Some(|h, c| contexts(c, |path| h.remove_context(path)));
    ContextRestored: "build context restored", Build, Itself, Some(restore_context);
    BuildFails: "build fails", Build, After(BuildRestored),
        Some(|h, c| contexts(c, |path| h.break_build(path, BuildOutcome::Fails)));
    BuildHangs: "build hangs", Build, After(BuildRestored),
        Some(|h, c| contexts(c, |path| h.break_build(path, BuildOutcome::Hangs)));
    BuildRestored: "build restored", Build, Itself,
        Some(|h, c| contexts(c, |path| h.break_build(path, BuildOutcome::Works)));
    ImageRemoved: "image removed", One, Itself, Some(remove_images);
    ImageDamaged: "image damaged", One, Itself, Some(damage_images);
    TagRemoved: "tag of the image removed", Build, Itself, None;
    TagMoved: "tag moved to another image", Build, Itself, Some(move_tag);
    ImageLeft: "dangling image left", One, Itself, Some(|h, _| h.leave_image("nobody's"));
    ImagesPruned: "unused images removed", Host, Itself, None;
    RegistryDown: "registry unreachable", Host, After(RegistryUp),
        Some(|h, _| h.registry_down(REGISTRY));
    RegistrySlow: "registry slow", Host, After(RegistryUp),
        Some(|h, _| h.set_registry(REGISTRY, Reach::Slow(Duration::from_secs(500))));
    RegistryUntrusted: "registry untrusted", Host, After(RegistryUp),
        Some(|h, _| h.set_registry(REGISTRY, Reach::Untrusted));
    RegistryUp: "registry reachable", Host, Itself, Some(|h, _| h.registry_up(REGISTRY));
    RecordLost: "record lost", Host, AfterIntents, Some(|h, _| h.lose_record());
    RecordCorrupt: "record corrupt", Host, After(RecordReadable),
        Some(|h, _| set_record(h, Record::Corrupt));
    RecordForbidden: "record unreadable", Host, After(RecordReadable),
        Some(|h, _| set_record(h, Record::Forbidden));
    RecordReadable: "record readable", Host, Itself, Some(|h, _| set_record(h, Record::Readable));
    RecordLocked: "lock of the record taken", Host, Itself, None;
    CatalogBroken: "catalog broken", Host, After(CatalogRestored), None;
    CatalogRestored: "catalog restored", Host, Itself, None;
    StatusGarbled: "status and events garbled", Host, Itself, None;
    ManagerKilled: "manager killed", Host, Itself, Some(nothing);
    ManagerShutDown: "manager shut down", Host, Itself, Some(nothing);
    ManagerHeld: "manager stopped for seconds", Host, Itself, None;
    BusDown: "service manager unreachable", Host, After(BusUp),
        Some(|h, _| conditions(h, |it| it.bus = false));
    BusUp: "service manager reachable", Host, Itself,
        Some(|h, _| conditions(h, |it| it.bus = true));
    UserManagerStopped: "user manager stopped", Host, After(UserManagerStarted), Some(|h, _| log_out(h));
    UserManagerStarted: "user manager started", Host, Itself, Some(|h, _| log_in(h));
    PodmanMissing: "Podman missing", Host, After(PodmanRestored),
        Some(|h, _| conditions(h, |it| it.podman = false));
    PodmanRestored: "Podman restored", Host, Itself,
        Some(|h, _| conditions(h, |it| it.podman = true));
    GeneratorMissing: "generator missing", Host, After(GeneratorRestored),
        Some(|h, _| conditions(h, |it| it.generator = Generator::Missing));
    GeneratorCorruptsOnce: "generator corrupts a reload", Host, Itself,
        Some(|h, _| conditions(h, |it| it.generator = Generator::CorruptsOnce));
    GeneratorRestored: "generator restored", Host, Itself,
        Some(|h, _| conditions(h, |it| it.generator = Generator::Works));
    UnparsableFile: "unparsable file among the units", Host, After(UnparsableFileRemoved),
        Some(|h, _| conditions(h, |it| it.broken_unmanaged_file = true));
    UnparsableFileRemoved: "unparsable file among the units removed", Host, Itself,
        Some(|h, _| conditions(h, |it| it.broken_unmanaged_file = false));
    FilesComeAndGo: "other files among the units come and go", Host, Itself, None;
    DiskFull: "disk full", Host, After(DiskWritable),
        Some(|h, _| conditions(h, |it| it.disk = Disk::Full));
    DiskReadOnly: "disk read-only", Host, After(DiskWritable),
        Some(|h, _| conditions(h, |it| it.disk = Disk::ReadOnly));
    DiskWritable: "disk writable", Host, Itself,
        Some(|h, _| conditions(h, |it| it.disk = Disk::Writable));
    StartsLimited: "starts limited to one a minute", Host, After(StartsUsual),
        Some(|h, _| conditions(h, |it| it.start_limit = ONE_A_MINUTE));
    StartsUsual: "starts limited as usual", Host, Itself,
        Some(|h, _| conditions(h, |it| it.start_limit = Conditions::default().start_limit));
    ReloadsLimited: "reloads limited to one an hour", Host, After(ReloadsUnlimited),
        Some(|h, _| conditions(h, |it| it.reload_limit = Some(ONE_AN_HOUR)));
    ReloadsUnlimited: "reloads unlimited", Host, Itself,
        Some(|h, _| conditions(h, |it| it.reload_limit = None));
    StartsSlow: "starts take 20 s", Host, After(StartsFast),
        Some(|h, _| set_start_delay(h, Duration::from_secs(20)));
    StartsFast: "starts take the usual time", Host, Itself,
        Some(|h, _| set_start_delay(h, Delays::default().start));
    ClockSetBack: "clock set back by ten years", Host, Itself,
        Some(|h, _| conditions(h, |it| it.wall_offset -= TEN_YEARS));
    ClockSetForward: "clock set forward by ten years", Host, Itself,
        Some(|h, _| conditions(h, |it| it.wall_offset += TEN_YEARS));
    Rebooted: "host rebooted", Host, Itself, Some(|h, _| h.reboot());
    PowerLost: "power lost", Host, Itself, Some(|h, _| h.power_loss());
}

impl Fault {
    /// The faults that the fake host models.
    pub fn simulated() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|fault| fault.effect().is_some())
    }

    /// Whether it concerns all companions.
    pub fn concerns_all(self) -> bool {
        self.scope() == Scope::Host
    }

    /// Whether it may restart or rewrite the companion of `other`, although it is not aimed at it.
    pub fn may_restart(self, other: &CompanionSpec) -> bool {
        match self {
            Self::RendererChanged | Self::UserManagerStopped | Self::Rebooted | Self::PowerLost => {
                true
            }
            Self::CredentialsRotated | Self::InputLost | Self::InputRestored => {
                other.hook.is_some()
            }
            _ => false,
        }
    }

    /// Whether a boot during it starts no companion, because the generator emits no unit.
    pub fn hides_all_units(self) -> bool {
        matches!(self, Self::GeneratorMissing | Self::GeneratorCorruptsOnce | Self::UnparsableFile)
    }

    /// Whether it has an effect on the companion of `spec`.
    pub fn fits(self, spec: &CompanionSpec) -> bool {
        match self.scope() {
            Scope::One | Scope::Host => true,
            Scope::Hook => spec.hook.is_some(),
            Scope::Build => spec.image.build.is_some(),
        }
    }

    /// Whether no companion recovers from it without help.
    pub fn lasts(self) -> bool {
        self.recovery() != Recovery::Itself
    }

    /// Its counterpart: another fault, after which the host recovers.
    pub fn undo(self) -> Option<Self> {
        match self.recovery() {
            Recovery::After(undo) => Some(undo),
            Recovery::Itself | Recovery::AfterIntents => None,
        }
    }

    /// How the managers on the host end in it, if they do; whoever runs them ends them.
    pub fn ends_managers(self) -> Option<End> {
        match self {
            Self::ManagerKilled | Self::PowerLost => Some(End::Killed),
            Self::ManagerShutDown | Self::Rebooted => Some(End::ShutDown),
            _ => None,
        }
    }

    /// Applies it to `host` and the companion of `spec`.
    ///
    /// # Panics
    /// If the fake host does not model it.
    pub fn apply(self, host: &FakeHost, spec: &CompanionSpec) {
        match self.effect() {
            Some(effect) => effect(host, spec),
            None => panic!("the fake host does not model `{self}`"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
