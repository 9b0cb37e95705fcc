//! catalog.toml(5), made of the catalog's page of the book, which is generated from the JSON Schema. Pure.

use clap_mangen::roff::{Roff, bold, italic, roman};

/// The page of the book.
const REFERENCE: &str = include_str!("catalog.md");

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
pub(super) fn page(date: &str) -> String {
    let source = format!("companion {}", env!("CARGO_PKG_VERSION"));
    let mut roff = Roff::new();
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
    let sections = REFERENCE.lines().skip_while(|line| !line.starts_with("## "));
    sections.for_each(|line| add(&mut roff, line));
    roff.control("SH", ["EXAMPLES"]).control("nf", []).text([roman(EXAMPLE)]);
    roff.control("fi", []).control("SH", ["SEE ALSO"]);
    roff.text([roman("companion(1), companion-catalog(1), companion-reload(1)")]);
    roff.to_roff()
}

/// Adds a line of the book: a heading, a row of a table, an item of a list, or a paragraph.
fn add(roff: &mut Roff, line: &str) {
    let plain = plain(line);
    if plain.is_empty() {
        roff.control("PP", []);
    } else if let Some(value) = plain.strip_prefix("### ") {
        roff.control("TP", []).text([bold(value)]);
    } else if let Some(heading) = plain.strip_prefix("## ") {
        let heading =
            if heading.starts_with('[') { heading.to_owned() } else { heading.to_uppercase() };
        roff.control("SH", [heading.as_str()]);
    } else if let Some(item) = plain.strip_prefix("- ") {
        roff.control("IP", []).text([roman(item)]);
    } else if plain.starts_with("| key ") || plain.starts_with("|---") {
        // The heading of a table.
    } else if let Some(row) = plain.strip_prefix("| ").and_then(|row| row.strip_suffix(" |")) {
        let mut cells = row.splitn(4, " | ");
        let mut cell = || cells.next().unwrap_or_default();
        let (key, kind, default, text) = (cell(), cell(), cell(), cell());
        let facts = match default {
            "" => kind.to_owned(),
            "required" => format!("{kind}, required"),
            default => format!("{kind}, default {default}"),
        };
        roff.control("TP", []);
        roff.text([bold(key), roman(" ("), italic(facts), roman(")")]).text([roman(text)]);
    } else {
        roff.text([roman(plain)]);
    }
}

/// Returns the text of a line without links and marks of code.
fn plain(line: &str) -> String {
    let mut plain = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("](#") {
        let (text, link) = before.rsplit_once('[').unwrap_or((before, ""));
        plain.extend([text, link]);
        rest = after.split_once(')').map_or("", |(_target, rest)| rest);
    }
    plain.push_str(rest);
    plain.replace('`', "").replace("\\|", "|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_of_the_schema_is_in_the_page() {
        let schema = archipelago_companions::catalog::schema();
        let page = page("2026-01-01").replace("\\-", "-");
        let mut count = 0;
        for (name, found) in schema["$defs"].as_object().unwrap() {
            for (key, _) in found["properties"].as_object().into_iter().flatten() {
                count += 1;
                assert!(page.contains(&format!("\\fB{key}\\fR")), "{name}.{key}:\n{page}");
            }
        }
        assert!(count > 50, "{count}");
        for heading in ["[node.bitcoin]", "[[companion]]", "[companion.container]", "VALUES"] {
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
