use super::*;

#[test]
fn url_has_a_scheme_a_host_a_port_and_a_path() {
    for (text, expected) in [
        ("http://127.0.0.1:8080/health", "http://127.0.0.1:8080/health"),
        ("http://localhost", "http://localhost:80/"),
        ("https://[::1]:8080/v1/state?x=1", "https://[::1]:8080/v1/state?x=1"),
        ("https://lnd", "https://lnd:443/"),
        ("http://lnd:8080?x", "http://lnd:8080/?x"),
    ] {
        let url: HttpUrl = text.parse().unwrap();
        assert_eq!(url.to_string(), expected);
        assert_eq!(expected.parse::<HttpUrl>().unwrap(), url);
    }
}

/// Archipelago's commit 384f12de: a scheme put in front of a URL.
#[test]
fn url_with_two_schemes_or_shell_characters_is_refused() {
    for text in [
        "",
        "127.0.0.1:8080",
        "http://",
        "http://http://127.0.0.1:8080/",
        "http://https://x",
        "ftp://x/",
        "HTTP://x/",
        "http://user@x/",
        "http://x:0/",
        "http://x:65536/",
        "http://x:08/",
        "http://x:/",
        "http://::1:80/",
        "http://[::1/",
        "http://[127.0.0.1]:80/",
        "http://x/a b",
        "http://x/';id;'",
        "http://x/$(id)",
        "http://x/`id`",
        "http://x/#top",
        "http://x/\n",
        "http://x y/",
    ] {
        assert!(text.parse::<HttpUrl>().is_err(), "{text:?}");
    }
}

#[test]
fn a_path_is_added_to_a_url_without_one() {
    let url: HttpUrl = "https://x:8080".parse().unwrap();
    assert_eq!(url.with_path("/a").unwrap().to_string(), "https://x:8080/a");
    let url: HttpUrl = "http://x/b".parse().unwrap();
    assert_eq!(url.with_path("/a").unwrap_err().field(), "path");
}

#[test]
fn an_endpoint_is_a_host_and_a_port() {
    for text in ["127.0.0.1:50001", "[::1]:1", "bitcoin-knots:8332"] {
        assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
    }
    for text in ["", ":1", "x", "x:", "x:0", "x:+1", "http://x:1", "x:1/", "a:b:1", "x_y:1"] {
        assert!(text.parse::<Endpoint>().is_err(), "{text:?}");
    }
}

#[test]
fn times_beyond_their_limits_and_empty_commands_are_refused() {
    let check = || HealthCheck::new(Probe::Command("true".to_owned()));
    check().validate().unwrap();
    let long = NonZeroU32::MAX;
    let refused = |check: HealthCheck| check.validate().unwrap_err().field().to_owned();
    assert_eq!(refused(HealthCheck { interval: long, ..check() }), "interval");
    let short = NonZeroU32::new(2).unwrap();
    assert_eq!(refused(HealthCheck { interval: short, ..check() }), "interval");
    assert_eq!(refused(HealthCheck { timeout: long, ..check() }), "timeout");
    assert_eq!(refused(HealthCheck { retries: long, ..check() }), "retries");
    assert_eq!(refused(HealthCheck { start_period: u32::MAX, ..check() }), "start_period");
    for command in ["", " \n", "a\0"] {
        assert_eq!(refused(HealthCheck::new(Probe::Command(command.to_owned()))), "health");
    }
}
