use proptest::prelude::*;

use crate::catalog::CatalogFile;
use crate::node::Node;

/// Refuses `text`, and returns the error in one line and what a person is shown of the file.
fn refused(text: &str) -> (String, String) {
    let parsed = CatalogFile::parse(text, "catalog.toml");
    let error = match parsed.map(|file| file.companions(&Node::default())) {
        Ok(Ok(companions)) => panic!("{companions:?}"),
        Ok(Err(error)) | Err(error) => error,
    };
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
    let line = format!("{error}{}", cause.unwrap_or_default());
    (line, error.place().map(|place| place.excerpt.clone()).unwrap_or_default())
}

const ENTRY: &str = "[[companion]]\nname = \"x\"\napps = [\"a\"]\nimage = { base = \"x\" }\n";

#[test]
fn a_syntax_error_is_shown_where_it_is() {
    let (line, shown) = refused("[node]\nimage_repository = \"unclosed\nx = 1\n");
    assert!(line.starts_with("catalog.toml:2:"), "{line}");
    assert!(shown.contains("2 | image_repository = \"unclosed"), "{shown}");
    let (line, shown) = refused("[[companion]\nname = \"hunter2\"\n");
    assert!(line.starts_with("catalog.toml:1:") && !line.contains("hunter2"), "{line}");
    assert!(shown.contains("1 | [[companion]"), "{shown}");
}

#[test]
fn unknown_key_or_invalid_value_is_shown_with_a_caret_below_each_character() {
    let ports =
        "[companion.container]\nports = [{ host = 1, container = 1 }]\nnetwork = \"host\"\n";
    let mounts = "[[companion.container.mounts]]\nsource = \"/run/x\"\ntarget = \"/x\"\n";
    let registries = "[node]\ninsecure_registries = [\"a.b\", \"http://c\"]\n";
    let companion = "the companion `x` is invalid:";
    let node = "the table `[node]` is invalid:";
    for (text, (line, column), message, marked) in [
        ("\n\nport = 80\n", (3, 1), "unknown field `port`, expected", "port"),
        (
            &format!("{ENTRY}{ports}"),
            (6, 9),
            &format!("{companion} ports "),
            "[{ host = 1, container = 1 }]",
        ),
        (
            &format!("{ENTRY}{mounts}"),
            (6, 10),
            &format!("{companion} mounts `/run/x` must not"),
            "\"/run/x\"",
        ),
        (
            registries,
            (2, 31),
            &format!("{node} insecure_registries `http://c` must"),
            "\"http://c\"",
        ),
        (
            "[node.bitcoin]\nuser = \"a:b\"\n",
            (2, 8),
            &format!("{node} bitcoin.user `a:b` must"),
            "\"a:b\"",
        ),
        (&ENTRY.replace("\"a\"", ""), (3, 8), &format!("{companion} apps "), "[]"),
        (&ENTRY.repeat(2), (6, 8), &format!("{companion} name `x` is the name of two"), "\"x\""),
    ] {
        let (found, shown) = refused(text);
        assert!(found.starts_with(&format!("catalog.toml:{line}:{column}: {message}")), "{found}");
        let source = text.lines().nth(line - 1).unwrap();
        let carets = format!("{}{}", " ".repeat(column - 1), "^".repeat(marked.len()));
        assert!(source[column - 1..].starts_with(marked), "{source}");
        let expected = format!("  |\n{line} | {source}\n  | {carets}");
        assert_eq!(shown.trim_end(), expected, "{found}");
    }
}

#[test]
fn values_of_keys_that_look_like_secrets_are_hidden() {
    for (before, after) in [
        ("[node]\nbuild_arguments = { NPM_TOKEN = ", " }"),
        ("[node.build_arguments]\nNPM_TOKEN = ", ""),
        ("[node]\nbuild_arguments.\"registry-password\" = ", ""),
        ("[node.build_arguments]\nAPI_KEY = [", "]"),
        ("[node.build_arguments]\nAPI_KEY = [\n", "]"),
        ("[node.build_arguments]\nAPI_KEY = [\n", "\n, nonsense]"),
    ] {
        for value in ["4711471147", "4711471147 [nonsense", "{ x = 4711471147 }", "\"4711471147"] {
            let (line, shown) = refused(&format!("{before}{value}{after}\n"));
            let text = format!("{line}\n{shown}");
            assert!(!text.contains("4711"), "{before}{value}:\n{text}");
            assert!(line.starts_with("catalog.toml:"), "{text}");
        }
    }
    let text = "[node.build_arguments]\nTOKEN = \"\"\"\n4711 \\q\n\"\"\"\n";
    let (line, shown) = refused(text);
    assert!(!format!("{line}{shown}").contains("4711"), "{line}\n{shown}");
    let (_, shown) = refused("[node.bitcoin]\npassword_file = \"secrets/x\"\n");
    assert!(shown.contains("secrets/x"), "the path of a file is none: {shown}");
}

#[test]
fn a_long_line_is_cut_around_the_place() {
    let text = format!("{} x y = 1 {}\n", "a".repeat(300), "b".repeat(300));
    let (line, shown) = refused(&text);
    assert!(line.starts_with("catalog.toml:1:30"), "{line}");
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines.iter().all(|line| line.chars().count() <= 110), "{shown}");
    let caret = lines[2].chars().position(|c| c == '^').unwrap();
    assert_eq!(lines[1].chars().nth(caret), Some('x'), "{shown}");
}

#[test]
fn control_characters_are_not_shown() {
    let (_, shown) = refused("# \u{1b}[2K\u{202e}\ta = 1\r\n\"\\u001B[2K\" = 1 # \u{202e}\r\n");
    assert!(
        !shown.contains(|c: char| c != '\n' && (c.is_control() || c == '\u{202e}')),
        "{shown:?}"
    );
}

proptest! {
    #[test]
    fn an_excerpt_is_three_printable_lines(text in "[\\[\\]a-c=\"'\\\\ \\n\\r\\t{},.#0-9\u{e9}\u{202e}]{0,120}") {
        let Err(error) = CatalogFile::parse(&text, "f") else { return Ok(()) };
        let place = error.place().unwrap();
        prop_assert!(!place.excerpt.contains(|c: char| c != '\n' && c.is_control()));
        prop_assert_eq!(place.excerpt.lines().count(), 3);
        prop_assert!(place.line <= text.matches('\n').count() + 1 && place.column >= 1);
        let one_line = !error.to_string().contains('\n');
        prop_assert!(one_line);
    }
}
