//! A unit store of JSON files in a temporary directory: writes a unit, detects a modification, restores and removes it.
//!
//! `cargo run -p host-files --example json_units`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;

use companion_core::model::container::ContainerSpec;
use companion_core::model::image::ImageId;
use companion_core::model::unit::UnitSpec;
use companion_core::ports::UnitStore;
use host_files::units::UnitFiles;

#[path = "json_units/form.rs"]
mod form;

use form::JsonForm;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let store = UnitFiles::new(place.path().join("units"), JsonForm);
    let unit = UnitSpec {
        name: "page".parse()?,
        description: "a page".to_owned(),
        image: ImageId::new(&"1".repeat(64))?,
        container: ContainerSpec::default(),
        config: None,
        revision: "1111111111111111-2222222222222222-none-0".parse()?,
    };
    show("before", &store, &unit).await?;
    store.write(&unit).await?;
    show("written", &store, &unit).await?;

    let file = store.path().join("page.json");
    fs::write(&file, fs::read_to_string(&file)?.replace("a page", "another page"))?;
    show("modified", &store, &unit).await?;
    store.write(&unit).await?;
    show("restored", &store, &unit).await?;

    store.remove(&unit.name).await?;
    show("removed", &store, &unit).await
}

async fn show(when: &str, store: &impl UnitStore, unit: &UnitSpec) -> Result<(), Box<dyn Error>> {
    let names = BTreeMap::from([(unit.name.clone(), Some(unit.clone()))]);
    for file in store.observe(&names).await.into_values() {
        println!("{when:>8}: {:?}", file?.state);
    }
    Ok(())
}
