//! Drives each server over loopback like a real client.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tempfile::TempDir;

use super::bitcoin::Rpc;
use super::{Options, accept, electrum, http, lnd, parse};

fn served<F>(serve: F) -> SocketAddr
where
    F: Fn(&TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || accept("test", &listener, Arc::new(serve)));
    address
}

fn node(directory: &Path) -> SocketAddr {
    fs::write(directory.join("password"), "hunter2\n").unwrap();
    let rpc =
        Rpc::new("alice", &directory.join("password"), Some(&directory.join("journal"))).unwrap();
    served(move |peer| http::serve(peer, |request| rpc.answer(request)))
}

/// Sends bytes and reads until the server closes.
fn exchange(address: SocketAddr, message: &str) -> String {
    let mut peer = TcpStream::connect(address).unwrap();
    peer.write_all(message.as_bytes()).unwrap();
    let mut answer = String::new();
    peer.read_to_string(&mut answer).unwrap();
    answer
}

fn post(credentials: &str, body: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: node.test\r\nOrigin: http://page.test\r\nAuthorization: Basic {}\r\nContent-Length: {}\r\n\r\n{body}",
        STANDARD.encode(credentials),
        body.len(),
    )
}

fn body_of(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn journal_of(directory: &Path) -> Vec<Value> {
    let journal = fs::read_to_string(directory.join("journal")).unwrap();
    journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn valid_credentials_are_logged_without_the_password() {
    let directory = TempDir::new().unwrap();
    let address = node(directory.path());

    let answer =
        exchange(address, &post("alice:hunter2", r#"{"id":7,"method":"getblockchaininfo"}"#));

    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(body_of(&answer)["result"]["chain"], "regtest");
    assert_eq!(body_of(&answer)["id"], 7);
    let line = &journal_of(directory.path())[0];
    let expected = serde_json::json!({
        "method": "getblockchaininfo", "status": 200, "user": "alice", "password_right": true,
        "host": "node.test", "origin": "http://page.test",
    });
    assert_eq!(line, &expected);
    assert!(!fs::read_to_string(directory.path().join("journal")).unwrap().contains("hunter2"));
}

#[test]
fn rejected_credentials_get_one_answer_and_separate_journal_reasons() {
    let directory = TempDir::new().unwrap();
    let address = node(directory.path());
    let call = r#"{"id":1,"method":"uptime"}"#;

    let bare = format!(
        "POST / HTTP/1.1\r\nHost: node.test\r\nContent-Length: {}\r\n\r\n{call}",
        call.len()
    );
    for message in [post("alice:guess", call), post("mallory:hunter2", call), bare] {
        let answer = exchange(address, &message);
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        assert!(answer.contains("WWW-Authenticate: Basic"), "{answer}");
    }

    let seen: Vec<_> = journal_of(directory.path())
        .iter()
        .map(|line| (line["status"].clone(), line["user"].clone(), line["password_right"].clone()))
        .collect();
    assert_eq!(
        seen,
        [
            (401.into(), "alice".into(), false.into()),
            (401.into(), "mallory".into(), true.into()),
            (401.into(), Value::Null, false.into()),
        ]
    );
}

#[test]
fn rotated_password_applies_to_the_next_request() {
    let directory = TempDir::new().unwrap();
    let address = node(directory.path());

    fs::write(directory.path().join("password"), "rotated").unwrap();

    let old = exchange(address, &post("alice:hunter2", r#"{"method":"uptime"}"#));
    let new = exchange(address, &post("alice:rotated", r#"{"method":"uptime"}"#));
    assert!(old.starts_with("HTTP/1.1 401 "), "{old}");
    assert!(new.starts_with("HTTP/1.1 200 "), "{new}");
}

#[test]
fn unreadable_password_file_refuses_everyone() {
    let directory = TempDir::new().unwrap();
    let address = node(directory.path());

    fs::remove_file(directory.path().join("password")).unwrap();

    let answer = exchange(address, &post("alice:hunter2", r#"{"method":"uptime"}"#));
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[test]
fn unknown_method_is_404_alone_and_200_in_a_batch() {
    let directory = TempDir::new().unwrap();
    let address = node(directory.path());

    let alone = exchange(address, &post("alice:hunter2", r#"{"id":1,"method":"stop"}"#));
    assert!(alone.starts_with("HTTP/1.1 404 "), "{alone}");
    assert_eq!(body_of(&alone)["error"]["code"], -32601);

    let batch = r#"[{"id":1,"method":"stop"},{"id":2,"method":"getblockcount"}]"#;
    let batch = exchange(address, &post("alice:hunter2", batch));
    assert!(batch.starts_with("HTTP/1.1 200 "), "{batch}");
    assert_eq!(body_of(&batch)[0]["error"]["code"], -32601);
    assert_eq!(body_of(&batch)[1]["result"], 150);
    assert_eq!(journal_of(directory.path()).len(), 3);
}

#[test]
fn invalid_json_is_a_parse_error() {
    let directory = TempDir::new().unwrap();
    let address = node(directory.path());

    let answer = exchange(address, &post("alice:hunter2", "{"));

    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert_eq!(body_of(&answer)["error"]["code"], -32700);
    assert_eq!(journal_of(directory.path())[0]["method"], Value::Null);
}

#[test]
fn oversized_requests_are_refused_before_the_body_is_read() {
    let directory = TempDir::new().unwrap();
    let address = node(directory.path());
    let too_long = http::MAX_BODY + 1;

    let body = exchange(address, &format!("POST / HTTP/1.1\r\nContent-Length: {too_long}\r\n\r\n"));
    let length = exchange(address, "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n");
    let chunked = exchange(address, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
    let other = exchange(address, "GET / HTTP/1.1\r\n\r\n");

    assert!(body.starts_with("HTTP/1.1 413 "), "{body}");
    assert!(length.starts_with("HTTP/1.1 400 "), "{length}");
    assert!(chunked.starts_with("HTTP/1.1 411 "), "{chunked}");
    assert!(other.starts_with("HTTP/1.1 405 "), "{other}");
}

#[test]
fn lnd_and_metrics_answer_their_own_path_only() {
    let lnd = served(|peer| http::serve(peer, lnd));
    let metrics = served(|peer| http::serve(peer, electrum::metrics));

    let state = exchange(lnd, "GET /v1/state HTTP/1.1\r\n\r\n");
    assert_eq!(body_of(&state)["state"], "SERVER_ACTIVE");
    assert!(exchange(lnd, "GET /v1/seed HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
    assert!(
        exchange(metrics, "GET / HTTP/1.1\r\n\r\n")
            .contains("electrs_index_height{type=\"tip\"} 150\n")
    );
    assert!(exchange(metrics, "POST / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
}

#[test]
fn electrum_answers_line_by_line_on_one_connection() {
    let address = served(electrum::serve);
    let mut peer = TcpStream::connect(address).unwrap();

    peer.write_all(b"{\"id\":1,\"method\":\"server.version\"}\n{\"id\":2,\"method\":\"blockchain.headers.subscribe\"}\n").unwrap();
    peer.write_all(b"{\"id\":3,\"method\":\"blockchain.nonsense\"}\n").unwrap();
    peer.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answers = String::new();
    peer.read_to_string(&mut answers).unwrap();

    let answers: Vec<Value> =
        answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers[0]["result"][1], "1.4");
    assert_eq!(answers[1]["result"]["height"], 150);
    assert_eq!(answers[2]["error"]["code"], -32601);
}

#[test]
fn options_are_parsed_in_pairs_and_unknown_ones_are_refused() {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>().into_iter();

    let parsed = parse(words("--lnd 127.0.0.1:0 --rpc-user alice"));
    let expected = Options {
        lnd: Some("127.0.0.1:0".to_owned()),
        rpc_user: Some("alice".to_owned()),
        ..Options::default()
    };
    assert_eq!(parsed, Ok(expected));
    assert_eq!(parse(words("--lnd")), Err("`--lnd` needs a value".to_owned()));
    assert_eq!(parse(words("--tls x")), Err("unknown option `--tls`".to_owned()));
}

/// Asserts that both have the same fields of the same types; an empty list says nothing about its items.
fn assert_same_form(place: &str, theirs: &Value, ours: &Value) {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            let keys = |object: &serde_json::Map<String, Value>| {
                object.keys().cloned().collect::<std::collections::BTreeSet<_>>()
            };
            assert_eq!(keys(theirs), keys(ours), "{place}");
            for (key, theirs) in theirs {
                assert_same_form(&format!("{place}.{key}"), theirs, &ours[key]);
            }
        }
        (Value::Array(theirs), Value::Array(ours)) => {
            if let (Some(theirs), Some(ours)) = (theirs.first(), ours.first()) {
                assert_same_form(&format!("{place}[0]"), theirs, ours);
            }
        }
        _ => assert_eq!(
            std::mem::discriminant(theirs),
            std::mem::discriminant(ours),
            "{place}: {theirs} or {ours}"
        ),
    }
}

/// The other stand-in, of the pages, serves these answers.
#[test]
fn answers_have_the_form_of_the_real_backends() {
    let directory = TempDir::new().unwrap();
    let address = node(directory.path());
    let real: Value =
        serde_json::from_str(include_str!("../../../companions/answers/bitcoin.json")).unwrap();
    for (method, result) in real.as_object().unwrap() {
        let call = format!(r#"{{"id":1,"method":"{method}"}}"#);
        let answer = body_of(&exchange(address, &post("alice:hunter2", &call)));
        assert_same_form(method, result, &answer["result"]);
    }

    let real: Value =
        serde_json::from_str(include_str!("../../../companions/answers/lnd.json")).unwrap();
    let address = served(|peer| http::serve(peer, lnd));
    let answer = body_of(&exchange(address, "GET /v1/state HTTP/1.1\r\n\r\n"));
    assert_eq!(real["/v1/state"], answer);

    let real = include_str!("../../../companions/answers/electrs.txt");
    let address = served(|peer| http::serve(peer, electrum::metrics));
    let answer = exchange(address, "GET /metrics HTTP/1.1\r\n\r\n");
    let name = |line: &str| line.split(['{', ' ']).next().unwrap_or_default().to_owned();
    let figures = answer.split_once("\r\n\r\n").unwrap().1;
    for line in figures.lines().filter(|line| !line.starts_with('#')) {
        let known = real.lines().any(|real| name(real) == name(line));
        assert!(known, "electrs does not publish `{line}`");
    }
}
