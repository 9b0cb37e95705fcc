//! How each fault is done to the real host, and why some are not: the compiler sees that none is forgotten.

use companion_tests::faults::Fault;

use super::faults::{
    Kind, Reach, Real, Run, What, has_configuration, has_its_image, is_built_here, of_host, of_one,
    status_is_whole,
};
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
            "" => of_one(Run::SameIfSeen, "rm $UNIT"),
            "of all companions" => of_one(Run::SameIfSeen, "rm $EVERY_UNIT").reaching(Reach::All);
        UnitEdited:
            "" => of_one(Run::Another, "edit"),
            "then loaded" => of_one(Run::Another, "edit && user daemon-reload");
        UnitTruncated: "" => of_one(Run::Either, "truncate --no-create --size=0 $UNIT");
        UnitExposed: "" => of_one(Run::Either, "chmod 0666 $UNIT");
        UnitTouched: "" =>
            of_one(Run::Same, "touch --no-create --date=2038-01-01 $UNIT && grep -q X-Companion $UNIT");
        UnitUnmanaged: "" => of_one(
            Run::Either,
            r#"printf "[Container]\nImage=localhost/unmanaged:latest\nContainerName=$NAME\n" >$UNIT"#,
        )
        .undone_after(4, "grep -q X-Companion $UNIT || rm -f $UNIT");
        // The runtime directory takes precedence over the user's directory (podman-systemd.unit(5)).
        UnitShadowed: "" => of_one(
            Run::Either,
            r#"mkdir -p /run/user/1000/containers/systemd &&
               printf "[Container]\nImage=localhost/unmanaged:latest\n" \
                   >/run/user/1000/containers/systemd/$NAME.container && user daemon-reload"#,
        )
        .undone_after(5, "rm -f /run/user/1000/containers/systemd/$NAME.container");
        UnitMasked: "" => of_one(Run::Another, "user mask --now $SERVICE")
            .undone_after(4, "user unmask $SERVICE || true");
        Reloaded:
            "" => of_host("user daemon-reload"),
            "ten times" => of_host("for i in 0 1 2 3 4 5 6 7 8 9; do user daemon-reload & done; wait"),
            "by executing the manager again" => of_host("user daemon-reexec");
        ServiceStopped:
            "" => of_one(Run::Another, "user stop $SERVICE"),
            "of all companions" =>
                of_one(Run::Another, "user stop $EVERY_SERVICE").reaching(Reach::All);
        ServiceRestarted: "" => of_one(Run::Another, "user restart $SERVICE");
        // A paused container is killed by its stop, which fails the service.
        ServiceFailed: "" =>
            of_one(Run::Another, "podman pause $NAME && { user stop $SERVICE || true; }");
        // If the companion recovers before, the port is not free.
        StartsFail: "its port taken" => of_one(
            Run::Another,
            "user stop $SERVICE && { systemd-run --user --quiet --collect --unit=port-$PORT \
                 --socket-property=ListenStream=0.0.0.0:$PORT sleep infinity || true; }",
        )
        .undone_after(6, "user stop port-$PORT.socket port-$PORT.service || true");
        ContainerKilled:
            "" => of_one(Run::Another, "kill_container"),
            "with its service" => of_one(Run::Another, "user kill --signal=KILL $SERVICE"),
            "by a kill of conmon" =>
                of_one(Run::Another, "user kill --kill-whom=main --signal=KILL $SERVICE"),
            "by a stop of Podman" => of_one(Run::Another, "active && podman stop $NAME");
        ContainerRemoved: "" => of_one(Run::Another, "active && podman rm --force $NAME");
        ContainerPaused: "" => of_one(Run::Another, "podman pause $NAME");
        // With its container, which cannot exist without it.
        ImageRemoved: "" =>
            of_one(Run::Another, "active && podman image rm --force $TAG").only(is_built_here);
        TagRemoved: "" => of_one(Run::Same, "podman untag $TAG $TAG")
            .shown_by(has_its_image)
            .only(is_built_here);
        TagMoved:
            "" => of_one(Run::Same, "podman tag localhost/unmanaged:latest $TAG")
                .shown_by(has_its_image)
                .only(is_built_here),
            "then container killed" => of_one(
                Run::Another,
                "active && podman tag localhost/unmanaged:latest $TAG && kill_container",
            )
            .shown_by(has_its_image)
            .only(is_built_here);
        // The base image stays, because the unmanaged container uses it.
        ImagesPruned: "" => of_host("podman image prune --all --force");
        ContextChanged: "" =>
            of_one(Run::Another, "echo page-$NUMBER >$CONTEXT/page").only(|it| it == BUILT);
        BuildFails: "image removed" => of_one(
            Run::Another,
            "sed -i 's/^COPY page /COPY no-such-page /' $CONTEXT/Dockerfile && podman image rm --force $TAG",
        )
        .undone_after(5, "sed -i 's/^COPY no-such-page /COPY page /' $CONTEXT/Dockerfile")
        .only(|it| it == BUILT);
        CredentialsRotated:
            "" => of_one(Run::Another, "sed -i \"s/[0-9]*$/$NUMBER/\" $PASSWORD")
                .only(|it| it == BITCOIN),
            "of a template" =>
                of_one(Run::Another, "echo colour-$NUMBER >$COLOUR").only(|it| it == HOOKED);
        InputLost: "" => of_one(Run::Same, "mv $PASSWORD $PASSWORD.away")
            .undone_after(4, "mv $PASSWORD.away $PASSWORD")
            .only(|it| it == BITCOIN);
        ConfigDeleted: "" => of_one(Run::Another, "rm $(rendered)").only(has_configuration);
        ConfigEdited:
            "" => of_one(Run::Another, "sed -i '1i# edited' $(rendered)").only(has_configuration),
            // A service that starts meanwhile uses the edited file, and reports the current revision.
            "then container killed" => of_one(
                Run::Another,
                "active && sed -i '1i# edited' $(rendered) && kill_container",
            )
            .only(has_configuration);
        ConfigReadable: "" => of_one(Run::Same, "chmod 0644 $(rendered)").only(has_configuration);
        ConfigWritable: "" =>
            of_one(Run::Another, "chmod 0666 $(rendered)").only(has_configuration);
        ConfigDirectory: "" =>
            of_one(Run::Another, "file=$(rendered) && rm $file && mkdir $file")
                .undone_after(4, "rmdir $OUTPUT.* 2>/dev/null || true")
                .only(has_configuration);
        LinkDeleted: "" => of_one(Run::Same, "rm $OUTPUT").only(has_configuration);
        // To a file of another owner, which must not be written through the link.
        LinkRedirected: "" =>
            of_one(Run::Same, "ln -sfn $UNITS/notes.txt $OUTPUT").only(has_configuration);
        // `sed -i` replaces the link by a regular file.
        LinkReplaced: "" => of_one(Run::Same, "sed -i '1i# edited' $OUTPUT").only(has_configuration);
        LinkDirectory: "" => of_one(Run::Same, "rm $OUTPUT && mkdir $OUTPUT")
            .undone_after(4, "rmdir $OUTPUT 2>/dev/null || true")
            .only(has_configuration);
        ManagerKilled: "" => of_host("signal KILL");
        ManagerShutDown: "" => of_host("user restart companion.service");
        ManagerHeld: "" => of_host("signal STOP && sleep 3; signal CONT");
        // It influences no decision; the leader rewrites it when it changes.
        StatusGarbled: "" => of_host(
            "printf '{\"half a' | tee $STATE/status.json >$STATE/events.jsonl; $COMPANION reload",
        )
        .shown_by(status_is_whole);
        RecordLocked: "" => of_host("flock $STATE/lock sleep 5");
        RecordCorrupt: "" =>
            of_host("mv $STATE/desired.json $STATE/away && echo half a rec >$STATE/desired.json")
                .undone_after(4, "mv $STATE/away $STATE/desired.json");
        // The last valid one stays in force.
        CatalogBroken: "" =>
            of_host("cp $CATALOG $CATALOG.away && echo half a cat >$CATALOG")
                .undone_after(6, "mv $CATALOG.away $CATALOG");
        FilesComeAndGo: "" =>
            of_host("cd $UNITS && for i in $(seq 300); do : >burst-$i; done; rm -f burst-*");
        UnparsableFile: "" => of_host("echo '[Container' >$UNITS/broken.container")
            .undone_after(5, "rm -f $UNITS/broken.container");
        BusDown: "by a kill" =>
            of_one(Run::Same, "user kill --signal=KILL dbus.service").reaching(Reach::All);
        UserManagerStopped: "then started" =>
            of_one(Run::Another, "systemctl restart user@1000.service")
                .as_root()
                .reaching(Reach::All);
        // No reload meanwhile: a reload without a generator drops every unit.
        GeneratorMissing: "unit deleted" => of_one(
            Run::SameIfSeen,
            "chmod 0 /usr/lib/systemd/user-generators/podman-user-generator && rm $UNIT",
        )
        .undone_after(5, "chmod 0755 /usr/lib/systemd/user-generators/podman-user-generator")
        .as_root()
        .reaching(Reach::OneAlone);
        PodmanMissing: "service stopped" =>
            of_one(Run::Another, "archy systemctl --user stop $SERVICE && chmod 0 /usr/bin/podman")
                .undone_after(4, "chmod 0755 /usr/bin/podman")
                .as_root()
                .reaching(Reach::OneAlone);
        DiskReadOnly: "unit deleted" => of_one(
            Run::SameIfSeen,
            "rm $UNIT && mount --bind $UNITS $UNITS && mount -o remount,bind,ro $UNITS",
        )
        .undone_after(5, "umount $UNITS")
        .as_root()
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
            UnitUnmanagedRefused JobCancelled NeverReady RegistryDown RegistrySlow DiskFull;
        "is done by the conformance suite, which asks the same host":
            UnitSpoilt UnitGarbled UnitDirectory UnitRefused StopIgnored ReloadsLimited;
        "would leave nothing to recover, and is done on the fake host": RecordLost;
        "makes the generator emit no unit at all, as the missing generator does, which is done":
            UnitUnreadable GeneratorCorruptsOnce;
        "is done by adapter-hooks, with programs that are made for it":
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
