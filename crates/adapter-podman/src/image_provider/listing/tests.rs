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

fn image(digit: char, names: &[&str], labels: Option<Labels>) -> ListedImage {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    let dangling = names.is_empty().then_some(true);
    ListedImage {
        id: ImageId::new(&digit.to_string().repeat(64)).unwrap(),
        names: Names { names: (!names.is_empty()).then_some(names), repo_digests: None },
        labels,
        containers: None,
        dangling,
        history: Some(vec![LOCAL.to_owned()]),
    }
}

fn labels(context: &str, source: &str) -> Option<Labels> {
    Some(Labels { context: Some(context.to_owned()), source: Some(source.to_owned()) })
}

fn ours() -> Option<Labels> {
    labels("00000000000000aa", LOCAL)
}

fn listing(images: impl IntoIterator<Item = ListedImage>) -> Listing {
    Listing { images: images.into_iter().collect(), unreadable: Vec::new() }
}

fn present(images: impl IntoIterator<Item = ListedImage>) -> Option<PresentImage> {
    listing(images).present(&source()).unwrap()
}

#[test]
fn the_image_built_here_goes_before_the_one_pulled() {
    let pulled = image('a', &[REMOTE], None);
    let built = image('b', &["localhost/y:1", LOCAL], ours());
    let found = present([pulled.clone(), built]).unwrap();
    assert_eq!(found.reference.as_str(), LOCAL);
    let context: Fingerprint = "00000000000000aa".parse().unwrap();
    assert_eq!(found.provenance, Provenance::Built { context });
    let found = present([pulled]).unwrap();
    assert_eq!((found.reference.as_str(), found.provenance), (REMOTE, Provenance::External));
}

#[test]
fn a_pulled_image_is_unmanaged_regardless_of_its_labels() {
    let found = present([image('a', &[REMOTE], ours())]).unwrap();
    assert_eq!(found.provenance, Provenance::External);
}

#[test]
fn an_image_with_another_source_s_labels_was_not_built_for_this_one() {
    let labels = labels("00000000000000aa", "localhost/base:latest");
    let found = present([image('a', &[LOCAL], labels)]).unwrap();
    assert_eq!(found.provenance, Provenance::External);
}

#[test]
fn a_dangling_image_is_nameless_unused_and_once_had_our_name() {
    let leftover = image('a', &[], ours());
    let id = leftover.id.clone();
    assert!(listing([leftover.clone()]).is_leftover(&id));
    assert_eq!(listing([leftover.clone()]).leftovers(&source()), [id]);
    let not: [fn(&mut ListedImage); 7] = [
        |image| image.names.names = Some(vec!["localhost/kept:1".into()]),
        |image| image.containers = Some(1),
        |image| image.dangling = None,
        |image| image.history = None,
        |image| image.labels = None,
        |image| image.history = Some(vec!["localhost/derived:1".into()]),
        |image| image.labels.as_mut().unwrap().source = Some("localhost/z:latest".into()),
    ];
    for (row, change) in not.iter().enumerate() {
        let mut image = leftover.clone();
        change(&mut image);
        assert!(listing([image]).leftovers(&source()).is_empty(), "row {row}");
    }
}

#[test]
fn a_stage_image_is_nameless_unused_and_never_had_a_lasting_name() {
    let temporary = format!("docker.io/library/{}-tmp:latest", "0f".repeat(32));
    let mut stage = image('a', &[], None);
    stage.history = Some(vec![temporary.clone(), temporary.clone()]);
    assert_eq!(listing([stage.clone()]).stages().count(), 1);
    let not: [fn(&mut ListedImage); 6] = [
        |image| image.names.names = Some(vec!["localhost/kept:1".into()]),
        |image| image.containers = Some(1),
        |image| image.dangling = Some(false),
        |image| image.history = None,
        |image| image.history = Some(vec![]),
        |image| image.history.as_mut().unwrap().push("localhost/once:1".into()),
    ];
    for (row, change) in not.iter().enumerate() {
        let mut image = stage.clone();
        change(&mut image);
        assert_eq!(listing([image]).stages().count(), 0, "row {row}");
    }
    for name in ["localhost/x-tmp:latest", "-tmp:latest", "localhost/x:latest"] {
        assert!(!is_temporary(name), "{name}");
    }
}

/// Returns whether this listing has an answer for a source with the image `LOCAL` or with `other`.
fn answers(json: &str, other: &str) -> [bool; 2] {
    let listing = Listing::parse(json.as_bytes()).unwrap();
    let other = ImageRef::new(other).unwrap();
    let pull = Some(PullSource { reference: other, verify_tls: true });
    [source(), ImageSource { build: None, pull }].map(|source| listing.present(&source).is_ok())
}

#[test]
fn an_entry_that_is_not_understood_concerns_the_image_it_names_alone() {
    let id = "a".repeat(64);
    let long = "x".repeat(ENTRY_LIMIT);
    for entry in [
        format!(r#"{{"Id":7,"Names":["{LOCAL}"]}}"#),
        format!(r#"{{"Id":"short","Names":["{LOCAL}"]}}"#),
        format!(r#"{{"Id":"{id}","Names":["{LOCAL}"],"Labels":[]}}"#),
        format!(r#"{{"Id":"{id}","Names":["{LOCAL}"],"Labels":{{"other":"{long}"}}}}"#),
        format!(r#"{{"Id":"{id}","Labels":{{"other":"{long}"}},"Names":["{LOCAL}"]}}"#),
    ] {
        let json = format!(r#"[{entry},{{"Id":"{id}","Names":["{REMOTE}"]}}]"#);
        assert_eq!(answers(&json, REMOTE), [false, true], "{entry:.80}");
    }
}

#[test]
fn an_entry_with_invalid_names_may_be_any_missing_image() {
    let id = "a".repeat(64);
    for entry in ["7", "null", r#"{"Names":7}"#, r#"{"Names":[7]}"#] {
        let json = format!(r#"[{{"Id":"{id}","Names":["{REMOTE}"]}},{entry}]"#);
        assert_eq!(answers(&json, REMOTE), [false, true], "{entry}");
    }
    let json = format!(r#"[{{"Id":7}},{{"Id":"{id}","Names":["{REMOTE}"]}}]"#);
    assert_eq!(answers(&json, REMOTE), [true, true], "an image without a name matches no source");
}

#[test]
fn an_inspected_image_that_is_not_understood_is_left_out() {
    let (one, other) = ("a".repeat(64), "b".repeat(64));
    let json = format!(
        r#"[{{"Id":"{one}","Os":7}},7,{{"Id":"{other}","Os":"linux","Architecture":"amd64"}}]"#
    );
    let found = inspected(json.as_bytes()).unwrap();
    assert_eq!(found.iter().map(|image| image.id.as_str()).collect::<Vec<_>>(), [other]);
    assert!(inspected(b"{").is_err());
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
    let listing = Listing::parse(json.as_bytes()).unwrap();
    assert_eq!(listing.leftovers(&source()).len(), 1);
    assert_eq!(listing.present(&source()).unwrap(), None);
    assert!(Listing::parse(b"null").unwrap().images.is_empty(), "as Podman 4 prints for none");
}

proptest! {
    #[test]
    fn no_answer_makes_it_panic(json in r#"\[(\{"Id":("[0-9a-f]{0,66}"|null|3)(,"Names":(null|\["[a-z/:@]{0,12}"\]))?(,"Labels":(null|\{\}))?\},?){0,2}\]?"#) {
        if let Ok(listing) = Listing::parse(json.as_bytes()) {
            let _ = (listing.present(&source()), listing.leftovers(&source()));
        }
    }
}
