//! Hostile input: catalogs, names, references, records, files that other users swap, and random bytes. The throwaway
//! machine runs the attacks that need another user and real containers, in `machine/suite/security`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails if it cannot be set up, and so does a target"
)]

mod bounds;
mod catalogs;
mod injection;
mod names;
mod records;
mod references;
mod secrets;
mod seeds;

#[expect(dead_code, reason = "the tests of the renderer use the rest")]
#[path = "../../../crates/quadlet/tests/model/model.rs"]
mod model;
#[path = "../../../crates/adapter-hooks/src/template/tests/nginx_reader.rs"]
mod nginx_reader;
#[expect(unreachable_pub, reason = "the fuzz crate uses them")]
#[path = "../../../fuzz/src/targets.rs"]
mod targets;

use archipelago_companions::catalog::CatalogFile;
use companion_core::error_chain::chain;
use companion_core::model::companion::CompanionSpec;

/// Texts that end a line, a word, a quotation or a section in some parser, or start one: every byte, and Unicode
/// blanks and line ends.
fn hostile_pieces() -> Vec<String> {
    let blanks =
        ["\r\n", "\u{85}", "\u{a0}", "\u{2028}", "\u{2029}", "\u{202e}", "\u{3000}", "\u{feff}"];
    let escapes = ["\\", "\\\\", "\\ ", "\\\n", "%h", "%%", "%n", "\"'", " ; ", " #", "\0"];
    let words = "$HOME ${HOME} $$ $(id) `id` \" ' ; # [ [Service] = -- -v ../ /../".split(' ');
    let lines = [
        "\n[Service]\nExecStartPre=/bin/touch /tmp/owned\n",
        "\nPodmanArgs=--privileged",
        " --privileged ",
        "{{ 7 * 7 }}",
    ];
    let special = blanks.into_iter().chain(escapes).chain(words).chain(lines);
    let bytes = (0..=255_u8).map(|byte| char::from(byte).to_string());
    bytes.chain(special.map(str::to_owned)).collect()
}

/// A TOML string of exactly these characters.
fn toml_string(text: &str) -> String {
    let escaped = text.chars().map(|c| format!("\\U{:08X}", u32::from(c)));
    format!("\"{}\"", escaped.collect::<String>())
}

/// The companions of a catalog file, or its refusal in one line.
fn companions_of(text: &str) -> Result<Vec<CompanionSpec>, String> {
    let file = CatalogFile::parse(text, "own.toml").map_err(|error| chain(&error))?;
    let node = file.node.clone().unwrap_or_default();
    let companions = file.companions(&node).map_err(|error| chain(&error))?;
    Ok(companions.into_iter().map(|(_, spec)| spec).collect())
}
