//! The JSON files of the example of `host-files`, with a validator.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use companion_conformance::{Arranged, Unarranged};
use companion_core::model::companion::CompanionName;
use companion_core::model::unit::UnitSpec;
use companion_core::ports::{PortError, PortErrorKind, PortResult};
use host_files::units::{Label, UnitFiles, UnitForm, UnitText};

use super::{Kind, VALIDATOR};

#[path = "../../../crates/host-files/examples/json_units/form.rs"]
mod form;

use form::JsonForm;

/// The form of the example with a validator, and with an earlier renderer that begins each text with a blank line.
#[derive(Clone)]
pub(crate) struct ValidatedForm {
    root: PathBuf,
    is_earlier: Arc<AtomicBool>,
}

#[async_trait]
impl UnitForm for ValidatedForm {
    const EXTENSION: &'static str = JsonForm::EXTENSION;

    fn text(&self, unit: &UnitSpec) -> PortResult<String> {
        let begins = if self.is_earlier.load(Ordering::Relaxed) { "\n" } else { "" };
        Ok(begins.to_owned() + &JsonForm.text(unit)?)
    }

    fn label(&self, name: &CompanionName, text: &str) -> Option<Label> {
        JsonForm.label(name, text)
    }

    async fn validate(&self, units: &[UnitText]) -> PortResult<()> {
        let refuse = |kind, why: &str| Err(PortError::new(kind, why));
        if !self.root.join(VALIDATOR).exists() {
            return refuse(PortErrorKind::Unavailable, "there is no validator");
        }
        let is_refused =
            |(name, _): &UnitText| self.root.join("refused").join(name.as_str()).exists();
        if units.iter().any(is_refused) {
            return refuse(PortErrorKind::Invalid, "not by this world");
        }
        Ok(())
    }
}

pub(crate) struct Json;

impl Kind for Json {
    type Store = UnitFiles<ValidatedForm>;

    const EXTENSION: &'static str = JsonForm::EXTENSION;
    const UNMANAGED: &'static str = r#"{"image": "localhost/others:latest"}"#;
    const EDIT: [&'static str; 2] = [r#""image": "bb"#, r#""image": "cc"#];

    fn open(units: &Path, root: &Path) -> Self::Store {
        fs::write(root.join(VALIDATOR), "").unwrap();
        UnitFiles::new(units, ValidatedForm { root: root.to_owned(), is_earlier: Arc::default() })
    }

    fn change_renderer(store: &Self::Store) {
        store.form().is_earlier.store(true, Ordering::Relaxed);
    }

    fn drop_in(_unit: &Path) -> Arranged {
        Err(Unarranged("drop-ins"))
    }

    fn put_elsewhere(_unit: &Path) -> Arranged {
        Err(Unarranged("units in other directories"))
    }
}
