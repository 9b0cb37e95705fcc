//! How each fault is done to the real host, and why some are not: the compiler sees that none is forgotten.

use companion_tests::faults::Fault;

use super::companion_faults as one;
use super::faults::{
    Kind, Reach, Real, Run, What, has_configuration, is_built_here, of_host, of_one,
};
use super::host_faults as host;
use super::site::{BUILT, HOOKED};
use crate::node::BITCOIN;

/// Declares the ways of each fault, and the reasons why others have none.
macro_rules! counterparts {
    (
        done { $($fault:ident: $($how:literal => $kind:expr),+;)* }
        not_done { $($reason:literal: $($without:ident)+;)* }
    ) => {
        /// The real counterpart of `fault`.
        pub(super) fn real(fault: Fault) -> Real {
            match fault {
                $(Fault::$fault => Real::Kinds(vec![
                    $(Kind { what: What::Fault(fault, $how), ..$kind }),+
                ]),)*
                $($(Fault::$without)|+ => Real::NoCounterpart($reason),)*
            }
        }
    };
}

counterparts! {
    done {
        UnitDeleted:
            "" => of_one(Run::SameIfSeen, one::delete_unit),
            "of all companions" =>
                of_one(Run::SameIfSeen, host::delete_all).reaching(Reach::All);
        UnitEdited:
            "" => of_one(Run::Another, one::edit_unit),
            "then loaded" => of_one(Run::Another, one::edit_and_load_unit);
        UnitTruncated: "" => of_one(Run::Either, one::empty_unit);
        UnitExposed: "" => of_one(Run::Either, one::open_unit);
        UnitTouched: "" => of_one(Run::Same, one::age_unit);
        UnitUnmanaged: "" =>
            of_one(Run::Either, one::replace_unit).undone_after(4, one::take_unmanaged_unit);
        UnitShadowed: "" =>
            of_one(Run::Either, one::shadow_unit).undone_after(5, one::unshadow_unit);
        UnitMasked: "" => of_one(Run::Another, one::mask).undone_after(4, one::unmask);
        Reloaded:
            "" => of_host(host::reload),
            "ten times" => of_host(host::reload_storm),
            "by executing the manager again" => of_host(host::reexecute);
        ServiceStopped:
            "" => of_one(Run::Another, one::stop),
            "of all companions" => of_one(Run::Another, host::stop_all).reaching(Reach::All);
        ServiceRestarted: "" => of_one(Run::Another, one::restart);
        ServiceFailed: "" => of_one(Run::Another, one::fail);
        StartsFail: "its port taken" =>
            of_one(Run::Another, one::take_port).undone_after(6, one::free_port);
        ContainerKilled:
            "" => of_one(Run::Another, one::kill_container),
            "with its service" => of_one(Run::Another, one::kill_service),
            "by a kill of conmon" => of_one(Run::Another, one::kill_conmon),
            "by a stop of Podman" => of_one(Run::Another, one::stop_container);
        ContainerRemoved: "" => of_one(Run::Another, one::remove_container);
        ContainerPaused: "" => of_one(Run::Another, one::pause_container);
        ImageRemoved: "" => of_one(Run::Another, one::remove_image).only(is_built_here);
        TagRemoved: "" => of_one(Run::Same, one::untag_image)
            .shown_by(one::has_its_image)
            .only(is_built_here);
        TagMoved:
            "" => of_one(Run::Same, one::move_tag)
                .shown_by(one::has_its_image)
                .only(is_built_here),
            "then container killed" => of_one(Run::Another, one::move_tag_and_kill_container)
                .shown_by(one::has_its_image)
                .only(is_built_here);
        ImagesPruned: "" => of_host(host::prune_images);
        ContextChanged: "" => of_one(Run::Another, one::change_context).only(|it| it == BUILT);
        BuildFails: "image removed" => of_one(Run::Another, one::break_build)
            .undone_after(5, one::fix_build)
            .only(|it| it == BUILT);
        CredentialsRotated:
            "" => of_one(Run::Another, one::rotate_password).only(|it| it == BITCOIN),
            "of a template" => of_one(Run::Another, one::change_colour).only(|it| it == HOOKED);
        InputLost: "" => of_one(Run::Same, one::hide_password)
            .undone_after(4, one::show_password)
            .only(|it| it == BITCOIN);
        ConfigDeleted: "" => of_one(Run::Another, one::lose_config).only(has_configuration);
        ConfigEdited:
            "" => of_one(Run::Another, one::edit_config).only(has_configuration),
            "then container killed" =>
                of_one(Run::Another, one::edit_config_and_kill_container)
                    .only(has_configuration);
        ConfigReadable: "" => of_one(Run::Same, one::open_config).only(has_configuration);
        ConfigWritable: "" =>
            of_one(Run::Another, one::let_others_write_config).only(has_configuration);
        ConfigDirectory: "" => of_one(Run::Another, one::block_config)
            .undone_after(4, one::unblock_config)
            .only(has_configuration);
        LinkDeleted: "" => of_one(Run::Same, one::lose_link).only(has_configuration);
        LinkRedirected: "" => of_one(Run::Same, one::redirect_link).only(has_configuration);
        LinkReplaced: "" => of_one(Run::Same, one::replace_link).only(has_configuration);
        LinkDirectory: "" => of_one(Run::Same, one::block_link)
            .undone_after(4, one::unblock_link)
            .only(has_configuration);
        ManagerKilled: "" => of_host(host::kill_daemon);
        ManagerShutDown: "" => of_host(host::restart_daemon);
        ManagerHeld: "" => of_host(host::hold_up_daemon);
        StatusGarbled: "" => of_host(host::garble_status).shown_by(host::status_is_whole);
        RecordLocked: "" => of_host(host::take_lock);
        RecordCorrupt: "" => of_host(host::garble_record).undone_after(4, host::mend_record);
        CatalogBroken: "" => of_host(host::break_catalog).undone_after(6, host::mend_catalog);
        FilesComeAndGo: "" => of_host(host::burst_of_files);
        UnparsableFile: "" =>
            of_host(host::write_broken_unit).undone_after(5, host::remove_broken_unit);
        BusDown: "by a kill" => of_one(Run::Same, host::kill_bus).reaching(Reach::All);
        UserManagerStopped: "then started" =>
            of_one(Run::Another, host::restart_manager).reaching(Reach::All);
        GeneratorMissing: "unit deleted" => of_one(Run::SameIfSeen, host::take_generator)
            .undone_after(5, host::give_generator)
            .reaching(Reach::OneAlone);
        PodmanMissing: "service stopped" => of_one(Run::Another, host::take_podman)
            .undone_after(4, host::give_podman)
            .reaching(Reach::OneAlone);
        DiskReadOnly: "unit deleted" => of_one(Run::SameIfSeen, host::close_units)
            .undone_after(5, host::open_units)
            .reaching(Reach::OneAlone);
    }
    not_done {
        "ends another fault, which ends by itself in this run":
            UnitAccepted UnitUnmasked UnitUnshadowed ContainerUnpaused ProgramRestored
            ConfigDirectoryRemoved InputRestored HookRestored ContextRestored BuildRestored
            RegistryUp RecordReadable CatalogRestored BusUp UserManagerStarted
            PodmanRestored GeneratorRestored UnparsableFileRemoved DiskWritable StartsUsual
            ReloadsUnlimited StartsFast;
        "is done alone in the fault matrix (`faults`), because it blocks or outlasts other faults":
            UnitSpoilt UnitGarbled UnitUnmanagedRefused UnitDirectory UnitRefused JobCancelled
            StopIgnored NeverReady RegistryDown RegistrySlow DiskFull ReloadsLimited RecordLost;
        "makes the generator emit no unit at all, as the missing generator does, which is done":
            UnitUnreadable GeneratorCorruptsOnce;
        "is done alone in the fault matrix (`faults::hooks`), with a hook that is made for it":
            HookFails HookHangs HookNonsense;
        "needs another program in the companion": CrashLoop;
        "leaves a container or an image of this run's own, which a later fault would meet":
            ContainerUnmanaged ContainerLeft ImageLeft;
        "is done alone in the fault matrix (`faults::images`)": ContextRemoved BuildHangs;
        "is done alone (`trouble`), because it lasts until the other unit stops": ContainerTaken;
        "needs images that this run has not": RegistryUntrusted;
        "is done in the conformance suite alone, which damages the layers of a store": ImageDamaged;
        "needs another configuration of the service manager": StartsSlow StartsLimited;
        "needs another release of the program or of Podman": RendererChanged;
        "is in no test of the machine; in files it is refused as the owner's own closed file":
            RecordForbidden;
        "would move the clock of the observer": ClockSetBack ClockSetForward;
        "would end the observer, which runs on the same host": Rebooted PowerLost;
    }
}
