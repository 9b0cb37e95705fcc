//! Help, completions, manual pages, and text output.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::bench::{Bench, MINE, Ran};

/// The subcommands.
fn subcommands() -> Vec<&'static str> {
    "setup doctor install remove export apply uninstall reconcile plan run status wait history reload render catalog \
     logs demo completions man"
        .split_whitespace()
        .collect()
}

#[test]
fn every_command_has_a_help_text_on_stdout() {
    let bench = Bench::new();
    let help = bench.run(&["--help"]);
    assert_eq!(help.status, 0);
    for part in ["Exit status:", "- auto: ", "- user: ", "- system: ", "- sim: "] {
        assert!(help.stdout.contains(part), "{part}: {help:?}");
    }
    for command in subcommands() {
        assert!(help.stdout.contains(&format!("\n  {command} ")), "{command}");
        let ran = bench.run(&[command, "--help"]);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{command}");
        let (own, options) = ran.stdout.split_once("\nUsage: ").unwrap();
        assert!(own.contains("\nExit status: "), "the long help of {command} is hidden: {own}");
        let example = "Examples:\n  companion ";
        assert!(options.contains(example), "{command} has no example: {options}");
        assert!(
            !options.contains("--state-dir"),
            "{command} repeats the global options: {options}"
        );
        let short = bench.run(&[command, "-h"]);
        assert!(!short.stdout.contains("Exit status: "), "{command}: {short:?}");
    }
    let listed = help.stdout.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.is_empty());
    let listed: Vec<_> = listed.filter_map(|line| line.split_whitespace().next()).collect();
    let all = [subcommands(), vec!["help"]].concat();
    assert!(
        listed.iter().all(|command| all.contains(command)),
        "a command is untested: {listed:?}"
    );
    assert!(bench.run(&["--version"]).stdout.starts_with("companion "));
}

#[test]
fn completions_and_pages_are_made() {
    let bench = Bench::new();
    let page = bench.run(&["man"]).stdout;
    assert!(page.contains(".TH companion 1"), "{page}");
    assert!(bench.run(&["man", "--catalog-page"]).stdout.contains(".TH catalog.toml 5"));
    let pages = bench.home().join("pages");
    assert_eq!(bench.run(&["man", pages.to_str().unwrap()]).status, 2);
    std::fs::create_dir(&pages).unwrap();
    assert_eq!(bench.run(&["man", pages.to_str().unwrap()]).status, 0);
    for command in subcommands() {
        let page = std::fs::read_to_string(pages.join(format!("companion-{command}.1"))).unwrap();
        let sections = ["EXIT STATUS", "EXAMPLES", "FILES", "ENVIRONMENT", "SEE ALSO"];
        for section in sections.map(|title| [".SH ", title].concat()) {
            assert!(page.lines().any(|line| line.replace('"', "") == section), "{section}: {page}");
        }
        assert!(page.contains("\\-\\-state\\-dir"), "the options are complete: {page}");
    }
}

/// Completes the last of `words` in bash.
fn completed(bench: &Bench, words: &[&str]) -> Vec<String> {
    let script = bench.file("completion.bash", &bench.run(&["completions", "bash"]).stdout);
    let words_in_bash = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let (index, last) = (words.len() - 1, words.last().unwrap());
    let text = format!(
        "source {}\nCOMP_WORDS=({words_in_bash}) COMP_CWORD={index} COMP_TYPE=9\n\
         _clap_complete_companion companion '{last}' ''\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display()
    );
    let mut bash = std::process::Command::new("/bin/bash");
    let programs = bench.program().parent().unwrap();
    bash.args(["--norc", "-c", &text]).env_clear().env("PATH", programs).env("HOME", bench.home());
    let ran = Ran::of(bash.output().unwrap());
    assert_eq!(ran.stderr, "", "{ran:?}");
    ran.stdout.lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn bash_completes_apps_and_companions_of_the_catalog() {
    let bench = Bench::new();
    bench.file(".config/companion/catalog.toml", MINE);
    assert_eq!(completed(&bench, &["companion", "reco"]), ["reconcile"]);
    // The default catalog of root is in /etc.
    if !rustix::process::geteuid().is_root() {
        assert_eq!(completed(&bench, &["companion", "install", "my"]), ["my-app", "my-ui"]);
    }
    for command in ["install", "remove", "status", "logs", "render", "wait", "history"] {
        assert_eq!(completed(&bench, &["companion", command, "ln"]), ["lnd"], "{command}");
        let names = completed(&bench, &["companion", command, "archy-l"]);
        assert_eq!(names, ["archy-lnd-ui"], "{command}");
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
    assert!(ran.message("error").unwrap().starts_with("failed to write to stdout"), "{ran:?}");
}

/// The documents for people who use the command.
fn documents() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let pages = std::fs::read_dir(root.join("docs/book/src")).unwrap();
    let pages = pages.map(|page| page.unwrap().path());
    let pages = pages.filter(|page| page.extension().is_some_and(|it| it == "md"));
    let paths: Vec<_> = pages.chain([root.join("README.md")]).collect();
    assert!(paths.len() > 10, "{paths:?}");
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// The code blocks of one language; those in a list are indented.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let start = format!("```{language}\n");
    let parts = text.split(&start).skip(1);
    let block = |part: &str| {
        let lines = part.lines().take_while(|line| line.trim() != "```");
        lines.map(|line| format!("{}\n", line.trim_start())).collect()
    };
    parts.map(block).collect()
}

/// The commands in shell blocks and in the text.
fn commands(text: &str) -> Vec<String> {
    let shell = blocks(text, "sh").concat();
    let prose: String = text.split("```").step_by(2).collect();
    let spans = prose.split('`').skip(1).step_by(2).filter(|span| !span.contains(['…', '[', '\n']));
    let lines = shell.lines().chain(spans);
    let lines = lines.map(|line| line.trim_start_matches("sudo "));
    let lines = lines.map(|line| line.trim_start_matches("/usr/bin/"));
    // A redirection is the shell's.
    let lines = lines.map(|line| line.split(" >").next().unwrap_or(line));
    lines.filter_map(|line| line.strip_prefix("companion ")).map(str::to_owned).collect()
}

#[test]
fn every_command_of_readme_and_book_is_accepted_by_the_parser() {
    let bench = Bench::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut seen = 0;
    for (path, text) in documents() {
        for command in commands(&text) {
            // A word in capitals stands for a name; quotes are the shell's.
            let command = command.replace("SHELL", "bash").replace(['"', '\''], "");
            let command = command.replace("$PWD", root.to_str().unwrap());
            let words = command.split_whitespace().filter(|word| *word != "COMMAND");
            let words: Vec<_> = words.chain(["--help"]).collect();
            assert_eq!(bench.run(&words).status, 0, "{}: {command}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 40, "the commands are found: {seen}");
}

#[test]
fn every_catalog_of_readme_and_book_is_valid() {
    let bench = Bench::new();
    let mut ports = Vec::new();
    for (path, text) in documents() {
        for catalog in blocks(&text, "toml") {
            let file = bench.file("catalog.toml", &catalog);
            let ran = bench.run(&["--catalog", file.to_str().unwrap(), "catalog", "--json"]);
            assert_eq!(ran.status, 0, "{}: {ran:?}", path.display());
            let companions = ran.json()["companions"].as_array().unwrap().clone();
            let own = companions.iter().filter(|companion| companion["name"] == "my-ui");
            ports.extend(own.map(|own| own["container"]["ports"][0]["host"].clone()));
        }
    }
    assert_eq!(ports, [18090], "an own companion has a port");
}
