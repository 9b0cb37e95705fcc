//! catalog.toml(5), generated from the JSON Schema that catalog files are read by. Pure.

use std::collections::BTreeSet;

use clap_mangen::roff::{Roff, bold, italic, roman};
use serde_json::Value;

const EXAMPLE: &str = r#"[node]
host_names = ["node.example"]

[[companion]]
name = "my-ui"
apps = ["my-app"]
image = { base = "my-ui" }

[[companion.container.ports]]
host = 18090
container = 80"#;

/// Returns the page.
pub(super) fn page(schema: &Value, date: &str) -> String {
    let source = format!("companion {}", env!("CARGO_PKG_VERSION"));
    let mut page = Page { roff: Roff::new(), schema, types: BTreeSet::new() };
    let roff = &mut page.roff;
    roff.control("TH", ["catalog.toml", "5", date, source.as_str(), "Companion Manual"]);
    roff.control("SH", ["NAME"])
        .text([roman("catalog.toml - companions, and settings of the node")]);
    roff.control("SH", ["SYNOPSIS"]).control("nf", []);
    roff.text([roman("~/.config/companion/catalog.toml\n/etc/companion/catalog.toml")]);
    roff.control("fi", []).control("SH", ["DESCRIPTION"]).text([roman(
        "A catalog file adds companions to the built-in ones, or replaces some of them, and sets what is \
         particular to the node. It is TOML. All settings are optional unless marked as required; an unknown \
         one is an error. The daemon reads a changed file again, and keeps using the last valid one if the new \
         one is invalid.",
    )]);
    page.tables();
    page.types();
    let roff = &mut page.roff;
    roff.control("SH", ["EXAMPLES"]).control("nf", []).text([roman(EXAMPLE)]);
    roff.control("fi", []).control("SH", ["SEE ALSO"]);
    roff.text([roman("companion(1), companion-catalog(1), companion-reload(1)")]);
    roff.to_roff()
}

struct Page<'s> {
    roff: Roff,
    schema: &'s Value,
    /// The types that fields have, described once.
    types: BTreeSet<String>,
}

impl<'s> Page<'s> {
    /// Adds a section for each table, from the outside in.
    fn tables(&mut self) {
        let mut waiting = vec![(String::new(), self.schema)];
        while let Some((path, table)) = waiting.pop() {
            let mut nested = Vec::new();
            if !path.is_empty() {
                self.roff.control("SH", [path.as_str()]);
                self.roff.text([roman(description(table))]);
            }
            for (key, field) in properties(table) {
                if let Some((kind, inner)) = self.table_of(field) {
                    let name = path.trim_matches(['[', ']']);
                    let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                    nested.push((format!("{}{name}{}", kind.0, kind.1), inner));
                }
                if !path.is_empty() {
                    self.field(key, field, table);
                }
            }
            waiting.extend(nested.into_iter().rev());
        }
    }

    fn field(&mut self, key: &str, field: &'s Value, table: &Value) {
        let required = table["required"].as_array();
        let is_required = required.is_some_and(|keys| keys.iter().any(|required| required == key));
        let mut facts = vec![self.type_of(field)];
        match &field["default"] {
            _ if is_required => facts.push("required".to_owned()),
            Value::Null => {}
            default => facts.push(format!("default {default}")),
        }
        self.roff.control("TP", []);
        self.roff.text([bold(key), roman(" ("), italic(facts.join(", ")), roman(")")]);
        self.roff.text([roman(description(field))]);
    }

    /// Returns the table that `field` is, with its brackets; `None` for a value.
    fn table_of(&self, field: &'s Value) -> Option<((&'static str, &'static str), &'s Value)> {
        let (kind, inner) = match field["type"].as_str() {
            Some("array") => (("[[", "]]"), &field["items"]),
            _ => (("[", "]"), field),
        };
        let (_, found) = self.resolved(inner);
        let is_table = found["properties"].as_object().is_some_and(|keys| !keys.is_empty());
        is_table.then_some((kind, found))
    }

    /// Follows the reference of `value`; returns the name of the type, if it has one.
    fn resolved(&self, value: &'s Value) -> (Option<&'s str>, &'s Value) {
        let is_null = |option: &&Value| option["type"] != "null";
        let value = match value["anyOf"].as_array() {
            Some(options) => options.iter().find(is_null).unwrap_or(value),
            None => value,
        };
        let name = value["$ref"].as_str().and_then(|text| text.strip_prefix("#/$defs/"));
        (name, name.map_or(value, |name| &self.schema["$defs"][name]))
    }

    /// Returns the type of `field` in words.
    fn type_of(&mut self, field: &'s Value) -> String {
        let (name, found) = self.resolved(field);
        if found["properties"].is_object() {
            return "table".to_owned();
        }
        if let Some(name) = name {
            self.types.insert(name.to_owned());
            return name.to_owned();
        }
        let word = found["type"].as_str().or_else(|| {
            let types = found["type"].as_array()?.iter().filter_map(Value::as_str);
            types.into_iter().find(|word| *word != "null")
        });
        match word {
            Some("array") => format!("list of {}", self.type_of(&found["items"])),
            Some("object") if found["additionalProperties"].is_object() => {
                format!("table of {}", self.type_of(&found["additionalProperties"]))
            }
            Some(word) => word.to_owned(),
            None => "value".to_owned(),
        }
    }

    /// Adds the types of values.
    fn types(&mut self) {
        self.roff.control("SH", ["TYPES"]);
        let mut described = BTreeSet::new();
        while let Some(name) = self.types.pop_first() {
            if !described.insert(name.clone()) {
                continue;
            }
            let found = &self.schema["$defs"][&name];
            self.roff.control("TP", []).text([bold(name)]).text([roman(description(found))]);
            for option in found["oneOf"].as_array().into_iter().flatten() {
                let text = self.option(option);
                self.roff.control("IP", []).text([roman(text)]);
            }
        }
    }

    /// Returns one alternative of a type in words.
    fn option(&mut self, option: &'s Value) -> String {
        let about = description(option);
        let about = if about.is_empty() { about } else { format!(": {about}") };
        if let Some(word) = option["const"].as_str() {
            return format!("\"{word}\"{about}");
        }
        let keys: Vec<_> = properties(option)
            .map(|(key, field)| {
                let (_, found) = self.resolved(field);
                let inner: Vec<_> = properties(found)
                    .map(|(inner, field)| format!("{inner} = {}", self.type_of(field)))
                    .collect();
                match inner.is_empty() {
                    true => format!("{key} = {}", self.type_of(field)),
                    false => format!("{key} = {{ {} }}", inner.join(", ")),
                }
            })
            .collect();
        match (keys.is_empty(), option["enum"].as_array()) {
            (true, Some(words)) => {
                let words: Vec<_> = words.iter().map(ToString::to_string).collect();
                format!("{}{about}", words.join(", "))
            }
            (true, None) => format!("{}{about}", self.type_of(option)),
            (false, _) => format!("{{ {} }}{about}", keys.join(", ")),
        }
    }
}

fn properties(table: &Value) -> impl Iterator<Item = (&String, &Value)> {
    table["properties"].as_object().into_iter().flatten()
}

/// Returns the description, without the links of its source.
fn description(value: &Value) -> String {
    let text = value["description"].as_str().unwrap_or_default();
    text.replace("[`", "`").replace("`]", "`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_of_the_schema_is_in_the_page() {
        let schema = archipelago_companions::catalog::schema();
        let page = page(&schema, "2026-01-01").replace("\\-", "-");
        let mut count = 0;
        for (name, found) in schema["$defs"].as_object().unwrap() {
            for (key, _) in properties(found) {
                count += 1;
                assert!(page.contains(&format!("\\fB{key}\\fR")), "{name}.{key}:\n{page}");
            }
        }
        assert!(count > 50, "{count}");
        for heading in ["[node.bitcoin]", "[[companion]]", "[companion.container]", "TYPES"] {
            assert!(page.contains(&format!(".SH {heading}")), "{heading}:\n{page}");
        }
    }

    #[test]
    fn the_example_of_the_page_is_a_valid_catalog() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("catalog.toml");
        std::fs::write(&file, EXAMPLE).unwrap();
        archipelago_companions::Catalog::with_files(&[file]).unwrap();
    }
}
