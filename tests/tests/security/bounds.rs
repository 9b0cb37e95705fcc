//! Oversized input is refused before it is processed, within bounds of memory and stack.

use std::fs::File;
use std::path::Path;

use archipelago_companions::Catalog;
use archipelago_companions::catalog::{COMPANIONS_LIMIT, CatalogFile};
use archipelago_companions::manifest::{BackendManifest, Format};
use companion_core::error_chain::chain;

const MIB: u64 = 1024 * 1024;

fn refusal<P: AsRef<Path>>(files: &[P]) -> String {
    chain(&Catalog::with_files(files).unwrap_err())
}

#[test]
fn catalog_of_100_mib_is_refused_by_its_size() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("own.toml");
    File::create(&path).unwrap().set_len(100 * MIB).unwrap();
    assert!(refusal(&[&path]).contains("more than 262144 bytes"));
    // A terabyte would not fit into memory: only its size is checked.
    File::options().write(true).open(&path).unwrap().set_len(MIB * MIB).unwrap();
    assert!(refusal(&[&path]).contains("more than 262144 bytes"));
}

/// A file with this number of companions, each as short as possible.
fn many(prefix: &str, count: usize) -> String {
    let entry = |n: usize| {
        format!("[[companion]]\nname=\"{prefix}{n}\"\napps=[\"a\"]\nimage={{base=\"x\"}}\n")
    };
    (0..count).map(entry).collect()
}

#[test]
fn ten_thousand_companions_are_refused_in_one_file_and_in_many() {
    let place = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = place.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let one = file("one.toml", &many("a", 10_000));
    assert!(refusal(&[one]).contains("more than 262144 bytes"));
    let files: Vec<_> =
        (0..5).map(|n| file(&format!("{n}.toml"), &many(&format!("b{n}-"), 2_000))).collect();
    assert!(refusal(&files).contains("more than 4096 companions"));
    let builtin = Catalog::builtin().companions().count();
    let few = file("few.toml", &many("c", COMPANIONS_LIMIT - builtin));
    assert_eq!(Catalog::with_files(&[few]).unwrap().companions().count(), COMPANIONS_LIMIT);
}

#[test]
fn deep_nesting_is_refused_without_a_stack_overflow() {
    let deep = 100_000;
    let texts = [
        format!("a = {}", "[".repeat(deep)),
        format!("a = {}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("a = {}", "{a=".repeat(deep / 3)),
        format!("{}a = 1", "a.".repeat(deep)),
        format!("[{}a]", "a.".repeat(deep)),
        format!("[[companion]]\nname = {}", "[".repeat(deep)),
        format!("[[companion]]\ncontainer.environment.{}a = 1", "a.".repeat(deep)),
        "[[a]]\n".repeat(deep / 6),
    ];
    for text in &texts {
        let refusal = CatalogFile::parse(text, "own.toml").unwrap_err().to_string();
        assert!(refusal.len() < 2048, "{} bytes", refusal.len());
        assert!(BackendManifest::parse(text, Format::Toml, "manifest.toml").is_err());
    }
}

#[test]
fn oversized_lists_and_strings_are_refused() {
    let with = |container: String| {
        let head = "[[companion]]\nname = \"x\"\napps = [\"a\"]\nimage = { base = \"x\" }\n";
        crate::companions_of(&format!("{head}container = {{ {container} }}\n"))
    };
    let list = |item: fn(usize) -> String| (0..60_000).map(item).collect::<Vec<_>>().join(", ");
    assert!(with("command = [\"w\"]".to_owned()).is_ok());
    let ports = list(|n| format!("{{ host = {}, container = 1 }}", n + 1));
    assert!(with(format!("ports = [{ports}]")).is_err());
    let variables = list(|n| format!("A{n} = \"\""));
    assert!(with(format!("environment = {{ {variables} }}")).is_err());
    let words = list(|_| "\"word\"".to_owned());
    assert!(with(format!("command = [{words}]")).is_err());
    assert!(with(format!("command = [\"{}\"]", "w".repeat(256 * 1024))).is_err());
    assert!(with(format!("environment = {{ A = \"{}\" }}", "w".repeat(256 * 1024))).is_err());
    assert!(with(format!("environment = {{ {} = \"\" }}", "A".repeat(129))).is_err());
}
