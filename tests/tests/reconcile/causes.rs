//! The root cause of a failed start: the log of the failed run is read once and shown, and influences no decision.

use adapter_fake::{Fault, Method, Mode, Port};
use companion_core::ports::PortErrorKind;
use companion_core::reconciler::Convergence;
use companion_core::status::{CompanionStatus, status};
use companion_tests::node::{Node, name};

const TAKEN: &str = "Error: rootlessport listen tcp 0.0.0.0:18083: bind: address already in use";

/// The status of `base` at the end of `convergence`.
fn status_of(convergence: &Convergence, base: &str) -> Option<CompanionStatus> {
    status(&convergence.last).into_iter().find(|status| status.name == name(base))
}

/// A node on which the wallet's port is occupied.
fn with_a_taken_port() -> Node {
    let node = Node::new();
    node.host.change(|world, _| {
        world.behaviour_mut(&name("wallet")).start_fails = Some(126);
        world.say_at_end(&name("wallet"), TAKEN);
    });
    node.install_all();
    node
}

/// The number of log requests.
fn readings(node: &Node) -> usize {
    let journal = node.host.journal();
    journal.entries().filter(|entry| entry.call.method == Method::LogTails).count()
}

#[tokio::test(start_paused = true)]
async fn failed_start_reports_its_root_cause() {
    let node = with_a_taken_port();
    let convergence = node.converge().await;
    let wallet = status_of(&convergence, "wallet").unwrap();
    assert_eq!(wallet.root_cause.as_deref(), Some("port 18083 is already in use"));
    assert_eq!(wallet.why[0], "port 18083 is already in use");
    assert_eq!(wallet.log, [TAKEN]);
    assert_eq!(wallet.conditions[0].reason, "crash-loop", "{wallet:?}");
    for base in ["viewer", "indexer"] {
        let other = status_of(&convergence, base).unwrap();
        assert_eq!((other.root_cause, other.log), (None, Vec::new()), "{base}");
    }
    node.host.change(|world, _| world.behaviour_mut(&name("wallet")).start_fails = None);
    node.sleep(30).await;
    let wallet = status_of(&node.converge().await, "wallet").unwrap();
    assert_eq!((wallet.root_cause, wallet.log), (None, Vec::new()), "it runs");
}

#[tokio::test(start_paused = true)]
async fn log_is_read_once_per_failed_run_and_never_for_healthy_services() {
    let node = Node::installed().await;
    let before = readings(&node);
    node.assert_quiet().await;
    assert_eq!(readings(&node), before, "nothing failed");
    let node = with_a_taken_port();
    let _ = node.converge().await;
    let before = node.host.counts();
    let asked = readings(&node);
    let _ = node.converge().await;
    assert!(readings(&node) > asked);
    let since = node.host.counts().since(before);
    assert_eq!((since.starts, since.restarts), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn unreadable_log_is_reported_and_delays_no_repair() {
    let failures = [Mode::Error(PortErrorKind::Denied), Mode::Hang];
    for mode in failures {
        let node = with_a_taken_port();
        let _ = node.converge().await;
        node.sleep(60).await;
        let _ = node.converge().await;
        node.host.inject(Fault::always(Port::Services, Method::LogTails, mode));
        node.host.delete_unit(&name("viewer"));
        let before = node.host.counts();
        let convergence = node.converge().await;
        assert_eq!(node.host.counts().since(before).unit_writes, 1, "{mode:?}");
        let wallet = status_of(&convergence, "wallet").unwrap();
        assert!(wallet.log_error.is_some() && !wallet.why.is_empty(), "{mode:?}: {wallet:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn drop_ins_are_reported_without_an_action() {
    let node = Node::installed().await;
    node.host.add_drop_in_of_file(&name("wallet"));
    node.host.add_drop_in_of_service(&name("wallet"));
    node.host.reload_by_others();
    let before = node.host.counts();
    let convergence = node.converge().await;
    assert_eq!(node.host.counts(), before);
    let wallet = status_of(&convergence, "wallet").unwrap();
    assert!(wallet.health.is_healthy(), "{wallet:?}");
    let [file, service] = &wallet.drop_ins[..] else { panic!("{wallet:?}") };
    assert!(file.contains("wallet.container.d/") && service.contains("wallet.service.d/"));
    assert_eq!(status_of(&convergence, "viewer").unwrap().drop_ins, Vec::<String>::new());
}
