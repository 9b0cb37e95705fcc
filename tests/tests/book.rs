//! The book and the other documents: the catalog reference follows the schema, links lead somewhere.
#![expect(clippy::unwrap_used, reason = "the helpers of these tests fail by panicking, too")]

use std::path::{Path, PathBuf};
use std::{env, fs};

use companion_tests::sources::{read, root, sources};

#[path = "book/reference.rs"]
mod reference;

/// `UPDATE_BOOK=1 cargo test -p companion-tests --test book` writes it.
#[test]
fn the_catalog_reference_follows_the_schema() {
    let path = "docs/book/src/catalog.md";
    let schema = serde_json::from_str(&read("crates/archipelago/catalog.schema.json")).unwrap();
    let expected = reference::page(&schema);
    if env::var_os("UPDATE_BOOK").is_some() {
        fs::write(root().join(path), &expected).unwrap();
    }
    assert!(read(path) == expected, "{path} differs from the schema; see the comment of this test");
}

/// All Markdown files of the project, by their path from its root.
fn documents() -> Vec<PathBuf> {
    let mut pending = vec![root()];
    let mut found = Vec::new();
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !["target", "node_modules", "corpus"].contains(&name) {
                pending.extend((!name.starts_with('.')).then_some(path));
            } else if name.ends_with(".md") {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found
}

/// The targets of the links of a text, without those to other hosts.
fn links(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    let targets = prose.flat_map(|part| part.split("](").skip(1));
    let targets = targets.filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://")).collect()
}

/// The anchor of a heading, as GitHub and mdBook form it.
fn anchor(heading: &str) -> String {
    let kept = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let text: String = heading.chars().filter(|c| kept(*c)).collect();
    text.trim().to_lowercase().replace(' ', "-")
}

#[test]
fn every_local_link_of_the_documents_leads_somewhere() {
    let mut seen = 0;
    for document in documents() {
        let text = read(&document);
        for link in links(&text) {
            seen += 1;
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => document.clone(),
                file => document.parent().unwrap_or(Path::new("")).join(file),
            };
            assert!(root().join(&target).exists(), "{}: `{link}`", document.display());
            if !fragment.is_empty() {
                let target = read(&target);
                let mut headings = target.lines().filter(|line| line.starts_with('#'));
                let leads = headings.any(|line| anchor(line.trim_start_matches('#')) == fragment);
                assert!(leads, "{}: `{link}` names no heading", document.display());
            }
        }
    }
    assert!(seen > 60, "the links are found: {seen}");
}

#[test]
fn every_page_of_the_book_is_in_its_summary() {
    let summary = read("docs/book/src/SUMMARY.md");
    for document in documents() {
        let Ok(page) = document.strip_prefix("docs/book/src") else { continue };
        let page = page.to_str().unwrap();
        assert!(page == "SUMMARY.md" || summary.contains(&format!("({page})")), "{page}");
    }
}

/// A message that changed would not be found by those who search for it. What dpkg says is not ours.
#[test]
fn every_message_of_the_troubleshooting_page_is_in_the_sources() {
    let page = read("docs/book/src/troubleshooting.md");
    let table = page.split("## By message").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| dpkg"));
    let messages = rows.filter_map(|row| row.split('`').nth(1));
    let sources = sources().into_iter().filter(|(path, _)| path.starts_with("crates"));
    let mut texts: Vec<_> = sources.map(|(_, text)| text).collect();
    texts.push(read("crates/archipelago/companions/bitcoin-ui/nginx.conf.j2"));
    texts.push(read("crates/archipelago/companions/fedimint-ui/page.js"));
    let mut seen = 0;
    for message in messages.filter(|message| !message.starts_with("catalog.toml:")) {
        let piece = message.split('…').max_by_key(|piece| piece.len()).unwrap();
        let is_there = texts.iter().any(|text| text.contains(piece));
        assert!(is_there, "no source has `{piece}`");
        seen += 1;
    }
    assert!(seen > 20, "the messages are found: {seen}");
}
