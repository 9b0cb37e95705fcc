//! In which directories of a user a unit takes the name of a companion.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::{collections::BTreeMap, fs, os::unix::fs::symlink, path::Path};

use adapter_systemd::{QuadletDir, Scope};
use companion_core::model::{
    companion::CompanionName,
    container::ContainerSpec,
    image::ImageId,
    unit::{UnitFileState, UnitSpec},
};
use companion_core::ports::UnitStore as _;

use crate::generator;

#[tokio::test]
async fn a_name_is_taken_where_the_generators_read_a_unit_of_it() {
    let unit = unit();
    let mut read = 0;
    for generator in generator::all().unwrap() {
        for place in ["", "app", "app/deep", ".hidden", "app.d", "app.d/deep", "link", "link/deep"]
        {
            let root = tempfile::tempdir().unwrap();
            let ours = root.path().join("config/containers/systemd");
            fs::create_dir_all(&ours).unwrap();
            fs::create_dir_all(root.path().join("elsewhere")).unwrap();
            symlink(root.path().join("elsewhere"), ours.join("link")).unwrap();
            put_unit(&ours.join(place));
            let is_read = generator.makes("web.service", &root.path().join("config")).unwrap();
            let store = QuadletDir::at(&ours, Scope::User, generator.version);
            let names = BTreeMap::from([(unit.name.clone(), Some(unit.clone()))]);
            let file = store.observe(&names).await.remove(&unit.name).unwrap().unwrap();
            let is_taken = matches!(file.state, UnitFileState::Unmanaged { .. });
            assert_eq!(is_taken, is_read, "{place:?}, generator {}", generator.version);
            read += usize::from(is_read);
        }
    }
    assert!(read >= 10, "{read}");
}

fn put_unit(directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    let text = "[Container]\nImage=localhost/x:latest\n";
    fs::write(directory.join("web.container"), text).unwrap();
}

fn unit() -> UnitSpec {
    UnitSpec {
        name: CompanionName::new("web").unwrap(),
        description: "A page".to_owned(),
        image: ImageId::new(&"b".repeat(64)).unwrap(),
        container: ContainerSpec::default(),
        config: None,
        revision: "1111111111111111-2222222222222222-none-0".parse().unwrap(),
    }
}
