//! Bitcoin's JSON-RPC: authentication, answers and the request journal. The answers are those that the stand-in of the
//! pages serves.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::http::{Request, Response};
use crate::say;

/// The result of each method.
static RESULTS: LazyLock<Value> = LazyLock::new(|| {
    let results = include_str!("../../../companions/answers/bitcoin.json");
    serde_json::from_str(results).unwrap_or_default()
});

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
            let answer = json!({"result": null, "error": error, "id": null});
            Response::json(500, format!("{answer}\n"))
        }
    }
}

/// The answer, and the HTTP status that bitcoind uses outside of a batch.
fn answer_call(call: &Value) -> (u16, Value) {
    let id = call.get("id").cloned().unwrap_or(Value::Null);
    let (status, code, message) = match method_of(call) {
        Some(method) => match RESULTS.get(method) {
            Some(result) => return (200, json!({"result": result, "error": null, "id": id})),
            None => (404, METHOD_NOT_FOUND, "Method not found"),
        },
        None => (400, INVALID_REQUEST, "Missing method"),
    };
    (status, json!({"result": null, "error": {"code": code, "message": message}, "id": id}))
}
