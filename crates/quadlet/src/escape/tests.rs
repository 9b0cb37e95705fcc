use super::*;

const ALL_OF_CONTAINER: [Class; 5] =
    [Class::Line, Class::Name, Class::Array, Class::Strv, Class::Args];

fn spelt(class: Class, word: &str) -> String {
    spell(class, word).unwrap_or_else(|refusal| panic!("{class:?} {word:?}: {refusal:?}"))
}

fn assert_why(class: Class, word: &str, why: &str) {
    let refusal = spell(class, word).expect_err(word);
    assert!(refusal.why.contains(why), "{class:?} {word:?}: {refusal:?}");
}

#[test]
fn percent_and_dollar_are_doubled_where_they_end_in_a_command() {
    for class in ALL_OF_CONTAINER {
        assert_eq!(spelt(class, "100%$HOME").trim_matches('"'), "100%%$$HOME", "{class:?}");
    }
}

#[test]
fn a_word_is_quoted_and_escaped_as_its_class_is_read() {
    for (class, word, expected) in [
        // systemd reads the key itself.
        (Class::Text, "100% of $HOME", "100%% of $HOME"),
        (Class::Assignments, "A=100% of $HOME", "\"A=100%% of $HOME\""),
        (Class::Assignments, "A=b\tc\nd", r#""A=b\tc\nd""#),
        // Nothing is expanded.
        (Class::Verbatim, "50% of $HOME", "50% of $HOME"),
        (Class::Args, "a\"b\\c\n\t\u{1b}\r\u{7f}'", r#""a\"b\\c\n\t\x1b\x0d\x7f'""#),
        // Quadlet trims a line by Unicode blanks but splits it at four ASCII blanks.
        (Class::Strv, "/é\u{a0}", "\"/é\u{a0}\""),
    ] {
        assert_eq!(spelt(class, word), expected);
    }
}

/// The classes of one line.
const LINES: [Class; 3] = [Class::Line, Class::Text, Class::Verbatim];

#[test]
fn a_word_that_its_class_would_read_otherwise_is_refused_with_the_reason() {
    let others = [Class::Text, Class::Verbatim, Class::Paths, Class::Assignments];
    let blanks = [" ", " a", "a ", "a\u{a0}", "\u{2028}a", "a\u{3000}"];
    let units = ["x.build", "localhost/x.image", "x.network:ip=10.0.0.1", "x.volume:/data"];
    let rows: [(&[Class], &[&str], &str); 9] = [
        (&ALL_OF_CONTAINER, &[""], "is empty"),
        (&others, &[""], "is empty"),
        (&ALL_OF_CONTAINER, &[";"], "separates commands"),
        (&[Class::Name], &["--privileged", "-v"], "is an option"),
        (&[Class::Name], &units, "refers to another unit"),
        (&LINES, &blanks, "starts or ends with a blank"),
        (&[Class::Line, Class::Name], &["\"", "\"a", "a\"", "\"a\""], "with a double quote"),
        (&[Class::Strv], &["a\"b", "it's"], "contains a quote or a backslash"),
        (&[Class::Assignments], &["A=\r"], "contains the control character U+000D"),
    ];
    for (classes, texts, why) in rows {
        for class in classes {
            texts.iter().for_each(|text| assert_why(*class, text, why));
        }
    }
}

#[test]
fn a_special_character_is_kept_where_its_class_does_not_read_it() {
    let rows: [(&[Class], &[&str]); 4] = [
        (&ALL_OF_CONTAINER, &[";;", "a;b"]),
        (&LINES, &["a b\u{a0}c"]),
        (&[Class::Line, Class::Name], &["a\"b", "'a'"]),
        (&[Class::Name], &["/x.volume:/data", "x.build/y"]),
    ];
    for (classes, texts) in rows {
        for (class, text) in classes.iter().flat_map(|class| texts.iter().map(move |t| (class, t)))
        {
            assert_eq!(spelt(*class, text).trim_matches('"'), *text, "{class:?}");
        }
    }
}

/// Linux limits an argument to 128 KiB (`MAX_ARG_STRLEN`); the option in front of it has up to 256 bytes.
#[test]
fn a_word_of_130_816_bytes_is_the_longest() {
    assert!(spell(Class::Line, &"a".repeat(130_816)).is_ok());
    assert!(spell(Class::Line, &"a".repeat(130_817)).is_err());
}

#[test]
fn an_array_is_json_unless_it_is_one_plain_word() {
    for (words, expected) in [
        (vec!["/e"], "/e"),
        (vec!["a b"], "a b"),
        (vec!["/e", "-c"], r#"["/e","-c"]"#),
        (vec!["[x"], r#"["[x"]"#),
        (vec!["a\n\"\\"], r#"["a\u000a\"\\"]"#),
        (vec![";"], r#"[";"]"#),
        (vec![" "], r#"[" "]"#),
    ] {
        let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        assert_eq!(array(&words).as_deref(), Ok(expected));
    }
    assert!(array(&["a".to_owned(), String::new()]).is_err());
    assert!(array(&["a".to_owned(), "\0".to_owned()]).is_err());
}

#[test]
fn nul_and_the_upper_control_characters_are_refused_in_every_class() {
    for c in ['\0', '\u{80}', '\u{85}', '\u{9f}'] {
        for class in ALL_OF_CONTAINER.into_iter().chain([Class::Text, Class::Assignments]) {
            let why = format!("contains the control character U+{:04X}", u32::from(c));
            assert_why(class, &format!("a{c}b"), &why);
        }
    }
}

#[test]
fn control_characters_are_refused_where_nothing_can_be_escaped() {
    for class in [Class::Line, Class::Strv, Class::Text, Class::Verbatim, Class::Paths] {
        for text in
            ["a\nb", "a\rb", "a\tb", "a\u{1b}b", "x\n[Service]\nExecStartPre=/bin/touch /tmp/p"]
        {
            assert_why(class, text, "contains the control character");
        }
    }
}

#[test]
fn a_backslash_at_the_end_of_a_line_is_refused_and_kept_inside_quotes() {
    for class in LINES {
        for text in ["a\\", "a\\\\"] {
            assert_why(class, text, "ends with a backslash");
        }
        assert_eq!(spelt(class, "C:\\dir"), "C:\\dir", "{class:?}");
    }
    assert_eq!(spelt(Class::Strv, "a\\"), "\"a\\\"");
    assert_eq!(spelt(Class::Args, "a\\"), "\"a\\\\\"");
}

#[test]
fn a_word_longer_than_an_argument_is_refused() {
    assert!(spell(Class::Args, &"x".repeat(WORD_LIMIT)).is_ok());
    let message = format!("takes {} bytes", WORD_LIMIT + 1);
    assert_why(Class::Args, &"x".repeat(WORD_LIMIT + 1), &message);
}
