use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicUsize, Ordering};

use companion_core::model::container::ContainerSpec;
use companion_core::model::image::ImageId;
use companion_core::model::revision::Fingerprint;
use companion_core::model::unit::UnitFileState;

use super::*;

#[path = "../../examples/json_units/form.rs"]
mod form;

pub(super) use form::JsonForm;

/// Units as JSON files, with a validator.
#[derive(Clone)]
struct CheckedForm {
    validator: Arc<dyn Fn() -> PortResult<()> + Send + Sync>,
    validations: Arc<AtomicUsize>,
}

#[async_trait]
impl UnitForm for CheckedForm {
    const EXTENSION: &'static str = JsonForm::EXTENSION;

    fn text(&self, unit: &UnitSpec) -> PortResult<String> {
        JsonForm.text(unit)
    }

    fn label(&self, name: &CompanionName, text: &str) -> Option<Label> {
        JsonForm.label(name, text)
    }

    async fn validate(&self, _name: &CompanionName, _text: &str) -> PortResult<()> {
        self.validations.fetch_add(1, Ordering::Relaxed);
        (self.validator)()
    }
}

/// A store in a temporary directory.
struct Place {
    store: UnitFiles<CheckedForm>,
    root: tempfile::TempDir,
}

impl Place {
    fn with_validator(validator: impl Fn() -> PortResult<()> + Send + Sync + 'static) -> Self {
        let root = tempfile::tempdir().unwrap();
        let form = CheckedForm { validator: Arc::new(validator), validations: Arc::default() };
        Self { store: UnitFiles::new(root.path().join("config/units"), form), root }
    }

    fn new() -> Self {
        Self::with_validator(|| Ok(()))
    }

    /// Creates a place whose directory exists.
    fn made() -> Self {
        let place = Self::new();
        fs::create_dir_all(place.store.path()).unwrap();
        place
    }

    fn file(&self, name: &str) -> PathBuf {
        self.store.path().join(format!("{name}.json"))
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
        description: "a page".to_owned(),
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

fn rendered(unit: &UnitSpec) -> RenderedUnit {
    RenderedUnit::new(&JsonForm.text(unit).unwrap(), &unit.revision)
}

fn current(unit: &UnitSpec) -> UnitFileState {
    UnitFileState::Current { revision: rendered(unit).revision }
}

#[tokio::test]
async fn a_missing_store_is_empty_and_created_by_the_first_write() {
    let place = Place::new();
    assert_eq!(place.state(&unit(0)).await, UnitFileState::Absent);
    assert!(place.store.list().await.unwrap().is_empty());
    place.store.remove(&name("web")).await.unwrap();
    place.store.write(&unit(0)).await.unwrap();
    assert_eq!(place.state(&unit(0)).await, current(&unit(0)));
    assert_eq!(place.store.list().await.unwrap(), BTreeSet::from([name("web")]));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(place.store.path()), mode(&place.file("web"))), (0o700, 0o644));
}

#[tokio::test]
async fn a_restored_unit_stays_current_under_its_own_restart_epoch() {
    let place = Place::new();
    place.store.write(&unit(3)).await.unwrap();
    assert_eq!(place.state(&unit(0)).await, current(&unit(3)));
    let mut other = unit(0);
    other.revision.image = Fingerprint::of(b"newer image");
    assert_eq!(
        place.state(&other).await,
        UnitFileState::Outdated { revision: rendered(&unit(3)).revision }
    );
}

#[tokio::test]
async fn an_edit_and_a_wider_mode_differ_and_a_write_fixes_both() {
    let place = Place::new();
    let drifted = UnitFileState::Drifted { revision: Some(rendered(&unit(0)).revision) };
    place.store.write(&unit(0)).await.unwrap();
    let text = fs::read_to_string(place.file("web")).unwrap();
    fs::write(place.file("web"), text.replace("a page", "another page")).unwrap();
    assert_eq!(place.state(&unit(0)).await, drifted);
    place.store.write(&unit(0)).await.unwrap();
    fs::set_permissions(place.file("web"), fs::Permissions::from_mode(0o666)).unwrap();
    let revision = rendered(&unit(0)).revision;
    assert_eq!(place.state(&unit(0)).await, UnitFileState::WrongMode { revision });
    place.store.write(&unit(0)).await.unwrap();
    assert_eq!(place.state(&unit(0)).await, current(&unit(0)));
}

#[tokio::test]
async fn a_managed_unit_without_desired_state_is_outdated() {
    let place = Place::new();
    place.store.write(&unit(0)).await.unwrap();
    let asked = BTreeMap::from([(name("web"), None), (name("other"), None)]);
    let found = place.store.observe(&asked).await;
    let state = |text| found[&name(text)].as_ref().unwrap().state.clone();
    assert_eq!(state("web"), UnitFileState::Outdated { revision: rendered(&unit(0)).revision });
    assert_eq!(state("other"), UnitFileState::Absent);
}

#[tokio::test]
async fn a_file_emptied_by_power_loss_is_rewritten() {
    for left in [&b""[..], &[0; 512]] {
        let place = Place::made();
        fs::write(place.file("web"), left).unwrap();
        assert_eq!(place.state(&unit(0)).await, UnitFileState::Drifted { revision: None });
        assert!(place.store.list().await.unwrap().is_empty());
        place.store.write(&unit(0)).await.unwrap();
        assert_eq!(place.state(&unit(0)).await, current(&unit(0)));
    }
}

/// Puts an unmanaged object at the name of `web`.
type Intruder = fn(&Place);

const INTRUDERS: [(&str, Intruder); 8] = [
    ("without the ownership label", |place| fs::write(place.file("web"), "{}").unwrap()),
    ("without the ownership label", |place| {
        fs::write(place.file("web"), [0xff, 0x00, 0x13]).unwrap()
    }),
    ("more than 1 MiB", |place| fs::write(place.file("web"), vec![b'#'; (1 << 20) + 1]).unwrap()),
    ("a directory", |place| fs::create_dir(place.file("web")).unwrap()),
    ("a symbolic link", |place| symlink("/dev/null", place.file("web")).unwrap()),
    ("a symbolic link", |place| symlink(place.file("web"), place.file("web")).unwrap()),
    ("a named pipe", |place| {
        let mode = rustix::fs::Mode::RWXU;
        rustix::fs::mkfifoat(rustix::fs::CWD, place.file("web"), mode).unwrap();
    }),
    ("2 names", |place| {
        let text = rendered(&unit(0)).text;
        fs::write(place.root.path().join("elsewhere"), text).unwrap();
        fs::hard_link(place.root.path().join("elsewhere"), place.file("web")).unwrap();
    }),
];

#[tokio::test]
async fn unmanaged_objects_are_reported_and_never_changed() {
    for (what, intrude) in INTRUDERS {
        let place = Place::made();
        intrude(&place);
        let before = fs::symlink_metadata(place.file("web")).unwrap();
        match place.state(&unit(0)).await {
            UnitFileState::Unmanaged { what: found } => assert!(found.contains(what), "{found}"),
            other => panic!("{what}: {other:?}"),
        }
        assert!(place.store.list().await.unwrap().is_empty(), "{what}");
        let written = place.store.write(&unit(0)).await.unwrap_err();
        let removed = place.store.remove(&name("web")).await.unwrap_err();
        assert_eq!(
            (written.kind(), removed.kind()),
            (PortErrorKind::Conflict, PortErrorKind::Conflict)
        );
        let after = fs::symlink_metadata(place.file("web")).unwrap();
        assert_eq!(before.modified().unwrap(), after.modified().unwrap(), "{what}");
        assert_eq!(before.len(), after.len(), "{what}");
    }
}

#[tokio::test]
async fn a_removal_is_repeatable_and_leaves_the_neighbours() {
    let place = Place::new();
    place.store.write(&unit(0)).await.unwrap();
    let drop_in = place.store.path().join("web.json.d");
    fs::create_dir(&drop_in).unwrap();
    fs::write(drop_in.join("operator.conf"), "{}").unwrap();
    for _ in 0..2 {
        place.store.remove(&name("web")).await.unwrap();
        assert_eq!(place.state(&unit(0)).await, UnitFileState::Absent);
    }
    assert!(drop_in.join("operator.conf").exists());
}

#[tokio::test]
async fn a_hostile_directory_is_listed_safely() {
    use std::os::unix::ffi::OsStrExt as _;
    let place = Place::made();
    place.store.write(&unit(0)).await.unwrap();
    let text = fs::read(place.file("web")).unwrap();
    let dir = place.store.path();
    for hostile in ["copy.json", ".web.json", "Web.json", "web.json~", "a b.json"] {
        fs::write(dir.join(hostile), &text).unwrap();
    }
    fs::write(dir.join(std::ffi::OsStr::from_bytes(b"\xff\n.json")), &text).unwrap();
    fs::create_dir(dir.join("sub.json")).unwrap();
    symlink(place.file("web"), dir.join("link.json")).unwrap();
    assert_eq!(place.store.list().await.unwrap(), BTreeSet::from([name("web")]));
}

#[tokio::test]
async fn a_directory_that_others_may_write_to_is_not_trusted() {
    let place = Place::made();
    fs::set_permissions(place.store.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let asked = BTreeMap::from([(name("web"), Some(unit(0))), (name("other"), None)]);
    let found = place.store.observe(&asked).await;
    assert_eq!(found.len(), 2);
    for result in found.into_values() {
        assert_eq!(result.unwrap_err().kind(), PortErrorKind::Denied);
    }
    assert!(place.store.list().await.is_err());
    assert!(place.store.write(&unit(0)).await.is_err());
}

#[tokio::test]
async fn a_linked_directory_is_named_by_its_real_path() {
    let place = Place::new();
    let real = place.root.path().join("dotfiles");
    fs::create_dir_all(&real).unwrap();
    fs::create_dir_all(place.store.path().parent().unwrap()).unwrap();
    symlink(&real, place.store.path()).unwrap();
    place.store.write(&unit(0)).await.unwrap();
    let asked = BTreeMap::from([(name("web"), Some(unit(0)))]);
    let file = place.store.observe(&asked).await.remove(&name("web")).unwrap().unwrap();
    assert_eq!(file.state, current(&unit(0)));
    let location = real.canonicalize().unwrap().join("web.json");
    assert_eq!(Path::new(&file.location), location);
}

#[tokio::test]
async fn only_temporary_files_of_crashed_writes_are_swept() {
    let place = Place::new();
    place.store.write(&unit(0)).await.unwrap();
    // Follows the pattern of `durable-dir`.
    let leftover = place.store.path().join(".web.json.abcdefgh.tmp");
    fs::write(&leftover, "{}").unwrap();
    fs::write(place.store.path().join("operators.tmp"), "").unwrap();
    assert_eq!(place.store.sweep().await.unwrap(), 1);
    assert!(!leftover.exists() && place.store.path().join("operators.tmp").exists());
    assert_eq!(place.store.sweep().await.unwrap(), 0);
    assert_eq!(place.state(&unit(0)).await, current(&unit(0)));
}

#[tokio::test]
async fn an_unmanaged_file_created_during_validation_is_not_overwritten() {
    let root = tempfile::tempdir().unwrap();
    let units = root.path().join("units");
    let plants = units.clone();
    let validator = move || {
        fs::create_dir_all(&plants).unwrap();
        fs::write(plants.join("web.json"), "{}").unwrap();
        Ok(())
    };
    let form = CheckedForm { validator: Arc::new(validator), validations: Arc::default() };
    let error = UnitFiles::new(&units, form).write(&unit(0)).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Conflict, "{}", error.chain());
    assert_eq!(fs::read_to_string(units.join("web.json")).unwrap(), "{}");
}

#[tokio::test]
async fn a_rejected_unit_leaves_the_last_good_one() {
    let place =
        Place::with_validator(|| Err(PortError::new(PortErrorKind::Invalid, "no such key")));
    fs::create_dir_all(place.store.path()).unwrap();
    let good = rendered(&unit(0)).text;
    fs::write(place.file("web"), &good).unwrap();
    let error = place.store.write(&unit(1)).await.unwrap_err();
    assert_eq!((error.kind(), error.chain().as_str()), (PortErrorKind::Invalid, "no such key"));
    assert_eq!(fs::read_to_string(place.file("web")).unwrap(), good);
    assert_eq!(fs::read_dir(place.store.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn writing_an_unchanged_unit_touches_neither_file_nor_validator() {
    let place = Place::new();
    let validations = || place.store.form().validations.load(Ordering::Relaxed);
    place.store.write(&unit(0)).await.unwrap();
    let before = fs::metadata(place.file("web")).unwrap();
    place.store.write(&unit(0)).await.unwrap();
    let after = fs::metadata(place.file("web")).unwrap();
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
    assert_eq!((before.ctime(), before.ctime_nsec()), (after.ctime(), after.ctime_nsec()));
    assert_eq!(validations(), 1);
    place.store.write(&unit(1)).await.unwrap();
    assert_eq!((place.state(&unit(0)).await, validations()), (current(&unit(1)), 2));
}

#[tokio::test]
async fn writers_of_one_name_leave_one_of_their_units_whole() {
    let place = Place::new();
    let mut writers = tokio::task::JoinSet::new();
    for restart_epoch in 0..8 {
        let store = place.store.clone();
        writers.spawn(async move { store.write(&unit(restart_epoch)).await });
    }
    while let Some(written) = writers.join_next().await {
        written.unwrap().unwrap();
    }
    assert!(matches!(place.state(&unit(0)).await, UnitFileState::Current { .. }));
    assert_eq!(fs::read_dir(place.store.path()).unwrap().count(), 1);
}
