use companion_core::model::image::{BuildSource, ImageRef};
use companion_core::model::revision::Fingerprint;
use image_source::{CONTEXT_LABEL, SOURCE_LABEL};
use proptest::prelude::*;

use super::*;

/// Asserts that only the subcommand and options precede `--`, and returns the rest.
fn positionals(call: &Call, subcommand: &[&str]) -> Vec<String> {
    let args = &call.args;
    let end = args.iter().position(|word| word == "--").unwrap_or(args.len());
    let (before, after) = args.split_at(end);
    assert_eq!(&before[..subcommand.len()], subcommand);
    assert!(before[subcommand.len()..].iter().all(|word| word.starts_with("--")), "{before:?}");
    assert!(args.iter().all(|word| !word.contains('\0')));
    after.iter().skip(1).cloned().collect()
}

fn reference() -> impl Strategy<Value = ImageRef> {
    "(localhost|[a-z0-9.-]{1,12}(:[0-9]{1,5})?)/[a-z0-9._/-]{1,20}(:[A-Za-z0-9._-]{1,10})?"
        .prop_filter_map("no reference", |text| ImageRef::new(text).ok())
}

proptest! {
    #[test]
    fn no_value_of_a_build_can_become_an_option(
        reference in reference(),
        arguments in prop::collection::btree_map(".{0,12}", ".{0,24}", 0..4),
        directory in "/[^/\u{0}]{1,20}",
        context: [u8; 32],
    ) {
        let digest = Fingerprint::from_digest(&context);
        let source = BuildSource { reference, contexts: vec![], arguments };
        let label = |label: &str| (label.to_owned(), digest.to_string());
        let labels = &[CONTEXT_LABEL, SOURCE_LABEL].map(label).into();
        let stage_labels = &[label(SOURCE_LABEL)].into();
        let context = Context { directory: directory.clone().into(), file: "Dockerfile", digest };
        let parts = Build { source: &source, context: &context, labels, stage_labels };
        let Ok(call) = build(&parts, true) else {
            return Ok(());
        };
        let args = &call.args;
        prop_assert_eq!(positionals(&call, &["build"]), [directory]);
        prop_assert!(args.iter().take_while(|word| *word != "--").all(|word| !word.contains("tls-verify")));
        let given = args.iter().filter(|word| word.starts_with("--build-arg=")).count();
        prop_assert_eq!(given, source.arguments.len() + 1);
    }

    #[test]
    fn a_named_build_argument_is_passed_whole(name in "[A-Za-z_][A-Za-z0-9_]{0,8}", value in "[^\u{0}]{0,24}") {
        let arguments = BTreeMap::from([(name.clone(), value.clone())]);
        prop_assert_eq!(build_arguments(&arguments).unwrap(), [format!("--build-arg={name}={value}")]);
    }

    #[test]
    fn a_pull_names_one_reference_and_verifies_tls_by_default(reference in reference(), verify_tls: bool) {
        let source = PullSource { reference: reference.clone(), verify_tls };
        let args = pull(&source);
        prop_assert_eq!(positionals(&args, &["pull"]), [reference.to_string()]);
        prop_assert_eq!(args.args.contains(&"--tls-verify=false".to_owned()), !verify_tls);
    }

    #[test]
    fn a_container_s_filter_matches_its_name_alone(name in "[a-z][a-z0-9_-]{0,20}[a-z0-9]") {
        let Ok(name) = CompanionName::new(name) else { return Ok(()) };
        let args = containers(&BTreeSet::from([name.clone()]));
        prop_assert!(positionals(&args, &["ps"]).is_empty());
        prop_assert_eq!(args.args.last().unwrap(), &format!("--filter=name=^{name}$"));
    }
}

#[test]
fn an_image_is_removed_by_its_id_and_never_by_force() {
    let id = ImageId::new(&"a".repeat(64)).unwrap();
    let call = remove_image(&id);
    assert_eq!(positionals(&call, &["image", "rm"]), [id.to_string()]);
    assert_eq!(call.to_string(), "podman image rm");
    assert!(!call.args.iter().any(|word| word.contains("force")));
    assert_eq!(positionals(&inspect_images([&id]), &["image", "inspect"]), [id.to_string()]);
}

#[test]
fn an_archive_is_made_by_id_in_the_format_of_the_image() {
    let id = ImageId::new(&"a".repeat(64)).unwrap();
    let path = Path::new("/state/x.tar");
    let args = save(&id, path, Format::Docker);
    assert_eq!(positionals(&args, &["save"]), [id.to_string()]);
    assert!(args.args.contains(&"--format=docker-archive".to_owned()));
    assert!(save(&id, path, Format::Oci).args.contains(&"--format=oci-archive".to_owned()));
    assert!(positionals(&load(path), &["load"]).is_empty());
    let name = ImageRef::new("localhost/x:latest").unwrap();
    assert_eq!(positionals(&tag(&id, &name), &["tag"]), [id.to_string(), name.to_string()]);
}

#[test]
fn a_build_argument_s_refusal_does_not_show_its_value() {
    for name in ["", "A=B", "-x", "1A", "A B", "--tls-verify"] {
        let arguments = BTreeMap::from([(name.to_owned(), "hunter2".to_owned())]);
        let refusal = build_arguments(&arguments).unwrap_err();
        assert!(!format!("{refusal} {refusal:?}").contains("hunter2"));
    }
    let arguments = BTreeMap::from([("A".to_owned(), "x\0y".to_owned())]);
    assert!(build_arguments(&arguments).is_err());
}
