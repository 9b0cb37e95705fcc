//! The rules of the house that a machine can hold.

use std::path::{Path, PathBuf};

use companion_tests::sources::{read, root, sources};

#[test]
fn no_file_is_long() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= 420, "{} has {lines} lines", path.display());
    }
}

#[test]
fn every_file_begins_with_what_it_decides() {
    for (path, text) in sources() {
        let is_test =
            path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs");
        let begins = text.starts_with("//!");
        assert!(begins || is_test, "{} does not begin with `//!`", path.display());
    }
}

#[test]
fn the_core_does_no_io_and_reads_no_clock() {
    let pure = ["model", "planner", "plan.rs", "planner.rs", "check.rs", "status.rs", "model.rs"];
    let banned = [
        "tokio",
        "std::fs",
        "std::env",
        "std::process",
        "std::net::Tcp",
        "Instant",
        "SystemTime",
        "async ",
        "tracing",
        "ports::Host",
    ];
    let core = Path::new("crates/companion-core/src");
    let mut seen = 0;
    for (path, text) in sources() {
        let Ok(inside) = path.strip_prefix(core) else { continue };
        if !pure.iter().any(|part| inside.starts_with(part)) {
            continue;
        }
        seen += 1;
        for word in banned {
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let found = code.clone().find(|line| line.contains(word));
            assert_eq!(found, None, "{} has `{word}`", path.display());
        }
    }
    assert!(seen > 20, "the pure files are found: {seen}");
}

#[test]
fn adapters_know_the_core_and_not_each_other() {
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
fn every_test_that_the_architecture_names_exists() {
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
            assert!(is_a_test(name, &sources), "{name} is no test");
        }
    }
}

/// Whether there is a test of this name, or a case of the conformance suites, which make a test of each.
fn is_a_test(name: &str, sources: &[(PathBuf, String)]) -> bool {
    let function = format!("fn {name}(");
    sources.iter().any(|(path, text)| {
        let is_case = path.starts_with("crates/conformance/src");
        text.match_indices(&function).any(|(at, _)| {
            // A blank line stands before its attributes.
            let attributes = text[..at].rsplit("\n\n").next().unwrap_or_default();
            is_case || attributes.contains("#[test]") || attributes.contains("#[tokio::test")
        })
    })
}

#[test]
fn every_test_that_the_reliability_document_names_is_there() {
    let document = read("docs/reliability.md");
    let words = document.split('`').skip(1).step_by(2);
    let is_sentence = |word: &&str| {
        word.matches('_').count() >= 3
            && word.chars().all(|c| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    let names: Vec<_> = words.filter(is_sentence).collect();
    assert!(names.len() > 100, "{} names", names.len());
    let sources = sources();
    for name in names {
        assert!(is_a_test(name, &sources), "{name} is no test");
    }
}

#[test]
fn the_ci_runs_the_commands_of_the_readme() {
    let (readme, ci) = (read("README.md"), read(".ci/run"));
    for command in ["cargo run --release -- demo", "cargo test --workspace"] {
        assert!(readme.contains(command), "the readme has `{command}`");
        assert!(ci.contains(command), "the CI runs `{command}`");
    }
}

/// A file that no target names is not even looked at by the compiler.
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
        assert!(is_compiled, "{} is in no module", path.display());
    }
    assert!(seen > 30, "the folders are found: {seen}");
}

#[test]
fn nothing_is_left_behind() {
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
