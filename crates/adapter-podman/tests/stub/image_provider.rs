//! `ImageProvider` on a podman whose store is a few files.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use adapter_podman::PodmanImages;
use companion_core::model::companion::CompanionName;
use companion_core::model::container::AbsolutePath;
use companion_core::model::image::{
    BuildSource, ImageId, ImageRef, ImageSource, ImageState, PullSource,
};
use companion_core::ports::{ImageProvider as _, PortErrorKind, PortResult};

use crate::podman_stub::PodmanStub;

const BUILT: &str = "localhost/x:latest";
const PULLED: &str = "registry.example:5000/t/x:latest";

/// Replaces the index, as containers-storage does at each change.
pub(crate) const COMMIT: &str =
    "cp $dir/images.json $dir/index && mv $dir/index $dir/store/overlay-images/images.json";

/// Creates an image as the arguments request; its ID follows from its context, as in a real build.
const BUILD: &str = r#"for word; do case $word in
    --label=companion.context=*) context=${word##*=} ;;
    --tag=*) tag=${word#--tag=} ;;
esac; done
id=$(printf %s "$context" | sha256sum | cut -c1-64)
printf '[{"Id":"%s","Names":["%s"],"History":["%s"],"Labels":{"companion.context":"%s","companion.source":"%s"}}]' \
    $id $tag $tag $context $tag >$dir/images.json
"#;

const PULL: &str = r#"for word; do name=$word; done
printf '[{"Id":"%064d","Names":["%s"],"Labels":null}]' 7 $name >$dir/images.json
"#;

/// Reports for every image the platform in the file `platform`.
const INSPECT: &str = r#"shift 3; printf '['; comma=
for id; do printf '%s{"Id":"%s",%s}' "$comma" $id "$(cat $dir/platform)"; comma=,; done; echo ']'"#;

fn host_platform() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => r#""Os":"linux","Architecture":"arm64""#,
        _ => r#""Os":"linux","Architecture":"amd64""#,
    }
}

pub(crate) struct Host {
    pub(crate) stub: PodmanStub,
    pub(crate) images: PodmanImages,
}

impl Host {
    pub(crate) fn new() -> Self {
        let stub = PodmanStub::new();
        fs::create_dir_all(stub.file("store/overlay-images")).unwrap();
        fs::create_dir(stub.file("context")).unwrap();
        fs::write(stub.file("context/Dockerfile"), "FROM scratch\n").unwrap();
        fs::write(stub.file("platform"), host_platform()).unwrap();
        fs::write(stub.file("images.json"), "[]").unwrap();
        fs::write(stub.file("store/overlay-images/images.json"), "[]").unwrap();
        stub.answer(
            "info",
            r#"printf '{"version":{"Version":"5.4.2"},"store":{"graphRoot":"%s/store","graphDriverName":"overlay","runRoot":"/nowhere"}}' $dir"#,
        );
        stub.answer("images", "cat $dir/images.json");
        stub.answer("image-inspect", INSPECT);
        stub.answer("build", &format!("{BUILD}{COMMIT}"));
        stub.answer("pull", &format!("{PULL}{COMMIT}"));
        let images = stub.images(stub.podman());
        Self { stub, images }
    }

    fn context(&self) -> PathBuf {
        self.stub.file("context")
    }

    fn build_source(&self) -> BuildSource {
        let context = AbsolutePath::new(self.context().to_str().unwrap()).unwrap();
        BuildSource {
            reference: ImageRef::new(BUILT).unwrap(),
            contexts: vec![context],
            arguments: BTreeMap::new(),
        }
    }

    /// Built if there is a context, otherwise pulled.
    pub(crate) fn source(&self) -> ImageSource {
        let pull = PullSource { reference: ImageRef::new(PULLED).unwrap(), verify_tls: true };
        ImageSource { build: Some(self.build_source()), pull: Some(pull) }
    }

    pub(crate) async fn observe(&self) -> PortResult<ImageState> {
        let name = CompanionName::new("archy-x").unwrap();
        let sources = BTreeMap::from([(name.clone(), self.source())]);
        self.images.observe(&sources).await.remove(&name).unwrap()
    }

    pub(crate) fn set_images(&self, json: &str) {
        fs::write(self.stub.file("images.json"), json).unwrap();
        fs::write(self.stub.file("new-index"), json).unwrap();
        let index = self.stub.file("store/overlay-images/images.json");
        fs::rename(self.stub.file("new-index"), index).unwrap();
    }
}

#[tokio::test]
async fn a_store_that_changed_is_asked_again_once() {
    let host = Host::new();
    host.images.ensure(&host.source()).await.unwrap();
    host.observe().await.unwrap();
    host.stub.forget_calls();
    let id = "a".repeat(64);
    host.set_images(&format!(r#"[{{"Id":"{id}","Names":["localhost/other:latest"]}}]"#));
    assert_eq!(host.observe().await.unwrap().present, None);
    assert_eq!(host.observe().await.unwrap().present, None);
    assert_eq!(host.stub.verbs(), "images");
}

#[tokio::test]
async fn a_store_without_an_index_of_its_own_is_asked_each_time() {
    let host = Host::new();
    host.images.ensure(&host.source()).await.unwrap();
    // Like a separate image store: the graph root has an index that belongs to another store.
    fs::write(host.stub.file("store/overlay-images/images.json"), "[]").unwrap();
    host.observe().await.unwrap();
    host.stub.forget_calls();
    host.observe().await.unwrap();
    fs::remove_file(host.stub.file("store/overlay-images/images.json")).unwrap();
    host.observe().await.unwrap();
    assert_eq!(host.stub.verbs(), "images image-inspect images image-inspect");
}

#[tokio::test]
async fn a_host_error_during_a_build_does_not_fall_back_to_a_pull() {
    let host = Host::new();
    host.stub
        .answer("build", "echo 'Error: write /var/tmp/x: no space left on device' >&2; exit 125");
    let error = host.images.ensure(&host.source()).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Transient);
    assert!(error.chain().contains("the disk is full"), "{}", error.chain());
    assert!(!host.stub.verbs().contains("pull"));
}

#[tokio::test]
async fn a_build_that_leaves_the_image_of_before_is_no_success() {
    let host = Host::new();
    host.images.ensure(&host.source()).await.unwrap();
    fs::write(host.context().join("page.html"), "new").unwrap();
    host.stub.answer("build", "exit 0");
    let error = host.images.ensure(&host.source()).await.unwrap_err();
    assert!(error.chain().contains("the image is missing"), "{}", error.chain());
}

#[tokio::test]
async fn a_context_that_changed_under_its_build_is_no_success() {
    let host = Host::new();
    host.stub.answer("build", &format!("{BUILD}{COMMIT}; echo new >$dir/context/new"));
    let error = host.images.ensure(&host.source()).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Transient);
    assert!(!host.observe().await.unwrap().is_current());
}

#[tokio::test]
async fn a_name_that_is_not_local_is_not_built() {
    let host = Host::new();
    let mut source = host.source();
    source.build.as_mut().unwrap().reference = ImageRef::new(PULLED).unwrap();
    let error = host.images.ensure(&source).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Invalid);
    assert_eq!(host.stub.verbs(), "");
}

#[tokio::test]
async fn a_broken_context_affects_one_companion_and_a_broken_podman_all() {
    let host = Host::new();
    let broken = host.stub.file("broken");
    fs::create_dir(&broken).unwrap();
    fs::write(broken.join("Dockerfile"), "FROM scratch\n").unwrap();
    std::os::unix::fs::symlink("/etc", broken.join("link")).unwrap();
    let mut other = host.source();
    let path = AbsolutePath::new(broken.to_str().unwrap()).unwrap();
    other.build.as_mut().unwrap().contexts = vec![path];
    let names = ["archy-a", "archy-b"].map(|name| CompanionName::new(name).unwrap());
    let sources = BTreeMap::from([(names[0].clone(), other), (names[1].clone(), host.source())]);
    let states = host.images.observe(&sources).await;
    let error = states[&names[0]].as_ref().unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Invalid);
    assert!(states[&names[1]].is_ok());
    host.set_images("[ ]");
    host.stub.answer("images", "exit 125");
    let states = host.images.observe(&sources).await;
    assert!(states.len() == 2 && states.values().all(Result::is_err));
}

/// Observes two companions, one pulled from `PULLED` and one from `other`.
async fn observe_two(host: &Host, other: &str) -> [PortResult<ImageState>; 2] {
    let pulled = |text: &str| {
        let reference = ImageRef::new(text).unwrap();
        ImageSource { build: None, pull: Some(PullSource { reference, verify_tls: true }) }
    };
    let names = ["archy-a", "archy-b"].map(|name| CompanionName::new(name).unwrap());
    let sources = names.clone().into_iter().zip([pulled(PULLED), pulled(other)]).collect();
    let mut states = host.images.observe(&sources).await;
    names.map(|name| states.remove(&name).unwrap())
}

#[tokio::test]
async fn an_image_that_cannot_be_inspected_concerns_its_companion_alone() {
    let (good, bad) = ("a".repeat(64), "b".repeat(64));
    let other = "registry.example:5000/t/bad:latest";
    let json =
        format!(r#"[{{"Id":"{good}","Names":["{PULLED}"]}},{{"Id":"{bad}","Names":["{other}"]}}]"#);
    let damaged = "echo 'Error: layer not known' >&2; exit 125";
    let floods = "head -c 20000000 /dev/zero; exit 0";
    let says_nothing = "echo '[]'; exit 0";
    for trouble in [damaged, floods, says_nothing, "echo '[7]'; exit 0"] {
        let host = Host::new();
        host.set_images(&json);
        let snippet = format!("case \"$*\" in *{bad}*) {trouble} ;; esac\n{INSPECT}");
        host.stub.answer("image-inspect", &snippet);
        for _ in 0..2 {
            let [one, other] = observe_two(&host, other).await;
            assert_eq!(one.unwrap().present.unwrap().id.as_str(), good, "{trouble}");
            match trouble == damaged {
                true => assert!(matches!(other, Ok(state) if state.damaged)),
                false => drop(other.unwrap_err()),
            }
        }
        let calls = host.stub.verbs();
        assert_eq!(
            calls.matches("image-inspect").count(),
            4,
            "known images are not inspected again"
        );
    }
}

#[tokio::test]
async fn dangling_images_are_pruned_by_id_unless_used_or_named_again() {
    let host = Host::new();
    let ids = ["a", "b", "c", "d"].map(|digit| ImageId::new(&digit.repeat(64)).unwrap());
    let labels =
        r#"{"companion.context":"00000000000000aa","companion.source":"localhost/x:latest"}"#;
    let image = |id: &ImageId, rest: &str| {
        format!(r#"{{"Id":"{id}","Labels":{labels},"History":["{BUILT}"],{rest}}}"#)
    };
    let json = [
        image(&ids[0], r#""Dangling":true"#),
        image(&ids[1], r#""Dangling":true,"Containers":1"#),
        image(&ids[2], r#""Names":["localhost/kept:1"]"#),
    ];
    host.set_images(&format!("[{}]", json.join(",")));
    assert_eq!(host.observe().await.unwrap().dangling, [ids[0].clone()]);
    host.stub.forget_calls();
    host.images.prune(&ids).await.unwrap();
    let removed: Vec<_> = host.stub.calls().into_iter().filter(|call| call[0] == "image").collect();
    assert_eq!(removed, [["image", "rm", "--", ids[0].as_str()]]);
    for (exit, pruned) in [(1, true), (2, true), (125, false)] {
        host.stub.answer("image-rm", &format!("exit {exit}"));
        assert_eq!(host.images.prune(&ids).await.is_ok(), pruned, "exit status {exit}");
    }
}

/// A build that writes to a pipe without a reader would be killed by SIGPIPE.
#[tokio::test]
async fn a_builds_output_needs_no_reader() {
    let host = Host::new();
    let look = "stdout=$(readlink /proc/$$/fd/1); echo $stdout >$dir/stdout
        grep ^flags: /proc/$$/fdinfo/2 >$dir/flags\n";
    host.stub.answer("build", &format!("{look}{BUILD}{COMMIT}"));
    host.images.ensure(&host.source()).await.unwrap();
    let read = |name| fs::read_to_string(host.stub.file(name)).unwrap();
    assert_eq!(read("stdout"), "/dev/null\n");
    let flags = read("flags");
    assert!(flags.trim_end().ends_with('2'), "its stderr is not open for reading too: {flags}");
}
