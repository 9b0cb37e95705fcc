//! The catalog reference, from the JSON Schema: a section for each table, and one for the other values.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

const HEAD: &str = "<!-- Generated from crates/archipelago/catalog.schema.json by tests/tests/book.rs. -->

# Catalog

`~/.config/companion/catalog.toml`, for root `/etc/companion/catalog.toml`, or the files of `--catalog`. Of several files the later
one wins, key by key of `[node]` and companion by companion. An unknown key is an error with its line and column.
`companion catalog` prints the result, `companion catalog --schema` the JSON Schema that this page is made from.
";

/// A table of a catalog file.
#[derive(Debug, Clone)]
struct Table {
    path: String,
    /// Its name in the schema.
    name: String,
    is_list: bool,
}

/// The page.
pub(crate) fn page(schema: &Value) -> String {
    let table = |path: &str, name: &str, is_list| Table {
        path: path.to_owned(),
        name: name.to_owned(),
        is_list,
    };
    let mut tables = vec![table("node", "Node", false), table("companion", "CompanionEntry", true)];
    let mut values = BTreeMap::new();
    let mut text = HEAD.to_owned();
    let mut next = 0;
    while let Some(Table { path, name, is_list }) = tables.get(next).cloned() {
        next += 1;
        let table = &schema["$defs"][&name];
        let heading = if is_list { format!("[[{path}]]") } else { format!("[{path}]") };
        write!(text, "\n## `{heading}`\n\n{}\n\n", prose(table)).unwrap();
        text.push_str("| key | type | default | |\n|---|---|---|---|\n");
        let required = table["required"].as_array().map_or(&[][..], Vec::as_slice);
        for (key, property) in table["properties"].as_object().unwrap() {
            let mut kinds =
                Kinds { schema, path: &path, key, tables: &mut tables, values: &mut values };
            let kind = kinds.of(property);
            let default = match &property["default"] {
                _ if required.contains(&Value::from(key.as_str())) => "required".to_owned(),
                Value::Null => String::new(),
                Value::Object(_) => String::new(),
                value => format!("`{value}`"),
            };
            let line = prose(property).replace("\n\n", " ").replace('|', "\\|");
            writeln!(text, "| `{key}` | {kind} | {default} | {line} |").unwrap();
        }
    }
    text.push_str("\n## Values\n");
    let mut done = Vec::new();
    // A value may consist of others.
    while let Some(name) = values.keys().find(|name| !done.contains(*name)).cloned() {
        let body = value(schema, &name, &mut tables, &mut values);
        done.push(name.clone());
        values.insert(name, body);
    }
    for (name, body) in values {
        write!(text, "\n### {name}\n\n{body}").unwrap();
    }
    text
}

/// A value's description, and its forms if there are several.
fn value(
    schema: &Value,
    name: &str,
    tables: &mut Vec<Table>,
    values: &mut BTreeMap<String, String>,
) -> String {
    let definition = &schema["$defs"][name];
    let mut text = format!("{}\n", prose(definition));
    let forms = definition["oneOf"].as_array().map_or(&[][..], Vec::as_slice);
    text.push_str(if forms.is_empty() { "" } else { "\n" });
    for form in forms {
        let mut kinds = Kinds { schema, path: name, key: "", tables, values };
        let shape = match &form["const"] {
            Value::Null => kinds.inline(form),
            word => format!("`{word}`"),
        };
        writeln!(text, "- {shape}: {}", prose(form).replace("\n\n", " ")).unwrap();
    }
    text
}

/// A description on one line for each paragraph. Links of rustdoc become code.
fn prose(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
    paragraphs.collect::<Vec<_>>().join("\n\n").replace("[`", "`").replace("`]", "`")
}

struct Kinds<'a> {
    schema: &'a Value,
    /// The table or value, and its key, that is described.
    path: &'a str,
    key: &'a str,
    /// The tables found so far, with their paths.
    tables: &'a mut Vec<Table>,
    values: &'a mut BTreeMap<String, String>,
}

impl Kinds<'_> {
    /// The type of a value, in words; notes the tables and values that it names.
    fn of(&mut self, schema: &Value) -> String {
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
            return self.named(name, false);
        }
        if let Some(forms) = schema["anyOf"].as_array() {
            let forms = forms.iter().filter(|form| form["type"] != "null");
            return forms.map(|form| self.of(form)).collect::<Vec<_>>().join(" or ");
        }
        let word = match &schema["type"] {
            Value::Array(words) => {
                words.iter().find(|word| *word != "null").and_then(Value::as_str)
            }
            word => word.as_str(),
        };
        match word {
            Some("array") => {
                let items = &schema["items"];
                let name = items["$ref"].as_str().and_then(|path| path.rsplit('/').next());
                let kind = match name {
                    Some(name) => self.named(name, true),
                    None => self.of(items),
                };
                format!("list of {kind}")
            }
            Some("object") if schema["properties"].is_object() => self.inline(schema),
            Some("object") => format!("table of {}", self.of(&schema["additionalProperties"])),
            word => word.unwrap_or("value").to_owned(),
        }
    }

    /// A link to the section of a definition.
    fn named(&mut self, name: &str, is_list: bool) -> String {
        if !self.schema["$defs"][name]["properties"].is_object() {
            self.values.entry(name.to_owned()).or_default();
            return format!("[{name}](#{})", name.to_lowercase());
        }
        let known = self.tables.iter().find(|table| table.name == name);
        let path = known.map(|table| table.path.clone()).unwrap_or_else(|| {
            let path = format!("{}.{}", self.path, self.key);
            self.tables.push(Table { path: path.clone(), name: name.to_owned(), is_list });
            path
        });
        format!("table [`{path}`](#{})", path.replace('.', ""))
    }

    /// A small table that has no section: `{ key = type }`.
    fn inline(&mut self, schema: &Value) -> String {
        let keys = schema["properties"].as_object().unwrap().iter();
        let keys = keys.map(|(key, property)| format!("`{key}` = {}", self.of(property)));
        format!("`{{` {} `}}`", keys.collect::<Vec<_>>().join(", "))
    }
}
