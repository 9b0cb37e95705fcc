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
        let mut scene = Scene::converged();
        scene.hook(rendered(file));
        scene.expect(&[&format!("run-hook web: {reason}")], &[]);
        let plan = scene.plan();
        let Some(Action::RunHook { claimed, .. }) = plan.steps[0].action() else {
            panic!("{plan:?}")
        };
        assert_eq!(*claimed, [config()]);
    }
}

#[test]
fn a_restored_file_gets_a_unit_of_its_own_and_a_restart() {
    let mut scene = Scene::converged();
    scene.hook(restored());
    scene.file(UnitFileState::Outdated { revision: scene.revision });
    let reason = "configuration was lost or modified outside companion";
    let steps = ["write-unit web", "load-units", "restart web"];
    scene
        .expect(&steps.map(|step| format!("{step}: {reason}")).each_ref().map(|s| s.as_str()), &[]);
    let plan = scene.plan();
    let Some(Action::WriteUnit(unit)) = plan.steps[0].action() else { panic!("{plan:?}") };
    assert_eq!(unit.revision.config, Some(next(config())));
    assert_eq!(
        unit.config.as_ref().unwrap().as_str(),
        format!("/conf/nginx.conf.{}", next(config()))
    );
}

/// A crash after the commit leaves a file that nothing names yet.
#[test]
fn lost_file_named_by_a_process_is_restored_under_a_new_name() {
    let mut scene = Scene::converged();
    scene.hook(HookState { files: BTreeMap::new(), ..rendered(ConfigFile::Intact) });
    scene.file(UnitFileState::Absent);
    scene.expect(&["run-hook web: configuration is missing"], &[]);
    let plan = scene.plan();
    let Some(Action::RunHook { claimed, .. }) = plan.steps[0].action() else { panic!("{plan:?}") };
    assert_eq!(ConfigId::to_commit(config().digest, &BTreeMap::new(), claimed), next(config()));
}

#[test]
fn a_lost_link_is_made_again_and_no_companion_waits_for_it() {
    let relink = "run-hook web: link to the configuration is missing or points elsewhere";
    let mut scene = Scene::converged();
    scene.hook(HookState { link: Link::Absent, ..rendered(ConfigFile::Intact) });
    scene.expect(&[relink], &[]);
    scene.down(RunState::Down);
    scene.expect(&[relink, "start web: not running"], &[]);
    scene.fail(Work::Hook, PortErrorKind::Conflict, "a directory");
    scene.expect(
        &["start web: not running"],
        &["rendering the configuration failed once: a directory"],
    );
}

#[test]
fn nothing_is_rendered_while_claims_are_unknown() {
    let mut scene = Scene::converged();
    scene.hook(rendered(ConfigFile::Modified));
    scene.seen.unit = Observation::Unknown("no permission".to_owned());
    scene.expect(&[], &["unit file cannot be read: no permission"]);
    let mut scene = Scene::converged();
    scene.hook(rendered(ConfigFile::Modified));
    scene.down(RunState::Starting);
    scene.expect(&[], &["starting"]);
    scene.down(RunState::BetweenRestarts);
    scene.expect(&["run-hook web: configuration changed"], &[]);
}

#[test]
fn the_unit_names_image_and_file_by_content() {
    let mut scene = Scene::converged();
    let mut spec = spec();
    let target = AbsolutePath::new("/etc/nginx/nginx.conf").unwrap();
    let mount =
        crate::model::container::BindMount { source: hook().output, target, read_only: true };
    spec.container.mounts = vec![mount];
    scene.intend(spec);
    scene.file(UnitFileState::Absent);
    let plan = scene.plan();
    let Some(Action::WriteUnit(unit)) = plan.steps[0].action() else { panic!("{plan:?}") };
    assert_eq!(unit.image, image().id);
    let file = config().path(&hook().output);
    assert_eq!(unit.container.mounts[0].source, file);
    assert_eq!(unit.config, Some(file));
}

#[test]
fn replaced_files_and_images_are_removed_once_the_newer_ones_run() {
    let older = ConfigId { digest: Fingerprint::of(b"older"), epoch: 0 };
    let mut scene = Scene::converged();
    let files = [(config(), ConfigFile::Intact), (older, ConfigFile::Intact)].into();
    scene.hook(HookState { files, ..rendered(ConfigFile::Intact) });
    scene.image().leftovers = vec![image_id("2")];
    let steps = ["sweep-configs web", "prune-images web"];
    scene.expect(
        &steps
            .map(|step| format!("{step}: replaced by newer images or files"))
            .each_ref()
            .map(|s| s.as_str()),
        &[],
    );
    scene.service().running = Some(Revision { config: Some(older), ..scene.revision });
    scene.expect(&["restart web: configuration changed"], &[]);
    scene.service().running = Some(scene.revision);
    scene.service().up_for = Duration::from_secs(1);
    scene.expect(&[], &["starting; must stay up for 3 s"]);
}

#[test]
fn an_image_that_another_companions_unit_names_is_kept() {
    let mut scene = Scene::converged();
    scene.image().leftovers = vec![image_id("2")];
    let mut observed = scene.observed();
    let other = CompanionName::new("other").unwrap();
    let mut seen = scene.seen.clone();
    let revision = Revision { image: image_id("2").fingerprint(), ..scene.revision };
    seen.unit = Observation::Known(file_of(UnitFileState::Outdated { revision }));
    observed.companions.insert(other.clone(), seen.clone());
    assert!(plan(&scene.desired, &observed, NOW).steps.is_empty());
    seen.unit = Observation::Unknown("no permission".to_owned());
    observed.companions.insert(other, seen);
    assert!(plan(&scene.desired, &observed, NOW).steps.is_empty(), "it may name the image");
}
