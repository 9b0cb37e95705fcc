//! Workloads on a host with temporary faults, and on one with two processes.

use std::time::Duration;

use adapter_fake::FakeHost;
use adapter_fake::world::conditions::{Disk, Generator};

use super::{
    INDEXER, Op, Other, VIEWER, WALLET, Workload, bare, installed,
    wallet_with_another_specification,
};
use crate::node::{REGISTRY, indexer, name, wallet};

pub(super) fn conditions() -> Vec<Workload> {
    use Op::{Happens, Install, Pass, Sleep};
    vec![
        installed(
            // A boot during the fault starts nothing.
            "a generator that fails once",
            &["viewer", "wallet", "indexer", "explorer"],
            vec![
                Happens(|host| host.delete_unit(&name("wallet"))),
                Happens(|host| {
                    host.change(|world, _| world.conditions.generator = Generator::CorruptsOnce);
                }),
            ],
        ),
        bare(
            "an installation while the registry is down",
            INDEXER,
            vec![
                Happens(|host| host.registry_down(REGISTRY)),
                Install(indexer),
                Pass,
                Sleep(60),
                Happens(|host| host.registry_up(REGISTRY)),
            ],
        ),
        installed(
            "an update while the service manager is unreachable",
            WALLET,
            vec![
                Happens(|host| host.change(|world, _| world.conditions.bus = false)),
                Install(wallet_with_another_specification),
                Pass,
                Sleep(60),
                Happens(|host| host.change(|world, _| world.conditions.bus = true)),
            ],
        ),
        installed(
            "a removal while the disk is full",
            VIEWER,
            vec![
                Op::Remove("viewer"),
                Happens(|host| host.change(|world, _| world.conditions.disk = Disk::Full)),
                Pass,
                Sleep(60),
                Happens(|host| host.change(|world, _| world.conditions.disk = Disk::Writable)),
            ],
        ),
        installed(
            "an update while the disk is full",
            VIEWER,
            vec![
                Happens(|host| host.change(|world, _| world.conditions.disk = Disk::Full)),
                Happens(FakeHost::rotate_credentials),
                Pass,
                Sleep(60),
                Happens(|host| host.change(|world, _| world.conditions.disk = Disk::Writable)),
            ],
        ),
    ]
}

pub(super) fn beside_each_other() -> Vec<Workload> {
    use Op::{Beside, Happens, Install};
    let soon = Duration::from_millis(30);
    let later = Duration::from_secs(5);
    vec![
        installed(
            "a repair during a removal",
            &["viewer", "wallet"],
            vec![
                Happens(|host| host.edit_unit(&name("viewer"))),
                Beside(soon, Other::Removes("wallet")),
            ],
        ),
        installed(
            "a repair during the removal of the same companion",
            WALLET,
            vec![
                Happens(|host| host.edit_unit(&name("wallet"))),
                Beside(soon, Other::Removes("wallet")),
            ],
        ),
        bare(
            "a build during its removal",
            WALLET,
            vec![Install(wallet), Beside(later, Other::Removes("wallet"))],
        ),
        bare(
            "a build during an installation",
            &["wallet", "indexer"],
            vec![Install(wallet), Beside(later, Other::Installs(indexer))],
        ),
        installed(
            "two managers at one repair",
            WALLET,
            vec![
                Happens(|host| host.delete_unit(&name("wallet"))),
                Happens(|host| host.stop_service(&name("wallet"))),
                Beside(soon, Other::Manager),
            ],
        ),
    ]
}
