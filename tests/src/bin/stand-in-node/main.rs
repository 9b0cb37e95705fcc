//! Stand-in for the backends of the companions: Bitcoin's JSON-RPC, LND's state, an Electrum server and electrs'
//! metrics.
//!
//! Gives the answers of `companions/answers`, and logs each request, so that a test sees its credentials and origin. It never
//! logs a password, stores no chain and has no TLS.

mod bitcoin;
mod electrum;
mod http;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::env;
use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bitcoin::Rpc;

/// Concurrent connections per listener; further connections are closed without an answer.
const MAX_CONNECTIONS: usize = 64;
/// Idle time after which a connection is closed.
const SILENCE: Duration = Duration::from_secs(10);

const USAGE: &str = "usage: stand-in-node [--rpc ADDR:PORT --rpc-user NAME --rpc-password-file FILE [--journal FILE]]
                     [--lnd ADDR:PORT] [--electrum ADDR:PORT] [--electrs-metrics ADDR:PORT]";

const OPTIONS: &str =
    "--rpc --rpc-user --rpc-password-file --journal --lnd --electrum --electrs-metrics";

/// The values of the options that were given.
type Options = BTreeMap<String, String>;

fn main() -> ExitCode {
    let started = parse(env::args().skip(1)).and_then(|options| start(&options));
    let problem = match started {
        Ok(listeners) => {
            for listener in listeners {
                // An accept loop ends only by a panic, which is already reported.
                let _ended = listener.join();
            }
            "a listener ended".to_owned()
        }
        Err(problem) => problem,
    };
    say(&format!("{problem}\n{USAGE}"));
    ExitCode::FAILURE
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::new();
    while let Some(name) = arguments.next() {
        if !OPTIONS.split(' ').any(|option| option == name) {
            return Err(format!("unknown option `{name}`"));
        }
        let value = arguments.next().ok_or_else(|| format!("`{name}` needs a value"))?;
        options.insert(name, value);
    }
    Ok(options)
}

fn start(options: &Options) -> Result<Vec<JoinHandle<()>>, String> {
    let mut listeners = Vec::new();
    if let Some(address) = options.get("--rpc") {
        let user = options.get("--rpc-user").ok_or("`--rpc` needs `--rpc-user`")?;
        let password_file =
            options.get("--rpc-password-file").ok_or("`--rpc` needs `--rpc-password-file`")?;
        let rpc =
            Rpc::new(user, password_file.as_ref(), options.get("--journal").map(AsRef::as_ref))
                .map_err(|problem| format!("cannot open the journal: {problem}"))?;
        listeners.push(listen("rpc", address, move |peer| {
            http::serve(peer, |request| rpc.answer(request))
        })?);
    }
    if let Some(address) = options.get("--lnd") {
        listeners.push(listen("lnd", address, |peer| http::serve(peer, lnd))?);
    }
    if let Some(address) = options.get("--electrum") {
        listeners.push(listen("electrum", address, electrum::serve)?);
    }
    if let Some(address) = options.get("--electrs-metrics") {
        listeners
            .push(listen("electrs-metrics", address, |peer| http::serve(peer, electrum::metrics))?);
    }
    if listeners.is_empty() {
        return Err("nothing to listen on".to_owned());
    }
    Ok(listeners)
}

fn lnd(request: &http::Request) -> http::Response {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/v1/state") => {
            http::Response::json(200, r#"{"state":"SERVER_ACTIVE"}"#.to_owned())
        }
        _ => {
            http::Response::json(404, r#"{"code":5,"message":"Not Found","details":[]}"#.to_owned())
        }
    }
}

/// Serves each connection on a separate thread. Port 0 selects a free port; the address is printed on standard error.
fn listen<F>(name: &'static str, address: &str, serve: F) -> Result<JoinHandle<()>, String>
where
    F: Fn(&TcpStream) -> io::Result<()> + Send + Sync + 'static,
{
    let listener =
        TcpListener::bind(address).map_err(|problem| format!("`--{name} {address}`: {problem}"))?;
    let taken =
        listener.local_addr().map_err(|problem| format!("`--{name} {address}`: {problem}"))?;
    say(&format!("{name} on {taken}"));
    Ok(thread::spawn(move || accept(name, &listener, Arc::new(serve))))
}

fn accept<F>(name: &'static str, listener: &TcpListener, serve: Arc<F>)
where
    F: Fn(&TcpStream) -> io::Result<()> + Send + Sync + 'static,
{
    // Every connection holds a reference.
    let open = Arc::new(());
    for peer in listener.incoming() {
        let peer = match peer {
            Ok(peer) => peer,
            Err(problem) => {
                say(&format!("{name}: {problem}"));
                continue;
            }
        };
        if Arc::strong_count(&open) > MAX_CONNECTIONS {
            continue;
        }
        let place = Arc::clone(&open);
        let serve = Arc::clone(&serve);
        let spawned = thread::Builder::new().spawn(move || {
            let _place = place;
            let served = peer
                .set_read_timeout(Some(SILENCE))
                .and_then(|()| peer.set_write_timeout(Some(SILENCE)))
                .and_then(|()| serve(&peer));
            if let Err(problem) = served {
                say(&format!("{name}: {problem}"));
            }
        });
        if let Err(problem) = spawned {
            say(&format!("{name}: {problem}"));
        }
    }
}

fn say(line: &str) {
    // Standard error may be closed; there is no other place to report to.
    let _unheard = writeln!(io::stderr(), "stand-in-node: {line}");
}
