//! Help, completions, manual pages, and text output.

use std::process::Stdio;

use crate::bench::{Bench, Ran};

const COMMANDS: [&str; 17] = [
    "setup",
    "doctor",
    "install",
    "remove",
    "reconcile",
    "plan",
    "run",
    "status",
    "wait",
    "history",
    "reload",
    "render",
    "catalog",
    "logs",
    "demo",
    "completions",
    "man",
];

#[test]
fn every_command_has_a_help_text_on_stdout() {
    let bench = Bench::new();
    let help = bench.run(&["--help"]);
    assert_eq!(help.status, 0);
    assert!(help.stdout.contains("Exit status:"), "{help:?}");
    for command in COMMANDS {
        assert!(help.stdout.contains(&format!("\n  {command} ")), "{command}");
        let ran = bench.run(&[command, "--help"]);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{command}");
        let (own, _options) = ran.stdout.split_once("\nUsage: ").unwrap();
        assert!(own.contains("\nExit status: "), "the long help of {command} is hidden: {own}");
        let short = bench.run(&[command, "-h"]);
        assert!(!short.stdout.contains("Exit status: "), "{command}: {short:?}");
    }
    let listed = help.stdout.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.is_empty());
    let listed: Vec<_> = listed.filter_map(|line| line.split_whitespace().next()).collect();
    let all = [&COMMANDS[..], &["help"]].concat();
    assert!(
        listed.iter().all(|command| all.contains(command)),
        "a command is untested: {listed:?}"
    );
    assert!(bench.run(&["--version"]).stdout.starts_with("companion "));
}

#[test]
fn completions_and_pages_are_made() {
    let bench = Bench::new();
    for shell in ["bash", "zsh", "fish"] {
        let ran = bench.run(&["completions", shell]);
        assert!(ran.status == 0 && ran.stdout.contains("reconcile"), "{shell}");
    }
    assert!(bench.run(&["man"]).stdout.contains(".TH companion 1"));
    let setup = bench.run(&["setup", "--help"]);
    assert!(setup.stdout.contains("\nExamples:\n  companion setup "), "{setup:?}");
    let pages = bench.home().join("pages");
    assert_eq!(bench.run(&["man", pages.to_str().unwrap()]).status, 2);
    std::fs::create_dir(&pages).unwrap();
    assert_eq!(bench.run(&["man", pages.to_str().unwrap()]).status, 0);
    for command in COMMANDS {
        let page = std::fs::read_to_string(pages.join(format!("companion-{command}.1"))).unwrap();
        assert!(page.contains("Exit status:"), "{command}");
    }
}

#[test]
fn colours_are_used_only_on_request() {
    let bench = Bench::new();
    let coloured = |arguments: &[&str]| {
        let ran = bench.sim(&[arguments, &["install", "lnd"]].concat());
        ran.stdout.contains('\u{1b}') || ran.stderr.contains('\u{1b}')
    };
    assert!(!coloured(&[]));
    assert!(!coloured(&["--color", "never"]));
    assert!(coloured(&["--color", "always"]));
}

#[test]
fn closed_stdout_pipe_is_not_an_error() {
    let bench = Bench::new();
    let mut child = bench
        .command(&["--host", "sim", "install", "lnd", "electrs"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let ran = Ran::of(output);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(!ran.stderr.contains("panic") && !ran.stderr.contains("error"), "{ran:?}");
}

#[test]
fn a_full_disk_under_stdout_is_an_error() {
    let bench = Bench::new();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = bench.command(&["catalog"]).stdout(full).output().unwrap();
    let ran = Ran::of(output);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.told("error").unwrap().starts_with("failed to write to stdout"), "{ran:?}");
}

const README: &str = include_str!("../../../../README.md");

/// The code blocks of one language.
fn blocks(language: &str) -> impl Iterator<Item = &'static str> {
    let parts = README.split(language).skip(1);
    parts.map(|part| part.split("\n```").next().unwrap())
}

#[test]
fn the_commands_of_the_readme_exist_with_their_options() {
    let bench = Bench::new();
    let lines = blocks("```sh\n").flat_map(str::lines);
    let commands = lines.filter_map(|line| line.strip_prefix("companion "));
    let commands: Vec<_> = commands.collect();
    assert!(commands.len() >= 6, "{commands:?}");
    for command in commands {
        let words: Vec<_> = command.split_whitespace().chain(["--help"]).collect();
        assert_eq!(bench.run(&words).status, 0, "{command}");
    }
}

#[test]
fn the_catalog_of_the_readme_has_a_companion_with_a_port() {
    let bench = Bench::new();
    let [text] = blocks("```toml\n").collect::<Vec<_>>()[..] else { panic!("one catalog") };
    let file = bench.file("catalog.toml", text);
    let ran = bench.run(&["--catalog", file.to_str().unwrap(), "catalog", "--json"]);
    let catalog = ran.json();
    let companions = catalog["companions"].as_array().unwrap();
    let own = companions.iter().find(|companion| companion["name"] == "my-ui").unwrap();
    assert_eq!(own["container"]["ports"][0]["host"], 18090);
}
