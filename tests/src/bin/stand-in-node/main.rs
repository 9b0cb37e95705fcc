//! Stand-in for the backends of the companions: Bitcoin's JSON-RPC, LND's state, an Electrum server and electrs'
//! metrics.
//!
//! Answers like a small regtest node and logs each request, so that a test sees its credentials and origin. It never
//! logs a password, stores no chain and has no TLS.

mod bitcoin;
mod electrum;
mod http;
#[cfg(test)]
mod tests;

use std::env;
use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bitcoin::Rpc;

/// Concurrent connections per listener; further connections are closed without an answer.
const MAX_CONNECTIONS: usize = 64;
/// Idle time after which a connection is closed.
const SILENCE: Duration = Duration::from_secs(10);

const USAGE: &str = "usage: stand-in-node [--rpc ADDR:PORT --rpc-user NAME --rpc-password-file FILE [--journal FILE]]
                     [--lnd ADDR:PORT] [--electrum ADDR:PORT] [--electrs-metrics ADDR:PORT]";

#[derive(Debug, Default, PartialEq)]
struct Options {
    rpc: Option<String>,
    rpc_user: Option<String>,
    rpc_password_file: Option<String>,
    journal: Option<String>,
    lnd: Option<String>,
    electrum: Option<String>,
    electrs_metrics: Option<String>,
}

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
    let mut options = Options::default();
    while let Some(name) = arguments.next() {
        let field = match name.as_str() {
            "--rpc" => &mut options.rpc,
            "--rpc-user" => &mut options.rpc_user,
            "--rpc-password-file" => &mut options.rpc_password_file,
            "--journal" => &mut options.journal,
            "--lnd" => &mut options.lnd,
            "--electrum" => &mut options.electrum,
            "--electrs-metrics" => &mut options.electrs_metrics,
            _ => return Err(format!("unknown option `{name}`")),
        };
        *field = Some(arguments.next().ok_or_else(|| format!("`{name}` needs a value"))?);
    }
    Ok(options)
}

fn start(options: &Options) -> Result<Vec<JoinHandle<()>>, String> {
    let mut listeners = Vec::new();
    if let Some(address) = &options.rpc {
        let user = options.rpc_user.as_deref().ok_or("`--rpc` needs `--rpc-user`")?;
        let password_file =
            options.rpc_password_file.as_deref().ok_or("`--rpc` needs `--rpc-password-file`")?;
        let rpc =
            Rpc::new(user, password_file.as_ref(), options.journal.as_deref().map(str::as_ref))
                .map_err(|problem| format!("cannot open the journal: {problem}"))?;
        listeners.push(listen("rpc", address, move |peer| {
            http::serve(peer, |request| rpc.answer(request))
        })?);
    }
    if let Some(address) = &options.lnd {
        listeners.push(listen("lnd", address, |peer| http::serve(peer, lnd))?);
    }
    if let Some(address) = &options.electrum {
        listeners.push(listen("electrum", address, electrum::serve)?);
    }
    if let Some(address) = &options.electrs_metrics {
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
    let open = Arc::new(AtomicUsize::new(0));
    for peer in listener.incoming() {
        let peer = match peer {
            Ok(peer) => peer,
            Err(problem) => {
                say(&format!("{name}: {problem}"));
                continue;
            }
        };
        if open.load(Ordering::SeqCst) >= MAX_CONNECTIONS {
            continue;
        }
        let place = Place::take(&open);
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

/// A slot of a listener's [`MAX_CONNECTIONS`], released on drop.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(open))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn say(line: &str) {
    // Standard error may be closed; there is no other place to report to.
    let _unheard = writeln!(io::stderr(), "stand-in-node: {line}");
}
