//! Bitcoin's JSON-RPC: authentication, answers and the request journal. The answers are those of an idle regtest node
//! and never change.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::http::{Request, Response};
use crate::say;

const HEIGHT: u64 = 150;
const TIP: &str = "4a5f4c2bb1e3b2a7f6d90b7f0c8a1e6d5c3b2a190f8e7d6c5b4a39281706f5e4";
const GENESIS: &str = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206";

// bitcoind's numbers, from its `rpc/protocol.h`.
const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_REQUEST: i64 = -32600;
const PARSE_ERROR: i64 = -32700;

/// The RPC server of a node with one user.
#[derive(Debug)]
pub(crate) struct Rpc {
    user: String,
    password_file: PathBuf,
    journal: Option<Mutex<File>>,
}

/// The user from the `Authorization` header, and whether the credentials are valid.
#[derive(Debug, Default)]
struct Claim {
    user: Option<String>,
    password_right: bool,
    granted: bool,
}

impl Rpc {
    /// Opens the journal for appending. The password file is read at each request, so a rotation needs no restart.
    ///
    /// # Errors
    ///
    /// If the journal cannot be opened.
    pub(crate) fn new(
        user: &str,
        password_file: &Path,
        journal: Option<&Path>,
    ) -> io::Result<Self> {
        let journal = journal
            .map(|path| OpenOptions::new().create(true).append(true).open(path).map(Mutex::new))
            .transpose()?;
        Ok(Self { user: user.to_owned(), password_file: password_file.to_owned(), journal })
    }

    /// Answers one HTTP request, which may hold a batch of calls.
    pub(crate) fn answer(&self, request: &Request) -> Response {
        let claim = self.claim(request.header("authorization"));
        let calls = serde_json::from_slice::<Value>(&request.body).ok();
        let response = if request.method != "POST" {
            Response::text(405, "JSONRPC server handles only POST requests".to_owned())
        } else if !claim.granted {
            Response::unauthorised()
        } else if request.path != "/" && !request.path.starts_with("/wallet/") {
            Response::text(404, String::new())
        } else {
            answer_calls(calls.as_ref())
        };
        self.write_down(request, &claim, calls.as_ref(), response.status);
        response
    }

    fn claim(&self, authorization: Option<&str>) -> Claim {
        let Some((user, password)) = authorization.and_then(basic_credentials) else {
            return Claim::default();
        };
        let password_right = match fs::read_to_string(&self.password_file) {
            Ok(expected) => password == expected.trim_end_matches(['\r', '\n']),
            Err(problem) => {
                say(&format!("`{}`: {problem}", self.password_file.display()));
                false
            }
        };
        let granted = password_right && user == self.user;
        Claim { user: Some(user), password_right, granted }
    }

    /// Logs one line per call, and one for a request without a readable call.
    fn write_down(&self, request: &Request, claim: &Claim, calls: Option<&Value>, status: u16) {
        let Some(journal) = &self.journal else { return };
        let calls = match calls {
            Some(Value::Array(batch)) => batch.iter().map(method_of).collect(),
            Some(call) => vec![method_of(call)],
            None => vec![None],
        };
        let lines: String = calls
            .into_iter()
            .map(|method| {
                let line = json!({
                    "method": method,
                    "status": status,
                    "user": claim.user,
                    "password_right": claim.password_right,
                    "host": request.header("host"),
                    "origin": request.header("origin"),
                });
                format!("{line}\n")
            })
            .collect();
        let mut journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(problem) = journal.write_all(lines.as_bytes()) {
            say(&format!("cannot write the journal: {problem}"));
        }
    }
}

fn basic_credentials(authorization: &str) -> Option<(String, String)> {
    let (scheme, encoded) = authorization.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

fn method_of(call: &Value) -> Option<&str> {
    call.get("method").and_then(Value::as_str)
}

fn answer_calls(calls: Option<&Value>) -> Response {
    match calls {
        // In a batch each failure has its own answer.
        Some(Value::Array(batch)) => {
            let answers = batch.iter().map(|call| answer_call(call).1).collect();
            Response::json(200, format!("{}\n", Value::Array(answers)))
        }
        Some(call) => {
            let (status, answer) = answer_call(call);
            Response::json(status, format!("{answer}\n"))
        }
        None => {
            let error = json!({"code": PARSE_ERROR, "message": "Parse error"});
            Response::json(
                500,
                format!("{}\n", json!({"result": null, "error": error, "id": null})),
            )
        }
    }
}

/// The answer, and the HTTP status that bitcoind uses outside of a batch.
fn answer_call(call: &Value) -> (u16, Value) {
    let id = call.get("id").cloned().unwrap_or(Value::Null);
    let (status, code, message) = match method_of(call) {
        Some(method) => match result_of(method) {
            Some(result) => return (200, json!({"result": result, "error": null, "id": id})),
            None => (404, METHOD_NOT_FOUND, "Method not found"),
        },
        None => (400, INVALID_REQUEST, "Missing method"),
    };
    (status, json!({"result": null, "error": {"code": code, "message": message}, "id": id}))
}

fn result_of(method: &str) -> Option<Value> {
    let result = match method {
        "getblockchaininfo" => json!({
            "chain": "regtest", "blocks": HEIGHT, "headers": HEIGHT, "bestblockhash": TIP,
            "bits": "207fffff", "target": format!("7fffff{:058}", 0),
            "difficulty": 4.656_542_373_906_925e-10, "time": 1_700_090_000, "mediantime": 1_700_087_000,
            "verificationprogress": 1, "initialblockdownload": false, "chainwork": format!("{:064x}", 2 * (HEIGHT + 1)),
            "size_on_disk": 45_300, "pruned": false, "warnings": [],
        }),
        "getnetworkinfo" => json!({
            "version": 290_000, "subversion": "/Satoshi:29.0.0/", "protocolversion": 70_016,
            "localservices": "0000000000000c09", "localservicesnames": ["NETWORK", "WITNESS", "NETWORK_LIMITED", "P2P_V2"],
            "localrelay": true, "timeoffset": 0, "networkactive": true, "connections": 1, "connections_in": 0,
            "connections_out": 1, "networks": [], "relayfee": 0.00001, "incrementalfee": 0.00001,
            "localaddresses": [], "warnings": [],
        }),
        "getmempoolinfo" => json!({
            "loaded": true, "size": 2, "bytes": 282, "usage": 2304, "total_fee": 0.000_028_2, "maxmempool": 300_000_000,
            "mempoolminfee": 0.00001, "minrelaytxfee": 0.00001, "incrementalrelayfee": 0.00001, "unbroadcastcount": 0,
            "fullrbf": true,
        }),
        "getpeerinfo" => json!([{
            "id": 0, "addr": "192.0.2.7:18444", "network": "ipv4", "services": "0000000000000c09", "relaytxes": true,
            "lastsend": 1_700_090_000, "lastrecv": 1_700_090_000, "bytessent": 21_000, "bytesrecv": 48_000,
            "conntime": 1_700_080_000, "pingtime": 0.004, "version": 70_016, "subver": "/Satoshi:29.0.0/",
            "inbound": false, "startingheight": 120, "synced_headers": HEIGHT, "synced_blocks": HEIGHT,
        }]),
        "getindexinfo" => json!({"txindex": {"synced": true, "best_block_height": HEIGHT}}),
        "getmininginfo" => json!({
            "blocks": HEIGHT, "difficulty": 4.656_542_373_906_925e-10, "networkhashps": 0.003, "pooledtx": 2,
            "chain": "regtest", "warnings": [],
        }),
        "getnettotals" => {
            let uploads = json!({
                "timeframe": 86_400, "target": 0, "target_reached": false, "serve_historical_blocks": true,
                "bytes_left_in_cycle": 0, "time_left_in_cycle": 0,
            });
            json!({
                "totalbytesrecv": 48_000, "totalbytessent": 21_000, "timemillis": 1_700_090_000_000_u64,
                "uploadtarget": uploads,
            })
        }
        "getchaintips" => {
            json!([{"height": HEIGHT, "hash": TIP, "branchlen": 0, "status": "active"}])
        }
        "estimatesmartfee" => {
            json!({"errors": ["Insufficient data or no feerate found"], "blocks": 6})
        }
        "getrawmempool" => json!([]),
        "getblockcount" => json!(HEIGHT),
        "getbestblockhash" => json!(TIP),
        "getblockhash" => json!(GENESIS),
        "getconnectioncount" => json!(1),
        "uptime" => json!(86_400),
        _ => return None,
    };
    Some(result)
}
