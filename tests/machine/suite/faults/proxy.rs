//! A proxy before the guest's registry that can be told to misbehave. Plain sockets of loopback.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::by_root;
use crate::guest::{archy_reading, podman};
use crate::http;

/// Where it listens, and the registry behind it.
const PORT: u16 = 5001;
const REGISTRY: u16 = 5000;

/// The image that is to be pulled through it, and another one of the same repository.
pub(super) const IMAGE: &str = "127.0.0.1:5001/fault/page";

/// How it misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Not at all.
    None,
    /// It answers everything with this line and these headers, each with its line break.
    Answer(&'static str),
    /// Of each blob it gives the first half, then hangs up.
    Cut,
    /// It gives another image than was asked for by its digest.
    Swapped,
}

/// The proxy, until this is dropped.
#[derive(Debug)]
pub(super) struct Proxy {
    fault: Arc<Mutex<Fault>>,
    ended: Arc<AtomicBool>,
}

impl Proxy {
    /// Begins to listen, before a registry that has [`IMAGE`].
    pub(super) fn with(fault: Fault) -> Self {
        publish();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).unwrap();
        let fault = Arc::new(Mutex::new(fault));
        let ended = Arc::new(AtomicBool::new(false));
        let (shared, end) = (Arc::clone(&fault), Arc::clone(&ended));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&shared);
                // Who hangs up early is podman's business.
                thread::spawn(move || serve(client, &shared).unwrap_or_default());
            }
        });
        Self { fault, ended }
    }

    /// Misbehaves in another way from the next request on.
    pub(super) fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // The listener notices at its next connection.
        let _noticed = TcpStream::connect((Ipv4Addr::LOCALHOST, PORT));
        let _removed = podman(&["image", "rm", "--force", "--ignore", &format!("{IMAGE}:latest")]);
    }
}

/// Sees to it that the registry has two images of a layer each that no local image has.
fn publish() {
    by_root("systemctl start docker-registry");
    let there = || http::get(REGISTRY, "/v2/fault/page/manifests/other", &[]);
    if there().is_ok_and(|answer| answer.status == 200) {
        return;
    }
    for tag in ["latest", "other"] {
        let name = format!("127.0.0.1:{REGISTRY}/fault/page:{tag}");
        let file = "FROM localhost/companion-base\nRUN head -c 400000 /dev/urandom >/bytes\n";
        archy_reading(&["podman", "build", "--quiet", "--no-cache", "--tag", &name, "-"], file)
            .good();
        podman(&["push", "--tls-verify=false", &name]).good();
        podman(&["image", "rm", "--force", &name]).good();
    }
}

fn serve(mut client: TcpStream, fault: &Mutex<Fault>) -> io::Result<()> {
    let head = head(&mut client)?;
    let fault = *fault.lock().unwrap();
    if let Fault::Answer(lines) = fault {
        return client.write_all(
            format!("HTTP/1.1 {lines}Content-Length: 0\r\nConnection: close\r\n\r\n").as_bytes(),
        );
    }
    let mut path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    if fault == Fault::Swapped && path.contains("/manifests/sha256:") {
        path = "/v2/fault/page/manifests/other".to_owned();
    }
    let mut registry = TcpStream::connect((Ipv4Addr::LOCALHOST, REGISTRY))?;
    let accepted = head.lines().skip(1).filter(|line| line.to_lowercase().starts_with("accept:"));
    let accepted: String = accepted.map(|line| format!("{line}\r\n")).collect();
    let verb = head.split(' ').next().unwrap_or_default();
    let request = format!(
        "{verb} {path} HTTP/1.1\r\nHost: 127.0.0.1:{REGISTRY}\r\n{accepted}Connection: close\r\n\r\n"
    );
    registry.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    registry.read_to_end(&mut answer)?;
    let half = match fault {
        Fault::Cut if path.contains("/blobs/") => answer.len() / 2,
        _ => answer.len(),
    };
    client.write_all(answer.get(..half).unwrap_or_default())
}

/// A request's line and headers.
fn head(client: &mut TcpStream) -> io::Result<String> {
    client.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
