use companion_core::model::image::{BuildSource, ImageRef, ImageSource, PullSource};
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

#[test]
fn an_image_is_dangling_if_podman_says_so_and_it_has_neither_name_nor_container() {
    let id = "a".repeat(64);
    for (fields, expected) in [
        (r#","Dangling":true"#, true),
        (r#","Dangling":true,"Containers":0"#, true),
        (r#","Dangling":true,"Containers":1"#, false),
        (r#","Dangling":true,"Names":[]"#, true),
        (r#","Dangling":true,"Names":["localhost/kept:1"]"#, false),
        (r#","Dangling":false"#, false),
        ("", false),
    ] {
        let listing = parse(format!(r#"[{{"Id":"{id}"{fields}}}]"#).as_bytes()).unwrap();
        assert_eq!(listing.images[0].is_dangling, expected, "{fields}");
    }
}

#[test]
fn a_result_that_never_got_its_name_is_dangling() {
    let id = "a".repeat(64);
    let labels =
        r#""Labels":{"companion.context":"0000000000000123","companion.source":"localhost/x"}"#;
    for (fields, expected) in [
        (r#""Created":0"#, 1),
        (r#""Created":1764000000"#, 0),
        (r#""Created":0,"History":["docker.io/library/0f-tmp:latest"]"#, 0),
        (r#""Created":0,"Names":["localhost/derived:latest"]"#, 0),
    ] {
        let json = format!(r#"[{{"Id":"{id}","Dangling":true,{labels},{fields}}}]"#);
        let mut source = source();
        source.build.as_mut().unwrap().reference = ImageRef::new("localhost/x").unwrap();
        assert_eq!(parse(json.as_bytes()).unwrap().dangling(&source).len(), expected, "{fields}");
    }
}

/// Returns whether this listing has an answer for a source with the image `LOCAL` or with `other`.
fn answers(json: &str, other: &str) -> [bool; 2] {
    let listing = parse(json.as_bytes()).unwrap();
    let other = ImageRef::new(other).unwrap();
    let pull = Some(PullSource { reference: other, verify_tls: true });
    [source(), ImageSource { build: None, pull }]
        .map(|source| listing.present(&source, |_| true).is_ok())
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
fn the_format_of_an_archive_is_that_of_the_manifest() {
    let id = ImageId::new(&"a".repeat(64)).unwrap();
    let oci = r#", "ManifestType": "application/vnd.oci.image.manifest.v1+json""#;
    let docker = r#", "ManifestType": "application/vnd.docker.distribution.manifest.v2+json""#;
    for (more, format) in [("", Format::Oci), (oci, Format::Oci), (docker, Format::Docker)] {
        let json = format!(
            r#"[{{"Id": "{id}", "Os": "x", "Architecture": "x", "Size": 15418880{more}}}]"#
        );
        let image = inspected(json.as_bytes()).unwrap().remove(&id).unwrap();
        assert_eq!((image.size, image.format), (15_418_880, format));
    }
    let lines = format!("Loaded image: sha256:{id}\nLoaded image: localhost/x:latest\n");
    assert_eq!(loaded(lines.as_bytes()), [id]);
}

#[test]
fn a_listing_of_podman_5_4_is_read() {
    let json = r#"[{"Id": "4feb0847d6ecf7e04a761c12ca6f61022f79bb75972b6d05577505bfac918c71",
        "ParentId": "", "RepoTags": null, "RepoDigests": [], "Size": 15402530, "Labels": {"companion.context":
        "0000000000000123", "companion.source": "localhost/x:latest", "io.buildah.version": "1.39.3"},
        "Containers": 0, "Dangling": true, "Digest": "sha256:9a", "History": ["localhost/x:latest"],
        "Created": 0, "CreatedAt": "1970-01-01T00:00:00Z"}]"#;
    let listing = parse(json.as_bytes()).unwrap();
    assert_eq!(listing.dangling(&source()).len(), 1);
    assert_eq!(listing.present(&source(), |_| true).unwrap(), None);
    assert!(parse(b"null").unwrap().images.is_empty(), "as Podman 4 prints for none");
}

proptest! {
    #[test]
    fn no_answer_makes_it_panic(json in r#"\[(\{"Id":("[0-9a-f]{0,66}"|null|3)(,"Names":(null|\["[a-z/:@]{0,12}"\]))?(,"Labels":(null|\{\}))?\},?){0,2}\]?"#) {
        if let Ok(listing) = parse(json.as_bytes()) {
            let _ = (listing.present(&source(), |_| true), listing.dangling(&source()));
        }
    }
}
