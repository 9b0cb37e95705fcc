//! Images that podman refuses as damaged, and a store that cannot be written to the disk.

use std::fs;

use companion_core::ports::{ImageProvider as _, PortErrorKind};

use crate::image_provider::{COMMIT, Host};

const REFUSED: &str = "[ -f $dir/whole ] || { echo 'Error: readlink /s/overlay/l: invalid argument' >&2; exit 125; }\n";

/// Removes the only image; the next build gives a whole one.
const REMOVE: &str = "echo '[]' >$dir/images.json; touch $dir/whole\n";

/// A host whose image was damaged before the start of this process.
async fn damaged_host() -> Host {
    let mut host = Host::new();
    host.images.ensure(&host.source()).await.unwrap();
    let inspect = fs::read_to_string(host.stub.file("answers/image-inspect")).unwrap();
    host.stub.answer("image-inspect", &format!("{REFUSED}{inspect}"));
    host.stub.answer("image-rm", &format!("{REMOVE}{COMMIT}"));
    host.images = host.stub.images(host.stub.podman());
    host.stub.forget_calls();
    host
}

fn removals(host: &Host) -> Vec<String> {
    let calls = host.stub.calls().into_iter();
    let is_removal = |call: &Vec<String>| call[0] == "image" && call[1] == "rm" || call[0] == "ps";
    let shown = |call: Vec<String>| call[..call.len() - 1].join(" ");
    calls.filter(is_removal).map(shown).collect()
}

#[tokio::test]
async fn a_damaged_image_is_removed_by_force_only_if_no_container_uses_it() {
    let with_force = format!(
        "case $* in *--force*) {REMOVE}{COMMIT} ;; *) echo 'Error: layer not known' >&2; exit 125 ;; esac"
    );
    for (users, is_removed) in [("[]", true), (r#"[{"Id":"a"}]"#, false)] {
        let host = damaged_host().await;
        host.stub.answer("image-rm", &with_force);
        host.stub.answer("ps", &format!("echo '{users}'"));
        let made = host.images.ensure(&host.source()).await;
        assert_eq!(made.is_ok(), is_removed);
        let by_force = removals(&host).contains(&"image rm --force --".to_owned());
        assert_eq!(by_force, is_removed, "{:?}", removals(&host));
    }
}

#[tokio::test]
async fn a_damaged_image_that_a_container_uses_stays() {
    let host = damaged_host().await;
    host.stub.answer("image-rm", "echo 'Error: image is in use by a container' >&2; exit 2");
    let error = host.images.ensure(&host.source()).await.unwrap_err();
    assert!(error.chain().contains("in use by a container"), "{}", error.chain());
    assert_eq!(removals(&host), ["image rm --"]);
    assert!(!host.stub.verbs().contains("build"));
}

#[tokio::test]
async fn a_damaged_base_image_does_not_rule_out_a_pull() {
    let host = Host::new();
    host.stub
        .answer("build", "echo 'Error: creating build container: layer not known' >&2; exit 125");
    let image = host.images.ensure(&host.source()).await.unwrap();
    assert!(image.reference.as_str().starts_with("registry.example"));
}

#[tokio::test]
async fn an_image_whose_store_cannot_be_synced_is_not_reported_as_present() {
    let host = Host::new();
    // A part of the store that cannot be opened.
    let layers = host.stub.file("store/overlay-layers");
    std::os::unix::fs::symlink("overlay-layers", &layers).unwrap();
    let error = host.images.ensure(&host.source()).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Transient);
    assert!(error.chain().contains("failed to write the image store"), "{}", error.chain());
    host.observe().await.unwrap_err();
    assert!(!host.stub.verbs().contains("pull"));
    fs::remove_file(&layers).unwrap();
    assert!(host.observe().await.unwrap().is_current());
    assert_eq!(host.stub.verbs().matches("build").count(), 1);
}

#[tokio::test]
async fn one_damaged_image_hides_no_other_from_the_listing() {
    let mut host = Host::new();
    let image = host.images.ensure(&host.source()).await.unwrap();
    let damaged = "d".repeat(64);
    let index = format!(
        r#"[{{"id":"{}","names":["localhost/x:latest"],"names-history":["localhost/x:latest"]}},
            {{"id":"{damaged}","names":["localhost/other:latest"]}}]"#,
        image.id
    );
    fs::write(host.stub.file("new"), index).unwrap();
    fs::rename(host.stub.file("new"), host.stub.file("store/overlay-images/images.json")).unwrap();
    let refused = r#"echo 'Error: locating item named "manifest" for image' >&2; exit 125"#;
    let labels = fs::read_to_string(host.stub.file("images.json")).unwrap();
    let labels = &labels[labels.find("\"Labels\"").unwrap()..labels.rfind("}]").unwrap()];
    let platform = fs::read_to_string(host.stub.file("platform")).unwrap();
    fs::write(host.stub.file("platform"), format!("{platform},{labels}")).unwrap();
    let inspect = fs::read_to_string(host.stub.file("answers/image-inspect")).unwrap();
    host.stub.answer("images", refused);
    host.stub
        .answer("image-inspect", &format!("case $* in *{damaged}*) {refused} ;; esac\n{inspect}"));
    assert!(host.observe().await.unwrap().is_current());
    host.stub.forget_calls();
    assert!(host.observe().await.unwrap().is_current());
    assert_eq!(host.stub.verbs(), "", "the answer is kept while the store is unchanged");

    // An image that podman fails to inspect for another reason is unknown, and asked for again.
    host.images = host.stub.images(host.stub.podman());
    host.stub.answer("image-inspect", "echo 'Error: it broke' >&2; exit 125");
    let error = host.observe().await.unwrap_err();
    assert!(error.chain().contains("it broke"), "{}", error.chain());
    let whole = format!("case $* in *{damaged}*) {refused} ;; esac\n{inspect}");
    host.stub.answer("image-inspect", &whole);
    assert!(host.observe().await.unwrap().is_current());
}
