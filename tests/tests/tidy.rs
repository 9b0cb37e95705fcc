//! Project rules that a test can enforce.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use companion_tests::sources::{read, root, sources};

#[test]
fn files_stay_below_the_line_limit() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= 420, "{} has {lines} lines", path.display());
    }
}

#[test]
fn every_file_starts_with_a_module_doc() {
    for (path, text) in sources() {
        let is_test =
            path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs");
        let begins = text.starts_with("//!");
        assert!(begins || is_test, "{} does not start with `//!`", path.display());
    }
}

/// The crates in the dependency tree of `companion-model`: data, digests and derives; no runtime and no IO.
const PURE: &str = "
    block-buffer cfg-if companion-model cpufeatures crypto-common digest dyn-clone hybrid-array itoa memchr proc-macro2
    quote ref-cast ref-cast-impl schemars schemars_derive serde serde_core serde_derive serde_derive_internals
    serde_json sha2 syn thiserror thiserror-impl typenum unicode-ident zeroize zmij";

#[test]
fn model_depends_on_pure_crates_only() {
    let tree = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["tree", "--locked", "--offline", "--package", "companion-model", "--all-features"])
        .args(["--edges", "normal", "--prefix", "none", "--target", "x86_64-unknown-linux-gnu"])
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let found: BTreeSet<_> =
        tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(found.contains("companion-model") && found.contains("serde"), "{found:?}");
    for name in found {
        assert!(
            PURE.split_whitespace().any(|pure| pure == name),
            "companion-model depends on `{name}`"
        );
    }
}

/// The standard library is in no dependency tree.
#[test]
fn model_does_no_io_and_reads_no_clock() {
    let banned = [
        "std::fs",
        "std::env",
        "std::io",
        "std::os",
        "std::process",
        "std::thread",
        "std::net::Tcp",
        "std::net::Udp",
        "Instant",
        "SystemTime",
        "async ",
    ];
    let mut seen = 0;
    for (path, text) in sources() {
        if !path.starts_with("crates/companion-model/src") {
            continue;
        }
        seen += 1;
        for word in banned {
            let mut code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let found = code.find(|line| line.contains(word));
            assert_eq!(found, None, "{} has `{word}`", path.display());
        }
    }
    assert!(seen > 40, "the pure files are found: {seen}");
}

#[test]
fn adapters_depend_on_the_core_only() {
    let adapters = ["adapter-fake", "adapter-hooks", "adapter-podman", "adapter-systemd"];
    for adapter in adapters {
        let manifest = read(format!("crates/{adapter}/Cargo.toml"));
        assert!(manifest.contains("companion-core"), "{adapter} implements the core's ports");
        for other in adapters.iter().filter(|other| **other != adapter) {
            assert!(!manifest.contains(other), "{adapter} knows {other}");
        }
        assert!(
            !read("crates/companion-core/Cargo.toml").contains(adapter),
            "the core knows {adapter}"
        );
    }
}

#[test]
fn every_port_has_the_same_file_name_everywhere() {
    for (port, adapter) in [
        ("unit_store", "adapter-systemd"),
        ("service_manager", "adapter-systemd"),
        ("image_provider", "adapter-podman"),
        ("hook_runner", "adapter-hooks"),
        ("desired_store", "archipelago"),
        ("container_runtime", "adapter-fake"),
        ("leadership", "adapter-fake"),
    ] {
        for place in ["companion-core/src/ports", &format!("{adapter}/src"), "adapter-fake/src"] {
            let path = root().join(format!("crates/{place}/{port}.rs"));
            assert!(path.exists(), "{} is missing", path.display());
        }
        assert!(root().join(format!("crates/conformance/src/{port}.rs")).exists(), "{port}");
    }
}

#[test]
fn every_test_in_the_architecture_document_exists() {
    let architecture = read("ARCHITECTURE.md");
    let table = architecture.split("## Invariants").nth(1).unwrap();
    let table = table.split("\n## ").next().unwrap();
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| A")).collect();
    assert_eq!(rows.len(), 15);
    let sources = sources();
    for row in rows {
        let tests = row.split('|').nth(3).unwrap();
        let names: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{row}");
        for name in names {
            assert!(is_a_test(name, &sources), "there is no test {name}");
        }
    }
}

/// Whether there is a test of this name, or a case of the conformance suites.
fn is_a_test(name: &str, sources: &[(PathBuf, String)]) -> bool {
    let function = format!("fn {name}(");
    sources.iter().any(|(path, text)| {
        let is_case = path.starts_with("crates/conformance/src");
        text.match_indices(&function).any(|(at, _)| {
            // A blank line precedes its attributes.
            let attributes = text[..at].rsplit("\n\n").next().unwrap_or_default();
            is_case || attributes.contains("#[test]") || attributes.contains("#[tokio::test")
        })
    })
}

#[test]
fn every_test_that_a_document_names_exists() {
    let documents = [
        "docs/reliability.md",
        "docs/lessons.md",
        "docs/mutants.md",
        "docs/book/src/comparison.md",
    ]
    .map(read);
    let document = documents.concat();
    let words = document.split('`').skip(1).step_by(2);
    let is_sentence = |word: &&str| {
        word.matches('_').count() >= 3
            && word.chars().all(|c| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    let names: Vec<_> = words.filter(is_sentence).collect();
    assert!(names.len() > 100, "{} names", names.len());
    let sources = sources();
    for name in names {
        assert!(is_a_test(name, &sources), "there is no test {name}");
    }
}

#[test]
fn ci_runs_the_commands_of_the_readme() {
    let (readme, ci) = (read("README.md"), read(".ci/run"));
    for command in ["cargo run --release -- demo", "cargo test --workspace"] {
        assert!(readme.contains(command), "the readme has `{command}`");
        assert!(ci.contains(command), "the CI runs `{command}`");
    }
}

/// A stage of the machine names its tests by a prefix, which the compiler does not check.
#[test]
fn every_stage_of_the_machine_names_an_existing_test() {
    let script = read("tests/machine/run");
    let stages = script.split("run_suite ").skip(1).filter_map(|rest| {
        let (module, rest) = rest.split_once("::")?;
        let prefix = rest.split(|c: char| c != '_' && !c.is_ascii_alphanumeric()).next()?;
        (module.chars().all(char::is_alphabetic) && !prefix.is_empty()).then_some((module, prefix))
    });
    let stages: Vec<_> = stages.collect();
    assert!(stages.len() >= 4, "{stages:?}");
    for (module, prefix) in stages {
        let suite = read(format!("tests/machine/suite/{module}.rs"));
        assert!(suite.contains(&format!("#[test]\nfn {prefix}")), "{module}::{prefix}");
    }
}

/// The compiler ignores a file that no target references.
#[test]
fn every_file_in_a_folder_of_tests_is_compiled() {
    let sources = sources();
    let mut seen = 0;
    for (path, _) in &sources {
        let Ok(inside) = path.strip_prefix("tests/tests") else { continue };
        let Some(folder) = inside.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
            continue;
        };
        seen += 1;
        let file = path.file_stem().unwrap().to_str().unwrap();
        let name = format!("mod {file};\n");
        let place = format!("#[path = \"{}/{file}.rs\"]", folder.display());
        let names_it = |(other, text): &(PathBuf, String)| {
            text.contains(&place) || (other.parent() == path.parent() && text.contains(&name))
        };
        let is_compiled = file == "main" || sources.iter().any(names_it);
        assert!(is_compiled, "{} belongs to no module", path.display());
    }
    assert!(seen > 30, "the folders are found: {seen}");
}

#[test]
fn no_placeholder_remains() {
    let words = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
        concat!("#[", "ignore"),
    ];
    for (path, text) in sources() {
        for word in words {
            assert!(!text.contains(word), "{} has `{word}`", path.display());
        }
    }
}

/// The blocks of the guide are those of the example, which is compiled, and runs on the machine.
#[test]
fn the_guide_shows_the_code_of_its_example() {
    let guide = read("docs/replacing-companion-rs.md");
    let example = read("crates/archipelago/examples/drop_in.rs");
    let blocks: Vec<_> = guide.split("<!-- guide: ").skip(1).collect();
    assert_eq!(blocks.len(), 4);
    for block in blocks {
        let (name, rest) = block.split_once(" -->\n```rust\n").expect("a block of Rust");
        let (shown, _) = rest.split_once("```").expect("its end");
        let (_, code) = example.split_once(&format!("// [guide: {name}]\n")).expect(name);
        assert_eq!(code.split_once("// [end]").expect(name).0, shown, "{name}");
    }
}
