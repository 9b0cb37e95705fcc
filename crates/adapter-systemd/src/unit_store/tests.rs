use std::fs;

use companion_core::model::container::{ContainerSpec, EnvName};
use companion_core::model::image::ImageId;
use companion_core::model::revision::{Fingerprint, Revision};
use companion_core::model::unit::UnitFileState;
use companion_core::ports::PortErrorKind;

use super::*;
use crate::process::tests::write_program;
use crate::unit_text::render_unit;

mod rendering;

const ACCEPTS: &str = r#"for f in "$QUADLET_UNIT_DIRS"/*.container; do
    n=${f##*/}; printf -- '---%s.service---\n' "${n%.container}"; done"#;
const PODMAN: PodmanVersion = PodmanVersion::new(5, 4, 2);

/// A store in a temporary directory, with a generator that is a script.
struct Place {
    store: QuadletDir,
    root: tempfile::TempDir,
}

impl Place {
    fn with_generator(body: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let generator = root.path().join("podman-user-generator");
        write_program(&generator, body);
        let units = root.path().join("config/containers/systemd");
        let store = QuadletDir::at(units, Scope::User, PODMAN)
            .with_generator(generator)
            .with_stage_dir(root.path().join("stage"))
            .with_legacy_description("Archipelago companion UI: ");
        Self { store, root }
    }

    fn new() -> Self {
        Self::with_generator(ACCEPTS)
    }

    /// Creates a place whose directory exists.
    fn made() -> Self {
        let place = Self::new();
        fs::create_dir_all(place.store.path()).unwrap();
        place
    }

    fn file(&self, name: &str) -> PathBuf {
        self.store.path().join(format!("{name}.container"))
    }

    async fn state(&self, unit: &UnitSpec) -> UnitFileState {
        let asked = BTreeMap::from([(unit.name.clone(), Some(unit.clone()))]);
        self.store.observe(&asked).await.remove(&unit.name).unwrap().unwrap().state
    }
}

fn name(text: &str) -> CompanionName {
    CompanionName::new(text).unwrap()
}

fn unit(restart_epoch: u32) -> UnitSpec {
    UnitSpec {
        name: name("web"),
        description: "Archipelago companion UI: web".to_owned(),
        image: ImageId::new(&"a".repeat(64)).unwrap(),
        container: ContainerSpec::default(),
        config: None,
        revision: Revision {
            spec: Fingerprint::of(b"spec"),
            image: Fingerprint::of(b"image"),
            config: None,
            rendering: None,
            restart_epoch,
        },
    }
}

/// Returns the revision that `unit` is written with for `PODMAN`.
fn written(unit: &UnitSpec) -> Revision {
    render_unit(unit, Scope::User, PODMAN).unwrap().revision
}

fn current(unit: &UnitSpec) -> UnitFileState {
    UnitFileState::Current { revision: written(unit) }
}

#[tokio::test]
async fn the_previous_managers_unit_is_adopted() {
    let place = Place::made();
    let text =
        "[Unit]\nDescription=Archipelago companion UI: web\n[Container]\nImage=localhost/web\n";
    fs::write(place.file("web"), text).unwrap();
    assert_eq!(place.state(&unit(0)).await, UnitFileState::Drifted { revision: None });
    assert!(place.store.list().await.unwrap().contains(&name("web")));
    place.store.write(&unit(0)).await.unwrap();
    assert_eq!(place.state(&unit(0)).await, current(&unit(0)));
}

#[tokio::test]
async fn an_unsupported_setting_is_invalid_and_named() {
    let place = Place::new();
    let mut unsayable = unit(0);
    unsayable.container.command = vec![";".to_owned()];
    unsayable.container.environment =
        [(EnvName::new("TOKEN").unwrap(), "correct horse".to_owned())].into();
    let error = place.store.write(&unsayable).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Invalid);
    let chain = error.chain();
    assert!(chain.contains("`web`") && chain.contains("Exec"), "{chain}");
    assert!(!chain.contains("correct horse"), "{chain}");
}

#[tokio::test]
async fn a_podman_before_quadlet_is_unavailable() {
    let place = Place::new();
    place.store.set_podman_version(PodmanVersion::new(4, 3, 1));
    let error = place.store.write(&unit(0)).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Unavailable);
    assert!(error.chain().contains("4.4"), "{}", error.chain());
}

#[tokio::test]
async fn prepared_units_are_validated_in_one_run_and_each_verdict_counts_once() {
    let place = Place::with_generator(&format!("echo run >>\"${{0%/*}}/runs\"; {ACCEPTS}"));
    let runs = || fs::read_to_string(place.root.path().join("runs")).unwrap().lines().count();
    let units = ["a", "b", "c"].map(|base| UnitSpec { name: name(base), ..unit(0) });
    place.store.prepare(&units).await;
    for unit in &units {
        place.store.write(unit).await.unwrap();
    }
    assert_eq!(runs(), 1);
    fs::remove_file(place.file("a")).unwrap();
    place.store.write(&units[0]).await.unwrap();
    assert_eq!(runs(), 2, "a later write is validated again");
    place
        .store
        .write(&UnitSpec { description: "other".to_owned(), ..units[1].clone() })
        .await
        .unwrap();
    assert_eq!(runs(), 3, "another text is validated");
}
