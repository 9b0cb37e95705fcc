//! Units as JSON files, for a host whose service manager reads such files.

use companion_core::model::companion::CompanionName;
use companion_core::model::unit::UnitSpec;
use companion_core::ports::PortResult;
use host_files::units::{Label, UnitForm};
use serde_json::{Value, json};

/// A unit as one JSON object with its companion and its revision.
#[derive(Debug, Clone)]
pub(crate) struct JsonForm;

impl UnitForm for JsonForm {
    const EXTENSION: &'static str = "json";

    fn text(&self, unit: &UnitSpec) -> PortResult<String> {
        let object = json!({
            "companion": unit.name,
            "revision": unit.revision.to_string(),
            "description": unit.description,
            "image": unit.image,
            "config": unit.config,
            "container": unit.container,
        });
        Ok(format!("{object:#}\n"))
    }

    fn label(&self, _name: &CompanionName, text: &str) -> Option<Label> {
        let object: Value = serde_json::from_str(text).ok()?;
        let field = |name| object.get(name).and_then(Value::as_str);
        let revision = field("revision").and_then(|text| text.parse().ok());
        Some(Label { companion: field("companion")?.to_owned(), revision })
    }
}
