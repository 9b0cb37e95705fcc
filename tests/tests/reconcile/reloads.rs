//! Reloads that fail: what is loaded already may start, and nothing else.

use adapter_fake::{Fault, Method, Mode, Port};
use companion_core::ports::PortErrorKind;
use companion_tests::node::{Node, name};

/// Found by the soak. A unit that is loaded as it was restored starts as it would after a reload; another one waits for it.
#[tokio::test(start_paused = true)]
async fn restored_unit_starts_while_reloads_fail_unless_another_text_is_loaded() {
    let node = Node::installed().await;
    let error = Mode::Error(PortErrorKind::Transient);
    node.host.inject(Fault::always(Port::Services, Method::Reload, error));
    node.host.delete_unit(&name("wallet"));
    node.host.edit_unit(&name("indexer"));
    let _ = node.converge().await;
    node.host.stop_service(&name("wallet"));
    node.host.stop_service(&name("indexer"));
    node.sleep(30).await;
    let steps = node.steps_of_pass().await;
    assert!(steps.contains(&"start wallet: not running".to_owned()), "{steps:?}");
    assert!(node.runs("wallet") && !node.runs("indexer"));
    assert_eq!(node.host.violations(), []);
    node.host.clear_faults();
    node.sleep(900).await;
    node.converges_until_as_desired(3).await;
}
