//! Images that are restored from archives, and what a failure leaves in the store.

use companion_core::ports::ImageProvider as _;

use crate::image_provider::{COMMIT, Host};

const EMPTY: &str = "echo '[]' >$dir/images.json\n";

/// Gives the saved image back without a name.
const LOAD: &str = r#"cp $dir/saved.json $dir/images.json
id=$(sed 's/.*"Id":"\([0-9a-f]*\)".*/\1/' $dir/saved.json)
sed -i 's/"Names":\[[^]]*\]/"Names":null/' $dir/images.json
echo "Loaded image: sha256:$id" >$dir/loaded
echo "Loaded image: $id"
"#;

const SAVE: &str = r#"cp $dir/images.json $dir/saved.json
for word; do case $word in --output=*) echo archive >${word#--output=} ;; esac; done"#;

/// A host with an archive of its image, which is lost; it gets no name when it is restored.
async fn archived_host() -> Host {
    let host = Host::new();
    let inspect = std::fs::read_to_string(host.stub.file("answers/image-inspect")).unwrap();
    let described = inspect.replace(r#""Id":"%s","#, r#""Id":"%s","Size":7,"ManifestType":"","#);
    host.stub.answer("image-inspect", &described);
    host.stub.answer("save", SAVE);
    host.images.ensure(&host.source()).await.unwrap();
    host.images.keep_archives(&[host.source()]).await.unwrap();
    assert!(host.stub.file("saved.json").exists(), "{}", host.stub.verbs());
    host.stub.answer("load", &format!("{LOAD}{COMMIT}"));
    host.stub.answer("tag", "echo 'Error: tag by digest not supported' >&2; exit 125");
    host.stub.answer("image-rm", &format!("{EMPTY}{COMMIT}"));
    host.stub.answer("build", "exit 1");
    host.stub.answer("pull", "exit 1");
    host.set_images("[]");
    host.stub.forget_calls();
    host
}

#[tokio::test]
async fn loaded_image_that_gets_no_name_is_removed() {
    let host = archived_host().await;
    host.images.ensure(&host.source()).await.unwrap_err();
    let verbs = host.stub.verbs();
    assert!(verbs.contains("load tag image"), "{verbs}");
}

#[tokio::test]
async fn image_that_was_there_before_a_failed_restoration_stays() {
    let host = archived_host().await;
    let saved = std::fs::read_to_string(host.stub.file("saved.json")).unwrap();
    host.set_images(&saved.replace("localhost/x:latest\"],\"H", "localhost/theirs:1\"],\"H"));
    host.stub.forget_calls();
    host.images.ensure(&host.source()).await.unwrap_err();
    let calls = host.stub.calls();
    assert!(calls.iter().any(|call| call[0] == "tag"), "{calls:?}");
    assert!(!calls.iter().any(|call| call[0] == "image" && call[1] == "rm"), "{calls:?}");
}
