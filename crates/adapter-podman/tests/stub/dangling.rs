//! Cleanup after failed and interrupted builds.

use std::fs;
use std::time::Duration;

use adapter_podman::Limits;
use companion_core::model::image::ImageSource;
use companion_core::ports::ImageProvider as _;

use crate::image_provider::Host;

/// A build that creates a working container as buildah describes it, and then does `rest`.
fn build_with_container(rest: &str) -> String {
    format!(
        r#"for word; do case $word in --build-arg=COMPANION_BUILD=*) mark=${{word##*=}} ;; esac; done
id=$(printf '%064d' 5); container=$dir/store/overlay-containers/$id/userdata
mkdir -p $container
printf '{{"Args":{{"COMPANION_BUILD":"%s"}},"type":"buildah 0.0.1"}}' $mark >$container/buildah.json
{rest}
"#
    )
}

/// Removes the directory of the container, as podman does.
const RM: &str = "for word; do id=$word; done; rm -r $dir/store/overlay-containers/$id";

/// What podman says about an image that a killed one left.
const MISSES_MANIFEST: &str =
    r#"echo 'Error: locating item named "manifest" for image: file does not exist' >&2; exit 125"#;

fn id(digit: char) -> String {
    format!("{digit:0>64}")
}

fn host(rest: &str) -> Host {
    let host = Host::new();
    host.stub.answer("build", &build_with_container(rest));
    host.stub.answer("rm", RM);
    // Two images without a manifest, of which one is there when podman looks: it was being written.
    host.stub
        .answer("image-inspect", &format!("case $* in *{}) {MISSES_MANIFEST} ;; esac", id('6')));
    let unfinished = |id: &str| format!(r#"{{"id":"{id}","names":[]}}"#);
    let index = format!("[{},{}]", unfinished(&id('6')), unfinished(&id('7')));
    fs::write(host.stub.file("store/overlay-images/images.json"), index).unwrap();
    host
}

fn removals(host: &Host) -> Vec<String> {
    let calls = host.stub.calls().into_iter().map(|call| call.join(" "));
    calls.filter(|call| call.starts_with("rm ") || call.starts_with("image rm ")).collect()
}

fn expected() -> Vec<String> {
    vec![
        format!("rm --force --time=10 --ignore --volumes -- {}", id('5')),
        format!("image rm -- {}", id('6')),
    ]
}

fn only_built(host: &Host) -> ImageSource {
    ImageSource { pull: None, ..host.source() }
}

#[tokio::test]
async fn a_cancelled_build_is_cleaned_up_before_podman_is_settled() {
    let host = host("echo >$dir/ready; trap 'exit 1' TERM; while :; do :; done");
    let ready = host.stub.signal("ready");
    let podman = host.stub.podman();
    let images = host.stub.images(podman.clone());
    let source = only_built(&host);
    tokio::select! {
        image = images.ensure(&source) => panic!("it ended with {image:?}"),
        _ = ready => {}
    }
    podman.settled().await;
    assert_eq!(removals(&host), expected());
}

#[tokio::test]
async fn a_build_that_fails_or_times_out_is_cleaned_up_and_others_are_kept() {
    for rest in ["exit 1", "trap '' TERM; while :; do sleep 0.1; done"] {
        let host = host(rest);
        let limits = Limits {
            build: Duration::from_millis(500),
            grace: Duration::from_millis(200),
            ..Limits::default()
        };
        let images = host.stub.images(host.stub.podman().with_limits(limits));
        images.ensure(&only_built(&host)).await.unwrap_err();
        assert_eq!(removals(&host), expected(), "{rest}");
    }
}

#[tokio::test]
async fn a_container_that_a_killed_build_did_not_describe_is_removed() {
    let host = host(
        r#"rm $container/buildah.json; created=$(date --utc +%Y-%m-%dT%H:%M:%S.%NZ)
        printf '[{"id":"%s","names":["base-working-container"],"created":"%s"}]' $id $created \
            >$dir/store/overlay-containers/volatile-containers.json
        kill -KILL $$"#,
    );
    let error = host.images.ensure(&only_built(&host)).await.unwrap_err();
    assert!(error.chain().contains("signal 9"), "{}", error.chain());
    assert_eq!(removals(&host), expected());
}

#[tokio::test]
async fn a_failed_build_that_left_nothing_has_podman_asked_for_nothing_more() {
    let host = host("rm -r $container; exit 1");
    host.set_images("[]");
    host.images.ensure(&only_built(&host)).await.unwrap_err();
    assert!(host.stub.verbs().ends_with("build"), "{}", host.stub.verbs());
}

#[tokio::test]
async fn a_new_leader_cleans_up_after_builds_of_ended_processes() {
    let host = host("exit 0");
    let containers = host.stub.file("store/overlay-containers");
    let container = |digit: char, arguments: &str| {
        let userdata = containers.join(id(digit)).join("userdata");
        fs::create_dir_all(&userdata).unwrap();
        let text = format!(r#"{{"Args":{arguments}}}"#);
        fs::write(userdata.join("buildah.json"), text).unwrap();
    };
    // Of an ended process, and of an unmanaged build.
    container('5', &format!(r#"{{"COMPANION_BUILD":"{}-1-0"}}"#, std::process::id()));
    container('9', r#"{"BASE_IMAGE":"x"}"#);
    assert_eq!(host.stub.podman().end_orphans().await, 0);
    assert_eq!(removals(&host), expected());
    host.stub.forget_calls();
    host.set_images("[]");
    host.stub.podman().end_orphans().await;
    assert_eq!(host.stub.verbs(), "info");
}

#[tokio::test]
async fn a_build_reports_its_own_error_when_its_container_stays() {
    let host = host("echo 'Error: it broke' >&2; exit 1");
    host.stub.answer("rm", "exit 125");
    let error = host.images.ensure(&only_built(&host)).await.unwrap_err();
    assert!(error.chain().contains("it broke"), "{}", error.chain());
}
