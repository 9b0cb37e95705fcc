use companion_core::model::companion::CompanionName;
use companion_core::model::container::{AbsolutePath, BindMount, ContainerSpec};
use companion_core::model::image::ImageId;
use quadlet::PodmanVersion;

use super::*;

fn unit() -> UnitSpec {
    UnitSpec {
        name: CompanionName::new("web").unwrap(),
        description: "a page".to_owned(),
        image: ImageId::new(&"a".repeat(64)).unwrap(),
        container: ContainerSpec::default(),
        config: None,
        revision: "00000000000000aa-00000000000000bb-none-2".parse().unwrap(),
    }
}

fn rendered(unit: &UnitSpec, podman: PodmanVersion) -> RenderedUnit {
    render_unit(unit, Scope::User, podman).unwrap()
}

const PODMAN: PodmanVersion = PodmanVersion::new(5, 4, 2);

#[test]
fn the_text_names_its_rendering_wherever_it_names_its_revision() {
    let RenderedUnit { revision, text } = rendered(&unit(), PODMAN);
    assert_eq!(revision.with_rendering(None), unit().revision);
    assert_eq!(text.matches(&revision.to_string()).count(), 3, "{text}");
    assert!(!text.contains(&unit().revision.to_string()), "{text}");
}

#[test]
fn a_rendering_covers_the_text_without_the_revision() {
    let wanted = rendered(&unit(), PODMAN);
    let mut other = unit();
    other.revision = wanted.revision.with_restart_epoch(12);
    assert_eq!(rendered(&other, PODMAN).revision, wanted.revision.with_restart_epoch(12));
    let patch = rendered(&unit(), PodmanVersion::new(5, 4, 3));
    assert_eq!(patch, wanted, "a Podman patch release leaves the rendering unchanged");
    let older = rendered(&unit(), PodmanVersion::new(4, 5, 0));
    assert_ne!(older.revision, wanted.revision);
}

#[test]
fn each_mount_has_its_label_for_selinux() {
    let mount = |source: &str| BindMount {
        source: AbsolutePath::new(source).unwrap(),
        target: AbsolutePath::new("/in").unwrap(),
        read_only: true,
    };
    let mut unit = unit();
    unit.config = Some(AbsolutePath::new("/data/web/nginx.conf").unwrap());
    let sources = ["/data/web/nginx.conf", "/data/password", "/etc/localtime", "/data/a:b"];
    unit.container.mounts = sources.map(mount).to_vec();
    let text = rendered(&unit, PODMAN).text;
    let mounts =
        text.lines().filter(|line| line.starts_with("Volume=") || line.starts_with("Mount="));
    assert_eq!(
        mounts.collect::<Vec<_>>(),
        [
            "Volume=/data/web/nginx.conf:/in:ro,Z",
            "Volume=/data/password:/in:ro,z",
            "Volume=/etc/localtime:/in:ro",
            "Mount=\"type=bind,source=/data/a:b,destination=/in,ro=true,relabel=shared\"",
        ]
    );
}
