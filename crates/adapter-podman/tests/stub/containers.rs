//! `ContainerRuntime` on a podman with scripted output.

use std::collections::{BTreeMap, BTreeSet};

use adapter_podman::PodmanContainers;
use companion_core::model::companion::CompanionName;
use companion_core::model::unit::ContainerState;
use companion_core::ports::{ContainerRuntime as _, PortErrorKind, PortResult};

use crate::podman_stub::PodmanStub;

const LISTING: &str = r#"cat <<'JSON'
[{"Id": "aaaa", "Names": ["archy-a"], "Image": "localhost/a:latest", "State": "exited",
  "Labels": {"companion.name": "archy-a"}},
 {"Id": "bbbb", "Names": ["archy-b"], "Image": "registry.example/b:1", "State": "running", "Labels": null}]
JSON"#;

fn name(text: &str) -> CompanionName {
    CompanionName::new(text).unwrap()
}

/// Returns an answer without failed entries.
fn read(
    states: BTreeMap<CompanionName, PortResult<ContainerState>>,
) -> BTreeMap<CompanionName, ContainerState> {
    states.into_iter().map(|(name, state)| (name, state.unwrap())).collect()
}

#[tokio::test]
async fn one_call_reads_every_name() {
    let stub = PodmanStub::new();
    stub.answer("ps", LISTING);
    let containers = PodmanContainers::new(stub.podman());
    let names = BTreeSet::from(["archy-a", "archy-b", "archy-c"].map(name));
    let states = read(containers.observe(&names).await);
    let status = "exited".to_owned();
    let what = "a container of image registry.example/b:1".to_owned();
    assert_eq!(states[&name("archy-a")], ContainerState::Ours { status });
    assert_eq!(states[&name("archy-b")], ContainerState::Unmanaged { what });
    assert_eq!(states[&name("archy-c")], ContainerState::Absent);
    assert_eq!(stub.verbs(), "ps");
    assert!(containers.observe(&BTreeSet::new()).await.is_empty());
    assert_eq!(stub.verbs(), "ps", "no name, no call");
}

#[tokio::test]
async fn an_answer_that_says_there_is_none_is_absence_and_an_error_is_not() {
    let stub = PodmanStub::new();
    let containers = PodmanContainers::new(stub.podman());
    let names = BTreeSet::from([name("archy-a")]);
    for none in ["[]", "null"] {
        stub.answer("ps", &format!("echo '{none}'"));
        let states = read(containers.observe(&names).await);
        assert_eq!(states[&name("archy-a")], ContainerState::Absent);
    }
    stub.answer("ps", "exit 125");
    let error = containers.observe(&names).await.remove(&name("archy-a")).unwrap().unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Transient);
    stub.answer("ps", "echo surprise");
    let error = containers.observe(&names).await.remove(&name("archy-a")).unwrap().unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Unavailable);
}

#[tokio::test]
async fn a_row_that_is_not_understood_concerns_its_name_alone() {
    let stub = PodmanStub::new();
    let containers = PodmanContainers::new(stub.podman());
    let names = BTreeSet::from(["archy-a", "archy-b", "archy-c"].map(name));
    let good = r#"{"Id": "aaaa", "Names": ["archy-a"], "State": "exited", "Labels": {"companion.name": "archy-a"}}"#;
    let of = |bad: &str| format!("echo '[{good}, {bad}]'");

    stub.answer("ps", &of(r#"{"Id": "bbbb", "Names": ["archy-b"], "State": 7}"#));
    let states = containers.observe(&names).await;
    assert!(states[&name("archy-a")].is_ok());
    let error = states[&name("archy-b")].as_ref().unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Unavailable);
    assert!(error.chain().contains("archy-b"), "{}", error.chain());
    assert_eq!(*states[&name("archy-c")].as_ref().unwrap(), ContainerState::Absent);

    // A container without a readable name is unmanaged and may have any name, so no name counts as absent.
    stub.answer("ps", &of(r#"{"Id": "bbbb", "Names": 7}"#));
    let states = containers.observe(&names).await;
    assert!(states[&name("archy-a")].is_ok());
    assert!(states[&name("archy-b")].is_err() && states[&name("archy-c")].is_err());
    assert!(containers.remove(&name("archy-c")).await.is_err());
    assert_eq!(stub.verbs(), "ps ps ps");
}

#[tokio::test]
async fn a_container_for_which_the_whole_call_fails_concerns_its_name_alone() {
    let stub = PodmanStub::new();
    let snippet = format!(
        "case \"$*\" in *archy-b*) echo 'Error: reading state: invalid' >&2; exit 125;; esac\n{LISTING}"
    );
    stub.answer("ps", &snippet);
    let containers = PodmanContainers::new(stub.podman());
    let names = BTreeSet::from(["archy-a", "archy-b", "archy-c"].map(name));
    let states = containers.observe(&names).await;
    assert!(states[&name("archy-a")].is_ok() && states[&name("archy-c")].is_ok());
    let text = states[&name("archy-b")].as_ref().unwrap_err().chain();
    assert!(text.contains("archy-b") && text.contains("invalid"), "{text}");
    assert_eq!(stub.verbs(), "ps ps ps ps");
}

#[tokio::test]
async fn managed_containers_are_removed_by_id_and_unmanaged_ones_are_kept() {
    let stub = PodmanStub::new();
    stub.answer("ps", LISTING);
    let containers = PodmanContainers::new(stub.podman());
    containers.remove(&name("archy-a")).await.unwrap();
    let calls = stub.calls();
    let removal = calls.last().unwrap().join(" ");
    assert_eq!(removal, "rm --force --time=10 --ignore --volumes -- aaaa");

    stub.forget_calls();
    let error = containers.remove(&name("archy-b")).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Conflict);
    containers.remove(&name("archy-c")).await.unwrap();
    assert_eq!(stub.verbs(), "ps ps");
}
