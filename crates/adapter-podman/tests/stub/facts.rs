//! When podman's facts are read again: its version, the location of its store, the store's contents.

use std::ffi::OsString;
use std::fs;

use adapter_podman::Podman;
use companion_core::model::image::ImageSource;
use companion_core::ports::ImageProvider as _;

use crate::image_provider::Host;

/// A host with a built image, its own settings, and a podman that has been observed once.
struct Node {
    host: Host,
    podman: Podman,
}

impl Node {
    async fn new() -> Self {
        let mut host = Host::new();
        host.stub.answer("--version", "echo podman version 5.4.2");
        let config = host.stub.file("config");
        fs::create_dir_all(config.join("containers")).unwrap();
        let variable: (OsString, OsString) = ("XDG_CONFIG_HOME".into(), config.into());
        let podman =
            Podman::with_environment(host.stub.environment().into_iter().chain([variable]));
        host.images = host.stub.images(podman.clone());
        host.images.ensure(&host.source()).await.unwrap();
        let node = Self { host, podman };
        node.look().await;
        node
    }

    /// Observes as a leader does at each reconcile, and returns podman's calls.
    async fn look(&self) -> String {
        self.host.stub.forget_calls();
        self.podman.version().await.unwrap();
        assert!(self.host.observe().await.unwrap().is_current());
        self.host.stub.verbs()
    }

    fn write_settings(&self, file: &str, text: &str) {
        fs::write(self.host.stub.file("config/containers").join(file), text).unwrap();
    }
}

#[tokio::test]
async fn a_look_at_an_unchanged_host_starts_no_process() {
    let node = Node::new().await;
    for _ in 0..3 {
        assert_eq!(node.look().await, "");
    }
}

#[tokio::test]
async fn a_replaced_program_invalidates_all_cached_facts_once() {
    let node = Node::new().await;
    node.host.stub.answer("--version", "echo podman version 5.8.0");
    assert_eq!(node.podman.version().await.unwrap(), "5.4.2", "the program is the same file");
    node.host.stub.install();
    assert_eq!(node.look().await, "--version info images image-inspect");
    assert_eq!(node.podman.version().await.unwrap(), "5.8.0");
    assert_eq!(node.look().await, "");
}

#[tokio::test]
async fn changed_settings_have_podman_asked_for_its_store_and_images() {
    let node = Node::new().await;
    node.write_settings("containers.conf", "# one");
    assert_eq!(node.look().await, "info images image-inspect");
    assert_eq!(node.look().await, "");
}

#[tokio::test]
async fn a_store_that_moved_is_noticed_at_the_next_look() {
    let node = Node::new().await;
    let stub = &node.host.stub;
    fs::create_dir_all(stub.file("moved/overlay-images")).unwrap();
    fs::write(stub.file("moved/overlay-images/images.json"), "[]").unwrap();
    fs::write(stub.file("images.json"), "[]").unwrap();
    stub.answer(
        "info",
        r#"printf '{"store":{"graphRoot":"%s/moved","graphDriverName":"overlay","runRoot":"/nowhere"}}' $dir"#,
    );
    node.write_settings("storage.conf", "[storage]\n");
    stub.forget_calls();
    assert_eq!(node.host.observe().await.unwrap().present, None);
    assert_eq!(stub.verbs(), "info images");
}

/// `image_copy_tmp_dir` of containers.conf(5), which an operator sets where `/var/tmp` is small.
#[tokio::test]
async fn a_build_has_temporary_files_where_podman_has_them_and_leaves_none() {
    let host = Host::new();
    host.stub.answer(
        "info",
        r#"printf '{"store":{"graphRoot":"%s/store","graphDriverName":"overlay","runRoot":"/nowhere","imageCopyTmpDir":"%s/copies"}}' $dir $dir"#,
    );
    host.stub.answer("build", r#"printf %s "$TMPDIR" >$dir/place; touch "$TMPDIR/blob"; exit 1"#);
    let source = ImageSource { pull: None, ..host.source() };
    host.images.ensure(&source).await.unwrap_err();
    let place = fs::read_to_string(host.stub.file("place")).unwrap();
    let copies = host.stub.file("copies");
    assert!(place.starts_with(copies.to_str().unwrap()), "{place}");
    assert_eq!(fs::read_dir(copies).unwrap().count(), 0, "removed when the build ended");
}
