//! Catalog files, read without a host.

use crate::bench::{Bench, MINE};

#[test]
fn invalid_catalog_is_refused_with_line_and_column_without_a_host() {
    let bench = Bench::new();
    let file = bench.file("bad.toml", "[node]\ncolour = 3\n");
    let file = file.to_str().unwrap();
    for command in [&["catalog"][..], &["install", "lnd"], &["render", "archy-lnd-ui"]] {
        let ran = bench.run(&[&["--host", "user", "--catalog", file], command].concat());
        assert_eq!(ran.status, 2, "{command:?}: {ran:?}");
        let error = ran.message("error").unwrap();
        assert!(error.contains(".toml:2:1: ") && error.contains("`colour`"), "{error}");
        assert!(error.contains(file), "{error}");
        assert!(ran.stderr.contains("  |\n2 | colour = 3\n  | ^^^^^^\n"), "{ran:?}");
    }
    let ran = bench.sim(&["--catalog", file, "status"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.stderr.contains("bad.toml:2:1: unknown field `colour`"), "{ran:?}");
}

#[test]
fn given_catalog_must_exist_and_the_default_one_is_optional() {
    let bench = Bench::new();
    let ran = bench.run(&["--catalog", "/nowhere/catalog.toml", "catalog"]);
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.message("error").unwrap().starts_with("failed to read `/nowhere/catalog.toml`"));
    let catalog = || bench.run(&["--host", "user", "catalog"]);
    assert_eq!(catalog().status, 0);
    // The parent is not a directory, so the existence of the catalog is unknown.
    let parent = bench.file(".config/companion", "");
    assert_eq!(catalog().status, 2);
    std::fs::remove_file(parent).unwrap();
    bench.file(".config/companion/catalog.toml", MINE);
    let ran = catalog();
    let line = ran.stdout.lines().find(|line| line.starts_with("my-ui ")).unwrap();
    assert_eq!(line.split_whitespace().nth(2), Some("none"), "it has no port: {ran:?}");
}

#[test]
fn catalog_is_printed_as_json() {
    let bench = Bench::new();
    let file = bench.file("mine.toml", MINE);
    let catalog = bench.run(&["catalog", "--json", "--catalog", file.to_str().unwrap()]).json();
    assert_eq!(catalog["version"], 1);
    assert_eq!(catalog["apps"]["lnd"][0], "archy-lnd-ui");
    assert_eq!(catalog["apps"]["my-app"][0], "my-ui");
    let companions = catalog["companions"].as_array().unwrap();
    let lnd = companions.iter().find(|companion| companion["name"] == "archy-lnd-ui").unwrap();
    assert_eq!(lnd["image"]["build"]["reference"], "localhost/lnd-ui:latest");
    assert_eq!(lnd["container"]["ports"][0]["host"], 18083);
    assert_eq!(lnd["apps"][0], "lnd");
}

#[test]
fn the_schema_is_the_committed_one() {
    let ran = Bench::new().run(&["catalog", "--schema"]);
    let committed = include_str!("../../../archipelago/catalog.schema.json");
    assert_eq!(ran.stdout, committed);
}

#[test]
fn given_contexts_come_first_and_build_arguments_are_not_printed() {
    let bench = Bench::new();
    let contexts = bench.home().canonicalize().unwrap();
    let given =
        ["--contexts", contexts.to_str().unwrap(), "--build-arg", "BASE_IMAGE=hidden-value"];
    let ran = bench.run(&[&given[..], &["catalog", "--json"]].concat());
    assert_eq!(ran.status, 0, "{ran:?}");
    let first = ran.json()["companions"][0]["image"]["build"]["contexts"][0].clone();
    assert_eq!(first.as_str().unwrap(), contexts.join("bitcoin-ui").to_str().unwrap());
    assert!(!ran.stdout.contains("hidden-value"));
}

#[test]
fn a_unit_is_rendered_without_a_host() {
    let bench = Bench::new();
    let ran = bench.run(&["--host", "user", "render", "archy-lnd-ui"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stdout.starts_with("[Unit]\n"), "{ran:?}");
    for line in ["Image=0000000000000000", "PublishPort=18083:80", "WantedBy=default.target"] {
        assert!(ran.stdout.lines().any(|found| found.starts_with(line)), "{line}: {ran:?}");
    }
    assert!(ran.stdout.contains("-0000000000000000-none-"), "an unresolved image is zeros");
    let note = ran.message("note").unwrap();
    assert!(note.contains("localhost/lnd-ui:latest"), "{ran:?}");
    let system = bench.run(&["--host", "system", "render", "archy-lnd-ui"]);
    assert!(system.stdout.contains("WantedBy=multi-user.target"), "{system:?}");
}

#[test]
fn an_app_with_several_companions_is_rendered_by_their_names() {
    let bench = Bench::new();
    let both = ["a-ui", "b-ui"].map(|name| MINE.replace("my-ui", name));
    let file = bench.file("catalog.toml", &both.concat());
    let render = |name: &str| bench.run(&["--catalog", file.to_str().unwrap(), "render", name]);
    let ran = render("my-app");
    assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{ran:?}");
    assert_eq!(ran.message("hint"), Some("name one of them: `a-ui`, `b-ui`"));
    assert_eq!(render("a-ui").status, 0);
}
