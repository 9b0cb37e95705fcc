use super::*;

fn revision(text: &str) -> Option<String> {
    extension_value(text, "X-Companion", "Revision")
}

#[test]
fn a_value_is_found_among_other_sections_and_keys() {
    let text = "[Container]\nImage=x\nRevision=no\n\n[X-Companion]\nRevision=5f1c\nCompanion=archy-lnd-ui\n";
    assert_eq!(revision(text).as_deref(), Some("5f1c"));
    assert_eq!(extension_value(text, "X-Companion", "Companion").as_deref(), Some("archy-lnd-ui"));
    assert_eq!(extension_value(text, "X-Companion", "Image"), None);
    assert_eq!(extension_value(text, "X-Other", "Revision"), None);
}

#[test]
fn the_last_assignment_of_merged_sections_wins_and_an_empty_one_unsets() {
    let twice = "[X-Companion]\nRevision=1\n[Unit]\nRevision=2\n[X-Companion]\nRevision=3\n";
    assert_eq!(revision(twice).as_deref(), Some("3"));
    assert_eq!(revision("[X-Companion]\nRevision=1\nRevision=\n"), None);
}

#[test]
fn blanks_comments_and_continuations_are_parsed_like_quadlet() {
    assert_eq!(revision("  [X-Companion] \r\n Revision = a b \r\n").as_deref(), Some("a b"));
    assert_eq!(
        revision("[X-Companion]\n# Revision=1\n;Revision=2\nRevision=3").as_deref(),
        Some("3")
    );
    assert_eq!(revision("[X-Companion]\nRevision=a\\\n# comment\nb").as_deref(), Some("ab"));
    assert_eq!(
        revision("[X-Companion]\nRevision=a\\").as_deref(),
        Some("a"),
        "a continuation at the end of the text"
    );
    assert_eq!(revision("[Unit]\nDescription=x \\\n[X-Companion]\nRevision=1\n"), None);
}

/// Found by the generators: around `=` Quadlet trims only ASCII blanks.
#[test]
fn a_value_keeps_a_leading_blank_of_unicode() {
    assert_eq!(
        revision("[X-Companion]\nRevision= \u{2028}a\u{2028}\n").as_deref(),
        Some("\u{2028}a")
    );
}

#[test]
fn hostile_and_broken_texts_give_nothing() {
    for text in [
        "",
        "\0",
        "[",
        "]",
        "[]",
        "=",
        "[X-Companion",
        "[X-Companion]Revision=1",
        "[x-companion]\nRevision=1",
        "[X-Companion]\nrevision=1",
        "[X-Companion]\nRevision",
        "[X-Companion]\nRevisionX=1",
        "[X-Companion]\n[Revision=1",
        "\\",
        "[X-Companion]\\\nRevision=1",
        "Revision=1",
        "[X-Companion]x\nRevision=1",
        "[[X-Companion]]\nRevision=1",
        "[X-Companion]\n=Revision=1",
        "\u{feff}[X-Companion]\nRevision=1",
    ] {
        assert_eq!(revision(text), None, "{text:?}");
    }
}

#[test]
fn a_very_long_text_is_read_to_its_end() {
    let text = format!(
        "[X-Companion]\nPadding={}\n{}Revision=end\n",
        "\\\n".repeat(100_000),
        "[\n=\n".repeat(100_000)
    );
    assert_eq!(revision(&text).as_deref(), Some("end"));
}
