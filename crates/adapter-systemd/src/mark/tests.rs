use durable_dir::FileKind;
use proptest::prelude::*;

use super::*;

const REVISION: &str = "00000000000000aa-00000000000000bb-none-2";
const LEGACY: &str = "Archipelago companion UI: ";

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
        modified: None,
    };
    FileContents { bytes, status }
}

fn marked(companion: &str, revision: &str) -> String {
    format!("[Container]\nImage=x\n\n[X-Companion]\nCompanion={companion}\nRevision={revision}\n")
}

fn of(contents: &FileContents) -> Ownership {
    ownership(&name(), contents, Some(LEGACY))
}

#[track_caller]
fn assert_unmanaged(contents: &FileContents, what: &str) {
    match of(contents) {
        Ownership::Unmanaged { what: found } => assert!(found.contains(what), "{found}"),
        ours @ Ownership::Ours { .. } => panic!("{ours:?}"),
    }
}

#[test]
fn a_file_with_the_ownership_label_and_its_own_name_is_managed() {
    let revision = REVISION.parse().ok();
    assert_eq!(of(&file(marked("archy-lnd-ui", REVISION))), Ownership::Ours { revision });
    let unreadable = of(&file(marked("archy-lnd-ui", "yesterday")));
    assert_eq!(unreadable, Ownership::Ours { revision: None });
}

#[test]
fn the_ownership_label_is_found_among_non_utf8_bytes() {
    let mut bytes = b"# caf\xe9\n".to_vec();
    bytes.extend_from_slice(marked("archy-lnd-ui", REVISION).as_bytes());
    assert!(matches!(of(&file(bytes)), Ownership::Ours { revision: Some(_) }));
}

#[test]
fn a_copy_of_another_companions_unit_is_unmanaged() {
    assert_unmanaged(&file(marked("archy-bitcoin-ui", REVISION)), "another companion");
    assert_unmanaged(&file(marked("archy-lnd-ui2", REVISION)), "another companion");
}

#[test]
fn a_file_without_the_ownership_label_is_unmanaged() {
    for text in [
        "[Container]\nImage=x\n",
        "x",
        "# Companion=archy-lnd-ui",
        "[Service]\nCompanion=archy-lnd-ui\n",
    ] {
        assert_unmanaged(&file(text), "without the ownership label");
    }
    assert_unmanaged(&file([0xff, 0xfe, 0x00, 0x07]), "without the ownership label");
}

#[test]
fn the_previous_managers_unit_is_adopted_only_under_its_own_name() {
    let legacy =
        |name: &str| file(format!("[Unit]\nDescription={LEGACY}{name}\n\n[Container]\nImage=x\n"));
    assert_eq!(of(&legacy("archy-lnd-ui")), Ownership::Ours { revision: None });
    assert_unmanaged(&legacy("archy-lnd-ui and more"), "without the ownership label");
    assert_unmanaged(&legacy("archy-bitcoin-ui"), "without the ownership label");
    let without = ownership(&name(), &legacy("archy-lnd-ui"), None);
    assert!(matches!(without, Ownership::Unmanaged { .. }), "{without:?}");
}

#[test]
fn a_file_emptied_by_power_loss_is_managed_but_not_listed() {
    for blank in [file(""), file(vec![0; 4096])] {
        assert_eq!(of(&blank), Ownership::Ours { revision: None });
        assert!(!is_marked(&name(), &blank, Some(LEGACY)));
    }
    assert!(is_marked(&name(), &file(marked("archy-lnd-ui", REVISION)), None));
}

#[test]
fn a_file_of_another_user_or_with_hard_links_is_unmanaged() {
    let mut strangers = file(marked("archy-lnd-ui", REVISION));
    strangers.status.uid += 1;
    assert_unmanaged(&strangers, "of user");
    let mut linked = file(marked("archy-lnd-ui", REVISION));
    linked.status.links = 2;
    assert_unmanaged(&linked, "2 names");
    let mut empty = file("");
    empty.status.links = 2;
    assert_unmanaged(&empty, "2 names");
}

#[test]
fn a_unit_is_compared_under_the_restart_epoch_that_it_names() {
    let contents = file(marked("archy-lnd-ui", REVISION));
    let text = String::from_utf8(contents.bytes.clone()).unwrap();
    let asked: Revision = REVISION.parse().unwrap();
    let state = compared(of(&contents), &contents, |restart_epoch| {
        assert_eq!(restart_epoch, 2);
        Some(RenderedUnit { revision: asked, text })
    });
    assert_eq!(state, UnitFileState::Current { revision: asked });
}

#[test]
fn other_bytes_are_outdated_and_a_wider_mode_is_wrong_mode() {
    let asked: Revision = REVISION.parse().unwrap();
    let judged = |mode, text: &str| {
        let mut contents = file(marked("archy-lnd-ui", REVISION));
        contents.status.mode = mode;
        compared(of(&contents), &contents, |_| {
            Some(RenderedUnit { revision: asked, text: text.to_owned() })
        })
    };
    let text = marked("archy-lnd-ui", REVISION);
    // A revision without a rendering is not known to have been edited.
    let outdated = UnitFileState::Outdated { revision: asked };
    for mode in [0o644, 0o640, 0o600, 0o444] {
        assert_eq!(judged(mode, &text), UnitFileState::Current { revision: asked }, "{mode:o}");
    }
    for mode in [0o666, 0o664, 0o755, 0o4644, 0o1644] {
        assert_eq!(judged(mode, &text), UnitFileState::WrongMode { revision: asked }, "{mode:o}");
        assert_eq!(judged(mode, &format!("{text}\n")), outdated, "{mode:o}");
    }
    let as_long = text.replace("Image=x", "Image=y");
    assert_ne!(as_long, text);
    for other in [format!("{text}\n"), as_long] {
        assert_eq!(judged(0o644, &other), outdated);
    }
    let contents = file(&text);
    assert_eq!(compared(of(&contents), &contents, |_| None), outdated, "no unit is desired there");
}

proptest! {
    #[test]
    fn bytes_that_do_not_hold_our_name_are_never_ours(mut bytes: Vec<u8>) {
        bytes.push(b'x');
        prop_assume!(!bytes.windows(12).any(|window| window == b"archy-lnd-ui"));
        prop_assert!(matches!(of(&file(bytes)), Ownership::Unmanaged { .. }), "unrelated bytes are managed");
    }
}
