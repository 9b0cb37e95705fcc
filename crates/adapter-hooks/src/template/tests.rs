//! No value becomes configuration, verified by an independent parser of nginx's syntax.

use proptest::prelude::*;

use super::*;
use nginx_reader::{Token, structure, tokens};

mod nginx_reader;

const TEMPLATE: &str = r#"# {{ secret | nginx_quote }}
map "host:$host" $known {
    default 0;
    "~^host:\[[0-9a-f:.]+\]$" 1;
    {%- for name in names %}
    {{ ("host:" ~ name) | nginx_quote }} 1;
    {%- endfor %}
}
server {
    listen {{ port }} default_server;
    server_name a{{ plain }}b "{{ plain }}";
    if ($args = {{ secret | nginx_quote }}) { return 403 '{{ plain }}'; }
    proxy_set_header Authorization {{ ("Basic " ~ secret) | nginx_quote }};
    {%- if extra is defined and extra %}
    extra on;
    {%- endif %}
}
"#;

fn values(secret: &str, plain: &str, names: &[String], port: i64) -> Values {
    Values::from([
        ("secret".to_owned(), Value::Text(secret.to_owned())),
        ("plain".to_owned(), Value::Text(plain.to_owned())),
        ("names".to_owned(), Value::Texts(names.to_vec())),
        ("port".to_owned(), Value::Number(port)),
    ])
}

fn one(value: &str) -> Values {
    Values::from([("v".to_owned(), Value::Text(value.to_owned()))])
}

/// Texts of characters with a meaning to nginx, minijinja or the renderer's delimiters.
fn hostile() -> impl Strategy<Value = String> {
    let characters = "\"'\\;{}$#\n\r\t \0\u{1}\u{2}a0é\u{2028}~)".chars().map(String::from);
    let words = ["{{", "}}", "{%", "nginx_quote", "location /x"].map(str::to_owned);
    let pieces = prop::sample::select(characters.chain(words).collect::<Vec<_>>());
    prop_oneof![
        3 => prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat()),
        1 => any::<String>(),
        1 => "[A-Za-z0-9_.:/-]{1,8}",
    ]
}

proptest! {
    #[test]
    fn no_value_changes_the_structure_of_a_template(
        secret in hostile(),
        plain in hostile(),
        names in prop::collection::vec(hostile(), 0..3),
        port: i64,
    ) {
        if let Ok(text) = render(TEMPLATE, &values(&secret, &plain, &names, port)) {
            let calm = vec!["name".to_owned(); names.len()];
            let harmless = render(TEMPLATE, &values("secret", "plain", &calm, 80)).unwrap();
            prop_assert_eq!(structure(&text), structure(&harmless));
            let header = Token::Word(format!("Basic {secret}").into_bytes());
            prop_assert!(tokens(&text).unwrap().contains(&header));
        }
    }

    #[test]
    fn no_value_changes_the_structure_wherever_an_author_puts_it(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "a", " ", "\"", "'", ";", " { ", "}", "\\", "$", "${", "#", "\n", ")",
            "{{ v }}", "{{ v | nginx_quote }}", "{{ (\"x\" ~ v) | nginx_quote }}",
        ]), 1..14),
        value in hostile(),
    ) {
        let template = pieces.concat();
        if let Ok(text) = render(&template, &one(&value)) {
            let harmless = render(&template, &one("harmless"));
            prop_assert!(harmless.is_ok(), "{:?}", harmless);
            prop_assert_eq!(structure(&text), structure(&harmless.unwrap()));
        }
    }

    #[test]
    fn a_quoted_value_is_read_back_whole_or_refused(value in hostile()) {
        match render("{{ v | nginx_quote }}", &one(&value)) {
            Ok(text) => prop_assert_eq!(tokens(&text), Some(vec![Token::Word(value.into_bytes())])),
            Err(error) => {
                prop_assert!(error.0.contains("nginx cannot escape"), "{}", error);
                prop_assert!(value.contains('$') || value.contains(char::is_control));
            }
        }
    }
}

#[track_caller]
fn assert_refused(template: &str, value: &str, why: &str) {
    let error = render(template, &one(value)).unwrap_err().to_string();
    assert!(error.starts_with("line 1 prints a value that ") && error.contains(why), "{error}");
}

#[test]
fn every_printable_byte_but_the_dollar_can_be_quoted() {
    let printable: String = (b' '..=b'~').filter(|b| *b != b'$').map(char::from).collect();
    let text = render("x {{ v | nginx_quote }};", &one(&printable)).unwrap();
    let word = Token::Word(printable.into_bytes());
    assert_eq!(tokens(&text).unwrap()[1..], [word, Token::End]);
    assert_refused("{{ v | nginx_quote }}", "a$b", "a `$`");
}

#[test]
fn every_control_character_is_refused() {
    for byte in (0..=0x1f_u8).chain([0x7f]) {
        let value = format!("a{}b", char::from(byte));
        assert_refused("{{ v | nginx_quote }}", &value, "a control character");
    }
}

#[test]
fn a_text_that_forgot_the_filter_is_refused_unless_it_is_plain() {
    for value in ["", "a b", "a;", "{", "\"", "a\nb", "$x", "é", "a'b", "\\", "#"] {
        assert_refused("{{ v }}", value, "use the filter `nginx_quote`");
    }
    assert_eq!(*render("{{ v }}", &one("/a-b_c.d:9")).unwrap(), "/a-b_c.d:9");
}

#[test]
fn no_other_filter_bypasses_the_rejection() {
    for way in [
        "{{ v | safe }}",
        "{{ v | escape }}",
        "{{ v | upper }}",
        "{{ v | string | safe }}",
        "{{ (v | nginx_quote) | safe }}",
        "{{ (v | nginx_quote) | string }}",
        "{{ (v | nginx_quote) ~ '' }}",
        "{{ [v] | join }}",
        "{{ [v] }}",
        "{{ {'a': v} }}",
        "{{ none }}",
        "{% set x %}{{ v | nginx_quote }}{% endset %}{{ x }}",
        "{% set x = v %}{{ x }}",
        "{% filter upper %}{{ v | nginx_quote }}{% endfilter %}",
        "{% autoescape 'html' %}{{ v }}{% endautoescape %}",
        "{{ v if true else 1 }}",
        "{% for c in v %}{{ c }}{% endfor %}",
    ] {
        let rendered = render(way, &one("; evil on;"));
        assert!(rendered.is_err(), "{way}: {rendered:?}");
    }
}

#[test]
fn a_quoted_value_inside_other_quotes_is_refused() {
    for template in [
        "a \"b {{ v | nginx_quote }} c\";",
        "a 'b {{ v | nginx_quote }} c';",
        "a b{{ v | nginx_quote }};",
        "a {{ v | nginx_quote }}b;",
        "a {{ v | nginx_quote }}{{ v | nginx_quote }};",
        "a\nb \\{{ v | nginx_quote }};",
    ] {
        let error = render(template, &one("; evil on; #")).unwrap_err();
        assert!(error.0.contains("next to another word"), "{template}: {error}");
    }
}

#[test]
fn an_undefined_variable_is_named() {
    let error = render("a\n{{ nmae }} {{ v }}", &one("x")).unwrap_err();
    let expected = r#"line 2 uses a variable without a value, candidates are {"nmae"}"#;
    assert_eq!(error.0, expected);
}

#[test]
fn nothing_can_be_loaded_from_elsewhere() {
    for template in ["{% include 'x' %}", "{% import 'x' as y %}", "{% extends 'x' %}"] {
        assert!(render(template, &Values::new()).is_err(), "{template}");
    }
}

#[test]
fn size_work_and_output_are_bounded() {
    let large = "x".repeat(TEMPLATE_LIMIT + 1);
    let endless = "{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}";
    let long = format!("{{% for a in range(1000) %}}{}{{% endfor %}}", "x".repeat(1000));
    for (template, why) in [
        (large.as_str(), "the template has more than 65536 bytes"),
        (endless, "rendering exceeds the work limit"),
        (&long, "the output has more than 262144 bytes"),
    ] {
        assert_eq!(render(template, &Values::new()).unwrap_err().0, why);
    }
    for value in ["x".repeat(nginx::VALUE_LIMIT - 1), "\\".repeat(nginx::VALUE_LIMIT / 2)] {
        assert_refused("{{ v | nginx_quote }}", &value, "longer than 4000 bytes");
    }
    assert!(render("{{ v | nginx_quote }}", &one(&"x".repeat(nginx::VALUE_LIMIT - 2))).is_ok());
}

#[test]
fn the_last_line_keeps_its_end() {
    assert_eq!(*render("a;\n", &Values::new()).unwrap(), "a;\n");
}

#[test]
fn numbers_and_flags_are_printed_as_they_are() {
    let values =
        Values::from([("n".to_owned(), Value::Number(-5)), ("f".to_owned(), Value::Flag(true))]);
    let template = "{{ n }} {{ n + 1 }} {{ f }} {{ n | nginx_quote }} {% if f %}x{% endif %}";
    assert_eq!(*render(template, &values).unwrap(), "-5 -4 true \"-5\" x");
}

#[test]
fn errors_and_debug_output_quote_no_value_and_no_line() {
    let canary = "canary-5ecret;";
    for template in [
        "{{ v }}",
        "{{ v + 1 }}",
        "{{ v | int }}",
        "{{ v.x.y }}",
        "{{ v | no_such_filter }}",
        "{{ v() }}",
        "{{ 1 / v }}",
        "{{ (v ~ '$') | nginx_quote }}",
        "x{{ v | nginx_quote }}",
        "{{ v ",
        "{% canary-5ecret %}",
        "canary-5ecret\u{1}",
    ] {
        let error = render(template, &one(canary)).unwrap_err();
        let shown = format!("{error} {error:?} {:?}", one(canary));
        assert!(!shown.contains("canary"), "{template}: {shown}");
    }
}
