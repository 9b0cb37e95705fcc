//! What a container starts with is named by its content, and is never restored in place.

use super::*;

fn next(id: ConfigId) -> ConfigId {
    ConfigId { epoch: id.epoch + 1, ..id }
}

/// A hook whose first file was modified, and the restored file of the next epoch.
fn restored() -> HookState {
    HookState {
        files: [(config(), ConfigFile::Modified), (next(config()), ConfigFile::Intact)].into(),
        link: Link::To(next(config())),
        ..rendered(ConfigFile::Intact)
    }
}

fn image_id(digit: &str) -> ImageId {
    ImageId::new(&digit.repeat(64)).unwrap()
}

#[test]
fn modified_file_is_rendered_again_with_the_reported_names() {
    for (file, reason) in [
        (ConfigFile::Modified, "configuration changed"),
        (ConfigFile::WritableByOthers, "configuration is writable by others"),
        (ConfigFile::ReadableByOthers, "configuration is readable by others"),
    ] {
        let mut setup = Setup::converged();
        setup.hook(rendered(file));
        setup.expect(&[&format!("run-hook web: {reason}")], &[]);
        let plan = setup.plan();
        let Action::RunHook { claimed, .. } = &plan.steps[0].action else { panic!("{plan:?}") };
        assert_eq!(*claimed, [config()]);
    }
}

#[test]
fn a_restored_file_gets_a_unit_of_its_own_and_a_restart() {
    let mut setup = Setup::converged();
    setup.hook(restored());
    setup.file(UnitFileState::Outdated { revision: setup.revision });
    let reason = "configuration was lost or modified outside companion";
    setup.expect_for(reason, &["write-unit web", "load-units", "restart web"]);
    let unit = setup.written();
    assert_eq!(unit.revision.config, Some(next(config())));
    assert_eq!(
        unit.config.as_ref().unwrap().as_str(),
        format!("/conf/nginx.conf.{}", next(config()))
    );
}

/// A crash after the commit leaves a file that nothing names yet.
#[test]
fn lost_file_named_by_a_process_is_restored_under_a_new_name() {
    let mut setup = Setup::converged();
    setup.hook(HookState { files: BTreeMap::new(), ..rendered(ConfigFile::Intact) });
    setup.file(UnitFileState::Absent);
    setup.expect(&["run-hook web: configuration is missing"], &[]);
    let plan = setup.plan();
    let Action::RunHook { claimed, .. } = &plan.steps[0].action else { panic!("{plan:?}") };
    assert_eq!(ConfigId::to_commit(config().digest, &BTreeMap::new(), claimed), next(config()));
}

#[test]
fn a_lost_link_is_made_again_and_no_companion_waits_for_it() {
    let relink = "run-hook web: link to the configuration is missing or points elsewhere";
    let mut setup = Setup::converged();
    setup.hook(HookState { link: Link::Absent, ..rendered(ConfigFile::Intact) });
    setup.expect(&[relink], &[]);
    setup.down(RunState::Down);
    setup.expect(&[relink, "start web: not running"], &[]);
    setup.fail(Work::Hook, PortErrorKind::Conflict, "a directory");
    setup.expect(
        &["start web: not running"],
        &["rendering the configuration failed once: a directory"],
    );
}

#[test]
fn nothing_is_rendered_while_claims_are_unknown() {
    let mut setup = Setup::converged();
    setup.hook(rendered(ConfigFile::Modified));
    setup.seen.unit = Observation::Unknown("no permission".to_owned());
    setup.expect(&[], &["unit file cannot be read: no permission"]);
    let mut setup = Setup::converged();
    setup.hook(rendered(ConfigFile::Modified));
    setup.down(RunState::Starting);
    setup.expect(&[], &["starting"]);
    setup.down(RunState::BetweenRestarts);
    setup.expect(&["run-hook web: configuration changed"], &[]);
}

#[test]
fn the_unit_names_image_and_file_by_content() {
    let mut setup = Setup::converged();
    let mut spec = spec();
    let target = AbsolutePath::new("/etc/nginx/nginx.conf").unwrap();
    let mount =
        crate::model::container::BindMount { source: hook().output, target, read_only: true };
    spec.container.mounts = vec![mount];
    setup.intend(spec);
    setup.file(UnitFileState::Absent);
    let unit = setup.written();
    assert_eq!(unit.image, image().id);
    let file = config().path(&hook().output);
    assert_eq!(unit.container.mounts[0].source, file);
    assert_eq!(unit.config, Some(file));
}

#[test]
fn replaced_files_and_images_are_removed_once_the_newer_ones_run() {
    let older = ConfigId { digest: Fingerprint::of(b"older"), epoch: 0 };
    let mut setup = Setup::converged();
    let files = [(config(), ConfigFile::Intact), (older, ConfigFile::Intact)].into();
    setup.hook(HookState { files, ..rendered(ConfigFile::Intact) });
    setup.image().dangling = vec![image_id("2")];
    let replaced = "replaced by newer images or files";
    setup.expect_for(replaced, &["sweep-configs web", "prune-images web"]);
    setup.service().running = Some(Revision { config: Some(older), ..setup.revision });
    setup.expect(&["restart web: configuration changed"], &[]);
    setup.service().running = Some(setup.revision);
    setup.service().up_for = Duration::from_secs(1);
    setup.expect(&[], &["starting; must stay up for 3 s"]);
}

#[test]
fn an_image_that_another_companions_unit_names_is_kept() {
    let mut setup = Setup::converged();
    setup.image().dangling = vec![image_id("2")];
    let mut observed = setup.observed();
    let other = CompanionName::new("other").unwrap();
    let mut seen = setup.seen.clone();
    let revision = Revision { image: image_id("2").fingerprint(), ..setup.revision };
    seen.unit = Observation::Known(file_of(UnitFileState::Outdated { revision }));
    observed.companions.insert(other.clone(), seen.clone());
    assert!(plan(&setup.desired, &observed, NOW).steps.is_empty());
    seen.unit = Observation::Unknown("no permission".to_owned());
    observed.companions.insert(other, seen);
    assert!(plan(&setup.desired, &observed, NOW).steps.is_empty(), "it may name the image");
}
