use std::collections::BTreeMap;

use companion_core::model::image::{BuildSource, PullSource};
use companion_core::model::revision::Fingerprint;
use proptest::prelude::*;

use super::*;

const LOCAL: &str = "localhost/x:latest";
const REMOTE: &str = "registry.example/t/x:latest";

fn source() -> ImageSource {
    ImageSource {
        build: Some(BuildSource {
            reference: ImageRef::new(LOCAL).unwrap(),
            contexts: vec![],
            arguments: BTreeMap::new(),
        }),
        pull: Some(PullSource { reference: ImageRef::new(REMOTE).unwrap(), verify_tls: true }),
    }
}

fn image(digit: char, names: &[&str], labels: &[(&str, &str)]) -> ListedImage {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    ListedImage {
        id: digit.to_string().repeat(64),
        names: (!names.is_empty()).then(|| names.iter().map(ToString::to_string).collect()),
        labels: Some(labels.iter().map(owned).collect()),
        dangling: names.is_empty().then_some(true),
        history: Some(vec![LOCAL.to_owned()]),
        ..ListedImage::default()
    }
}

const OURS: [(&str, &str); 2] = [(CONTEXT_LABEL, "00000000000000aa"), (SOURCE_LABEL, LOCAL)];

#[test]
fn the_image_built_here_goes_before_the_one_pulled() {
    let images = [image('a', &[REMOTE], &[]), image('b', &["localhost/y:1", LOCAL], &OURS)];
    let found = present(&source(), &images).unwrap();
    assert_eq!(found.reference.as_str(), LOCAL);
    let context: Fingerprint = "00000000000000aa".parse().unwrap();
    assert_eq!(found.provenance, Provenance::Built { context });
    let found = present(&source(), &images[..1]).unwrap();
    assert_eq!((found.reference.as_str(), found.provenance), (REMOTE, Provenance::Foreign));
}

#[test]
fn what_is_pulled_is_foreign_whatever_its_labels_say() {
    let found = present(&source(), &[image('a', &[REMOTE], &OURS)]).unwrap();
    assert_eq!(found.provenance, Provenance::Foreign);
}

#[test]
fn an_image_with_another_source_s_labels_was_not_built_for_this_one() {
    let labels = [(CONTEXT_LABEL, "00000000000000aa"), (SOURCE_LABEL, "localhost/base:latest")];
    let found = present(&source(), &[image('a', &[LOCAL], &labels)]).unwrap();
    assert_eq!(found.provenance, Provenance::Foreign);
}

#[test]
fn a_leftover_is_nameless_unused_and_once_had_our_name() {
    let leftover = image('a', &[], &OURS);
    let id = ImageId::new(&leftover.id).unwrap();
    assert_eq!(leftovers(&source(), std::slice::from_ref(&leftover)), [id]);
    let not: [fn(&mut ListedImage); 7] = [
        |image| image.names = Some(vec!["localhost/kept:1".into()]),
        |image| image.containers = Some(1),
        |image| image.dangling = None,
        |image| image.history = None,
        |image| image.labels = None,
        |image| image.history = Some(vec!["localhost/derived:1".into()]),
        |image| {
            image.labels.as_mut().unwrap().insert(SOURCE_LABEL.into(), "localhost/z:latest".into());
        },
    ];
    for (row, change) in not.iter().enumerate() {
        let mut image = leftover.clone();
        change(&mut image);
        assert!(leftovers(&source(), &[image]).is_empty(), "row {row}");
    }
}

#[test]
fn a_reference_is_compared_as_podman_keeps_it() {
    let digest = format!("sha256:{}", "a".repeat(64));
    for (text, kept) in [
        ("localhost/x", "localhost/x:latest".to_owned()),
        ("localhost/x:1", "localhost/x:1".to_owned()),
        ("127.0.0.1:5000/t/x", "127.0.0.1:5000/t/x:latest".to_owned()),
        (&format!("127.0.0.1:5000/x@{digest}"), format!("127.0.0.1:5000/x@{digest}")),
        (&format!("127.0.0.1:5000/x:1@{digest}"), format!("127.0.0.1:5000/x@{digest}")),
    ] {
        assert_eq!(full_name(&ImageRef::new(text).unwrap()), kept);
    }
}

#[test]
fn a_listing_of_podman_5_4_is_read() {
    let json = r#"[{"Id": "4feb0847d6ecf7e04a761c12ca6f61022f79bb75972b6d05577505bfac918c71",
        "ParentId": "", "RepoTags": null, "RepoDigests": [], "Size": 15402530, "Labels": {"companion.context":
        "0000000000000123", "companion.source": "localhost/x:latest", "io.buildah.version": "1.39.3"},
        "Containers": 0, "Dangling": true, "Digest": "sha256:9a", "History": ["localhost/x:latest"],
        "Created": 0, "CreatedAt": "1970-01-01T00:00:00Z"}]"#;
    let images: Vec<ListedImage> = serde_json::from_str(json).unwrap();
    assert_eq!(leftovers(&source(), &images).len(), 1);
    assert_eq!(present(&source(), &images), None);
}

proptest! {
    #[test]
    fn no_answer_makes_it_panic(json in r#"\[(\{"Id":("[0-9a-f]{0,66}"|null|3)(,"Names":(null|\["[a-z/:@]{0,12}"\]))?(,"Labels":(null|\{\}))?\},?){0,2}\]?"#) {
        if let Ok(images) = serde_json::from_str::<Vec<ListedImage>>(&json) {
            let _ = (present(&source(), &images), leftovers(&source(), &images));
        }
    }
}
