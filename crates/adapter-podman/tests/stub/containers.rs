//! `ContainerFacts` on a podman that says what the test wants.

use std::collections::BTreeSet;

use adapter_podman::PodmanContainers;
use companion_core::model::companion::CompanionName;
use companion_core::model::unit::ContainerState;
use companion_core::ports::{ContainerFacts as _, PortErrorKind};

use crate::podman_stub::PodmanStub;

const LISTING: &str = r#"cat <<'JSON'
[{"Id": "aaaa", "Names": ["archy-a"], "Image": "localhost/a:latest", "State": "exited",
  "Labels": {"companion.name": "archy-a"}},
 {"Id": "bbbb", "Names": ["archy-b"], "Image": "registry.example/b:1", "State": "running", "Labels": null}]
JSON"#;

fn name(text: &str) -> CompanionName {
    CompanionName::new(text).unwrap()
}

#[tokio::test]
async fn one_call_answers_for_every_name() {
    let stub = PodmanStub::new();
    stub.answer("ps", LISTING);
    let containers = PodmanContainers::new(stub.podman());
    let names = BTreeSet::from(["archy-a", "archy-b", "archy-c"].map(name));
    let states = containers.observe(&names).await.unwrap();
    let status = "exited".to_owned();
    let image = "registry.example/b:1".to_owned();
    assert_eq!(states[&name("archy-a")], ContainerState::Ours { status });
    assert_eq!(states[&name("archy-b")], ContainerState::Foreign { image });
    assert_eq!(states[&name("archy-c")], ContainerState::Absent);
    assert_eq!(stub.verbs(), "ps");
    assert!(containers.observe(&BTreeSet::new()).await.unwrap().is_empty());
    assert_eq!(stub.verbs(), "ps", "nothing was asked about");
}

#[tokio::test]
async fn an_answer_that_says_there_is_none_is_absence_and_an_error_is_not() {
    let stub = PodmanStub::new();
    let containers = PodmanContainers::new(stub.podman());
    let names = BTreeSet::from([name("archy-a")]);
    for none in ["[]", "null"] {
        stub.answer("ps", &format!("echo '{none}'"));
        let states = containers.observe(&names).await.unwrap();
        assert_eq!(states[&name("archy-a")], ContainerState::Absent);
    }
    stub.answer("ps", "exit 125");
    let error = containers.observe(&names).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Transient);
    stub.answer("ps", "echo surprise");
    let error = containers.observe(&names).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Unavailable);
}

#[tokio::test]
async fn ours_is_removed_by_its_id_and_a_stranger_s_is_left_alone() {
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
