use durable_dir::{FileContents, FileKind, FileStatus};
use host_files::units::Found;
use proptest::prelude::*;
use quadlet::PodmanVersion;

use super::*;

const REVISION: &str = "00000000000000aa-00000000000000bb-none-2";
const LEGACY: &str = "Archipelago companion UI: ";

fn name() -> CompanionName {
    CompanionName::new("archy-lnd-ui").unwrap()
}

fn form(legacy: Option<&str>) -> QuadletForm {
    let form = QuadletForm::new(Scope::User, PodmanVersion::new(5, 4, 2));
    QuadletForm { legacy: legacy.map(str::to_owned), ..form }
}

fn labelled(companion: &str, revision: &str) -> String {
    format!("[Container]\nImage=x\n\n[X-Companion]\nCompanion={companion}\nRevision={revision}\n")
}

fn label(text: &str) -> Option<Label> {
    form(Some(LEGACY)).label(&name(), text)
}

#[test]
fn the_ownership_label_names_the_companion_and_its_revision() {
    let expected = |companion: &str, revision: &str| {
        Some(Label { companion: companion.to_owned(), revision: revision.parse().ok() })
    };
    for companion in ["archy-lnd-ui", "archy-bitcoin-ui"] {
        assert_eq!(label(&labelled(companion, REVISION)), expected(companion, REVISION));
    }
    assert_eq!(label(&labelled("archy-lnd-ui", "yesterday")), expected("archy-lnd-ui", ""));
}

#[test]
fn a_file_without_the_ownership_label_has_none() {
    for text in [
        "[Container]\nImage=x\n",
        "x",
        "# Companion=archy-lnd-ui",
        "[Service]\nCompanion=archy-lnd-ui\n",
    ] {
        assert_eq!(label(text), None, "{text}");
    }
}

#[test]
fn the_previous_managers_unit_is_adopted_only_under_its_own_name() {
    let legacy =
        |name: &str| format!("[Unit]\nDescription={LEGACY}{name}\n\n[Container]\nImage=x\n");
    let adopted = Label { companion: "archy-lnd-ui".to_owned(), revision: None };
    assert_eq!(label(&legacy("archy-lnd-ui")), Some(adopted));
    assert_eq!(label(&legacy("archy-lnd-ui and more")), None);
    assert_eq!(label(&legacy("archy-bitcoin-ui")), None);
    assert_eq!(form(None).label(&name(), &legacy("archy-lnd-ui")), None);
}

proptest! {
    #[test]
    fn bytes_that_do_not_hold_our_name_are_never_ours(mut bytes: Vec<u8>) {
        bytes.push(b'x');
        prop_assume!(!bytes.windows(12).any(|window| window == b"archy-lnd-ui"));
        let uid = rustix::process::geteuid().as_raw();
        let (kind, mode, gid, links) = (FileKind::Regular, 0o644, 0, 1);
        let status = FileStatus { kind, mode, uid, gid, links, size: 0 };
        let found = Found::of(&form(Some(LEGACY)), &name(), FileContents { bytes, status });
        prop_assert!(matches!(found, Found::Unmanaged { .. }), "unrelated bytes are managed");
    }
}
