//! Workloads that lose or change a part of a companion, stage by stage.

use adapter_fake::FakeHost;

use super::{ALL, INDEXER, Op, VIEWER, WALLET, Workload, installed};
use crate::node::{config, context, name, password, reference};

pub(super) fn units() -> Vec<Workload> {
    use Op::{Happens, Pass, PowerLoss, Reboot, Sleep};
    vec![
        installed(
            "a deleted unit",
            WALLET,
            vec![Happens(|host| host.delete_unit(&name("wallet")))],
        ),
        installed("an edited unit", VIEWER, vec![Happens(|host| host.edit_unit(&name("viewer")))]),
        installed(
            "a truncated unit",
            INDEXER,
            vec![Happens(|host| host.truncate_unit(&name("indexer")))],
        ),
        installed("a spoilt unit", WALLET, vec![Happens(|host| host.spoil_unit(&name("wallet")))]),
        installed(
            "three units deleted together",
            ALL,
            vec![Happens(|host| ALL.iter().for_each(|base| host.delete_unit(&name(base))))],
        ),
        installed(
            "a unit edited, loaded and started",
            WALLET,
            vec![
                Happens(|host| host.edit_unit(&name("wallet"))),
                Happens(FakeHost::reload_by_others),
                Happens(|host| host.kill_container(&name("wallet"))),
                Sleep(15),
            ],
        ),
        installed(
            "a unit edited, and a reboot",
            WALLET,
            vec![Happens(|host| host.edit_unit(&name("wallet"))), Reboot],
        ),
        installed(
            "a unit deleted, and a loss of power",
            INDEXER,
            vec![Happens(|host| host.delete_unit(&name("indexer"))), PowerLoss],
        ),
        installed(
            "an unmanaged unit that is removed again",
            WALLET,
            vec![
                Happens(|host| host.put_unmanaged_unit(&name("wallet"))),
                Pass,
                Sleep(60),
                Happens(|host| host.delete_unit(&name("wallet"))),
            ],
        ),
        installed(
            "a mask that is removed",
            WALLET,
            vec![
                Happens(|host| host.mask(&name("wallet"))),
                Happens(|host| host.stop_service(&name("wallet"))),
                Pass,
                Sleep(60),
                Happens(|host| host.unmask(&name("wallet"))),
                Happens(FakeHost::reload_by_others),
            ],
        ),
        installed(
            "a shadowing unit that is removed",
            WALLET,
            vec![
                Happens(|host| host.shadow(&name("wallet"))),
                Happens(|host| host.stop_service(&name("wallet"))),
                Pass,
                Sleep(60),
                Happens(|host| host.unshadow(&name("wallet"))),
            ],
        ),
    ]
}

pub(super) fn services() -> Vec<Workload> {
    use Op::{Happens, Pass, Sleep};
    vec![
        installed(
            "a killed container with a lost unit",
            WALLET,
            vec![
                Happens(|host| host.delete_unit(&name("wallet"))),
                Happens(FakeHost::reload_by_others),
                Happens(|host| host.kill_container(&name("wallet"))),
            ],
        ),
        installed(
            "a container removed by hand, its service stopped",
            INDEXER,
            vec![
                Happens(|host| host.remove_container(&name("indexer"))),
                Happens(|host| host.stop_service(&name("indexer"))),
            ],
        ),
        installed(
            "a paused container",
            WALLET,
            vec![Happens(|host| host.pause_container(&name("wallet")))],
        ),
        installed(
            "a service stopped by hand",
            VIEWER,
            vec![Happens(|host| host.stop_service(&name("viewer"))), Sleep(5)],
        ),
        installed(
            "an unmanaged container that is removed again",
            WALLET,
            vec![
                Happens(|host| host.stop_service(&name("wallet"))),
                Sleep(5),
                Happens(|host| host.put_unmanaged_container(&name("wallet"))),
                Pass,
                Sleep(60),
                Happens(|host| host.remove_container(&name("wallet"))),
            ],
        ),
        installed(
            "a service that had to be killed",
            WALLET,
            vec![
                Happens(|host| heeds_stops(host, false)),
                Happens(|host| host.stop_service(&name("wallet"))),
                Sleep(15),
                Happens(|host| heeds_stops(host, true)),
            ],
        ),
        installed(
            "the removal of one with a dangling container",
            WALLET,
            vec![
                Happens(|host| host.delete_unit(&name("wallet"))),
                Happens(FakeHost::reload_by_others),
                Happens(|host| host.kill_container(&name("wallet"))),
                Op::Remove("wallet"),
            ],
        ),
    ]
}

pub(super) fn images_and_configuration() -> Vec<Workload> {
    use Op::{Happens, Pass, Sleep};
    let wallet_image = |host: &FakeHost| host.remove_image(&reference("localhost/wallet:latest"));
    vec![
        installed("rotated credentials", VIEWER, vec![Happens(FakeHost::rotate_credentials)]),
        installed(
            "a lost configuration",
            VIEWER,
            vec![Happens(|host| host.delete_config(&config()))],
        ),
        installed(
            "an edited configuration, its service stopped",
            VIEWER,
            vec![
                Happens(|host| host.edit_config(&config())),
                Happens(|host| host.stop_service(&name("viewer"))),
            ],
        ),
        installed(
            "a configuration with an insecure mode",
            VIEWER,
            vec![Happens(|host| host.expose_config(&config(), 0o644))],
        ),
        installed(
            "credentials that are missing for a while",
            VIEWER,
            vec![
                Happens(|host| host.remove_input(&password())),
                Happens(|host| host.delete_config(&config())),
                Pass,
                Sleep(60),
                Happens(|host| host.put_input(&password(), "second password")),
            ],
        ),
        installed(
            "a changed build context",
            WALLET,
            vec![Happens(|host| host.change_context(&context("wallet")))],
        ),
        installed(
            "two changed build contexts, and old images to prune",
            &["viewer", "wallet"],
            vec![
                Happens(|host| host.change_context(&context("wallet"))),
                Pass,
                Sleep(60),
                Happens(|host| host.change_context(&context("viewer"))),
            ],
        ),
        installed("a lost image", WALLET, vec![Happens(wallet_image)]),
        installed(
            "a lost image, its service stopped",
            WALLET,
            vec![Happens(wallet_image), Happens(|host| host.stop_service(&name("wallet")))],
        ),
    ]
}

/// Whether the wallet exits on SIGTERM; a service that needs SIGKILL has failed.
fn heeds_stops(host: &FakeHost, heeds: bool) {
    host.change(|world, _| world.behaviour_mut(&name("wallet")).ignores_stop = !heeds);
}
