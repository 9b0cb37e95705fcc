use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use companion_core::model::container::ContainerSpec;
use companion_core::model::image::ImageId;
use companion_core::model::unit::UnitFileState;

use super::*;

#[path = "../../examples/json_units/form.rs"]
mod form;

pub(super) use form::JsonForm;

/// A store in a temporary directory.
struct Place {
    store: UnitFiles<JsonForm>,
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        Self { store: UnitFiles::new(root.path().join("config/units"), JsonForm), root }
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

fn unit() -> UnitSpec {
    UnitSpec {
        name: name("web"),
        description: "a page".to_owned(),
        image: ImageId::new(&"a".repeat(64)).unwrap(),
        container: ContainerSpec::default(),
        config: None,
        revision: "00000000000000aa-00000000000000bb-none-2".parse().unwrap(),
    }
}

fn rendered(unit: &UnitSpec) -> RenderedUnit {
    RenderedUnit::new(&JsonForm.text(unit).unwrap(), &unit.revision)
}

fn current(unit: &UnitSpec) -> UnitFileState {
    UnitFileState::Current { revision: rendered(unit).revision }
}

#[tokio::test]
async fn a_file_emptied_by_power_loss_is_rewritten_and_the_directory_private() {
    let place = Place::new();
    for left in [None, Some(&b""[..]), Some(&[0; 512])] {
        if let Some(left) = left {
            fs::write(place.file("web"), left).unwrap();
            assert_eq!(place.state(&unit()).await, UnitFileState::Drifted { revision: None });
        }
        assert!(place.store.list().await.unwrap().is_empty());
        place.store.write(&unit()).await.unwrap();
        assert_eq!(place.state(&unit()).await, current(&unit()));
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(place.store.path()), mode(&place.file("web"))), (0o700, 0o644));
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
        let text = rendered(&unit()).text;
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
        match place.state(&unit()).await {
            UnitFileState::Unmanaged { what: found } => assert!(found.contains(what), "{found}"),
            other => panic!("{what}: {other:?}"),
        }
        assert!(place.store.list().await.unwrap().is_empty(), "{what}");
        let written = place.store.write(&unit()).await.unwrap_err();
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
async fn a_hostile_directory_is_listed_safely() {
    use std::os::unix::ffi::OsStrExt as _;
    let place = Place::made();
    place.store.write(&unit()).await.unwrap();
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
    let asked = BTreeMap::from([(name("web"), Some(unit())), (name("other"), None)]);
    let found = place.store.observe(&asked).await;
    assert_eq!(found.len(), 2);
    for result in found.into_values() {
        assert_eq!(result.unwrap_err().kind(), PortErrorKind::Denied);
    }
    assert!(place.store.list().await.is_err());
    assert!(place.store.write(&unit()).await.is_err());
}

#[tokio::test]
async fn a_linked_directory_is_named_by_its_real_path() {
    let place = Place::new();
    let real = place.root.path().join("dotfiles");
    fs::create_dir_all(&real).unwrap();
    fs::create_dir_all(place.store.path().parent().unwrap()).unwrap();
    symlink(&real, place.store.path()).unwrap();
    place.store.write(&unit()).await.unwrap();
    let asked = BTreeMap::from([(name("web"), Some(unit()))]);
    let file = place.store.observe(&asked).await.remove(&name("web")).unwrap().unwrap();
    assert_eq!(file.state, current(&unit()));
    let location = real.canonicalize().unwrap().join("web.json");
    assert_eq!(Path::new(&file.location), location);
}

#[tokio::test]
async fn only_temporary_files_of_crashed_writes_are_swept() {
    let place = Place::new();
    place.store.write(&unit()).await.unwrap();
    // Follows the pattern of `durable-dir`.
    let stale = place.store.path().join(".web.json.abcdefgh.tmp");
    fs::write(&stale, "{}").unwrap();
    fs::write(place.store.path().join("operators.tmp"), "").unwrap();
    assert_eq!(place.store.sweep().await.unwrap(), 1);
    assert!(!stale.exists() && place.store.path().join("operators.tmp").exists());
    assert_eq!(place.store.sweep().await.unwrap(), 0);
    assert_eq!(place.state(&unit()).await, current(&unit()));
}

/// JSON files of a host whose validator and search path do something else first.
#[derive(Clone)]
struct OtherForm {
    validating: Arc<dyn Fn() + Send + Sync>,
    searching: Arc<dyn Fn() + Send + Sync>,
}

#[async_trait]
impl UnitForm for OtherForm {
    const EXTENSION: &'static str = JsonForm::EXTENSION;

    fn text(&self, unit: &UnitSpec) -> PortResult<String> {
        JsonForm.text(unit)
    }

    fn label(&self, name: &CompanionName, text: &str) -> Option<Label> {
        JsonForm.label(name, text)
    }

    async fn validate(&self, _units: &[UnitText]) -> PortResult<()> {
        (self.validating)();
        Ok(())
    }

    fn search_path(&self, directory: &Path) -> Vec<PathBuf> {
        (self.searching)();
        vec![directory.to_owned()]
    }
}

#[tokio::test]
async fn an_unmanaged_file_created_during_validation_is_not_overwritten() {
    let root = tempfile::tempdir().unwrap();
    let units = root.path().join("units");
    let at = units.clone();
    let validating = Arc::new(move || {
        fs::create_dir_all(&at).unwrap();
        fs::write(at.join("web.json"), "{}").unwrap();
    });
    let store = UnitFiles::new(&units, OtherForm { validating, searching: Arc::new(|| ()) });
    let error = store.write(&unit()).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Conflict, "{}", error.chain());
    assert_eq!(fs::read_to_string(units.join("web.json")).unwrap(), "{}");
}

#[tokio::test]
async fn an_edited_unit_is_saved_before_it_is_restored() {
    let place = Place::new();
    let copies = place.root.path().join("state/edited");
    let store = place.store.clone().with_edited_copies(&copies);
    store.write(&unit()).await.unwrap();
    let mut changed = unit();
    changed.description = "another page".to_owned();
    store.write(&changed).await.unwrap();
    assert!(!copies.exists(), "an outdated file was not edited");
    let edited = fs::read_to_string(place.file("web")).unwrap().replace("another", "my");
    fs::write(place.file("web"), &edited).unwrap();
    store.write(&changed).await.unwrap();
    assert_eq!(place.state(&changed).await, current(&changed));
    let saved = edited_copies(&copies, "web.json").unwrap();
    assert_eq!(saved, [copies.join("web.json.1")]);
    assert_eq!(fs::read_to_string(&saved[0]).unwrap(), edited);
    fs::write(place.file("web"), "").unwrap();
    store.write(&changed).await.unwrap();
    assert_eq!(edited_copies(&copies, "web.json").unwrap().len(), 1, "a torn file has no copy");
}

#[tokio::test]
async fn an_edited_unit_stays_if_no_copy_can_be_kept() {
    let place = Place::new();
    let copies = place.root.path().join("copies");
    fs::write(&copies, "a file").unwrap();
    let store = place.store.clone().with_edited_copies(&copies);
    store.write(&unit()).await.unwrap();
    let edited = fs::read_to_string(place.file("web")).unwrap().replace("a page", "my page");
    fs::write(place.file("web"), &edited).unwrap();
    store.write(&unit()).await.unwrap_err();
    assert_eq!(fs::read_to_string(place.file("web")).unwrap(), edited);
}

#[tokio::test]
async fn a_search_path_that_does_not_respond_makes_no_unit_unknown() {
    let place = Place::made();
    place.store.write(&unit()).await.unwrap();
    let (responds_again, hangs) = std::sync::mpsc::channel();
    let hangs = Mutex::<std::sync::mpsc::Receiver<()>>::new(hangs);
    let searching = Arc::new(move || hangs.lock().unwrap().recv().unwrap_or_default());
    let form = OtherForm { validating: Arc::new(|| ()), searching };
    let store = UnitFiles::new(place.store.path(), form);
    let asked = BTreeMap::from([(unit().name, Some(unit()))]);
    let found = store.observe(&asked).await.remove(&unit().name).unwrap().unwrap();
    drop(responds_again);
    assert_eq!(found.state, current(&unit()));
}

#[tokio::test]
async fn changed_unit_is_reported_by_its_name() {
    let place = Place::new();
    place.store.write(&unit()).await.unwrap();
    assert_eq!(place.store.changed().await, Hint::All, "watched for the first time");
    fs::write(place.store.path().join(".web.json.abcdefgh.tmp"), "").unwrap();
    fs::remove_file(place.store.path().join("web.json")).unwrap();
    assert_eq!(place.store.changed().await, Hint::Companions([unit().name].into()));
}
