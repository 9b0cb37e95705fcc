use std::collections::BTreeMap;

use companion_core::model::image::{BuildSource, PullSource};
use companion_core::model::revision::Fingerprint;
use companion_core::ports::{PortError, PortErrorKind};

use super::*;
use crate::engine::stage_of;

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

fn image(digit: char, names: &[&str], labels: BTreeMap<String, String>) -> ListedImage {
    ListedImage {
        id: ImageId::new(&digit.to_string().repeat(64)).unwrap(),
        is_dangling: names.is_empty(),
        names: names.iter().map(ToString::to_string).collect(),
        former_names: vec![LOCAL.to_owned()],
        labels,
    }
}

fn labels(context: &str, source: &str) -> BTreeMap<String, String> {
    let labels = [(CONTEXT_LABEL, context), (SOURCE_LABEL, source)];
    labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn ours() -> BTreeMap<String, String> {
    labels("00000000000000aa", LOCAL)
}

fn listing(images: impl IntoIterator<Item = ListedImage>) -> Listing {
    Listing { images: images.into_iter().collect(), unreadable: Vec::new() }
}

fn present(images: impl IntoIterator<Item = ListedImage>) -> Option<PresentImage> {
    listing(images).present(&source(), |_| true).unwrap()
}

#[test]
fn the_image_built_here_goes_before_the_one_pulled() {
    let pulled = image('a', &[REMOTE], BTreeMap::new());
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
    assert_eq!(found.provenance, Provenance::Unmanaged);
}

#[test]
fn an_image_with_copied_labels_was_not_built_here() {
    let images = [image('a', &[LOCAL], ours()), image('b', &[REMOTE], BTreeMap::new())];
    let found = |count| {
        let images = images.iter().take(count).cloned();
        listing(images).present(&source(), |id| *id != image('a', &[], ours()).id).unwrap().unwrap()
    };
    assert_eq!(found(1).provenance, Provenance::Unmanaged);
    assert_eq!(found(2).reference.as_str(), REMOTE, "the pulled image goes before it");
}

#[test]
fn a_dangling_image_is_nameless_unused_and_once_had_our_name() {
    let one = image('a', &[], ours());
    let id = one.id.clone();
    assert_eq!(listing([one.clone()]).dangling_of(&id).as_ref(), source().reference());
    assert_eq!(listing([one.clone()]).dangling(&source()), [id]);
    let not: [fn(&mut ListedImage); 5] = [
        |image| image.is_dangling = false,
        |image| image.former_names = vec![],
        |image| image.labels.clear(),
        |image| image.former_names = vec!["localhost/derived:1".into()],
        |image| image.labels.extend(labels("00000000000000aa", "localhost/z:latest")),
    ];
    for (row, change) in not.iter().enumerate() {
        let mut image = one.clone();
        change(&mut image);
        assert!(listing([image]).dangling(&source()).is_empty(), "row {row}");
    }
}

#[test]
fn the_image_of_a_stage_is_dangling_without_a_former_name() {
    let reference = source().reference().unwrap().clone();
    let labels = |value: String| BTreeMap::from([(SOURCE_LABEL.to_owned(), value)]);
    let stage = ListedImage {
        former_names: vec!["docker.io/library/0f-tmp:latest".into()],
        labels: labels(stage_of(&reference)),
        ..image('a', &[], ours())
    };
    let dangling = listing([stage.clone()]).dangling(&source());
    assert_eq!(dangling, std::slice::from_ref(&stage.id));
    let other =
        ListedImage { labels: labels("stage of localhost/z:latest".into()), ..stage.clone() };
    let based = ListedImage { labels: ours(), ..stage.clone() };
    let used = ListedImage { is_dangling: false, ..stage };
    for image in [other, based, used] {
        assert!(listing([image]).dangling(&source()).is_empty());
    }
}

#[test]
fn a_reference_is_compared_as_engines_keep_it() {
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
fn an_unreadable_image_affects_the_sources_that_it_may_be() {
    let unreadable = |names: Option<&str>| {
        let names = names.map(|name| vec![name.to_owned()]);
        let error = PortError::new(PortErrorKind::Unavailable, "unreadable").into();
        let images = vec![image('a', &[REMOTE], BTreeMap::new())];
        Listing { images, unreadable: vec![UnreadableImage { names, error }] }
    };
    let only_pulled = ImageSource { build: None, ..source() };
    for (names, affected) in [(Some(LOCAL), true), (None, true), (Some("localhost/y:1"), false)] {
        let listing = unreadable(names);
        assert_eq!(listing.present(&source(), |_| true).is_err(), affected, "{names:?}");
        assert!(listing.present(&only_pulled, |_| true).is_ok(), "{names:?}");
    }
}

#[test]
fn only_an_image_built_here_without_another_name_is_removable() {
    let built = |image| listing([image]).built(&source());
    let ours_only = image('a', &[LOCAL], ours());
    assert_eq!(built(ours_only.clone()), Some(ours_only.id));
    assert_eq!(built(image('a', &[LOCAL, "localhost/y:1"], ours())), None, "somebody named it");
    assert_eq!(built(image('a', &[LOCAL], BTreeMap::new())), None, "nobody built it here");
    assert_eq!(built(image('a', &[REMOTE], ours())), None, "it was pulled");
    assert_eq!(built(image('a', &[LOCAL], labels("00000000000000aa", "localhost/z:1"))), None);
}
