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

/// Linux limits an argument to 128 KiB (`MAX_ARG_STRLEN`); the option in front of it has up to 256 bytes.
#[test]
fn a_word_of_130_816_bytes_is_the_longest() {
    assert!(spell(Class::Line, &"a".repeat(130_816)).is_ok());
    assert!(spell(Class::Line, &"a".repeat(130_817)).is_err());
}

#[test]
fn only_percent_is_doubled_where_systemd_reads_the_key_itself() {
    assert_eq!(spelt(Class::Text, "100% of $HOME"), "100%% of $HOME");
    assert_eq!(spelt(Class::Assignments, "A=100% of $HOME"), "\"A=100%% of $HOME\"");
}

#[test]
fn nothing_is_doubled_where_nothing_is_expanded() {
    assert_eq!(spelt(Class::Verbatim, "50% of $HOME"), "50% of $HOME");
}

#[test]
fn arguments_are_quoted_with_control_characters_escaped_in_hexadecimal() {
    assert_eq!(spelt(Class::Args, "a\"b\\c\n\t\u{1b}\r\u{7f}'"), r#""a\"b\\c\n\t\x1b\x0d\x7f'""#);
}

#[test]
fn a_name_is_no_option_and_no_other_unit() {
    for text in ["--privileged", "-v"] {
        assert_why(Class::Name, text, "is an option");
    }
    for text in ["x.build", "localhost/x.image", "x.network:ip=10.0.0.1", "x.volume:/data"] {
        assert_why(Class::Name, text, "refers to another unit");
    }
    for text in ["/x.volume:/data", "x.build/y"] {
        assert_eq!(spelt(Class::Name, text), text);
    }
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
fn a_lone_semicolon_is_rejected_in_every_command_class() {
    for class in ALL_OF_CONTAINER {
        assert_why(class, ";", "separates commands");
        assert!(spell(class, ";;").is_ok() && spell(class, "a;b").is_ok(), "{class:?}");
    }
}

#[test]
fn the_empty_word_is_refused_in_every_class() {
    let others = [Class::Text, Class::Verbatim, Class::Paths, Class::Assignments];
    for class in ALL_OF_CONTAINER.into_iter().chain(others) {
        assert_why(class, "", "is empty");
    }
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
fn systemd_takes_tab_and_line_feed_alone_in_a_variable() {
    assert_eq!(spelt(Class::Assignments, "A=b\tc\nd"), r#""A=b\tc\nd""#);
    assert_why(Class::Assignments, "A=\r", "contains the control character U+000D");
}

#[test]
fn blanks_at_the_ends_of_a_line_are_refused_as_unicode_knows_them() {
    for class in [Class::Line, Class::Text, Class::Verbatim] {
        for text in [" ", " a", "a ", "a\u{a0}", "\u{2028}a", "a\u{3000}"] {
            assert_why(class, text, "starts or ends with a blank");
        }
        assert!(spell(class, "a b\u{a0}c").is_ok(), "{class:?}");
    }
}

#[test]
fn double_quotes_at_the_ends_of_a_raw_value_are_refused() {
    for class in [Class::Line, Class::Name] {
        for text in ["\"", "\"a", "a\"", "\"a\""] {
            assert_why(class, text, "starts or ends with a double quote");
        }
        assert_eq!(spelt(class, "a\"b"), "a\"b", "{class:?}");
        assert_eq!(spelt(class, "'a'"), "'a'", "{class:?}");
    }
}

#[test]
fn a_backslash_at_the_end_of_a_line_is_refused_and_kept_inside_quotes() {
    for class in [Class::Line, Class::Text, Class::Verbatim] {
        for text in ["a\\", "a\\\\"] {
            assert_why(class, text, "ends with a backslash");
        }
        assert_eq!(spelt(class, "C:\\dir"), "C:\\dir", "{class:?}");
    }
    assert_eq!(spelt(Class::Strv, "a\\"), "\"a\\\"");
    assert_eq!(spelt(Class::Args, "a\\"), "\"a\\\\\"");
}

#[test]
fn quotes_are_refused_where_a_list_has_no_escape_for_them() {
    for text in ["a\"b", "it's"] {
        assert_why(Class::Strv, text, "contains a quote or a backslash");
    }
}

/// Found by the round trip: Quadlet trims a line by Unicode blanks but splits it at four ASCII blanks.
#[test]
fn a_word_of_a_list_that_ends_with_a_no_break_space_is_quoted() {
    assert_eq!(spelt(Class::Strv, "/é\u{a0}"), "\"/é\u{a0}\"");
}

#[test]
fn a_word_longer_than_an_argument_is_refused() {
    assert!(spell(Class::Args, &"x".repeat(WORD_LIMIT)).is_ok());
    let message = format!("takes {} bytes", WORD_LIMIT + 1);
    assert_why(Class::Args, &"x".repeat(WORD_LIMIT + 1), &message);
}
