//! Events: a fault together with the faults just before it that make it matter.

use super::Fault;

impl Fault {
    /// The faults of an event in order, the last one this; `None` if it leaves nothing to repair or wait for.
    pub fn event(self) -> Option<Vec<Self>> {
        let before = self.before()?;
        Some(before.iter().copied().chain([self]).collect())
    }

    fn before(self) -> Option<&'static [Self]> {
        use Fault::*;
        let before: &[Fault] = match self {
            // A counterpart ends its fault; alone it changes nothing.
            UnitAccepted
            | UnitUnmasked
            | UnitUnshadowed
            | ContainerUnpaused
            | ProgramRestored
            | ConfigDirectoryRemoved
            | InputRestored
            | HookRestored
            | ContextRestored
            | BuildRestored
            | RegistryUp
            | RecordReadable
            | CatalogRestored
            | BusUp
            | UserManagerStarted
            | PodmanRestored
            | GeneratorRestored
            | UnparsableFileRemoved
            | DiskWritable
            | StartsUsual
            | ReloadsUnlimited
            | StartsFast => return None,
            // The fake host does not model these.
            UnitTouched | ServiceRestarted | ConfigDirectory | LinkRedirected | TagRemoved
            | ImagesPruned | RecordLocked | CatalogBroken | StatusGarbled | ManagerHeld
            | FilesComeAndGo => return None,
            // Only new intents of their owners restore a record.
            RecordLost => return None,
            // The dangling image stays, which is as intended.
            ImageLeft => return None,
            ManagerKilled | ManagerShutDown => {
                &[UnitDeleted, ConfigDeleted, ImageRemoved, ServiceStopped]
            }
            UnitRefused | BusDown | GeneratorCorruptsOnce | ReloadsLimited | UnparsableFile => {
                &[UnitDeleted]
            }
            DiskFull | DiskReadOnly | GeneratorMissing | PodmanMissing | StopIgnored => {
                &[UnitEdited]
            }
            JobCancelled | RecordCorrupt | RecordForbidden | StartsSlow => &[ServiceStopped],
            StartsFail | NeverReady => &[ContainerKilled],
            StartsLimited => &[CrashLoop],
            ContainerUnmanaged | ContainerLeft => &[ContainerRemoved, ServiceStopped],
            HookFails | HookHangs | HookNonsense => &[CredentialsRotated],
            InputLost => &[ConfigDeleted],
            BuildFails | BuildHangs | ContextRemoved => &[ContextChanged],
            RegistryDown | RegistrySlow | RegistryUntrusted => &[ImageRemoved],
            UnitEdited | UnitSpoilt | UnitExposed | UnitDeleted | UnitTruncated | UnitGarbled
            | UnitUnmanaged | UnitUnmanagedRefused | UnitDirectory | UnitUnreadable
            | RendererChanged | UnitMasked | UnitShadowed | Reloaded | ContainerKilled
            | ContainerRemoved | ContainerTaken | ContainerPaused | ServiceStopped
            | ServiceFailed | CrashLoop | ConfigDeleted | ConfigEdited | ConfigReadable
            | ConfigWritable | LinkDeleted | LinkReplaced | LinkDirectory | CredentialsRotated
            | ContextChanged | ImageRemoved | ImageDamaged | TagMoved | UserManagerStopped
            | ClockSetBack | ClockSetForward | Rebooted | PowerLost => &[],
        };
        Some(before)
    }
}
