//! Companions on a host without optional abilities: nothing is loaded or reset, and each repair works nevertheless.

use adapter_fake::{FakeHost, World};
use companion_core::model::host::HostTraits;
use companion_tests::node::{Node, name, viewer, wallet};

fn node() -> Node {
    Node::on(FakeHost::new(World::without_traits()))
}

#[tokio::test(start_paused = true)]
async fn companions_start_without_a_load_on_a_host_without_traits() {
    let node = node();
    assert_eq!(node.host.ports().traits, HostTraits::NONE);
    node.install_all();
    let _ = node.converge().await;
    node.assert_true();
    let counts = node.host.counts();
    assert_eq!((counts.unit_writes, counts.starts), (3, 3));
    assert_eq!((counts.reloads, counts.resets), (0, 0));
    node.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn companions_are_repaired_and_removed_on_a_host_without_traits() {
    let node = node();
    node.install_all();
    let _ = node.converge().await;
    node.host.edit_unit(&name("viewer"));
    node.host.delete_unit(&name("wallet"));
    node.host.stop_service(&name("indexer"));
    for _ in 0..3 {
        node.sleep(10).await;
        let _ = node.converge().await;
    }
    node.assert_true();
    for spec in [viewer(), wallet()] {
        node.host.remove(&spec.name);
    }
    let _ = node.converge().await;
    node.assert_true();
    assert!(!node.runs("viewer") && !node.runs("wallet") && node.runs("indexer"));
    assert_eq!((node.host.counts().reloads, node.host.counts().resets), (0, 0));
}
