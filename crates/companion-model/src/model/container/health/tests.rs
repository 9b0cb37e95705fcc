use super::*;

#[test]
fn url_has_a_scheme_a_host_a_port_and_a_path() {
    let urls = "http://127.0.0.1:8080/health http://localhost https://[::1]:8080/v1/state?x=1 https://[::1] \
         https://lnd/ http://lnd:8080?x";
    for text in urls.split(' ') {
        assert_eq!(HttpUrl::new(text).unwrap().as_str(), text);
    }
}

/// Archipelago's commit 384f12de: a scheme put in front of a URL.
#[test]
fn url_with_two_schemes_or_shell_characters_is_refused() {
    let schemes =
        "127.0.0.1:8080 http:// http://http://127.0.0.1:8080/ http://https://x ftp://x/ HTTP://x/";
    let hosts = "http://user@x/ http://x:0/ http://x:65536/ http://x:08/ http://x:/ http://::1:80/ http://[::1/ \
         http://[127.0.0.1]:80/";
    let paths = "http://x/';id;' http://x/$(id) http://x/`id` http://x/#top";
    let words = [schemes, hosts, paths].into_iter().flat_map(|words| words.split(' '));
    for text in words.chain(["", "http://x/a b", "http://x/\n", "http://x y/"]) {
        assert!(text.parse::<HttpUrl>().is_err(), "{text:?}");
    }
}

#[test]
fn a_path_is_added_to_a_url_without_one() {
    for text in ["https://x:8080", "https://x:8080/"] {
        let url = HttpUrl::new(text).unwrap().with_path("/a").unwrap();
        assert_eq!(url.as_str(), "https://x:8080/a");
    }
    for (text, path) in [("http://x/b", "/a"), ("http://x?b", "/a"), ("http://x", "a")] {
        let refused = HttpUrl::new(text).unwrap().with_path(path).unwrap_err();
        assert_eq!(refused.field(), "path");
    }
}

#[test]
fn an_endpoint_is_a_host_and_a_port() {
    for (host, text) in [
        ("127.0.0.1", "127.0.0.1:8332"),
        ("::1", "[::1]:8332"),
        ("bitcoin-knots", "bitcoin-knots:8332"),
    ] {
        let endpoint = Endpoint::new(text).unwrap();
        assert_eq!((endpoint.host(), endpoint.port()), (host, "8332"));
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
