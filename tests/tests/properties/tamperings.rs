//! Tampering with one companion by users, other programs and faults: the tampering methods of the fake.

use adapter_fake::FakeHost;
use adapter_fake::world::desired::{Intent, Record};
use adapter_fake::world::files::RenderOutcome;
use adapter_fake::world::images::BuildOutcome;
use companion_core::model::companion::CompanionName;

use crate::companions::{built_as, context, named, output, pulled_as, secret};

/// A way to tamper with a companion or its prerequisites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tampering {
    EditUnit,
    SpoilUnit,
    ExposeUnit,
    ChangeRenderer,
    DeleteUnit,
    TruncateUnit,
    GarbleUnit,
    PutUnmanagedUnit,
    PutRefusedUnit,
    PutDirectoryAtUnit,
    ForbidUnit,
    RefuseUnit,
    Mask,
    Unmask,
    Shadow,
    Unshadow,
    ReloadByOthers,
    KillContainer,
    RemoveContainer,
    PauseContainer,
    UnpauseContainer,
    PutUnmanagedContainer,
    LeaveContainer,
    StopService,
    CancelJob,
    CrashLoop(bool),
    IgnoreStop,
    NeverReady,
    FailStarts,
    DeleteConfig,
    UnlinkConfig,
    EditConfig,
    ExposeConfig,
    OpenConfig,
    PutDirectoryAtConfig,
    BreakHook(Option<RenderOutcome>),
    RemoveInput,
    BreakBuild(BuildOutcome),
    RemoveContext,
    RemoveImage,
    PutImage,
    LeaveImage,
    LoseRecord,
    SpoilRecord(Record),
}

pub(crate) const TAMPERINGS: [Tampering; 50] = [
    Tampering::DeleteUnit,
    Tampering::EditUnit,
    Tampering::SpoilUnit,
    Tampering::ExposeUnit,
    Tampering::ChangeRenderer,
    Tampering::TruncateUnit,
    Tampering::GarbleUnit,
    Tampering::PutUnmanagedUnit,
    Tampering::PutRefusedUnit,
    Tampering::PutDirectoryAtUnit,
    Tampering::ForbidUnit,
    Tampering::RefuseUnit,
    Tampering::Mask,
    Tampering::Unmask,
    Tampering::Shadow,
    Tampering::Unshadow,
    Tampering::ReloadByOthers,
    Tampering::KillContainer,
    Tampering::RemoveContainer,
    Tampering::PauseContainer,
    Tampering::UnpauseContainer,
    Tampering::PutUnmanagedContainer,
    Tampering::LeaveContainer,
    Tampering::StopService,
    Tampering::CancelJob,
    Tampering::CrashLoop(true),
    Tampering::CrashLoop(false),
    Tampering::IgnoreStop,
    Tampering::NeverReady,
    Tampering::FailStarts,
    Tampering::DeleteConfig,
    Tampering::UnlinkConfig,
    Tampering::EditConfig,
    Tampering::ExposeConfig,
    Tampering::OpenConfig,
    Tampering::PutDirectoryAtConfig,
    Tampering::BreakHook(Some(RenderOutcome::Fails)),
    Tampering::BreakHook(Some(RenderOutcome::Hangs)),
    Tampering::BreakHook(Some(RenderOutcome::Nonsense)),
    Tampering::BreakHook(None),
    Tampering::RemoveInput,
    Tampering::BreakBuild(BuildOutcome::Fails),
    Tampering::BreakBuild(BuildOutcome::Hangs),
    Tampering::RemoveContext,
    Tampering::RemoveImage,
    Tampering::PutImage,
    Tampering::LeaveImage,
    Tampering::LoseRecord,
    Tampering::SpoilRecord(Record::Corrupt),
    Tampering::SpoilRecord(Record::Forbidden),
];

fn is_gone(host: &FakeHost, name: &CompanionName) -> bool {
    let world = host.world();
    let intent = world.slot(name).and_then(|slot| slot.intent);
    matches!(intent, Some(Intent::Gone { .. })) && world.untruth_at(name, &host.specs()).is_none()
}

impl Tampering {
    /// Whether its effect persists until the operator fixes it.
    pub(crate) fn lasts(self) -> bool {
        match self {
            Self::GarbleUnit
            | Self::PutUnmanagedUnit
            | Self::PutRefusedUnit
            | Self::PutDirectoryAtUnit
            | Self::ForbidUnit
            | Self::RefuseUnit
            | Self::Mask
            | Self::Shadow
            | Self::PutUnmanagedContainer
            | Self::CrashLoop(true)
            | Self::IgnoreStop
            | Self::NeverReady
            | Self::FailStarts
            | Self::PutDirectoryAtConfig
            | Self::BreakHook(Some(_))
            | Self::RemoveInput
            | Self::BreakBuild(_)
            | Self::RemoveContext
            | Self::LoseRecord
            | Self::SpoilRecord(_) => true,
            Self::EditUnit
            | Self::SpoilUnit
            | Self::ExposeUnit
            | Self::ChangeRenderer
            | Self::DeleteUnit
            | Self::TruncateUnit
            | Self::Unmask
            | Self::Unshadow
            | Self::ReloadByOthers
            | Self::KillContainer
            | Self::RemoveContainer
            | Self::PauseContainer
            | Self::UnpauseContainer
            | Self::LeaveContainer
            | Self::StopService
            | Self::CancelJob
            | Self::CrashLoop(false)
            | Self::DeleteConfig
            | Self::UnlinkConfig
            | Self::EditConfig
            | Self::ExposeConfig
            | Self::OpenConfig
            | Self::BreakHook(None)
            | Self::RemoveImage
            | Self::PutImage
            | Self::LeaveImage => false,
        }
    }

    /// Whether it affects all companions: record and renderer are shared, a reload covers all units, and the
    /// generator emits no unit from a directory with an unreadable file.
    pub(crate) fn concerns_all(self) -> bool {
        matches!(
            self,
            Self::ReloadByOthers
                | Self::ChangeRenderer
                | Self::LoseRecord
                | Self::SpoilRecord(_)
                | Self::GarbleUnit
                | Self::PutDirectoryAtUnit
                | Self::ForbidUnit
        )
    }

    /// Applies it to the companion at `at`.
    pub(crate) fn apply(self, host: &FakeHost, at: usize) {
        let name = &named(at);
        match self {
            Self::EditUnit => host.edit_unit(name),
            Self::SpoilUnit => host.spoil_unit(name),
            Self::ExposeUnit => host.expose_unit(name),
            Self::ChangeRenderer => host.change_renderer(),
            Self::DeleteUnit => host.delete_unit(name),
            Self::TruncateUnit => host.truncate_unit(name),
            Self::GarbleUnit => host.garble_unit(name),
            Self::PutUnmanagedUnit => host.put_unmanaged_unit(name),
            Self::PutRefusedUnit => host.put_refused_unit(name),
            Self::PutDirectoryAtUnit => host.put_directory_at_unit(name),
            Self::ForbidUnit => host.forbid_unit(name),
            Self::RefuseUnit => host.refuse_unit(name, true),
            Self::Mask => host.mask(name),
            Self::Unmask => host.unmask(name),
            Self::Shadow => host.shadow(name),
            Self::Unshadow => host.unshadow(name),
            Self::ReloadByOthers => host.reload_by_others(),
            Self::KillContainer => host.kill_container(name),
            Self::RemoveContainer => host.remove_container(name),
            Self::PauseContainer => host.pause_container(name),
            Self::UnpauseContainer => host.unpause_container(name),
            Self::PutUnmanagedContainer => host.put_unmanaged_container(name),
            // A dangling container belongs to a unit; a removed companion has none.
            Self::LeaveContainer if is_gone(host, name) => {}
            Self::LeaveContainer => host.leave_container(name),
            Self::StopService => host.stop_service(name),
            Self::CancelJob => host.cancel_job(name),
            Self::CrashLoop(on) => host.crash_loop(name, on),
            Self::IgnoreStop | Self::NeverReady | Self::FailStarts => self.misbehave(host, at),
            Self::DeleteConfig => host.delete_config(&output(at)),
            Self::UnlinkConfig => host.unlink_config(&output(at)),
            Self::EditConfig => host.edit_config(&output(at)),
            Self::ExposeConfig => host.expose_config(&output(at), 0o644),
            Self::OpenConfig => host.expose_config(&output(at), 0o666),
            Self::PutDirectoryAtConfig => host.put_directory_at_config(&output(at)),
            Self::BreakHook(outcome) => host.break_hook(&output(at), outcome),
            Self::RemoveInput => host.remove_input(&secret(at)),
            Self::BreakBuild(outcome) => host.break_build(&context(at), outcome),
            Self::RemoveContext => host.remove_context(&context(at)),
            Self::RemoveImage => {
                for image in [built_as(at), pulled_as(at, 0), pulled_as(at, 1)] {
                    host.remove_image(&image);
                }
            }
            Self::PutImage => host.put_image(&built_as(at), "a stranger's"),
            Self::LeaveImage => host.leave_image("nobody's"),
            Self::LoseRecord => host.lose_record(),
            Self::SpoilRecord(record) => host.change(|world, _| world.record = record),
        }
    }

    fn misbehave(self, host: &FakeHost, at: usize) {
        host.change(|world, _| {
            let behaviour = world.behaviour_mut(&named(at));
            behaviour.ignores_stop |= self == Self::IgnoreStop;
            behaviour.never_ready |= self == Self::NeverReady;
            if self == Self::FailStarts {
                behaviour.start_fails = Some(126);
            }
        });
    }
}
