//! Drives each server over loopback like a real client.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::bitcoin::Rpc;
use super::{accept, electrum, http, lnd};

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

/// A request, the file with the password at that time, the status, and what the journal says: method, user, and whether
/// the password was right.
#[test]
fn requests_are_answered_by_their_credentials_and_logged_without_the_password() {
    let directory = TempDir::new().unwrap();
    let address = node(directory.path());
    let call = r#"{"id":1,"method":"uptime"}"#;
    let bare = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{call}", call.len());
    let (alice, uptime) = (json!("alice"), json!("uptime"));
    let rows = [
        (post("alice:hunter2", call), "hunter2\n", 200, json!([uptime, alice, true])),
        (post("alice:guess", call), "hunter2\n", 401, json!([uptime, alice, false])),
        (post("mallory:hunter2", call), "hunter2\n", 401, json!([uptime, "mallory", true])),
        (bare, "hunter2\n", 401, json!([uptime, null, false])),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "hunter2\n", 405, json!([null, null, false])),
        (post("alice:hunter2", call), "rotated", 401, json!([uptime, alice, false])),
        (post("alice:rotated", call), "rotated", 200, json!([uptime, alice, true])),
        (post("alice:rotated", "{"), "rotated", 500, json!([null, alice, true])),
        (
            post("alice:rotated", r#"{"method":"stop"}"#),
            "rotated",
            404,
            json!(["stop", alice, true]),
        ),
    ];
    for (message, password, status, logged) in rows {
        fs::write(directory.path().join("password"), password).unwrap();
        let answer = exchange(address, &message);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert_eq!(answer.contains("WWW-Authenticate: Basic"), status == 401, "{answer}");
        let line = journal_of(directory.path()).pop().unwrap();
        assert_eq!(json!([line["method"], line["user"], line["password_right"]]), logged);
        assert_eq!(line["status"], status);
    }
    let first = &journal_of(directory.path())[0];
    assert_eq!(
        (&first["host"], &first["origin"]),
        (&json!("node.test"), &json!("http://page.test"))
    );
    assert!(!fs::read_to_string(directory.path().join("journal")).unwrap().contains("hunter2"));
    fs::remove_file(directory.path().join("password")).unwrap();
    let unreadable = exchange(address, &post("alice:rotated", call));
    assert!(unreadable.starts_with("HTTP/1.1 401 "), "{unreadable}");
}

#[test]
fn each_failure_of_a_batch_has_its_own_answer() {
    let directory = TempDir::new().unwrap();
    let address = node(directory.path());
    let batch = r#"[{"id":1,"method":"stop"},{"id":2,"method":"uptime"},{"id":3}]"#;
    let batch = exchange(address, &post("alice:hunter2", batch));
    assert!(batch.starts_with("HTTP/1.1 200 "), "{batch}");
    let answers = body_of(&batch);
    let codes = [0, 1, 2].map(|at| answers[at]["error"]["code"].as_i64());
    assert_eq!(codes, [Some(-32601), None, Some(-32600)]);
    assert_eq!(answers[1]["id"], 2);
    assert_eq!(journal_of(directory.path()).len(), 3);
}

#[test]
fn lnd_and_metrics_answer_their_own_path_only() {
    let lnd = served(|peer| http::serve(peer, lnd));
    let metrics = served(|peer| http::serve(peer, electrum::metrics));

    assert!(exchange(lnd, "GET /v1/seed HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
    assert!(
        exchange(metrics, "GET / HTTP/1.1\r\n\r\n")
            .contains("electrs_index_height{type=\"tip\"} 870000\n")
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
fn each_recorded_answer_is_served() {
    let directory = TempDir::new().unwrap();
    let address = node(directory.path());
    let results: Value =
        serde_json::from_str(include_str!("../../../companions/answers/bitcoin.json")).unwrap();
    for (method, result) in results.as_object().unwrap() {
        let call = format!(r#"{{"id":1,"method":"{method}"}}"#);
        let answer = exchange(address, &post("alice:hunter2", &call));
        assert_eq!(body_of(&answer)["result"], *result, "{method}");
    }
    let paths: Value =
        serde_json::from_str(include_str!("../../../companions/answers/lnd.json")).unwrap();
    let state = exchange(served(|peer| http::serve(peer, lnd)), "GET /v1/state HTTP/1.1\r\n\r\n");
    assert_eq!(body_of(&state), paths["/v1/state"]);
}
