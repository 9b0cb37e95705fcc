//! An Electrum server's line protocol and the Prometheus metrics page of electrs.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::http::{MAX_BODY, Request, Response};

/// Answers one JSON value per line until the peer closes. A line above 1 MiB or invalid JSON closes the connection.
pub(crate) fn serve(mut peer: &TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(peer);
    loop {
        let mut line = Vec::new();
        reader.by_ref().take(MAX_BODY as u64).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(());
        }
        if line.last() != Some(&b'\n') {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "line too long or cut off"));
        }
        let call = serde_json::from_slice::<Value>(&line).map_err(io::Error::from)?;
        peer.write_all(format!("{}\n", answer(&call)).as_bytes())?;
    }
}

fn answer(call: &Value) -> Value {
    let id = call.get("id").cloned().unwrap_or(Value::Null);
    let result = match call.get("method").and_then(Value::as_str) {
        Some("server.version") => json!(["stand-in-node 1.0", "1.4"]),
        Some("server.ping") => Value::Null,
        Some("server.banner") => json!("stand-in-node"),
        Some("blockchain.headers.subscribe") => json!({"height": 150, "hex": "0".repeat(160)}),
        _ => {
            return json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "unknown method"}});
        }
    };
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

/// The metrics page in Prometheus text format.
pub(crate) fn metrics(request: &Request) -> Response {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/" | "/metrics") => {
            Response::text(200, include_str!("../../../companions/answers/electrs.txt").to_owned())
        }
        _ => Response::text(404, String::new()),
    }
}
