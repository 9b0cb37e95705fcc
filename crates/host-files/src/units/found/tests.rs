use durable_dir::FileKind;

use super::*;
use crate::units::tests::JsonForm;

const REVISION: &str = "00000000000000aa-00000000000000bb-none-2";

fn name() -> CompanionName {
    CompanionName::new("archy-lnd-ui").unwrap()
}

fn file(bytes: impl AsRef<[u8]>) -> FileContents {
    let bytes = bytes.as_ref().to_vec();
    let status = FileStatus {
        kind: FileKind::Regular,
        mode: 0o644,
        uid: rustix::process::geteuid().as_raw(),
        gid: 0,
        links: 1,
        size: u64::try_from(bytes.len()).unwrap(),
    };
    FileContents { bytes, status }
}

fn labelled(companion: &str, revision: &str) -> String {
    format!(r#"{{"companion": "{companion}", "revision": "{revision}", "image": "x"}}"#)
}

fn of(contents: &FileContents) -> Found {
    Found::of(&JsonForm, &name(), contents.clone())
}

#[track_caller]
fn assert_managed(contents: FileContents, revision: Option<Revision>) {
    assert_eq!(of(&contents), Found::Managed { revision, contents });
}

#[track_caller]
fn assert_unmanaged(contents: &FileContents, what: &str) {
    match of(contents) {
        Found::Unmanaged { what: found } => assert!(found.contains(what), "{found}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_with_the_ownership_label_and_its_own_name_is_managed() {
    assert_managed(file(labelled("archy-lnd-ui", REVISION)), REVISION.parse().ok());
    assert_managed(file(labelled("archy-lnd-ui", "yesterday")), None);
}

#[test]
fn the_ownership_label_is_found_among_non_utf8_bytes() {
    let mut bytes = labelled("archy-lnd-ui", REVISION).into_bytes();
    let at = bytes.iter().position(|byte| *byte == b'x').unwrap();
    bytes[at] = 0xe9;
    assert_managed(file(bytes), REVISION.parse().ok());
}

#[test]
fn a_file_of_another_user_or_with_hard_links_is_unmanaged() {
    let mut others = file(labelled("archy-lnd-ui", REVISION));
    others.status.uid += 1;
    assert_unmanaged(&others, "of user");
    let mut linked = file(labelled("archy-lnd-ui", REVISION));
    linked.status.links = 2;
    assert_unmanaged(&linked, "2 names");
    let mut empty = file("");
    empty.status.links = 2;
    assert_unmanaged(&empty, "2 names");
}

#[test]
fn other_bytes_are_outdated_and_a_wider_mode_is_wrong_mode() {
    let asked: Revision = REVISION.parse().unwrap();
    let text = labelled("archy-lnd-ui", REVISION);
    let checked = |mode, wanted: &str| {
        let mut contents = file(&text);
        contents.status.mode = mode;
        of(&contents).state(Some(&RenderedUnit { revision: asked, text: wanted.to_owned() }))
    };
    // A revision without a rendering is not known to have been edited.
    let outdated = UnitFileState::Outdated { revision: asked };
    for mode in [0o644, 0o640, 0o600, 0o444] {
        assert_eq!(checked(mode, &text), UnitFileState::Current { revision: asked }, "{mode:o}");
    }
    for mode in [0o666, 0o664, 0o755, 0o4644, 0o1644] {
        assert_eq!(checked(mode, &text), UnitFileState::WrongMode { revision: asked }, "{mode:o}");
        assert_eq!(checked(mode, &format!("{text}\n")), outdated, "{mode:o}");
    }
    let as_long = text.replace("\"x\"", "\"y\"");
    assert_ne!(as_long, text);
    for other in [format!("{text}\n"), as_long] {
        assert_eq!(checked(0o644, &other), outdated);
    }
    assert_eq!(of(&file(&text)).state(None), outdated, "no unit is desired there");
}
