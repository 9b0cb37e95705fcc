//! Stands in for the backends that the companions are faces of: Bitcoin's JSON-RPC,
//! LND's state, an Electrum server and electrs' metrics.
//!
//! It answers as a small regtest node would, and writes down what it was asked, so
//! that a test sees with which credentials and from which page a request came. It
//! never writes a password, keeps no chain, and never speaks TLS.

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

/// Connections served at a time by one listener; those beyond are closed unanswered.
const MAX_CONNECTIONS: usize = 64;
/// A peer that is silent for so long is hung up on.
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
                // An accept loop ends only by a panic, which has said its piece.
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
                .map_err(|problem| format!("the journal cannot be opened: {problem}"))?;
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

/// Serves each connection on a thread of its own. Port 0 takes a free one; the address
/// taken is said on standard error.
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

/// One of a listener's [`MAX_CONNECTIONS`], given back when the thread ends, however it ends.
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
    // With standard error gone there is nobody left to tell.
    let _unheard = writeln!(io::stderr(), "stand-in-node: {line}");
}
